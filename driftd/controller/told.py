"""What watches told last of the objects that a look is asked for at, until a look has seen them.

Two things come of it. A glance right after an event judges the object that the event had, and
need not read it again. And a look that has seen an object otherwise than a watch has told
meanwhile is followed by another one, whichever of the two was first (ADR 10).
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from driftd.cluster.destinations import ClusterTarget
from driftd.cluster.reader import ApiResource
from driftd.model.resource import LiveObject, ResourceKey

Place: TypeAlias = tuple[ClusterTarget, ApiResource, ResourceKey]
"""An object of a cluster."""

MOST: Final = 10_000
"""Objects of which something is known; of others nothing but what looks saw."""
SIZE: Final = 4 << 20
"""Bytes of objects that are kept together."""
LARGEST: Final = 256 << 10
"""Bytes of one object that is kept."""
RECENT: Final = 1.0
"""Seconds for which an event's object stands for a read of it."""
_UNKEPT: Final = ("", "Secret")
"""Group and kind of objects that are never kept."""


class _Head(msgspec.Struct, frozen=True, rename="camel"):
    kind: str = ""
    api_version: str = ""


@dataclass(slots=True)
class _Word:
    """What a watch told of an object last."""

    state: bytes
    """Its digest."""
    live: LiveObject | None
    at: float


_head = msgspec.json.Decoder(_Head)


class Told:
    """See the module; a small memory that forgets what is old."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`monotonic` gives the time in seconds."""
        self._now = monotonic
        self._words: OrderedDict[Place, _Word] = OrderedDict()
        self._size = 0

    def heard(
        self, place: Place, state: bytes, live: LiveObject | None = None, *, differs: bool
    ) -> None:
        """Take what a watch tells: the digest of an object, and the object where it has it.

        `differs` says that no look has seen it like that. What is as looks saw it matters only
        while something else was told before.
        """
        if not differs and place not in self._words:
            return
        self._drop(place)
        kept = live if live is not None and _may_be_kept(place[1], live) else None
        self._words[place] = _Word(state, kept, self._now())
        self._size += len(kept.body) if kept is not None else 0
        while len(self._words) > MOST or self._size > SIZE:
            self._drop(next(iter(self._words)))

    def take(self, place: Place) -> LiveObject | None:
        """The object as an event has just told it, once; None where it has to be read."""
        word = self._words.get(place)
        if word is None or word.live is None:
            return None
        live, word.live = word.live, None
        self._size -= len(live.body)
        return live if self._now() - word.at <= RECENT else None

    def settled(self, place: Place, state: bytes, *, pending: bool) -> bool:
        """Whether a look that saw an object like that needs no other one after it.

        A `pending` look will see what was told; else it is forgotten, to ask only once.
        """
        word = self._words.get(place)
        if word is not None and word.state != state and pending:
            return True
        self._drop(place)
        return word is None or word.state == state

    def forget(self, places: Iterable[Place]) -> None:
        """Nobody is interested in these any more."""
        for place in places:
            self._drop(place)

    def _drop(self, place: Place) -> None:
        word = self._words.pop(place, None)
        if word is not None and word.live is not None:
            self._size -= len(word.live.body)


def _may_be_kept(resource: ApiResource, live: LiveObject) -> bool:
    """Whether an object is what a read of it would have to be, and may be held for a moment."""
    if (resource.group, resource.kind) == _UNKEPT or len(live.body) > LARGEST:
        return False
    try:
        head = _head.decode(live.body)
    except (ValueError, RecursionError):
        return False
    return (head.kind, head.api_version) == (resource.kind, resource.group_version)
