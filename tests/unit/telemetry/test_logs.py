"""Log lines."""

from __future__ import annotations

import io
import json
import logging

import pytest
import structlog

from driftd.settings.types import Log
from driftd.telemetry.logs import configure, get_logger

pytestmark = pytest.mark.usefixtures("private_logging")


def lines(stream):
    """Every line as JSON."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_lines_have_level_logger_time_and_fields():
    """One JSON object per line, with what a log store needs."""
    stream = io.StringIO()
    configure(Log(), stream)
    get_logger("driftd.controller").info("look ended", application="argocd/shop", drifts=2)
    [line] = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "message": "look ended",
        "application": "argocd/shop",
        "drifts": 2,
        "level": "info",
        "logger": "driftd.controller",
    }


def test_lines_of_libraries_are_formatted_and_redacted_too():
    """A library's message and traceback cannot leak what driftd's own lines would not."""
    stream = io.StringIO()
    configure(Log(), stream)
    url = "https://bot:hunter2@git.example.com"
    logging.getLogger("some.library").error("cannot fetch %s", url)
    try:
        raise ValueError(url)
    except ValueError:
        get_logger("driftd.source").exception("failed", password="hunter2", url=url)
    structlog.contextvars.bind_contextvars(token="hunter2")
    get_logger("driftd").warning("with context")
    structlog.contextvars.clear_contextvars()
    assert "hunter2" not in stream.getvalue()
    assert [line["logger"] for line in lines(stream)] == ["some.library", "driftd.source", "driftd"]
    assert "ValueError" in lines(stream)[1]["exception"]


def test_the_level_is_respected():
    """Lines below the level are not written; talkative libraries only from warning on."""
    stream = io.StringIO()
    configure(Log(level="info"), stream)
    get_logger("driftd").debug("hidden")
    logging.getLogger("apscheduler.scheduler").info("hidden")
    get_logger("driftd").info("shown")
    assert [line["message"] for line in lines(stream)] == ["shown"]


def test_console_lines_are_plain_text_off_a_terminal():
    """The format for people has no escape sequences in a file or pipe."""
    stream = io.StringIO()
    configure(Log(format="console"), stream)
    get_logger("driftd").info("look ended", drifts=2)
    assert "look ended" in stream.getvalue()
    assert "drifts=2" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()
