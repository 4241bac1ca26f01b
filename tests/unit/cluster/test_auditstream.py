"""Audit events that are posted: bounded, each once, and honest about what may be missing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from driftd.cluster.auditevents import of_list, seen
from driftd.cluster.auditstream import AuditStream, AuditStreams, Limits
from driftd.model.audit import AuditedObject
from tests.unit.cluster.audited import event, text

NOON = 1_772_366_400.0
"""2026-03-01T12:00:00Z."""
WEB = AuditedObject("apps", "deployments", "shop", "web")
DEPLOYMENTS = ("apps", "deployments", "shop")


class Clock:
    """Seconds since the epoch, as a test says."""

    def __init__(self) -> None:
        self.now = NOON + 1

    def __call__(self) -> float:
        """Now."""
        return self.now


def stream(**limits: Any) -> AuditStream:
    """A stream at noon."""
    found = AuditStream(Limits(**{"events": 100, "size": 1 << 20, "age": 0.0} | limits), Clock())
    found.places = frozenset({DEPLOYMENTS})
    return found


def posted(*events: Any, kind: str = "EventList", version: str = "audit.k8s.io/v1") -> bytes:
    """What an API server posts: its items have neither kind nor version."""
    for one in events:
        if isinstance(one, dict):
            one.pop("kind", None), one.pop("apiVersion", None)
    return text({"kind": kind, "apiVersion": version, "items": list(events)}).encode()


def numbered(number: int, **fields: Any) -> dict[str, Any]:
    """An event with an id of its own, at a second after noon."""
    minutes, seconds = divmod(number, 60)
    stamp = f"2026-03-01T12:{minutes:02}:{seconds:02}.500000Z"
    ids = {"auditID": f"event-{number}", "requestReceivedTimestamp": stamp, "stageTimestamp": stamp}
    return event(**ids | fields)


def take(found: AuditStream, *events: Any) -> int:
    """Post some events; how many are new."""
    return found.take(of_list(posted(*events)))


def test_writes_are_kept_once() -> None:
    """A batch that is posted again, since the answer got lost, changes nothing."""
    found = stream()
    assert [take(found, numbered(0)), take(found, numbered(0), numbered(1))] == [1, 1]
    assert [one.audit_id for one in found.writes()] == ["event-0", "event-1"]
    assert (found.begins, found.latest) == (NOON + 0.5, NOON + 1.5)


def test_only_what_attribution_needs_is_kept() -> None:
    """Reads, refused writes, dry runs and objects elsewhere only tell how far the events reach."""
    found = stream()
    other = {"resource": "leases", "namespace": "kube-system", "name": "x"}
    taken = take(
        found,
        numbered(0, verb="get"),
        numbered(1, responseStatus={"code": 403}),
        numbered(2, requestURI="/apis/apps/v1/namespaces/shop/deployments/web?dryRun=All"),
        numbered(3, objectRef=other),
    )
    assert (taken, len(found), found.latest) == (0, 0, NOON + 3.5)


def test_until_the_objects_are_known_everything_is_kept() -> None:
    """Before the first look nobody knows what will have drifted."""
    found = stream()
    found.places = None
    assert take(found, numbered(0, objectRef={"resource": "leases", "name": "x"})) == 1


@pytest.mark.parametrize(
    ("limits", "events", "kept"),
    [
        ({"events": 3}, [numbered(n) for n in range(9)], [6, 7, 8]),
        ({"size": 3_500}, [numbered(n) for n in range(9)], [6, 7, 8]),
        (
            {"size": 200_000},
            [numbered(n, requestObject={"data": "x" * 90_000}) for n in range(4)],
            [2, 3],
        ),
        # Controllers write states all the time: a person's write outlives them.
        (
            {"events": 8},
            [numbered(0)]
            + [
                numbered(n, objectRef=event()["objectRef"] | {"subresource": "status"})
                for n in range(1, 60)
            ],
            [58, 59, 0],
        ),
    ],
)
def test_what_is_kept_is_bounded(limits: dict[str, int], events: list[Any], kept: Any) -> None:
    """The latest writes stay, and the span begins where the last one was let go."""
    found = stream(**limits)
    for one in events:
        take(found, one)
    assert [one.audit_id for one in found.writes()] == [f"event-{n}" for n in kept]
    assert found.size <= limits.get("size", 1 << 20)
    assert found.begins is not None
    assert found.begins > NOON + 0.5


def test_old_writes_are_let_go() -> None:
    """What is older than the window neither stays nor comes in again."""
    clock = Clock()
    found = AuditStream(Limits(events=100, size=1 << 20, age=60.0), clock)
    take(found, numbered(0), numbered(40))
    clock.now = NOON + 90
    assert [one.audit_id for one in found.writes()] == ["event-40"]
    assert (found.begins, take(found, numbered(1))) == (NOON + 0.5, 0)


def test_one_bad_event_drops_no_other() -> None:
    """It is counted, and as it may have been a write the span begins anew."""
    batch = of_list(posted({"verb": 7}, numbered(0), [], numbered(1, stageTimestamp="soon")))
    assert ([one.time for one in batch.seen], batch.broken) == ([NOON + 0.5], 3)
    found = stream()
    assert (found.take(batch), found.begins) == (1, NOON + 1)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no EventList"),
        (b"[]", "no EventList"),
        (b'{"kind": "EventList", "items": 7}', "no EventList"),
        (posted(kind="Event"), "not Event of audit.k8s.io/v1"),
        (posted(version="v1"), "not EventList of v1"),
        (b"{}", "not no kind of no apiVersion"),
        (b'{"kind": "' + b"x" * 10_000 + b'"}', "must be an EventList"),
    ],
)
def test_what_is_no_batch_is_refused_in_words(body: bytes, words: str) -> None:
    """The error says what came instead, and not all of it."""
    with pytest.raises(ValueError, match=words) as caught:
        of_list(body)
    assert len(str(caught.value)) < 250


def test_a_batch_that_is_cut_is_no_batch() -> None:
    """However much of it came, it is refused as a whole, and nothing else is raised."""
    whole = posted(numbered(0))
    for cut in range(len(whole)):
        with pytest.raises(ValueError, match="no EventList"):
            of_list(whole[:cut])


def test_fresh_objects_are_told_once() -> None:
    """Who waits for an author hears of each object once."""
    found = stream()
    take(found, numbered(0), numbered(1))
    assert (found.fresh(), found.fresh()) == ({WEB}, set())


def test_streams_have_names() -> None:
    """Only the clusters that may post have one."""
    found = AuditStreams(["one"], Limits(events=1, size=1, age=0), Clock())
    assert (found.of("one") is not None, found.of("two")) == (True, None)


def test_items_without_a_kind_are_events_in_files_too() -> None:
    """A list that an API server has posted may also be given as a log."""
    document = json.loads(posted(numbered(0)))
    (one,) = seen(json.dumps(document).encode())
    assert one.write is not None
