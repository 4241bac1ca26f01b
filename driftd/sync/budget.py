"""How many objects may be written in an hour, as a bucket of tokens. Pure.

A full bucket holds the tokens of one hour, and one comes back each part of an hour. All that is
kept is the moment at which the bucket is full again, so a restart loses nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

_HOUR: Final = timedelta(hours=1)


def left(full_at: datetime | None, per_hour: int, now: datetime) -> int:
    """How many writes are left now; None as `full_at` is a bucket that was never used."""
    if full_at is None or full_at <= now:
        return per_hour
    missing = -((now - full_at) * per_hour // _HOUR)  # rounded up
    return max(0, per_hour - missing)


def spent(full_at: datetime | None, per_hour: int, now: datetime, count: int) -> datetime | None:
    """When the bucket is full again after `count` writes."""
    if count == 0:
        return full_at
    return max(full_at or now, now) + _rounded_up(count, per_hour)


def refilled(full_at: datetime | None, per_hour: int, now: datetime) -> datetime:
    """When there is a token again, where none is left now."""
    return max(now, (full_at or now) - _HOUR + _rounded_up(1, per_hour))


def _rounded_up(count: int, per_hour: int) -> timedelta:
    return -(-_HOUR * count // per_hour)
