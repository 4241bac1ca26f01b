"""How soon an application is looked at again: a burst costs little, a fight ever less."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.controller.pace import CALM, LONGEST, SHORTEST, Pace

ROUNDING = 1e-6
"""Seconds that sums of times may be off."""


class Watch:
    """A monotonic clock that is set by hand."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        """The time in seconds."""
        return self.time


@pytest.fixture
def watch() -> Watch:
    """The time."""
    return Watch()


def test_the_first_change_is_looked_at_at_once(watch) -> None:
    """A calm application waits for nothing."""
    assert Pace(watch).ask("a/b") == 0


def test_a_waiting_look_serves_all_changes(watch) -> None:
    """While a look waits, further changes ask for no other one."""
    pace = Pace(watch)
    pace.ask("a/b")
    assert pace.ask("a/b") == pytest.approx(2 * SHORTEST)
    assert pace.ask("a/b") is None
    watch.time += 2 * SHORTEST
    pace.due("a/b")
    assert pace.ask("a/b") == pytest.approx(4 * SHORTEST)


def test_applications_do_not_wait_for_each_other(watch) -> None:
    """One that changes all the time slows no other one down."""
    pace = Pace(watch)
    for _ in range(5):
        pace.ask("a/busy")
    assert pace.ask("a/calm") == 0


def test_objects_of_an_application_do_not_wait_for_each_other(watch) -> None:
    """One object that changes all the time slows down neither another one nor the whole."""
    pace = Pace(watch)
    for _ in range(5):
        pace.ask("a/b", "busy")
    assert pace.ask("a/b", "calm") == 0
    assert pace.ask("a/b") == 0
    pace.forget("a/b")
    assert pace.ask("a/b", "busy") == 0


def test_a_fight_is_looked_at_less_and_less_often(watch) -> None:
    """Changes without an end come to one look in the longest pause."""
    pace = Pace(watch)
    waits = []
    for _ in range(20):
        wait = pace.ask("a/b")
        assert wait is not None
        waits.append(wait)
        watch.time += wait
        if wait:
            pace.due("a/b")
    assert all(later >= earlier - 0.001 for earlier, later in pairwise(waits))
    assert waits[-1] == pytest.approx(LONGEST)


def test_who_calms_down_is_looked_at_at_once_again(watch) -> None:
    """After a time without changes everything is as at first."""
    pace = Pace(watch)
    for _ in range(8):
        wait = pace.ask("a/b") or 0
        watch.time += wait
        pace.due("a/b")
    watch.time += CALM * LONGEST
    assert pace.ask("a/b") == 0


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60))
def test_every_change_is_followed_by_a_look_soon(gaps) -> None:
    """Whatever the moments of changes: each has a look at or after it, within the longest pause."""
    watch = Watch()
    pace = Pace(watch)
    due: float | None = None
    for gap in gaps:
        if due is not None and due <= watch.time + gap:
            watch.time = due
            pace.due("a/b")
            due = None
        else:
            watch.time += gap
        wait = pace.ask("a/b")
        if wait is None:
            assert due is not None
            assert watch.time <= due <= watch.time + LONGEST + ROUNDING
        elif wait > 0:
            assert due is None
            assert wait <= LONGEST + ROUNDING
            due = watch.time + wait
