"""What one sweep came to, for people and for the exit code of `driftd run --once`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSummary:
    """The state after a sweep, and what it did."""

    applications: Mapping[str, int]
    """By `ApplicationStatus`."""
    objects: Mapping[str, int]
    """By `ResourceStatus`, accepted Missing and Extra ones under `ignored`."""
    incomplete: int
    """Applications of which something could not be judged."""
    failed: int
    """Looks that an error ended before they were recorded."""
    open_drifts: int
    sent: int
    """Messages that a receiver has accepted."""
    waiting: int
    """Messages that are still to be delivered: their receiver did not take them yet."""
    writes: Mapping[str, int]
    """Objects that healing tried to write, by outcome."""

    @property
    def complete(self) -> bool:
        """Whether everything was judged and recorded."""
        return not self.incomplete and not self.failed
