"""What watches told of objects until looks have seen them: what is kept, for how long, how much."""

from __future__ import annotations

import json
from typing import Any

import pytest

from driftd.cluster.reader import ApiResource
from driftd.controller.told import LARGEST, MOST, RECENT, SIZE, Place, Told
from driftd.model.resource import LiveObject, ResourceKey
from tests.unit.controller.builders import TARGET
from tests.unit.controller.cluster import CONFIG_MAPS, SECRETS


class Bench:
    """A memory with a clock of its own."""

    def __init__(self) -> None:
        self.time = 0.0
        self.told = Told(lambda: self.time)

    def hear(
        self, name: str, state: bytes = b"red", *, size: int = 0, kind: ApiResource = CONFIG_MAPS
    ) -> Place:
        """Let a watch tell that an object differs from what looks saw."""
        self.told.heard(place(name, kind), state, body(name, size, kind), differs=True)
        return place(name, kind)


def place(name: str, kind: ApiResource = CONFIG_MAPS) -> Place:
    """Where an object of the namespace `shop` is."""
    return TARGET, kind, ResourceKey("", kind.kind, "shop", name)


def body(name: str, size: int = 0, kind: ApiResource = CONFIG_MAPS, **head: Any) -> LiveObject:
    """An object as an event has it."""
    document = {"kind": kind.kind, "apiVersion": "v1", "data": "x" * size, **head}
    key = ResourceKey("", kind.kind, "shop", name)
    return LiveObject(key, "v1", "u", "7", json.dumps(document).encode())


@pytest.fixture
def bench() -> Bench:
    """Nothing was told yet."""
    return Bench()


def test_an_object_is_taken_once(bench: Bench) -> None:
    """The look that an event asked for has its object; a later one reads it."""
    at = bench.hear("a")
    assert bench.told.take(at) == body("a")
    assert bench.told.take(at) is None


def test_the_last_event_counts(bench: Bench) -> None:
    """An event takes the place of the one before, also where it says what looks saw already."""
    at = bench.hear("a")
    bench.told.heard(at, b"blue", body("a", 3), differs=False)
    assert bench.told.take(at) == body("a", 3)
    bench.hear("a")
    bench.told.heard(at, b"", differs=True)
    assert bench.told.take(at) is None


def test_what_looks_saw_is_not_kept(bench: Bench) -> None:
    """Where nobody is to look, nothing is held: most events of a cluster change no verdict."""
    bench.told.heard(place("a"), b"blue", body("a"), differs=False)
    assert bench.told.take(place("a")) is None


def test_an_old_event_stands_for_no_read(bench: Bench) -> None:
    """A look that begins late reads the object."""
    first, second = bench.hear("a"), bench.hear("b")
    bench.time = RECENT
    assert bench.told.take(first) is not None
    bench.time = RECENT + 0.01
    assert bench.told.take(second) is None


@pytest.mark.parametrize(
    ("kind", "live"),
    [
        (SECRETS, body("a", kind=SECRETS)),
        (CONFIG_MAPS, body("a", LARGEST)),
        (CONFIG_MAPS, body("a", kind=SECRETS)),
        (CONFIG_MAPS, body("a", apiVersion="v2")),
        (CONFIG_MAPS, LiveObject(place("a")[2], "v1", "u", "7", b'{"type": "MODIFIED", nonsense')),
    ],
    ids=["secret", "large", "another kind", "another version", "unreadable"],
)
def test_what_is_never_kept(bench: Bench, kind: ApiResource, live: LiveObject) -> None:
    """Secrets, large objects, and what a read of the object would refuse, are read."""
    bench.told.heard(place("a", kind), b"red", live, differs=True)
    assert bench.told.take(place("a", kind)) is None


def test_a_look_that_saw_something_else_is_followed_by_one_more(bench: Bench) -> None:
    """Once: what was read may be newer than the event, and then nobody tells of it again."""
    at = bench.hear("a", b"red")
    assert not bench.told.settled(at, b"blue", pending=False)
    assert bench.told.settled(at, b"blue", pending=False)
    bench.hear("a", b"red")
    assert bench.told.settled(at, b"red", pending=False)


def test_a_look_that_waits_will_see_what_was_told(bench: Bench) -> None:
    """Nobody is asked for a second one, and the object stays for it."""
    at = bench.hear("a", b"red")
    assert bench.told.settled(at, b"blue", pending=True)
    assert bench.told.take(at) == body("a")


def test_what_is_kept_is_bounded(bench: Bench) -> None:
    """Neither many objects nor large ones fill the memory; the oldest go first."""
    places = [bench.hear(f"large-{n}", size=LARGEST - 1000) for n in range(SIZE // LARGEST + 3)]
    assert bench.told.take(places[0]) is None
    assert bench.told.take(places[-1]) is not None
    for number in range(MOST + 1):
        bench.hear(f"small-{number}")
    assert bench.told.take(place("small-0")) is None
    assert bench.told.take(place(f"small-{MOST}")) is not None
    bench.told.forget([place("small-1")])
    assert bench.told.settled(place("small-1"), b"blue", pending=False)
