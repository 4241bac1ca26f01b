"""A proxy in front of an API server that carries writes out and loses their answers."""

from __future__ import annotations

from contextlib import AbstractContextManager

from aiohttp import web

from tests.testbed.cluster import ControlPlane
from tests.testbed.passing_proxy import PassingProxy, listening


class LossyProxy(PassingProxy):
    """Passes everything on; of each object's first real write the answer is lost."""

    def __init__(self, cluster: ControlPlane) -> None:
        super().__init__(cluster)
        self._lost: set[str] = set()
        self.lost: list[str] = []
        """Paths of the writes that the server answered with success, and nobody heard of."""

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """What a request gets: of an object's first write, nothing."""
        async with self.asked(request) as found:
            writes = request.method in ("PATCH", "POST", "PUT") and "dryRun" not in request.query
            if writes and found.status < 300 and request.path not in self._lost:
                await found.read()
                self._lost.add(request.path)
                self.lost.append(request.path)
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            return await self.passed_on(request, found)


def losing_answers(cluster: ControlPlane) -> AbstractContextManager[LossyProxy]:
    """The proxy, on a thread of its own."""
    return listening(LossyProxy(cluster))
