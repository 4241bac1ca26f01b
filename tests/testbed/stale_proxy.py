"""A proxy in front of an API server that reads from a cache which stands still.

So does an API server whose watch cache lags behind: it answers reads from what it knew once, and
carries writes out on what there is.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from aiohttp import web

from tests.testbed.cluster import ControlPlane
from tests.testbed.passing_proxy import PassingProxy, listening


class StaleProxy(PassingProxy):
    """Passes everything on; while it is stale, the ConfigMaps of a namespace are as at `freeze`."""

    def __init__(self, cluster: ControlPlane, namespace: str) -> None:
        super().__init__(cluster)
        self._path = f"/api/v1/namespaces/{namespace}/configmaps"
        self._namespace = namespace
        self._known: dict[str, Any] | None = None
        self.stale_answers = 0
        """Reads that were answered from what was known once."""
        self.meanwhile: Callable[[str, bool], None] = lambda _name, _dry_run: None
        """Called before each write goes on, with the object's name and whether it is a dry run."""

    def freeze(self) -> None:
        """From now on, reads are answered as the server would answer them now."""
        self._known = self._cluster.call("GET", self._path)

    def thaw(self) -> None:
        """From now on, nothing is stale."""
        self._known = None

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """What a request gets."""
        if request.method == "GET" and "watch" not in request.query and self._known is not None:
            stale = await self._stale(request)
            if stale is not None:
                self.stale_answers += 1
                return stale
        if request.method in ("PATCH", "POST", "PUT"):
            name = request.path.rpartition("/")[2]
            await asyncio.to_thread(self.meanwhile, name, "dryRun" in request.query)
        async with self.asked(request) as found:
            return await self.passed_on(request, found)

    async def _stale(self, request: web.BaseRequest) -> web.Response | None:
        """The answer from what was known; None for a request of something else."""
        assert self._known is not None
        items = self._known["items"]
        if request.path.startswith(f"{self._path}/"):
            name = request.path.rpartition("/")[2]
            for item in items:
                if item["metadata"]["name"] == name:
                    return _json({"apiVersion": "v1", "kind": "ConfigMap", **item})
            status = {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}
            return _json(status, 404)
        if request.path not in (self._path, "/api/v1/configmaps"):
            return None
        async with self.asked(request) as found:
            fresh = json.loads(await found.read())
        if "items" not in fresh:
            return None
        others = [i for i in fresh["items"] if i["metadata"]["namespace"] != self._namespace]
        fresh["metadata"]["resourceVersion"] = self._known["metadata"]["resourceVersion"]
        return _json({**fresh, "items": [*others, *items]})


def _json(body: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(text=json.dumps(body), status=status, content_type="application/json")


def reading_stale(cluster: ControlPlane, namespace: str) -> AbstractContextManager[StaleProxy]:
    """The proxy, on a thread of its own."""
    return listening(StaleProxy(cluster, namespace))
