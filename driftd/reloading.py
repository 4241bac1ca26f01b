"""Settings that are read anew while the daemon runs: on SIGHUP, or when their file changes."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

from driftd.controller.named_files import unfit
from driftd.model.counts import counted
from driftd.settings.files import missing
from driftd.settings.load import Inspected, inspect
from driftd.settings.problems import errors
from driftd.settings.reload import change
from driftd.settings.types import Settings
from driftd.telemetry.logs import get_logger
from driftd.telemetry.metrics import Metrics

INTERVAL: Final = 5.0
"""Seconds between two looks at the file; Kubernetes itself takes a minute to bring a new one."""


class Reloading:
    """The settings in force, and what the file says beside them."""

    def __init__(
        self,
        path: Path,
        settings: Settings,
        metrics: Metrics,
        *,
        completed: Callable[[Settings], Settings],
        interval: float = INTERVAL,
    ) -> None:
        """`completed` adds what flags say to settings that were read."""
        self.settings = settings
        self._path = path
        self._metrics = metrics
        self._completed = completed
        self._interval = interval
        self._asked = asyncio.Event()
        self._log = get_logger("driftd")
        self._digest = self._read()
        metrics.settings_current(current=True)

    def listen(self) -> None:
        """Take SIGHUP as the wish to read the settings anew."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._asked.set)

    async def changed(self) -> Settings:
        """Wait for settings that can be put in force; those that cannot are told and left."""
        while True:
            if not await self._is_due():
                continue
            inspected = await asyncio.to_thread(self._inspect)
            wrong = errors(inspected.problems)
            for one in wrong:
                self._log.error("settings refused", place=one.place, problem=one.text)
            if wrong:
                self.refused(f"{counted(len(wrong), 'error')} in {self._path}")
                continue
            found = change(self.settings, self._completed(inspected.settings))
            if found.at_start:
                self._log.warning("settings wait for a restart", keys=list(found.at_start))
            self._metrics.settings_current(current=not found.at_start)
            if found.applied:
                self._log.info("settings changed", keys=list(found.applied))
                return found.settings

    def refused(self, why: str) -> None:
        """What the file says cannot be put in force: the settings that are stay."""
        self._metrics.settings_current(current=False)
        self._log.error("settings stay as they are", why=why)

    async def _is_due(self) -> bool:
        """Wait for SIGHUP or the time to look; whether there is reason to read."""
        try:
            async with asyncio.timeout(self._interval):
                await self._asked.wait()
        except TimeoutError:
            digest = await asyncio.to_thread(self._read)
            if digest == self._digest:
                return False
            self._digest = digest
            return True
        self._asked.clear()
        self._digest = await asyncio.to_thread(self._read)
        return True

    def _inspect(self) -> Inspected:
        return inspect(self._path, env=os.environ, further=(missing, unfit))

    def _read(self) -> bytes:
        """What stands in the file; nothing while it cannot be read."""
        try:
            return hashlib.sha256(self._path.read_bytes()).digest()
        except OSError:
            return b""
