"""Many writes are not made at once: one object, then a share of them, then the rest. Pure.

The next part is written once a look has found the last one Synced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from driftd.model.report import ResourceReport, ResourceStatus
from driftd.model.resource import ResourceKey
from driftd.settings.healing import Canary as Limits
from driftd.sync.situation import Canary

Resources = Mapping[ResourceKey, ResourceReport]


def judged(
    known: Canary | None, resources: Resources, lasts: timedelta, now: datetime
) -> Canary | None:
    """What is known of a canary after a look.

    One that drifts still has failed; after `lasts` that is forgotten, and everything begins anew.
    """
    if known is None:
        return None
    if known.failed_until is not None:
        return None if now >= known.failed_until else known
    if any(key in resources and resources[key].is_drift for key in known.keys):
        return msgspec.structs.replace(known, failed_until=now + lasts)
    return known


def allowed(known: Canary | None, resources: Resources, planned: int, limits: Limits) -> int:
    """How many of the planned writes may be made now."""
    if known is not None and (known.failed_until is not None or _unseen(known, resources)):
        return 0
    if planned <= limits.objects:
        return planned
    if known is None:
        return 1
    if known.stage == 1:
        return max(1, -(-planned * limits.percent // 100))  # rounded up
    return planned


def reason(
    known: Canary | None, resources: Resources, now: datetime
) -> tuple[str, datetime | None]:
    """Why the rest waits, and until when."""
    if known is None:
        return "one object is written first; the rest follows once that is Synced", now
    if known.failed_until is not None:
        return f"{known.keys[0]} was written first and drifts still", known.failed_until
    if unseen := _unseen(known, resources):
        return f"{unseen[0]} was written first and cannot be judged yet", None
    return "a part is written first; the rest follows once that is Synced", now


def after(
    known: Canary | None, written: Sequence[ResourceKey], waiting: int, now: datetime
) -> Canary | None:
    """What is known once the writes were intended of which `waiting` more wait."""
    if known is not None and known.failed_until is not None:
        return known
    if not written:
        # Something else holds them; without any the canary has done its service.
        return known if waiting else None
    if not waiting:
        return None
    return Canary(min(known.stage + 1, 2) if known is not None else 1, tuple(written), now)


def _unseen(known: Canary, resources: Resources) -> list[ResourceKey]:
    """Objects of a canary of which nobody can say that they are Synced."""
    fine = (ResourceStatus.SYNCED, ResourceStatus.PENDING)
    return [
        key
        for key in known.keys
        if key in resources and resources[key].status not in fine and not resources[key].is_drift
    ]
