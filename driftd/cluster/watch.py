"""List and watch of one kind at one place, with client-go's semantics; for as long as it runs.

Where the server can, one watch begins with the state (KEP-3157, WatchList); else a list gives
it, and its `resourceVersion` is where the watch begins. The watch gives every change. One that
ends, breaks off or falls silent is resumed where it stood; everything is read anew only when
the server no longer knows that point (410), or when its versions have gone back, as they do
when etcd is restored from a backup (Kubernetes, "Efficient detection of changes"; KEP-956 for
bookmarks; KEP-5504 for the order of versions).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Final, Protocol

import msgspec

from driftd.aio import Sleep, sleep
from driftd.cluster import listing
from driftd.cluster.discovery import display_name, resource_path
from driftd.cluster.kube import KubeCluster
from driftd.cluster.limits import EXCEEDED, exceeded
from driftd.cluster.poison import UNPARSABLE, readable
from driftd.cluster.reader import ApiResource, Listing, ObjectMeta
from driftd.errors import ClusterError, Forbidden, NotServed
from driftd.model.resource import LiveObject, ResourceKey

IDLE: Final = 90.0
"""Seconds without a byte after which a watch is asked for anew.

Servers send a bookmark each minute, but none where nothing has happened: silence is no failure.
"""
INITIAL_END: Final = "k8s.io/initial-events-end"
"""The annotation of the bookmark after the objects with which a watch begins."""
UNSTREAMED: Final = frozenset({"Invalid", "BadRequest", "NotAcceptable", "NotImplemented"})
"""How servers refuse to begin a watch with the state; others are too old to do it."""
SERVER_TIMEOUT: Final = (290, 590)
"""The server is asked to end a watch after a random time in between, as client-go does."""
FIRST_PAUSE: Final = 0.8
LONGEST_PAUSE: Final = 30.0
HOPELESS_PAUSE: Final = 300.0
"""Seconds before what is forbidden or not served is tried again."""
MAX_LINE: Final = 8 * 1024 * 1024
"""Bytes of one event: an object of etcd has at most a few MiB."""


class Sink(Protocol):
    """Who is told what a reflector sees; its answers hold up the reflector, and nothing else."""

    def wants(self, meta: ObjectMeta) -> bool:
        """Whether an object is of interest; others are not decoded any further."""
        ...

    async def listed(self, listing: Listing) -> None:
        """The state at one moment; what is of interest and not in it is not there."""
        ...

    async def changed(self, live: LiveObject) -> bool:
        """An object of interest was made or changed; whether anything comes of it."""
        ...

    async def gone(self, key: ResourceKey) -> None:
        """An object of interest was deleted."""
        ...

    async def state(self, error: ClusterError | None) -> None:
        """None when the watch has just begun to run; else why it does not."""
        ...


class _Event(msgspec.Struct, frozen=True):
    type: str
    object: msgspec.Raw


class _Status(msgspec.Struct, frozen=True):
    code: int = 0
    reason: str = ""
    message: str = ""


class _Gone(Exception):
    """The point where the watch stood is no longer known, or means something else now."""


_event = msgspec.json.Decoder(_Event)
_status = msgspec.json.Decoder(_Status)


class Reflector:
    """Lists and watches one kind, in one namespace or in the whole cluster."""

    def __init__(
        self,
        cluster: KubeCluster,
        resource: ApiResource,
        namespace: str,
        sink: Sink,
        *,
        label_selector: str = "",
        wait: Sleep = sleep,
        chance: Callable[[float, float], float] = random.uniform,
        idle: float = IDLE,
    ) -> None:
        """`wait` waits between attempts; `chance` chooses a number between two.

        A watch that says nothing for `idle` seconds is asked for anew.
        """
        self._cluster = cluster
        self._resource = resource
        self._namespace = namespace
        self._label_selector = label_selector
        self._sink = sink
        self._wait = wait
        self._chance = chance
        self._idle = idle
        self._path = resource_path(resource, namespace)
        self._version = ""
        self._any_version = True
        """Whether a list may be as old as the server's memory: only the first one may."""
        self._streams = True
        """Whether the server may be able to begin a watch with the state."""
        self._doubtful = False
        """Whether the connection has broken, so that the server may be another one since."""
        self._place = f"{display_name(resource)}{f' in namespace {namespace}' if namespace else ''}"

    async def run(self) -> None:
        """List, then watch, until cancelled; no failure of the cluster ends it."""
        pause = FIRST_PAUSE
        relisted = False
        while True:
            try:
                if await self._once():
                    pause, relisted = FIRST_PAUSE, False
                    continue
            except _Gone:
                self._version = ""
                if not relisted:  # once at once, as client-go; then with patience
                    relisted = True
                    continue
            except (Forbidden, NotServed) as error:
                self._version = ""
                await self._sink.state(error)
                await self._wait(self._chance(HOPELESS_PAUSE / 2, HOPELESS_PAUSE))
                continue
            except ClusterError as error:
                self._doubtful = self._doubtful or error.reason == "Unreachable"
                await self._sink.state(error)
            await self._wait(self._chance(pause / 2, pause))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _once(self) -> bool:
        """Read the state where it is not known, and watch until the server ends it.

        Whether the watch said anything.
        """
        if not self._version and self._streams:
            watched = await self._streamed()
            if watched is not None:
                return watched
        if not self._version:
            await self._list()
        elif self._doubtful:
            await self._compare_versions()
        self._doubtful = False
        await self._sink.state(None)
        return await self._watch(None)

    async def _streamed(self) -> bool | None:
        """As `_once`, beginning with the state; None if it has to be listed instead."""
        scope = self._cluster.scope
        if scope is not None and scope.refusal(self._resource, self._namespace) is not None:
            return None
        opened: list[bool] = []
        try:
            watched = await self._watch({}, opened)
        except (Forbidden, NotServed):
            return None
        except ClusterError as error:
            if error.reason in UNSTREAMED:
                self._streams = False
            elif self._version or not opened:
                raise
            return None
        return watched if self._version else None

    async def _list(self) -> None:
        try:
            await self._listed(await self._read("0" if self._any_version else ""))
        except ClusterError as error:
            if not self._any_version or error.reason != EXCEEDED:
                raise
            # What a server has in memory it sends in one answer; pages are smaller.
            self._any_version = False
            await self._listed(await self._read(""))

    async def _read(self, version: str) -> Listing:
        listing_ = await self._cluster.list_place(
            self._resource,
            self._namespace,
            self._sink.wants,
            label_selector=self._label_selector,
            resource_version=version,
        )
        for error in listing_.errors.values():
            # What was read is true, but what is missing may be there: nothing of it is told.
            raise error
        return listing_

    async def _listed(self, listing_: Listing) -> None:
        await self._sink.listed(listing_)
        self._version = listing_.resource_version
        self._any_version = False

    async def _compare_versions(self) -> None:
        """Read everything anew if the server's versions are behind the watch."""
        response = await self._cluster.transport.get(
            self._path,
            doing=f"list {self._place}",
            query=self._selected({"limit": "1"}),
        )
        try:
            now = listing.decode_page(response.body).metadata.resource_version
        except msgspec.MsgspecError as error:
            raise _Gone from error
        if _older(now, self._version):
            raise _Gone

    def _selected(self, query: dict[str, str]) -> dict[str, str]:
        if self._label_selector:
            query["labelSelector"] = self._label_selector
        return query

    async def _watch(
        self, state: dict[ResourceKey, LiveObject] | None, opened: list[bool] | None = None
    ) -> bool:
        """Follow changes until the server ends the watch; whether it said anything.

        With a `state` (empty) the watch begins with it, and `opened` is filled once it has begun.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(round(self._chance(*SERVER_TIMEOUT))),
        }
        if state is None:
            query["resourceVersion"] = self._version
        else:
            query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        doing = f"watch {self._place}"
        heard = False
        size = 0
        clock = asyncio.get_running_loop()
        since = clock.time()
        try:
            async with self._cluster.transport.stream(
                self._path, doing=doing, query=self._selected(query), idle=self._idle
            ) as body:
                if opened is not None:
                    opened.append(True)
                async for line in _lines(body, doing):
                    if state is not None and not self._version:
                        size += len(line)
                        self._bound(size, doing)
                        await self._take_initial(line, doing, state)
                    else:
                        body.told(mattered=await self._take(line, doing))
                    heard = True
        except ClusterError as error:
            if error.reason in ("Expired", "Gone", "HTTP410"):
                raise _Gone from error
            silent = clock.time() - since >= self._idle
            if self._version and error.reason == "Unreachable" and (heard or silent):
                self._doubtful = True
                return True  # it ran, and is resumed where it stood
            raise
        return heard

    def _bound(self, size: int, doing: str) -> None:
        """What a list may have, the state of a watch may have too."""
        transport = self._cluster.transport
        limit = transport.options.limits.list
        if size > limit:
            raise exceeded(
                transport.access.label, doing, f"its state has more than {limit} bytes", "list"
            )

    async def _take_initial(
        self, line: bytes, doing: str, state: dict[ResourceKey, LiveObject]
    ) -> None:
        """One event of the state; the last one makes it known."""
        event, item = self._decoded(line, doing)
        meta = item.metadata
        if event.type == "BOOKMARK":
            if INITIAL_END in meta.annotations:
                found = Listing(tuple(state.values()), resource_version=meta.resource_version)
                state.clear()
                await self._listed(found)
                self._doubtful = False
                await self._sink.state(None)
        elif self._sink.wants(meta):
            if event.type == "DELETED":
                state.pop(self._key(meta), None)
            else:
                live = listing.live_object(self._resource, item, bytes(event.object))
                state[live.key] = live

    async def _take(self, line: bytes, doing: str) -> bool:
        """One event; whether it mattered to anybody."""
        event, item = self._decoded(line, doing)
        meta = item.metadata
        if _older(meta.resource_version, self._version):
            raise _Gone  # versions went back: what came between is not known
        mattered = event.type != "BOOKMARK" and self._sink.wants(meta)
        if mattered and event.type == "DELETED":
            await self._sink.gone(self._key(meta))
        elif mattered:
            live = listing.live_object(self._resource, item, bytes(event.object))
            mattered = await self._sink.changed(live)
        self._version = meta.resource_version or self._version
        return mattered

    def _key(self, meta: ObjectMeta) -> ResourceKey:
        return ResourceKey(self._resource.group, self._resource.kind, meta.namespace, meta.name)

    def _decoded(self, line: bytes, doing: str) -> tuple[_Event, listing.Item]:
        try:
            try:
                event = head = _event.decode(line)
            except UNPARSABLE:
                head = _event.decode(readable(line))
                # The line is no more to be parsed than the object; what is cut off must not pass.
                event = _Event(head.type, msgspec.Raw(line))
            if event.type == "ERROR":
                raise self._refused(_status.decode(head.object), doing)
            item = listing.decode_item(head.object)
        except UNPARSABLE as error:
            # What it said is unknown: from here on nothing is sure but a new list.
            raise _Gone from error
        if event.type != "BOOKMARK" and not listing.is_named(item.metadata):
            raise _Gone
        return event, item

    def _refused(self, status: _Status, doing: str) -> Exception:
        if status.code == 410 or status.reason in ("Expired", "Gone"):
            return _Gone()
        label = self._cluster.transport.access.label
        text = " ".join(status.message.split())[:300] or f"HTTP status {status.code}"
        return ClusterError(
            f"{label}: cannot {doing}: {text}", reason=status.reason or f"HTTP{status.code}"
        )


def _older(version: str, than: str) -> bool:
    """Whether one version is before another; what is no number is not compared."""
    if not (version.isascii() and version.isdigit() and than.isascii() and than.isdigit()):
        return False
    return int(version) < int(than)


async def _lines(body: AsyncIterable[bytes], doing: str) -> AsyncIterator[bytes]:
    """The lines of a stream. The last one is dropped if its end did not arrive."""
    parts: list[bytes] = []
    size = 0
    async for piece in body:
        lines = piece.split(b"\n")
        for line in lines[:-1]:
            whole = b"".join((*parts, line))
            parts, size = [], 0
            if whole:
                yield whole
        parts.append(lines[-1])
        size += len(lines[-1])
        if size > MAX_LINE:
            raise ClusterError(
                f"cannot {doing}: an event has more than {MAX_LINE} bytes",
                reason="InvalidResponse",
            )
