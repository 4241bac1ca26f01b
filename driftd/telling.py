"""Composition for `driftd notify`: settings, the sandbox for templates, and receivers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftd.clock import SystemClock
from driftd.notify import trying
from driftd.settings.channels import channels
from driftd.settings.load import load
from driftd.settings.notifications import Notifications

if TYPE_CHECKING:
    from driftd.notify.templates import Execute


async def preview(config: Path, kind: str, channel: str) -> tuple[Any, dict[str, list[str]]]:
    """A sample message as JSON, and in the words of receivers. Raises ConfigError."""
    told = load(config).notifications
    async with _templates(told) as execute:
        return await trying.preview(told, kind, channel, SystemClock().now(), execute)


async def try_out(config: Path, channel: str) -> None:
    """Send one receiver a test. Raises ConfigError and NotifyError."""
    told = load(config).notifications
    async with _templates(told) as execute:
        await trying.try_out(told, channel, SystemClock(), execute)


@asynccontextmanager
async def _templates(told: Notifications) -> AsyncIterator[Execute | None]:
    """What executes templates; no sandbox is started where there are none."""
    if not any(getattr(one, "templates", {}) for _, one in channels(told)):
        yield None
        return
    from driftd.sandbox.pool import SandboxPool

    async with SandboxPool(size=1) as sandbox:
        yield sandbox.template
