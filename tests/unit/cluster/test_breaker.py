"""When a cluster is asked no more, and when again."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.cluster.breaker import Breaker
from driftd.errors import Unreachable


class Line:
    """A cluster that answers or does not, and the time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.opened = 0
        self.asked = 0
        self.breaker = Breaker(lambda: self.now, opened=self._count, threshold=3, longest=8.0)

    def _count(self) -> None:
        self.opened += 1

    def ask(self, answer: bool) -> bool:
        """One request; whether it reached the cluster and was answered."""
        try:
            with self.breaker.attempt():
                self.asked += 1
                if not answer:
                    raise Unreachable(f"no answer at {self.now:g}", hint="is it up?")
        except Unreachable:
            return False
        return True


def test_it_opens_after_failures_in_a_row():
    """Two failures with an answer between them are none; three in a row open it, told once."""
    line = Line()
    for answer in (False, False, True, False, False):
        line.ask(answer)
    assert not line.breaker.is_open
    line.ask(False)
    assert (line.breaker.is_open, line.opened) == (True, 1)


def test_while_open_nobody_waits():
    """A request fails at once, with the words and the remedy of the last one that was tried."""
    line = Line()
    for _ in range(3):
        line.ask(False)
    with pytest.raises(Unreachable, match="no answer at 0") as caught, line.breaker.attempt():
        pytest.fail("the cluster was asked")
    assert caught.value.hint == "is it up?"
    assert line.asked == 3


def test_one_request_tries_after_the_pause_and_the_pause_grows():
    """1, 2, 4 and then 8 seconds, the longest pause here."""
    line = Line()
    for _ in range(3):
        line.ask(False)
    pauses = []
    for _ in range(5):
        pauses.append(line.breaker.pause)
        line.now += line.breaker.pause
        line.ask(False)
    assert pauses == [1, 2, 4, 8, 8]
    assert (line.asked, line.opened) == (8, 1)


def test_an_answer_closes_it():
    """After a try that is answered everybody is let through."""
    line = Line()
    for _ in range(3):
        line.ask(False)
    line.now = 1.0
    assert line.ask(True)
    assert (line.breaker.is_open, line.breaker.pause) == (False, 0)
    assert line.ask(True)


def test_a_cluster_that_comes_and_goes_is_tried_more_seldom():
    """Soon after it closed the pause goes on growing; after a calm time it begins anew."""
    line = Line()
    for pause in (1, 2, 4):
        for _ in range(3):
            line.ask(False)
        assert line.breaker.pause == pause
        line.now += pause
        line.ask(True)
    line.now += 1000
    for _ in range(3):
        line.ask(False)
    assert line.breaker.pause == 1


async def test_only_one_tries_at_a_time_and_a_cancelled_try_frees_the_place():
    """While one request tries, the others fail at once; if it is cancelled, the next one tries."""
    line = Line()
    for _ in range(3):
        line.ask(False)
    line.now = 1.0
    trying = asyncio.Event()

    async def hang():
        with line.breaker.attempt():
            trying.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hang())
    await trying.wait()
    assert not line.ask(True)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert line.ask(True)
    assert not line.breaker.is_open


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 20)), max_size=60))
def test_a_cluster_that_answers_is_never_cut_off_for_long(steps):
    """Whatever came before: after the longest pause, an answer closes it."""
    line = Line()
    for answer, passed in steps:
        line.ask(answer)
        line.now += passed
    line.now += 8.0
    assert line.ask(True)
    assert not line.breaker.is_open
