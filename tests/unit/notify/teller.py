"""Records looks and delivers their messages, until it kills itself at a point: for a test.

    python -m tests.unit.notify.teller DSN URL SECRET BEGIN POINT COUNT

It dies when it passes POINT for the COUNT-th time; without a point it delivers everything and ends.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from driftd.clock import SystemClock
from driftd.notify.dispatch import Dispatcher
from driftd.notify.egress import open_session
from driftd.notify.webhook import WebhookNotifier
from driftd.settings.channels import Webhook
from driftd.settings.notifications import Notifications, Storm
from driftd.settings.quantity import Duration
from driftd.store.sql import SqlStore
from driftd.telemetry.metrics import Metrics
from tests.unit.notify.told import composer
from tests.unit.reports import after, change, report, resource

POINTS = (
    "record",
    "merge",
    "merged",
    "begin",
    "begun",
    "sent",
    "delivered",
)
"""Before and after each thing that a delivery leaves behind somewhere."""
APPLICATIONS = 5
LOOKS = 12
STORM = Storm(
    messages=2, window=Duration("300ms"), quiet=Duration("1ms"), longest=Duration("100ms")
)


class Point:
    """Where and when the process dies."""

    def __init__(self, name: str, count: int) -> None:
        self._name, self._left = name, count

    def passed(self, name: str) -> None:
        """Die here, if this is where and when."""
        if name == self._name:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class DyingStore(SqlStore):
    """A store whose process dies at a point."""

    point: Point

    async def put(self, look: Any) -> Any:
        """See `SqlStore.put`."""
        change = await super().put(look)
        self.point.passed("record")
        return change

    async def merge(self, members: Any, digest: Any, now: Any) -> None:
        """See `Outbox.merge`."""
        self.point.passed("merge")
        await super().merge(members, digest, now)
        self.point.passed("merged")

    async def begin(self, message: Any, now: Any) -> None:
        """See `Outbox.begin`."""
        self.point.passed("begin")
        await super().begin(message, now)
        self.point.passed("begun")

    async def mark_delivered(self, message: Any, now: Any, receipt: Any = None) -> None:
        """See `Outbox.mark_delivered`: the receiver has it, and nobody knows yet."""
        self.point.passed("sent")
        await super().mark_delivered(message, now, receipt)
        self.point.passed("delivered")


async def main(dsn: str, url: str, secret: str, begin: int, point: Point) -> None:
    """Drift and recovery of several applications, delivered meanwhile."""
    store = await DyingStore.open(dsn)
    store.point = point
    clock = SystemClock()
    async with open_session(["127.0.0.1"]) as session:
        hook = WebhookNotifier(Webhook(url=url, secret_file=secret), session, clock, 5)
        settings = Notifications(storm=STORM)
        dispatcher = Dispatcher(store, {"webhook": hook}, settings, clock, Metrics("0"))
        for number in range(LOOKS):
            field = change("/data/colour", desired="blue", live="red")
            drifted = (number // APPLICATIONS) % 2 == 0
            look = report(
                resource("web", *((field,) * drifted)), name=f"app{number % APPLICATIONS}"
            )
            await store.record(look, after(begin + number), composer(["webhook"]))
            if number % 4 < 2:
                await dispatcher.deliver_due()
        while await dispatcher.waiting():
            await dispatcher.deliver_due(final=True)
    await store.close()


if __name__ == "__main__":
    _, dsn, url, secret, begin, name, count = sys.argv
    asyncio.run(main(dsn, url, secret, int(begin), Point(name, int(count))))
