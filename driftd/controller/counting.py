"""The number of open drifts, counted anew when it may have changed, but not for every look."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

from driftd.store.protocol import Store
from driftd.telemetry.metrics import Metrics

PAUSE: Final = 1.0
"""Seconds between two counts, however many drifts begin and end."""


class DriftCount:
    """Keeps the metric of open drifts true; what it leaves out, `settle` makes up for."""

    def __init__(
        self, store: Store, metrics: Metrics, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._now = monotonic
        self._counted = -math.inf
        self._changed = False

    async def count(self) -> None:
        """Count now. Raises StoreError."""
        self._counted, self._changed = self._now(), False
        self._metrics.drift_open(await self._store.open_severities())

    async def changed(self) -> None:
        """Drifts began or ended: count now or, if that was a moment ago, with `settle`."""
        self._changed = True
        if self._now() - self._counted > PAUSE:
            await self.count()

    async def settle(self) -> None:
        """Count if that was left out; to be called often. Raises StoreError."""
        if self._changed:
            await self.count()
