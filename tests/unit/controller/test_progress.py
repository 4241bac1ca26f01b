"""What counts as progress of the daemon's loops."""

from __future__ import annotations

import pytest

from driftd.controller.progress import SILENCE, Progress

LIMIT = 600.0


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The clock of `progress`."""
    return Clock()


@pytest.fixture
def progress(clock: Clock) -> Progress:
    """Signs of life of a daemon that has just been started."""
    return Progress(clock, limit=LIMIT)


def test_a_start_may_take_long_but_not_for_ever(clock: Clock, progress: Progress) -> None:
    """A hub and mirrors are read before the first beat; what never ends is not alive."""
    clock.now += LIMIT
    assert progress.stuck() == ""
    clock.now += SILENCE + 1
    assert progress.stuck() == "not started after 661 s"
    progress.beat()
    assert progress.stuck() == ""


def test_a_schedule_that_no_longer_fires_is_told(clock: Clock, progress: Progress) -> None:
    """Without beats nothing would ever be swept again."""
    progress.beat()
    clock.now += SILENCE
    assert progress.stuck() == ""
    clock.now += 1
    assert progress.stuck() == "the schedule has not fired for 61 s"


def test_only_work_that_outlives_its_end_is_stuck(clock: Clock, progress: Progress) -> None:
    """A look that hangs is ended after the limit; if even that does not help, the pod must go."""
    with progress.at_work("the look at argocd/shop"), progress.at_work("polling Git"):
        clock.now += LIMIT + SILENCE
        progress.beat()
        assert progress.stuck() == ""
        clock.now += 1
        assert progress.stuck() == "the look at argocd/shop has not ended for 661 s"
    assert progress.stuck() == ""
