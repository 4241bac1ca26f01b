"""The cluster Secrets of a hub as events change them, without a word of what they hold."""

from __future__ import annotations

import asyncio
import base64
import json

from aiohttp import web

from driftd.cluster.hubclusters import SELECTOR, HubClusters
from driftd.cluster.kube import KubeCluster
from driftd.cluster.reader import Listing
from driftd.cluster.transport import Transport
from driftd.errors import Forbidden

LIST = "/api/v1/namespaces/argocd/secrets"


def secret(name: str, version: int, held: str = "t", config: str = "") -> dict:
    """A cluster Secret as the API server serves it."""
    fields = {
        "server": f"https://{name}.example.com",
        "config": config or json.dumps({"bearerToken": held}),
    }
    data = {key: base64.b64encode(value.encode()).decode() for key, value in fields.items()}
    meta = {"name": name, "namespace": "argocd", "resourceVersion": str(version)}
    return {"metadata": meta, "data": data}


class Followed:
    """What a `HubClusters` tells, one state after the other."""

    def __init__(self, server) -> None:
        self.cluster = KubeCluster(Transport(server.access))
        self.hub = HubClusters(self.cluster, "argocd", wait=self._wait)
        self.hub.told = self._told
        self.states: asyncio.Queue[dict[str, str] | None] = asyncio.Queue()

    async def _wait(self, _seconds: float) -> None:
        await asyncio.sleep(0)

    async def _told(self) -> None:
        clusters = self.hub.clusters or ()
        tokens = {one.name: one.access.user["token"] for one in clusters}
        await self.states.put(tokens)

    async def next(self) -> dict[str, str] | None:
        """The next state."""
        return await asyncio.wait_for(self.states.get(), 20)


def served(server, replies, events: asyncio.Queue):
    """List one Secret, then stream what is put into the queue."""
    listing = {
        "kind": "SecretList",
        "metadata": {"resourceVersion": "1"},
        "items": [secret("one", 1)],
    }

    async def answer(request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return replies.answer(listing)
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            kind, document = await events.get()
            line = json.dumps({"type": kind, "object": document})
            await response.write(line.encode() + b"\n")

    server.on(LIST, answer)


async def test_each_change_is_told(server, replies, capsys) -> None:
    """A Secret that is added, rotated, broken and removed; nothing that one holds is logged."""
    events: asyncio.Queue = asyncio.Queue()
    served(server, replies, events)
    followed = Followed(server)
    assert followed.hub.clusters is None
    task = asyncio.create_task(followed.hub.run())
    one, two = "https://one.example.com", "https://two.example.com"
    try:
        assert await followed.next() == {one: "t"}
        await events.put(("ADDED", secret("two", 2)))
        assert await followed.next() == {one: "t", two: "t"}
        await events.put(("MODIFIED", secret("one", 3, held="s3cret")))
        assert await followed.next() == {one: "s3cret", two: "t"}
        await events.put(("MODIFIED", secret("two", 4, config="{s3cret")))
        assert await followed.next() == {one: "s3cret"}
        await events.put(("DELETED", secret("one", 5)))
        assert await followed.next() == {}
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await followed.cluster.close()
    assert {query["labelSelector"] for query in server.queries(LIST)} == {SELECTOR}
    said = capsys.readouterr()
    assert "s3cret" not in said.out + said.err


async def test_without_the_right_nothing_is_known(server) -> None:
    """Once the Secrets may not be watched any more, what they were says nothing."""
    hub = HubClusters(KubeCluster(Transport(server.access)), "argocd")
    await hub.listed(Listing(()))
    assert hub.clusters == ()
    await hub.state(Forbidden("no"))
    assert hub.clusters is None
