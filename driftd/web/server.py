"""The HTTP server for probes and metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from driftd.errors import ConfigError
from driftd.telemetry.metrics import CONTENT_TYPE, Metrics

if TYPE_CHECKING:
    from aiohttp import web

_BODY_LIMIT = 1 << 20
_HEADER_LIMIT = 16 << 10
_SHUTDOWN_SECONDS = 5.0
_FIRST_SWEEP = "the first sweep"

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'",
    "X-Content-Type-Options": "nosniff",
}


class Readiness:
    """Whether the daemon is ready, and what it waits for if it is not."""

    def __init__(self) -> None:
        self.waiting_for = _FIRST_SWEEP

    def first_sweep_done(self) -> None:
        """Every application has been looked at once. While the daemon ends it stays unready."""
        if self.waiting_for == _FIRST_SWEEP:
            self.waiting_for = ""

    def draining(self) -> None:
        """The daemon is about to end."""
        self.waiting_for = "the end of the process"

    @property
    def ready(self) -> bool:
        """Whether nothing is waited for."""
        return not self.waiting_for


class Server:
    """Serves `/healthz`, `/readyz` and `/metrics` while it is entered (`async with`)."""

    def __init__(
        self,
        listen: str,
        metrics: Metrics,
        readiness: Readiness,
        alive: Callable[[], bool] = lambda: True,
    ) -> None:
        """`listen` is ADDRESS:PORT, port 0 for any; `alive` is whether the loops make progress."""
        host, _, port = listen.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._metrics = metrics
        self._readiness = readiness
        self._alive = alive
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port that is listened on."""
        if self._runner is None or not self._runner.addresses:
            return self._port
        return int(self._runner.addresses[0][1])

    async def __aenter__(self) -> Self:
        """Start to listen. Raises ConfigError when the address cannot be used."""
        from aiohttp import web

        app = web.Application(client_max_size=_BODY_LIMIT)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._expose)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            max_line_size=_HEADER_LIMIT,
            max_field_size=_HEADER_LIMIT,
            shutdown_timeout=_SHUTDOWN_SECONDS,
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigError(
                f"cannot listen on {self._host}:{self._port}: {error.strerror}",
                hint="choose another address in server.listen",
            ) from None
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.Response:
        """Liveness: only what a restart of this process could mend."""
        return _text(200, "ok") if self._alive() else _text(503, "no progress")

    async def _readyz(self, _request: web.Request) -> web.Response:
        if self._readiness.ready:
            return _text(200, "ok")
        return _text(503, f"waiting for {self._readiness.waiting_for}")

    async def _expose(self, _request: web.Request) -> web.Response:
        from aiohttp import web

        # The exposition of many series would block every look for its time.
        body = await asyncio.to_thread(self._metrics.exposition)
        headers = {**_HEADERS, "Content-Type": CONTENT_TYPE}
        return web.Response(body=body, headers=headers)


def _text(status: int, text: str) -> web.Response:
    from aiohttp import web

    return web.Response(status=status, text=f"{text}\n", headers=_HEADERS)
