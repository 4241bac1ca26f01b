"""When a receiver is told singly, when in a digest, and when not yet."""

from __future__ import annotations

from datetime import timedelta

from driftd.notify.pacing import Pacing, Step, backoff
from driftd.settings.notifications import Storm
from driftd.store.types import OutboxMessage
from tests.unit.reports import after


def due(*made, **fields):
    """Messages that were made at these seconds."""
    return [
        OutboxMessage(f"m{at}", "one", f"argocd/a{at}", b"", created_at=after(at), **fields)
        for at in made
    ]


def test_few_messages_go_at_once_and_more_wait_until_it_is_quiet():
    """Two within ten seconds; what is more waits for five quiet seconds."""
    pacing = Pacing(Storm())
    assert pacing.next(due(0, 1), after(1))[0] is Step.SEND
    assert pacing.next(due(0, 1, 2), after(2))[0] is Step.WAIT
    assert pacing.next(due(0, 1, 2), after(7))[0] is Step.MERGE


def test_what_was_sent_counts_for_its_window_only():
    """A third message waits until the first two are old, and then goes out alone."""
    pacing = Pacing(Storm())
    pacing.sent(after(0), digest=False)
    pacing.sent(after(1), digest=False)
    assert pacing.next(due(2), after(9))[0] is Step.WAIT
    assert pacing.next(due(2), after(10))[0] is Step.SEND


def test_after_a_digest_everything_waits_for_the_next():
    """The rest of a storm makes no further single messages."""
    pacing = Pacing(Storm())
    pacing.sent(after(0), digest=True)
    assert pacing.next(due(12), after(29))[0] is Step.WAIT
    assert pacing.next(due(12, 14), after(29))[0] is Step.WAIT
    assert pacing.next(due(12, 14), after(30))[0] is Step.SEND
    assert pacing.next(due(12, 14, 15), after(30))[0] is Step.MERGE


def test_what_may_have_arrived_and_digests_come_first_and_alone():
    """They go out as they are, whatever waits besides."""
    pacing = Pacing(Storm())
    begun = due(5, begun=True)
    assert pacing.next([*due(1, 2, 3), *begun], after(6)) == (Step.SEND, begun[0])
    digest = OutboxMessage("d", "one", "", b"", created_at=after(5))
    assert pacing.next([*due(1, 2, 3), digest], after(6)) == (Step.SEND, digest)


def test_at_the_end_nothing_waits():
    """With `final` one message goes alone, more of them as a digest."""
    pacing = Pacing(Storm(messages=0))
    assert pacing.next(due(1), after(1), final=True)[0] is Step.SEND
    assert pacing.next(due(1, 1), after(1), final=True)[0] is Step.MERGE


def test_waits_double_up_to_their_limit():
    """Ten seconds, twenty, forty, and never more than the limit or less than a second."""
    first, longest = timedelta(seconds=10), timedelta(minutes=1)
    assert [backoff(n, first, longest).seconds for n in (0, 1, 2, 3, 5000)] == [10, 20, 40, 60, 60]
    assert backoff(0, timedelta(0), longest).seconds == 1
