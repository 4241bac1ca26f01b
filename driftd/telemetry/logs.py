"""Log lines: structlog for driftd and for every library, redacted before anything else."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

from driftd import telemetry
from driftd.settings.types import Log
from driftd.telemetry.redact import redact, redact_text

_QUIET = ("aiosqlite", "alembic", "apscheduler", "kubernetes_asyncio", "aiohttp.access", "asyncio")


def get_logger(name: str) -> Any:
    """A structured logger; `name` is the package, such as `driftd.notify`.

    A command that has not configured logs says warnings alone, on standard error.
    """
    if telemetry.is_program and not structlog.is_configured():
        configure(Log(level="warning", format="console"))
    return structlog.stdlib.get_logger(name)


def configure(settings: Log, stream: TextIO | None = None) -> None:
    """Send every log line, also those of libraries, to `stream` (standard error by default)."""
    target = stream if stream is not None else sys.stderr
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _redact_event,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _redact_exception,
                *_renderers(settings, target),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _renderers(settings: Log, target: TextIO) -> list[structlog.typing.Processor]:
    if settings.format == "console":
        colors = target.isatty()
        return [structlog.dev.ConsoleRenderer(colors=colors)]
    return [
        structlog.processors.EventRenamer("message"),
        structlog.processors.JSONRenderer(sort_keys=True),
    ]


def _redact_event(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if key not in ("exc_info", "_record", "_from_structlog"):
            event[key] = redact(value, key)
    return event


def _redact_exception(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Tracebacks become text only here, so they are redacted only here."""
    if isinstance(event.get("exception"), str):
        event["exception"] = redact_text(event["exception"])
    return event
