"""How long drifts took."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.model.resource import ResourceKey
from driftd.store.durations import onset, percentiles, time_to_detect, time_to_recover
from driftd.store.types import Drift, DriftKey, Episode, WholeObject
from tests.unit.reports import START, after, change

KEY = DriftKey(ResourceKey("apps", "Deployment", "shop", "web"), "/spec/replicas", "modified")


def drift(clean_at=START, whole=None, **fields):
    """A drift that a look saw a minute after the last clean one."""
    change_ = None if whole is not None else change("/spec/replicas", **fields)
    return Drift(KEY, after(60), after(60), change_, clean_at=clean_at, whole=whole)


def episode(one, closed_at=None):
    """Its episode."""
    return Episode(application="argocd/shop", cluster="one", drift=one, closed_at=closed_at)


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_percentiles_are_durations_that_occurred_in_order(seconds):
    """Nearest rank: each is one of the durations, and none is below the one before."""
    found = percentiles(seconds)
    assert found.count == len(seconds)
    named = [found.p50, found.p90, found.p99, found.longest]
    assert named == sorted(named)
    assert set(named) <= set(seconds)
    assert found.longest == max(seconds)


def test_percentiles_of_a_hundred():
    """The 90th of 1 to 100 is 90."""
    found = percentiles(range(1, 101))
    assert (found.p50, found.p90, found.p99, found.longest) == (50, 90, 99, 100)
    assert percentiles([]).count == 0


@pytest.mark.parametrize("confidence", ["exact", "audit"])
def test_a_proven_time_is_the_onset(confidence):
    """Of a sole owner, and of an audit log."""
    assert onset(drift(time="2026-03-01T12:00:58Z", confidence=confidence)) == after(58)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"time": "2026-03-01T12:00:58Z", "confidence": "likely"},
        {"time": "2026-03-01T12:00:58Z"},
        {"time": "2026-03-01T11:59:58Z", "confidence": "exact"},
        {"time": "2026-03-01T12:00:58Z", "confidence": "exact", "clean_at": None},
        {"time": "yesterday", "confidence": "exact"},
    ],
)
def test_no_onset_is_claimed_where_nothing_proves_it(fields):
    """Another's write, a time before a clean look, a drift that was there at the first look."""
    assert onset(drift(**fields)) is None


def test_an_audit_log_dates_whole_objects_and_removals():
    """The time of the write that the log names counts before the object's own."""
    assert onset(drift(attribution={"time": "2026-03-01T12:00:30Z"})) == after(30)
    whole = WholeObject(attribution={"time": "2026-03-01T12:00:30Z"})
    assert onset(drift(whole=whole)) == after(30)


def test_durations_of_episodes():
    """To detect: from onset to the first look; to recover: from that look to the last."""
    exact = {"time": "2026-03-01T12:00:58Z", "confidence": "exact"}
    ahead = {"time": "2026-03-01T12:01:07Z", "confidence": "exact"}
    episodes = [
        episode(drift(**exact), after(90)),
        episode(drift(**ahead)),
        episode(drift(), after(70)),
    ]
    detect = time_to_detect(episodes)
    assert (detect.count, detect.p50, detect.longest) == (2, 0.0, 2.0)
    recover = time_to_recover(episodes)
    assert (recover.count, recover.p50, recover.longest) == (2, 10.0, 30.0)
