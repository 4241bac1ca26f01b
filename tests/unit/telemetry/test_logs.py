"""Log lines."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys

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


@pytest.mark.parametrize(
    "text",
    [
        'a\nlevel=ERROR {"level":"error"}',
        "a\r\nb\x0bc\x0cd",
        "\x1b[31mred\x1b]0;title\x07",
        "a\u2028b\u2029c\x85d",
        "\u202eelif.exe\u2066",
        "\x00\x7f\ud800",
    ],
)
def test_one_event_is_one_line_whatever_it_holds(text):
    """S-71: no name or message begins a line, moves a cursor or turns the direction of writing."""
    stream = io.StringIO()
    configure(Log(), stream)
    get_logger("driftd.controller").info("state change", application=text, problem=text)
    logging.getLogger("some.library").warning("cannot read %s", text)
    written = stream.getvalue()
    assert written.count("\n") == 2
    assert all(line.isascii() and line.isprintable() for line in written.split("\n"))
    first, second = (json.loads(line) for line in written.splitlines())
    assert (first["level"], first["application"]) == ("info", text)
    assert (second["level"], second["message"]) == ("warning", f"cannot read {text}")


def test_commands_keep_standard_output_clean():
    """A command that configures no logs tells warnings on standard error, and nothing below."""
    code = (
        "from driftd import telemetry\n"
        "telemetry.is_program = True\n"
        "from driftd.telemetry.logs import get_logger\n"
        "get_logger('driftd.store').info('quiet', number=1)\n"
        "get_logger('driftd.store').warning('loud', number=2)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert "quiet" not in done.stderr
    assert "loud" in done.stderr
