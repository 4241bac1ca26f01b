"""A proxy in front of an API server that carries writes out and loses their answers."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from aiohttp import web

from tests.testbed.cluster import ControlPlane

_HOP = frozenset({"connection", "transfer-encoding", "content-length", "host", "keep-alive"})


class LossyProxy:
    """Passes everything on; of each object's first real write the answer is lost."""

    def __init__(self, cluster: ControlPlane) -> None:
        self._cluster = cluster
        self._lost: set[str] = set()
        self._session: aiohttp.ClientSession | None = None
        self.lost: list[str] = []
        """Paths of the writes that the server answered with success, and nobody heard of."""
        self.server = ""

    async def serve(self, started: threading.Event, ended: asyncio.Event) -> None:
        """Listen until `ended`."""
        context = ssl.create_default_context(cafile=str(self._cluster.ca_file))
        connector = aiohttp.TCPConnector(ssl=context)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as self._session:
            runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            self.server = f"http://{host}:{port}"
            started.set()
            await ended.wait()
            await runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        assert self._session is not None
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP}
        body = await request.read()
        url = f"{self._cluster.server}{request.path_qs}"
        async with self._session.request(
            request.method, url, headers=headers, data=body or None, allow_redirects=False
        ) as found:
            writes = request.method in ("PATCH", "POST", "PUT") and "dryRun" not in request.query
            if writes and found.status < 300 and request.path not in self._lost:
                await found.read()
                self._lost.add(request.path)
                self.lost.append(request.path)
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            kept = {k: v for k, v in found.headers.items() if k.lower() not in _HOP}
            kept.pop("Content-Encoding", None)
            answer = web.StreamResponse(status=found.status, headers=kept)
            await answer.prepare(request)
            with contextlib.suppress(ConnectionError, aiohttp.ClientError):
                async for chunk in found.content.iter_any():
                    await answer.write(chunk)
            return answer


@contextmanager
def losing_answers(cluster: ControlPlane) -> Iterator[LossyProxy]:
    """The proxy, on a thread of its own."""
    proxy, started = LossyProxy(cluster), threading.Event()
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

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
