"""The HTTP server for probes, metrics and what is added to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Self

from driftd.errors import ConfigError, StoreError
from driftd.telemetry.metrics import CONTENT_TYPE, Metrics

if TYPE_CHECKING:
    import ssl

    from aiohttp import web

_BODY_LIMIT = 1 << 20
HEADER_LIMIT = 16 << 10
"""Bytes of a line or a field of a request's head."""
SHUTDOWN_SECONDS = 1.0
"""Seconds that answers under way get at the end: probes and scrapes take milliseconds."""
_LINGERING = 0.5
"""Seconds in which the rest of a body that was refused is thrown away, so that its sender may read
the answer."""
_STORE_SECONDS = 2.0
"""Seconds in which the store must answer; probes wait for three by default in deploy/base."""
_ASKED_AGAIN = 1.0
_FIRST_SWEEP = "the first sweep"

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'",
    "X-Content-Type-Options": "nosniff",
}


class Readiness:
    """Whether the daemon is ready, and what it waits for if it is not."""

    def __init__(
        self,
        reach: Callable[[], Awaitable[object]] | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`reach` asks the store for something small; a StoreError says that it is not there."""
        self.waiting_for = _FIRST_SWEEP
        self._reach = reach
        self._now = monotonic
        self._asking = asyncio.Lock()
        self._asked: float | None = None
        self._reached = True
        self.unusable: Callable[[], str] = lambda: ""
        """Says why nothing can be rendered, as the sandbox knows it; empty if it can."""

    def first_sweep_done(self) -> None:
        """Every application has been looked at once. While the daemon ends it stays unready."""
        if self.waiting_for == _FIRST_SWEEP:
            self.waiting_for = ""

    def draining(self) -> None:
        """The daemon is about to end."""
        self.waiting_for = "the end of the process"

    async def missing(self) -> str:
        """What is waited for; empty if the daemon is ready.

        Where nothing can be rendered, nothing can be judged: that comes first.

        The store is asked once a second at most, however many ask.
        """
        if unusable := self.unusable():
            return f"a sandbox worker: {unusable}"
        if self.waiting_for or self._reach is None:
            return self.waiting_for
        async with self._asking:
            if self._asked is None or self._now() - self._asked >= _ASKED_AGAIN:
                self._reached = await self._is_reached(self._reach)
                self._asked = self._now()
        return "" if self._reached else "the store"

    async def _is_reached(self, reach: Callable[[], Awaitable[object]]) -> bool:
        try:
            async with asyncio.timeout(_STORE_SECONDS):
                await reach()
        except (StoreError, TimeoutError):
            return False
        return True


class Server:
    """Serves `/healthz`, `/readyz` and `/metrics` while it is entered (`async with`)."""

    def __init__(
        self,
        listen: str,
        metrics: Metrics,
        readiness: Readiness,
        stuck: Callable[[], str] = lambda: "",
        *,
        more: Callable[[web.Application], None] = lambda _app: None,
    ) -> None:
        """`listen` is ADDRESS:PORT, port 0 for any; `stuck` says what makes no progress.

        `more` adds further paths.
        """
        host, _, port = listen.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._metrics = metrics
        self._readiness = readiness
        self._stuck = stuck
        self._more = more
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
        self._more(app)
        address = f"{self._host}:{self._port}"
        self._runner = await listen(
            app,
            self._host,
            self._port,
            address,
            "server.listen",
            auto_decompress=False,
            lingering_time=_LINGERING,
        )
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.Response:
        """Liveness: only what a restart of this process could mend."""
        stuck = self._stuck()
        return answer(503, f"no progress: {stuck}") if stuck else answer(200, "ok")

    async def _readyz(self, _request: web.Request) -> web.Response:
        missing = await self._readiness.missing()
        return answer(503, f"waiting for {missing}") if missing else answer(200, "ok")

    async def _expose(self, _request: web.Request) -> web.Response:
        from aiohttp import web

        # The exposition of many series would block every look for its time.
        body = await asyncio.to_thread(self._metrics.exposition)
        headers = {**_HEADERS, "Content-Type": CONTENT_TYPE}
        return web.Response(body=body, headers=headers)


async def listen(
    app: web.Application,
    host: str,
    port: int,
    address: str,
    setting: str,
    *,
    tls: ssl.SSLContext | None = None,
    **options: Any,
) -> web.AppRunner:
    """Serve `app`, with the limits of all that is served here; `options` are aiohttp's.

    Raises ConfigError when the address cannot be used; it calls it `address` and names `setting`.
    """
    from aiohttp import web

    runner = web.AppRunner(
        app,
        access_log=None,
        max_line_size=HEADER_LIMIT,
        max_field_size=HEADER_LIMIT,
        shutdown_timeout=SHUTDOWN_SECONDS,
        **options,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(
            f"cannot listen on {address}: {error.strerror}",
            hint=f"choose another address in {setting}",
        ) from None
    return runner


def answer(status: int, text: str) -> web.Response:
    """A short answer in plain text."""
    from aiohttp import web

    return web.Response(status=status, text=f"{text}\n", headers=_HEADERS)
