"""When an engine is asked: once for a drift, later and later, within a budget."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from driftd.sync.asking import BACK_OFF, WAIT, Asked, settled, wish

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def asked(minutes: float, *drifts: str, helped: bool | None = None) -> Asked:
    """One time, some minutes ago."""
    return Asked(at=NOW - minutes * MINUTE, drifts=drifts or ("a",), helped=helped)


def test_what_is_ripe_is_asked_for() -> None:
    """After its grace a drift is asked for; before that it says when."""
    assert wish([], {"a": NOW, "b": NOW + MINUTE}, NOW, budget=9).drifts == ("a",)
    later = wish([], {"a": NOW + MINUTE}, NOW, budget=9)
    assert (later.drifts, later.at) == ((), NOW + MINUTE)
    assert wish([], {}, NOW, budget=9) == ((), "", None)


def test_one_question_at_a_time() -> None:
    """While it is not known whether it helped nothing is asked for."""
    found = wish([asked(1)], {"b": NOW}, NOW, budget=9)
    assert (found.drifts, found.at) == ((), NOW - MINUTE + WAIT)


def test_whether_it_helped() -> None:
    """It has when the drifts are gone, and has not when they are there after ten minutes."""
    assert settled([asked(1)], {"a": NOW}, NOW) is None
    assert settled([asked(10)], {"a": NOW}, NOW).helped is False
    assert settled([asked(1)], {"b": NOW}, NOW).helped is True
    assert settled([asked(99, helped=True)], {"a": NOW}, NOW) is None
    assert settled([], {"a": NOW}, NOW) is None


def test_a_drift_is_asked_for_once() -> None:
    """What an engine did not put back it is not asked for again, however long it stands."""
    before = [asked(5000, helped=False)]
    assert wish(before, {"a": NOW}, NOW, budget=9).drifts == ()
    assert wish(before, {"a": NOW, "b": NOW}, NOW, budget=9).drifts == ("b",)


def test_a_drift_that_comes_back_is_asked_for_later_and_later() -> None:
    """The pause doubles with each time of the last day, so that nobody is fought with."""
    before: list[Asked] = []
    now, times = NOW, []
    for _ in range(6):
        while not (found := wish(before, {"a": now}, now, budget=99)).drifts:
            assert found.at > now
            now = found.at
        times.append(now)
        before.append(Asked(at=now, drifts=found.drifts, helped=True))
        now += MINUTE
    pauses = [(b - a) / BACK_OFF for a, b in pairwise(times)]
    assert pauses == [1, 2, 4, 8, 16]


def test_the_budget_of_the_hour_holds() -> None:
    """However many drifts there are, an application is asked for so often and no more."""
    before = [asked(50, "b", helped=True)]
    assert wish(before, {"a": NOW}, NOW, budget=1).why_not == "the budget of the hour is used up"
    assert wish(before, {"a": NOW}, NOW, budget=2).drifts == ("a",)
