"""List and watch when the stream is cut, falls silent, expires or is refused."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from driftd.cluster.kube import KubeCluster
from driftd.cluster.limits import EXCEEDED, Limits
from driftd.cluster.reader import Listing, ObjectMeta
from driftd.cluster.transport import Transport, TransportOptions
from driftd.cluster.watch import HOPELESS_PAUSE, LONGEST_PAUSE, Reflector
from driftd.errors import ClusterError
from driftd.model.resource import LiveObject, ResourceKey

pytestmark = pytest.mark.slow

LIST = "/api/v1/configmaps"
EVERY = 1 if os.environ.get("WATCH_CUTS") == "all" else 11
"""Bytes between two cuts; `make prove` cuts at every byte."""


def event(kind: str, name: str, version: int, value: str = "") -> bytes:
    """One line of a watch."""
    meta = {"name": name, "namespace": "n", "resourceVersion": str(version)}
    return json.dumps({"type": kind, "object": {"metadata": meta, "data": {"v": value}}}).encode()


HISTORY = (
    (8, event("ADDED", "b", 8, "one")),
    (9, event("MODIFIED", "a", 9, "two")),
    (10, event("DELETED", "b", 10)),
    (11, event("ADDED", "ü", 11, "schön")),
)
"""What happens after the list at 7, in which there is `a` alone."""


class Known:
    """What a sink was told, as a state; `done` is set at a state that is waited for."""

    def __init__(self, until: Any) -> None:
        self.values: dict[str, str] = {}
        self.ever: list[dict[str, str]] = []
        self.errors: list[str] = []
        self.lists = 0
        self.done = asyncio.Event()
        self._until = until

    def wants(self, _meta: ObjectMeta) -> bool:
        return True

    async def listed(self, listing: Listing) -> None:
        self.lists += 1
        self.values = {one.key.name: value(one) for one in listing.objects}
        self._told()

    async def changed(self, live: LiveObject) -> bool:
        self.values[live.key.name] = value(live)
        self._told()
        return True

    async def gone(self, key: ResourceKey) -> None:
        self.values.pop(key.name)
        self._told()

    async def state(self, error: ClusterError | None) -> None:
        self.errors.append(error.reason if error else "")
        self._told()

    def _told(self) -> None:
        self.ever.append(dict(self.values))
        if self._until(self):
            self.done.set()


def value(live: LiveObject) -> str:
    """The one value of a ConfigMap."""
    return str(json.loads(live.body).get("data", {}).get("v", ""))


END = {"a": "two", "ü": "schön"}


@pytest.fixture
async def cluster(server, waits) -> AsyncIterator[KubeCluster]:
    """The scripted server as a cluster."""
    transport = Transport(server.access, options=TransportOptions(timeout=5), wait=waits)
    async with KubeCluster(transport) as made:
        yield made


async def follow(cluster, config_maps, pauses, until) -> Known:
    """Run a reflector until a state of what it told."""

    async def wait(seconds: float) -> None:
        pauses.seconds.append(seconds)
        await asyncio.sleep(0)

    known = Known(until)
    reflector = Reflector(
        cluster, config_maps, "", known, wait=wait, chance=lambda _low, high: high
    )
    task = asyncio.create_task(reflector.run())
    try:
        async with asyncio.timeout(20):
            await known.done.wait()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return known


def stream(server, replies, *cuts: int | None):
    """Serve list and watch; the watches end after so many bytes, the last one (None) does not."""
    left = list(cuts)

    async def serve(request: web.Request) -> web.StreamResponse:
        if request.query.get("limit") == "1":
            return replies.page(["a"], version="11")
        if "watch" not in request.query:
            return replies.page(["a"])
        since = int(request.query["resourceVersion"])
        body = b"".join(line + b"\n" for version, line in HISTORY if version > since)
        cut = left.pop(0) if left else None
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(body if cut is None else body[:cut])
        if cut is None:
            await asyncio.Event().wait()
        elif request.transport is not None:
            request.transport.close()  # no end of the body: the connection breaks
        return response

    server.on(LIST, serve)


async def test_a_stream_cut_at_any_byte_loses_nothing(server, cluster, config_maps, replies, waits):
    """Wherever the connection breaks, the state in the end is whole, with one list alone."""
    whole = sum(len(line) + 1 for _, line in HISTORY)
    for cut in range(0, whole + 1, EVERY):
        stream(server, replies, cut, None)
        known = await follow(cluster, config_maps, waits, lambda one: one.values == END)
        assert known.lists == 1, cut
        assert {"b"} <= set().union(*known.ever), cut
        assert all(set(state) <= {"a", "b", "ü"} for state in known.ever), cut


async def test_a_watch_begins_where_the_list_ended(server, cluster, config_maps, replies, waits):
    """The first watch asks from the list's version on, with bookmarks and an end."""
    stream(server, replies, None)
    await follow(cluster, config_maps, waits, lambda one: one.values == END)
    first, second = server.queries(LIST)
    assert "watch" not in first
    assert (second["watch"], second["allowWatchBookmarks"]) == ("true", "true")
    assert second["resourceVersion"] == "7"
    assert 290 <= int(second["timeoutSeconds"]) <= 590


async def test_a_bookmark_moves_the_point_of_return(server, cluster, config_maps, replies, waits):
    """After a bookmark a broken watch is resumed from it, and nobody is told of it."""
    line = json.dumps({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "42"}}})

    async def bookmark(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(line.encode() + b"\n")
        return response

    async def silent(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.Event().wait()
        return response

    server.on(LIST, replies.page(["a"]), bookmark, silent)
    known = await follow(
        cluster, config_maps, waits, lambda _: len(server.queries(LIST)) == 3 or _.errors[1:]
    )
    assert server.queries(LIST)[2]["resourceVersion"] == "42"
    assert known.values == {"a": ""}


@pytest.mark.parametrize("inside", [True, False])
async def test_an_expired_version_lists_anew(
    server, cluster, config_maps, replies, waits, inside
) -> None:
    """410, as an answer or in the stream: everything is listed anew, at first without a pause."""
    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}

    async def expired(request: web.Request) -> web.StreamResponse:
        line = json.dumps({"type": "ERROR", "object": status})
        return web.Response(body=line.encode() + b"\n")

    refused = expired if inside else replies.refusal(410, "Expired", "too old")
    pages = [replies.page([name]) for name in "abc"]
    server.on(LIST, pages[0], refused, pages[1], refused, pages[2], refused)
    known = await follow(cluster, config_maps, waits, lambda one: one.lists >= 3)
    assert known.values == {"c": ""}
    assert [set(one) for one in known.ever[:3]] == [{"a"}, {"a"}, {"b"}]
    assert waits.seconds[:1] == [0.8]


async def test_a_list_that_fails_tells_nothing_of_objects(
    server, cluster, config_maps, replies, waits
) -> None:
    """Objects of a list that broke off are not told, so none of the others seems to be gone."""
    first = replies.page(["a", "b"], token="t1")
    server.on(LIST, first, replies.refusal(500, "InternalError", "no"))
    known = await follow(cluster, config_maps, waits, lambda one: len(one.errors) == 8)
    assert known.lists == 0
    assert set(known.errors) == {"InternalError"}
    assert waits.seconds == sorted(waits.seconds)
    assert waits.seconds[-1] == LONGEST_PAUSE


async def test_what_is_forbidden_is_asked_seldom(
    server, cluster, config_maps, replies, waits
) -> None:
    """403 is no reason to hammer the server."""
    server.on(LIST, replies.refusal(403, "Forbidden", 'User "x" cannot list'))
    known = await follow(cluster, config_maps, waits, lambda one: len(one.errors) == 3)
    assert set(known.errors) == {"Forbidden"}
    assert set(waits.seconds) == {HOPELESS_PAUSE}


async def test_too_many_requests_waits_and_lists_nothing_anew(
    server, cluster, config_maps, replies, waits
) -> None:
    """429 on a watch is obeyed, and the watch is resumed where it stood."""
    busy = replies.refusal(429, "TooManyRequests", "later", Retry_After="7")
    server.on(LIST, replies.page(["a"]), busy)
    known = await follow(cluster, config_maps, waits, lambda one: len(one.errors) == 4)
    assert known.lists == 1
    assert 7.0 in waits.seconds
    assert {one["resourceVersion"] for one in server.queries(LIST)[1:]} == {"7"}


async def test_garbage_lists_anew(server, cluster, config_maps, replies, waits) -> None:
    """A line that is no event makes nothing up: the state is read again."""
    server.on(LIST, replies.page(["a"]), web.Response(body=b"<html>\n"), replies.page(["b"]))
    known = await follow(cluster, config_maps, waits, lambda one: one.lists == 2)
    assert known.values == {"b": ""}


async def test_only_the_first_list_may_be_old(server, cluster, config_maps, replies, waits) -> None:
    """The first list takes what the server has in memory, one after a 410 what is true now."""
    expired = replies.refusal(410, "Expired", "too old")
    server.on(LIST, replies.page(["a"]), expired, replies.page(["b"]), expired)
    await follow(cluster, config_maps, waits, lambda one: one.lists == 2)
    first, _, second = server.queries(LIST)[:3]
    assert first["resourceVersion"] == "0"
    assert "resourceVersion" not in second


async def test_a_list_from_memory_that_is_too_large_is_read_in_pages(
    server, config_maps, replies, waits
) -> None:
    """Servers send what they have in memory at once, whatever the limit of a page."""

    async def serve(request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            await asyncio.Event().wait()
        whole = request.query.get("resourceVersion") == "0"
        return replies.page(["a" * 20_000 if whole else "a"])

    server.on(LIST, serve)
    options = TransportOptions(timeout=5, limits=Limits(answer=10_000))
    async with KubeCluster(Transport(server.access, options=options, wait=waits)) as cluster:
        known = await follow(cluster, config_maps, waits, lambda one: one.lists == 1)
    assert known.values == {"a": ""}
    assert set(known.errors) <= {""}
    assert waits.seconds == []


def streaming(server, *cuts: int | None):
    """A server that begins watches with the state, which end after so many lines."""
    left = list(cuts)
    end = {"annotations": {"k8s.io/initial-events-end": "true"}, "resourceVersion": "7"}
    bookmark = json.dumps({"type": "BOOKMARK", "object": {"metadata": end}}).encode()
    initial = (event("ADDED", "a", 3), bookmark)

    async def serve(request: web.Request) -> web.StreamResponse:
        lines = list(initial) if "sendInitialEvents" in request.query else []
        lines += [line for version, line in HISTORY if lines or version > 10]
        response = web.StreamResponse()
        await response.prepare(request)
        cut = left.pop(0) if left else None
        await response.write(b"".join(line + b"\n" for line in lines[:cut]))
        if cut is None:
            await asyncio.Event().wait()
        return response

    server.streams = True
    server.on(LIST, serve)


async def test_a_watch_begins_with_the_state(server, cluster, config_maps, waits) -> None:
    """Where the server can, one request gives the state, told at once, and then the changes."""
    streaming(server, None)
    known = await follow(cluster, config_maps, waits, lambda one: one.values == END)
    assert known.lists == 1
    assert known.ever[0] == {"a": ""}
    (query,) = server.queries(LIST)
    assert query["sendInitialEvents"] == query["allowWatchBookmarks"] == "true"
    assert query["resourceVersionMatch"] == "NotOlderThan"
    assert "resourceVersion" not in query


async def test_a_state_that_breaks_off_is_listed(
    server, cluster, config_maps, replies, waits
) -> None:
    """Objects without the bookmark at their end are not told; a list has to say what is there."""
    streaming(server, 1)
    serve = server._script[LIST][0]

    async def either(request: web.Request) -> web.StreamResponse:
        return await serve(request) if "watch" in request.query else replies.page(["z"])

    server.on(LIST, either)
    known = await follow(cluster, config_maps, waits, lambda one: one.lists == 1)
    assert known.ever[0] == {"z": ""}


async def test_a_state_without_end_is_not_read(server, config_maps, replies, waits) -> None:
    """The limit of lists holds for the state of a watch too: what exceeds it is told as such."""

    async def endless(request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return replies.page([f"{number:0100}" for number in range(100)])
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(event("ADDED", "more", 3) + b"\n")
        return response

    server.streams = True
    server.on(LIST, endless)
    options = TransportOptions(timeout=5, limits=Limits(list=10_000))
    async with KubeCluster(Transport(server.access, options=options, wait=waits)) as cluster:
        known = await follow(cluster, config_maps, waits, lambda one: len(one.errors) == 2)
    assert known.lists == 0
    assert set(known.errors) == {EXCEEDED}


async def test_a_silent_watch_is_no_failure(server, cluster, config_maps, replies, waits) -> None:
    """A watch without a word is asked for anew where it stood, and nobody is told of a problem."""

    async def silent(request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return replies.page(["a"])
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.Event().wait()
        return response

    server.on(LIST, silent)
    known = Known(lambda one: len(one.errors) == 4)
    reflector = Reflector(cluster, config_maps, "", known, wait=waits, idle=0.1)
    task = asyncio.create_task(reflector.run())
    async with asyncio.timeout(20):
        await known.done.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert set(known.errors) == {""}
    assert known.lists == 1
    assert waits.seconds == []


@pytest.mark.parametrize("where", ["event", "list"])
async def test_versions_that_go_back_list_anew(
    server, cluster, config_maps, replies, waits, where
) -> None:
    """After a restore of etcd a watch would miss what happens: the state is read again."""
    old = event("ADDED", "x", 3) + b"\n" if where == "event" else b""

    async def serve(request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            first = len(server.queries(LIST)) == 1
            return replies.page(["a" if first else "b"], version="7" if first else "5")
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(old or event("ADDED", "a", 8) + b"\n")
        if request.query["resourceVersion"] == "5":
            await asyncio.Event().wait()
        elif request.transport is not None and not old:
            request.transport.close()
        return response

    server.on(LIST, serve)
    known = await follow(cluster, config_maps, waits, lambda one: "b" in one.values)
    assert known.lists == 2
    assert "x" not in known.values


async def test_an_event_that_no_parser_takes(cluster, server, config_maps, replies, waits) -> None:
    """A deep object is a change like others: it neither ends the watch nor begins it anew."""
    deep = '{"a":' * 2000 + "1" + "}" * 2000
    line = event("MODIFIED", "a", 9).replace(b'"data"', b'"deep": ' + deep.encode() + b', "data"')

    async def serve(request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return replies.page(["a"])
        response = web.StreamResponse()
        await response.prepare(request)
        for one in (line, event("ADDED", "b", 10, "one")):
            await response.write(one + b"\n")
        await asyncio.Event().wait()
        return response

    server.on(LIST, serve)
    seen: list[bytes] = []

    class Bodies(Known):
        async def changed(self, live: LiveObject) -> bool:
            seen.append(live.body)
            if live.key.name == "b":
                self.done.set()
            return True

    known = Bodies(lambda _: False)
    task = asyncio.create_task(Reflector(cluster, config_maps, "", known, wait=waits).run())
    try:
        async with asyncio.timeout(20):
            await known.done.wait()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert len(seen) == 2
    assert deep.encode() in seen[0]
    assert known.lists == 1
