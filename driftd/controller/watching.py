"""Watches what the last looks saw, and asks for another look as soon as it differs.

Nothing is judged here. For each object of interest the digest of what the last look saw is kept;
whatever a watch or its list shows otherwise puts the application's name on the queue, with the
objects that are to be looked at again. So it does not matter in which order looks and events come:
a change between them is a difference too. An event that is missed costs time alone, as sweeps look
without any watch.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from driftd.aio import Sleep, sleep
from driftd.cluster.destinations import ClusterTarget
from driftd.cluster.kube import DIRECT_NAMESPACES, KubeCluster
from driftd.cluster.listing import decode_item
from driftd.cluster.reader import ApiResource, Listing, ObjectMeta
from driftd.cluster.watch import Reflector, Sink
from driftd.controller.check import Looked
from driftd.controller.explaining import Explaining, explaining_places
from driftd.controller.pace import Pace
from driftd.controller.told import Told
from driftd.controller.tracking import TRACKING_ID
from driftd.diff.digest import digests, digests_once
from driftd.errors import ClusterError, ConfigError, Forbidden, Unreachable
from driftd.model.resource import LiveObject, ResourceKey
from driftd.telemetry.logs import get_logger

Digest: TypeAlias = bytes
ABSENT: Final[Digest] = b""
UNREADABLE: Final[Digest] = b"?"
MOST_TOUCHED: Final = 20
"""Objects that a glance looks at; where more have changed, a list reads them faster."""
PLAN_PAUSE: Final = 0.2
"""Seconds in which changed interests are gathered before watches start or end."""

Wake: TypeAlias = Callable[[str], Awaitable[None]]
"""Asks for a look at an application, by its name (`namespace/name`)."""
Touched: TypeAlias = tuple[ApiResource, ResourceKey]
"""An object that is to be looked at again."""
_Places: TypeAlias = "dict[tuple[ClusterTarget, ApiResource], frozenset[ResourceKey]]"


class Watchable(Protocol):
    """Opens clusters over connections for watches."""

    def watched(self, target: ClusterTarget) -> KubeCluster:
        """The cluster of `target`. Raises ConfigError."""
        ...


class Meter(Protocol):
    """What is counted of watches."""

    def watches(self, cluster: str, running: int, failing: int) -> None:
        """So many watches of a cluster run, and so many do not."""
        ...


def digest(body: bytes) -> Digest:
    """What of a served object decides its verdict, and who wrote it."""
    return _joined(digests, body)


def _told(body: bytes) -> Digest:
    """As `digest`, of what a watch tells: most of it nobody asks about again."""
    return _joined(digests_once, body)


def _joined(both: Callable[[bytes], tuple[bytes, bytes]], body: bytes) -> Digest:
    try:
        return b"".join(both(body))
    except (ValueError, RecursionError):
        return UNREADABLE


def _nobody(_target: ClusterTarget) -> None:
    """Nobody is told."""


def _of_no_matter(_live: LiveObject) -> bool:
    return False


@dataclass(slots=True)
class _Kind:
    """What is of interest of one kind on one cluster."""

    resource: ApiResource
    seen: dict[ResourceKey, Digest] = field(default_factory=dict)
    """As the last look saw each object; a key that no look could see is not in it."""
    names: dict[ResourceKey, frozenset[str]] = field(default_factory=dict)
    """The applications that each object is of interest to; the same set for all of one alone."""
    spaces: Counter[str] = field(default_factory=Counter)
    """How many of them lie in each namespace: each plan asks for these, of every kind."""
    narrow: bool = False
    """Whether only single namespaces may be listed."""
    explaining: Explaining | None = None
    """What is known of all its objects, if they explain writes to others."""

    @property
    def is_wanted(self) -> bool:
        """Whether anything of the kind is of interest."""
        return bool(self.names) or (
            self.explaining is not None and bool(self.explaining.namespaces)
        )

    def add(self, key: ResourceKey, names: frozenset[str]) -> None:
        """Let an object be of interest to these applications."""
        self.spaces[key.namespace] += key not in self.names
        self.names[key] = names

    def drop(self, key: ResourceKey) -> None:
        """Let an object be of interest to none."""
        del self.names[key]
        self.seen.pop(key, None)
        self.spaces[key.namespace] -= 1
        if not self.spaces[key.namespace]:
            del self.spaces[key.namespace]

    def places(self) -> set[str]:
        """Where to watch: single namespaces, or everything (the empty name)."""
        spaces = set(self.spaces)
        spaces |= self.explaining.namespaces if self.explaining is not None else set()
        if not self.resource.namespaced or "" in spaces:
            return {""} if spaces else set()
        return spaces if self.narrow or len(spaces) <= DIRECT_NAMESPACES else {""}


class Watching:
    """The watches of all clusters, for as long as `run` runs."""

    def __init__(
        self, clusters: Watchable, wake: Wake, meter: Meter, *, pace: Pace, wait: Sleep = sleep
    ) -> None:
        """`wake` asks for a look at an application; `pace` says when it may be asked for again."""
        self._clusters = clusters
        self._wake = wake
        self._meter = meter
        self._pace = pace
        self._wait = wait
        self._kinds: dict[tuple[ClusterTarget, ApiResource], _Kind] = {}
        self._of: dict[str, _Places] = {}
        """What each application's last look was about."""
        self._tasks: dict[tuple[ClusterTarget, ApiResource, str], asyncio.Task[None]] = {}
        self._failing: dict[ClusterTarget, dict[tuple[ApiResource, str], str]] = {}
        self._changed = asyncio.Event()
        self._touched: dict[str, set[Touched]] = defaultdict(set)
        """The objects of each application that changed since a look last began."""
        self._due: set[str] = set()
        """Applications that the next look is to look at as a whole."""
        self._noticed: dict[str, float] = {}
        """When the first event came, on the monotonic clock, that asks for a look at each name."""
        self.told = Told()
        """What the watches told last of what is to be looked at."""
        self.suspect: Callable[[ClusterTarget], None] = _nobody
        """Told of a cluster whose watch has broken off without an answer."""
        self.attend: Callable[[LiveObject], bool] = _of_no_matter
        """Whether a change of an object matters although it changes no verdict."""

    async def run(self) -> None:
        """Start and end watches as interests change, until cancelled."""
        try:
            while True:
                await self._changed.wait()
                await self._wait(PLAN_PAUSE)
                self._changed.clear()
                await self._plan()
        finally:
            await self._end(self._tasks)

    def looked(self, name: str, looked: Looked) -> None:
        """Take over what a look at an application saw; what it could not see stays as it was."""
        view, shared, target = looked.view, looked.shared, looked.desired.entry.target
        if target is None or shared is None or view is None or view.discovery is None:
            return
        found: dict[tuple[ClusterTarget, ApiResource], set[ResourceKey]] = defaultdict(set)
        observation, alone = shared.observation, frozenset((name,))
        # Of equal keys the declared ones are kept anyway: no second copy lives on here.
        declared = {manifest.key: manifest.key for manifest in looked.desired.manifests}

        def take(resource: ApiResource, key: ResourceKey, state: Digest | None) -> None:
            key = declared.get(key, key)
            found[target, resource].add(key)
            kind = self._kinds.setdefault((target, resource), _Kind(resource))
            names = kind.names.get(key, alone)
            kind.add(key, alone if names == alone else names | alone)
            if state is not None:
                kind.seen[key] = state
                self._settle(target, kind, key)

        for (gvk, _, _), live in observation.live.items():
            resource = view.discovery.served(gvk.group, gvk.version, gvk.kind)
            if resource is not None:
                take(resource, live.key, digest(live.body))
        for manifest in looked.desired.manifests:
            key, gvk = manifest.key, manifest.gvk
            resource = view.discovery.served(gvk.group, gvk.version, gvk.kind)
            if resource is None or (gvk, key.namespace, key.name) in observation.live:
                continue
            listing = observation.listings.get(gvk)
            absent = listing is not None and listing.covers(key.namespace)
            take(resource, key, ABSENT if absent else None)
        self._take_places(name, found)
        places = explaining_places(view.discovery, looked.desired.manifests)
        self._explain(name, {(target, one): spaces for one, spaces in places.items()})
        for (gvk, _, _), live in observation.explaining.items():
            resource = view.discovery.served(gvk.group, gvk.version, gvk.kind)
            kind = self._kinds.get((target, resource)) if resource is not None else None
            if kind is not None and kind.explaining is not None:
                kind.explaining.seen(live, digest(live.body))
        self._changed.set()

    def _take_places(
        self, name: str, found: Mapping[tuple[ClusterTarget, ApiResource], set[ResourceKey]]
    ) -> None:
        """Let an application be about these objects, and no others."""
        before = self._of.get(name, {})
        gone = {place: keys - found.get(place, frozenset()) for place, keys in before.items()}
        self._release(name, gone)
        # Equal keys of an earlier look are in use elsewhere, too.
        self._of[name] = {
            place: frozenset(keys) if before.get(place, frozenset()) ^ keys else before[place]
            for place, keys in found.items()
        }

    def _explain(
        self, name: str, places: Mapping[tuple[ClusterTarget, ApiResource], set[str]]
    ) -> None:
        """Let an application be concerned by explaining kinds in these namespaces alone."""
        for place in places:
            kind = self._kinds.setdefault(place, _Kind(place[1]))
            kind.explaining = kind.explaining or Explaining(kind.resource.gvk)
        for place, kind in list(self._kinds.items()):
            if kind.explaining is not None:
                kind.explaining.want(name, places.get(place, ()))
            if not kind.is_wanted:
                del self._kinds[place]

    async def concern(self, target: ClusterTarget, keys: Iterable[ResourceKey]) -> None:
        """Ask for looks at objects whose explanation may be another one now."""
        for key in keys:
            for (where, resource), kind in list(self._kinds.items()):
                same = (resource.group, resource.kind) == (key.group, key.kind)
                if where == target and same and key in kind.names:
                    await self.wake(kind.names[key], (resource, key))

    def glanced(
        self, name: str, target: ClusterTarget, seen: Mapping[Touched, LiveObject | None]
    ) -> None:
        """Take over what a glance at some objects of an application saw; None is not there."""
        for (resource, key), live in seen.items():
            kind = self._kinds.get((target, resource))
            if kind is not None and name in kind.names.get(key, ()):
                kind.seen[key] = ABSENT if live is None else digest(live.body)
                self._settle(target, kind, key)

    def _settle(self, target: ClusterTarget, kind: _Kind, key: ResourceKey) -> None:
        """Ask for another look at an object that a watch has told otherwise than it was seen."""
        what, names = (kind.resource, key), kind.names[key]
        coming = {
            name for name in names if name in self._due or what in self._touched.get(name, ())
        }
        place = (target, kind.resource, key)
        if not self.told.settled(place, kind.seen[key], pending=coming == names):
            for name in names - coming:
                pause = self._pace.ask(name, what)
                if pause is not None:
                    self._later(name, what, pause)

    def only(self, names: Iterable[str]) -> None:
        """Forget applications other than these."""
        for name in self._of.keys() - set(names):
            self._release(name, self._of.pop(name))
            self._explain(name, {})
            self._pace.forget(name)
            self._noticed.pop(name, None)
            self._touched.pop(name, None)
            self._due.discard(name)
            self._changed.set()

    def _release(self, name: str, places: _Places) -> None:
        for place, keys in places.items():
            kind = self._kinds.get(place)
            if kind is None or not keys:
                continue
            for key in keys:
                rest = kind.names[key] - {name}
                if rest:
                    kind.names[key] = rest
                else:
                    self.told.forget([(*place, key)])
                    kind.drop(key)
            if not kind.is_wanted:
                del self._kinds[place]

    def places(self) -> set[tuple[ClusterTarget, ApiResource, str]]:
        """What is to be watched: kinds, each in a namespace or everywhere (the empty name)."""
        return {
            (target, resource, place)
            for (target, resource), kind in self._kinds.items()
            if "watch" in resource.verbs
            for place in kind.places()
        }

    def sink(self, target: ClusterTarget, resource: ApiResource, place: str) -> Sink:
        """What a reflector of a kind at a place tells what it sees."""
        return _Sink(self, target, resource, place)

    async def _plan(self) -> None:
        wanted = self.places()
        stale = {key: task for key, task in self._tasks.items() if key not in wanted}
        await self._end(stale)
        for target, resource, place in wanted - self._tasks.keys():
            try:
                cluster = self._clusters.watched(target)
            except ConfigError:
                continue  # every look at it says so
            sink = self.sink(target, resource, place)
            reflector = Reflector(cluster, resource, place, sink, wait=self._wait)
            self._tasks[target, resource, place] = asyncio.create_task(reflector.run())
        for target in {target for target, _, _ in self._tasks} | self._failing.keys():
            self._measure(target)

    async def _end(
        self, tasks: Mapping[tuple[ClusterTarget, ApiResource, str], asyncio.Task[None]]
    ) -> None:
        ended = list(tasks.items())
        for (target, resource, place), task in ended:
            task.cancel()
            self._tasks.pop((target, resource, place), None)
            self._failing.get(target, {}).pop((resource, place), None)
        await asyncio.gather(*(task for _, task in ended), return_exceptions=True)

    def kind(self, target: ClusterTarget, resource: ApiResource) -> _Kind | None:
        """What is of interest of a kind, if anything is."""
        return self._kinds.get((target, resource))

    def known(self, owner: str) -> set[str]:
        """The applications (`namespace/name`) that a tracking mark's owner may mean."""
        return {name for name in self._of if owner in (name, name.partition("/")[2])}

    async def wake(self, names: Iterable[str], touched: Touched | None = None) -> None:
        """Ask for looks at one object of some applications, or at all of them as a whole.

        Each application and each of its objects has its own pace.
        """
        now = time.monotonic()
        for name in names:
            self._noticed.setdefault(name, now)
            what = touched if len(self._touched[name]) < MOST_TOUCHED else None
            pause = self._pace.ask(name, what)
            if pause is None:
                continue  # a look that is asked for already will see this too
            if pause == 0:
                await self._ask(name, what)
            else:
                self._later(name, what, pause)

    def noticed(self, name: str) -> float | None:
        """When the event came for which a look begins now, in seconds of the monotonic clock."""
        return self._noticed.pop(name, None)

    def touched(self, name: str) -> frozenset[Touched] | None:
        """The objects that the look which begins now is to look at; None for the whole."""
        touched = frozenset(self._touched.pop(name, ()))
        if name in self._due:
            self._due.discard(name)
            return None
        return touched

    def objects(
        self, target: ClusterTarget | None, touched: Iterable[Touched]
    ) -> dict[Touched, LiveObject]:
        """Those of some objects that events have just told, as these had them."""
        if target is None:
            return {}
        found = {what: self.told.take((target, *what)) for what in touched}
        return {what: live for what, live in found.items() if live is not None}

    def _later(self, name: str, what: Touched | None, pause: float) -> None:
        async def due() -> None:
            self._pace.due(name, what)
            if name in self._of:
                await self._ask(name, what)

        asyncio.get_running_loop().call_later(pause, lambda: asyncio.ensure_future(due()))

    async def _ask(self, name: str, what: Touched | None) -> None:
        if what is None:
            self._due.add(name)
        else:
            self._touched[name].add(what)
        await self._wake(name)

    def state(
        self, target: ClusterTarget, resource: ApiResource, place: str, error: ClusterError | None
    ) -> None:
        """A watch runs, or does not: told when that changes."""
        failing = self._failing.setdefault(target, {})
        before = failing.get((resource, place), "")
        if error is None:
            failing.pop((resource, place), None)
        else:
            failing[resource, place] = error.reason
        kind = self.kind(target, resource)
        if isinstance(error, Forbidden) and place == "" and resource.namespaced and kind:
            kind.narrow = True
            self._changed.set()
        log = get_logger("driftd.controller")
        if isinstance(error, Unreachable) and not before:
            self.suspect(target)
        if error is not None and error.reason != before:
            log.warning(
                "watch does not run",
                cluster=target.name,
                kind=resource.kind,
                namespace=place,
                reason=error.reason,
                problem=error.message,
            )
        elif error is None and before:
            log.info("watch runs again", cluster=target.name, kind=resource.kind, namespace=place)
        self._measure(target)

    def _measure(self, target: ClusterTarget) -> None:
        failing = len(self._failing.get(target, {}))
        running = sum(1 for key in self._tasks if key[0] == target) - failing
        self._meter.watches(target.name, max(running, 0), failing)


class _Sink:
    """Compares what one reflector sees with what looks saw."""

    def __init__(
        self, watching: Watching, target: ClusterTarget, resource: ApiResource, place: str
    ) -> None:
        self._watching = watching
        self._target = target
        self._resource = resource
        self._place = place

    def _key(self, meta: ObjectMeta) -> ResourceKey:
        return ResourceKey(self._resource.group, self._resource.kind, meta.namespace, meta.name)

    def wants(self, meta: ObjectMeta) -> bool:
        """Declared objects, those that looks saw, and what carries a known tracking mark."""
        kind = self._watching.kind(self._target, self._resource)
        if kind is None:
            return False
        explaining = kind.explaining
        if explaining is not None and meta.namespace in explaining.namespaces:
            return True
        return self._key(meta) in kind.names or bool(self._owners(meta))

    def _owners(self, meta: ObjectMeta) -> set[str]:
        mark = meta.annotations.get(TRACKING_ID)
        return self._watching.known(mark.partition(":")[0]) if mark else set()

    async def listed(self, listing: Listing) -> None:
        """Whatever differs from what looks saw wakes; what was not listed is not there."""
        kind = self._watching.kind(self._target, self._resource)
        if kind is None:
            return
        there = {live.key: _told(live.body) for live in listing.objects}
        listed = [key for key in kind.names if self._place in ("", key.namespace)]
        for key in listed:
            if not self._heard(kind, key, there.get(key, ABSENT)):
                continue
            await self._watching.wake(kind.names.get(key, ()), (self._resource, key))
        if kind.explaining is not None:
            for live in listing.objects:
                await self._explained(kind.explaining.seen(live, there[live.key]))
            for key in kind.explaining.missing(there, self._place):
                await self._explained(kind.explaining.gone(key))

    async def changed(self, live: LiveObject) -> bool:
        """An object that a look saw otherwise wakes; a new one with a mark wakes its owner."""
        kind = self._watching.kind(self._target, self._resource)
        if kind is None:
            return False
        state = _told(live.body)
        if kind.explaining is not None:
            await self._explained(kind.explaining.seen(live, state))
        names = kind.names.get(live.key)
        differs = self._heard(kind, live.key, state, live)
        if not differs and not (names and self._watching.attend(live)):
            return False
        if names:
            await self._watching.wake(names, (self._resource, live.key))
        else:
            await self._watching.wake(self._marked(live))
        return True

    def _heard(
        self, kind: _Kind, key: ResourceKey, state: Digest, live: LiveObject | None = None
    ) -> bool:
        """Note what is told of an object; whether no look has seen it like that."""
        unseen = ABSENT if state == ABSENT else None
        differs = kind.seen.get(key, unseen) != state
        if key in kind.names:
            place = (self._target, self._resource, key)
            self._watching.told.heard(place, state, live, differs=differs)
        return differs

    async def _explained(self, keys: Iterable[ResourceKey]) -> None:
        await self._watching.concern(self._target, keys)

    def _marked(self, live: LiveObject) -> set[str]:
        return self._owners(decode_item(live.body).metadata)

    async def gone(self, key: ResourceKey) -> None:
        """The end of an object that a look saw wakes."""
        kind = self._watching.kind(self._target, self._resource)
        if kind is not None and kind.explaining is not None:
            await self._explained(kind.explaining.gone(key))
        if kind is not None and self._heard(kind, key, ABSENT):
            await self._watching.wake(kind.names.get(key, ()), (self._resource, key))

    async def state(self, error: ClusterError | None) -> None:
        """Passed on."""
        self._watching.state(self._target, self._resource, self._place, error)
