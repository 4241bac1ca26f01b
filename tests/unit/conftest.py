"""Fixtures for tests of single modules."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def private_logging() -> Iterator[None]:
    """Let the test configure logging, and give the test runner its own back afterwards."""
    import structlog

    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()
