"""How fast one receiver is told: single messages while there are few, digests in a storm. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto

from driftd.settings.notifications import Storm
from driftd.store.types import OutboxMessage


class Step(Enum):
    """What is done next with what is due for a receiver."""

    SEND = auto()
    """Send the first message by itself."""
    MERGE = auto()
    """Put everything that may be merged into one digest."""
    WAIT = auto()
    """Nothing yet: more may come, or too much went out just now."""


@dataclass(slots=True)
class Pacing:
    """What went to one receiver lately, and what may go now."""

    storm: Storm
    _sent: deque[datetime] = field(default_factory=deque)
    _digest: datetime | None = None
    """When the last digest went out."""

    def sent(self, now: datetime, *, digest: bool) -> None:
        """Something was delivered."""
        self._sent.append(now)
        if digest:
            self._digest = now

    def next(
        self, due: Sequence[OutboxMessage], now: datetime, *, final: bool = False
    ) -> tuple[Step, OutboxMessage]:
        """The next step for what is due, of which there is something, and the message it is about.

        With `final` nothing waits: nothing more comes.

        What may have arrived already is sent again as it was, so that a receiver can tell that it
        is the same: neither it nor a digest is ever put into another digest.
        """
        for one in due:
            if one.begun or one.is_digest:
                return Step.SEND, one
        horizon = now - self.storm.window.delta
        while self._sent and self._sent[0] <= horizon:
            self._sent.popleft()
        first = due[0]
        if len(due) > 1 and all(self._was_held(one) for one in due[:2]):
            return Step.MERGE, first
        # What follows on a digest belongs to the same storm.
        calm = self._digest is None or now - self._digest >= self.storm.longest.delta
        if calm and len(due) <= self.storm.messages - len(self._sent):
            return Step.SEND, first
        if not (calm or final):
            return Step.WAIT, first
        if len(due) == 1:
            return (Step.SEND if final else Step.WAIT), first
        return (Step.MERGE if final or self._is_over(due, now) else Step.WAIT), first

    def _was_held(self, one: OutboxMessage) -> bool:
        """Whether it was kept for long: through quiet hours, or while the receiver was away."""
        if one.created_at is None or one.due_at is None:
            return False
        return one.due_at - one.created_at >= self.storm.longest.delta

    def _is_over(self, due: Sequence[OutboxMessage], now: datetime) -> bool:
        """Whether a digest goes out now: nothing comes any more, or the first waited too long."""
        longest = self.storm.longest.delta
        made = [one.created_at or now for one in due]
        return now - max(made) >= self.storm.quiet.delta or now - min(made) >= longest


def backoff(failures: int, first: timedelta, longest: timedelta) -> timedelta:
    """How long to wait after so many failures in a row, at least one second."""
    doubled: timedelta = first * 2 ** min(failures, 20)
    return max(min(doubled, longest), timedelta(seconds=1))
