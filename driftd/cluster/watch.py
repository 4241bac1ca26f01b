"""List and watch of one kind at one place, with client-go's semantics; for as long as it runs.

A list gives the state and its `resourceVersion`; the watch from there gives every change. A
watch that ends, breaks off or falls silent is resumed where it stood; only when the server no
longer knows that point (410) is everything listed anew (Kubernetes, "Efficient detection of
changes"; KEP-956 for bookmarks).
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol

import msgspec

from driftd.aio import Sleep, sleep
from driftd.cluster import listing
from driftd.cluster.discovery import display_name, resource_path
from driftd.cluster.kube import KubeCluster
from driftd.cluster.reader import ApiResource, Listing, ObjectMeta
from driftd.errors import ClusterError, Forbidden, NotServed
from driftd.model.resource import LiveObject, ResourceKey

IDLE: Final = 90.0
"""Seconds without a byte after which a watch is dead: servers send a bookmark each minute."""
SERVER_TIMEOUT: Final = (290, 590)
"""The server is asked to end a watch after a random time in between, as client-go does."""
FIRST_PAUSE: Final = 0.8
LONGEST_PAUSE: Final = 30.0
HOPELESS_PAUSE: Final = 300.0
"""Seconds before what is forbidden or not served is tried again."""
MAX_LINE: Final = 32 * 1024 * 1024
"""Bytes of one event: an object of etcd has at most a few MiB."""


class Sink(Protocol):
    """Who is told what a reflector sees; its answers hold up the reflector, and nothing else."""

    def wants(self, meta: ObjectMeta) -> bool:
        """Whether an object is of interest; others are not decoded any further."""
        ...

    async def listed(self, listing: Listing) -> None:
        """The state at one moment; what is of interest and not in it is not there."""
        ...

    async def changed(self, live: LiveObject) -> None:
        """An object of interest was made or changed."""
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
    """The server no longer knows the point where the watch stood."""


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
    ) -> None:
        """`wait` waits between attempts; `chance` chooses a number between two."""
        self._cluster = cluster
        self._resource = resource
        self._namespace = namespace
        self._label_selector = label_selector
        self._sink = sink
        self._wait = wait
        self._chance = chance
        self._version = ""
        self._place = f"{display_name(resource)}{f' in namespace {namespace}' if namespace else ''}"

    async def run(self) -> None:
        """List, then watch, until cancelled; no failure of the cluster ends it."""
        pause = FIRST_PAUSE
        relisted = False
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._sink.state(None)
                if await self._watch():
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
                await self._sink.state(error)
            await self._wait(self._chance(pause / 2, pause))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _list(self) -> None:
        listing_ = await self._cluster.list_place(
            self._resource,
            self._namespace,
            self._sink.wants,
            label_selector=self._label_selector,
        )
        for error in listing_.errors.values():
            # What was read is true, but what is missing may be there: nothing of it is told.
            raise error
        await self._sink.listed(listing_)
        self._version = listing_.resource_version

    async def _watch(self) -> bool:
        """Follow changes until the server ends the watch; whether it said anything."""
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(round(self._chance(*SERVER_TIMEOUT))),
        }
        if self._label_selector:
            query["labelSelector"] = self._label_selector
        path = resource_path(self._resource, self._namespace)
        doing = f"watch {self._place}"
        heard = False
        try:
            async with self._cluster.transport.stream(
                path, doing=doing, query=query, idle=IDLE
            ) as body:
                async for line in _lines(body, doing):
                    await self._take(line, doing)
                    heard = True
        except ClusterError as error:
            if error.reason in ("Expired", "Gone", "HTTP410"):
                raise _Gone from error
            if heard and error.reason == "Unreachable":
                return True  # it ran, and is resumed where it stood
            raise
        return heard

    async def _take(self, line: bytes, doing: str) -> None:
        try:
            event = _event.decode(line)
            if event.type == "ERROR":
                raise self._refused(_status.decode(event.object), doing)
            item = listing.decode_item(event.object)
        except msgspec.MsgspecError as error:
            # What it said is unknown: from here on nothing is sure but a new list.
            raise _Gone from error
        meta = item.metadata
        if event.type != "BOOKMARK" and self._sink.wants(meta):
            if event.type == "DELETED":
                resource = self._resource
                await self._sink.gone(
                    ResourceKey(resource.group, resource.kind, meta.namespace, meta.name)
                )
            else:
                live = listing.live_object(self._resource, item, bytes(event.object))
                await self._sink.changed(live)
        self._version = meta.resource_version or self._version

    def _refused(self, status: _Status, doing: str) -> Exception:
        if status.code == 410 or status.reason in ("Expired", "Gone"):
            return _Gone()
        label = self._cluster.transport.access.label
        text = " ".join(status.message.split())[:300] or f"HTTP status {status.code}"
        return ClusterError(
            f"{label}: cannot {doing}: {text}", reason=status.reason or f"HTTP{status.code}"
        )


async def _lines(body: AsyncIterator[bytes], doing: str) -> AsyncIterator[bytes]:
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
