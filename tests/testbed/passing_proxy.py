"""A proxy in front of an API server that passes everything on, for others to interfere in."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import TypeVar

import aiohttp
from aiohttp import web

from tests.testbed.cluster import ControlPlane

_HOP = frozenset({"connection", "transfer-encoding", "content-length", "host", "keep-alive"})


class PassingProxy:
    """Passes requests on and answers back, as they come; watches too."""

    def __init__(self, cluster: ControlPlane) -> None:
        self._cluster = cluster
        self._session: aiohttp.ClientSession | None = None
        self.server = ""

    async def serve(self, started: threading.Event, ended: asyncio.Event) -> None:
        """Listen until `ended`."""
        context = ssl.create_default_context(cafile=str(self._cluster.ca_file))
        connector = aiohttp.TCPConnector(ssl=context)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as self._session:
            runner = web.ServerRunner(web.Server(self.answer), shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            self.server = f"http://{host}:{port}"
            started.set()
            await ended.wait()
            await runner.cleanup()

    @contextlib.asynccontextmanager
    async def asked(self, request: web.BaseRequest) -> AsyncIterator[aiohttp.ClientResponse]:
        """The server's answer to a request, whose body is not read yet."""
        assert self._session is not None
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP}
        body = await request.read()
        url = f"{self._cluster.server}{request.path_qs}"
        async with self._session.request(
            request.method, url, headers=headers, data=body or None, allow_redirects=False
        ) as found:
            yield found

    async def passed_on(
        self, request: web.BaseRequest, found: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        """Answer with what the server says, as it says it."""
        kept = {k: v for k, v in found.headers.items() if k.lower() not in _HOP}
        kept.pop("Content-Encoding", None)
        answer = web.StreamResponse(status=found.status, headers=kept)
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            async for chunk in found.content.iter_any():
                await answer.write(chunk)
        return answer

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """What a request gets."""
        async with self.asked(request) as found:
            return await self.passed_on(request, found)


Proxy = TypeVar("Proxy", bound=PassingProxy)


@contextmanager
def listening(proxy: Proxy) -> Iterator[Proxy]:
    """The proxy, on a thread of its own."""
    started, loop, ended = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(proxy.serve(started, ended))
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
