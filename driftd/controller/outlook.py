"""What a daemon's healing will do about a drifted object, and when: for who asks about it.

The plan is made from the command's own look, and the guards decide over what the daemon's store
remembers; nothing is kept, and no store is made. Databases are imported where one is asked.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from msgspec import structs

from driftd.clock import rfc3339
from driftd.controller.check import Looked
from driftd.controller.of_daemon import OfDaemon
from driftd.controller.planning import plan_of
from driftd.controller.workspace import Progress
from driftd.errors import ConfigError, StoreError
from driftd.model.report import WireStruct
from driftd.model.resource import ResourceKey
from driftd.settings.healing import HealingRule, Rung
from driftd.settings.rules import rule_of
from driftd.sync.plan import Skipped, SyncPlan

NOT_OPEN: Final = "no rule of healing.rules opens the application"
_RESUME: Final = "`driftd resume` lets it be healed again"


class Outlook(WireStruct, frozen=True, kw_only=True, omit_defaults=True):
    """What the daemon will do about a drifted object, by its settings and its store."""

    rung: str
    """What its settings open for the application: `observe`, `dry-run` or `fields`."""
    heals_at: str = ""
    """The end of the grace period, RFC 3339; empty where something else decides."""
    next_look: bool = False
    """Whether nothing holds the object back: the daemon's next look puts it back."""
    reason: str = ""
    """Why it is not put back (yet)."""
    guard: str = ""
    """The guard that says so, such as `G-21`."""
    until: str = ""
    """From when on that guard lets it pass, RFC 3339, where that is known."""


async def outlook_of(
    daemon: OfDaemon,
    looked: Looked,
    key: ResourceKey,
    now: datetime,
    progress: Progress,
    *,
    halted: str = "",
) -> Outlook:
    """What the daemon's next look would make of a drifted object, and when.

    `halted` says why the engine of the application does nothing, if it does not.
    """
    application = looked.desired.entry.application
    rule = rule_of(daemon.settings.healing, application.namespace, application.name)
    if rule.rung is Rung.OBSERVE:
        return Outlook(rung=rule.rung, reason=NOT_OPEN)
    planned = plan_of(application, looked, rule, halted=halted)
    if not planned.refusal and any(task.key == key for task in planned.tasks):
        try:
            planned = await _decided(daemon, planned, looked, now)
        except (ConfigError, StoreError) as error:
            progress(f"note: what guards remember cannot be read: {error.message}")
            return Outlook(rung=rule.rung, reason=f"not known: {error.message}")
    if planned.refusal:
        return Outlook(rung=rule.rung, reason=planned.refusal)
    held = next((one for one in planned.skipped if one.key == key), None)
    if held is not None:
        return _held(rule, held)
    return Outlook(rung=rule.rung, next_look=any(one.key == key for one in planned.tasks))


async def _decided(daemon: OfDaemon, planned: SyncPlan, looked: Looked, now: datetime) -> SyncPlan:
    """A plan as the daemon's guards would leave it now; nothing is kept of that."""
    from driftd import __version__
    from driftd.controller.guarding import Guarding
    from driftd.controller.healing import facts_of
    from driftd.store.ledger import Ledger
    from driftd.store.sql import SqlStore
    from driftd.sync.standing_orders import StandingOrders, orders_path
    from driftd.telemetry.metrics import Metrics

    path = orders_path(daemon.settings.healing.orders_file, daemon.dsn)
    async with SqlStore.existing(daemon.dsn) as store:
        why = (await Ledger(store).halted()).get(planned.application)
        if why:
            return structs.replace(planned, refusal=f"{why}; {_RESUME}")
        guards = Guarding(
            policy=daemon.settings.healing,
            store=store,
            metrics=Metrics(__version__),
            orders=StandingOrders(path) if path is not None else None,
        )
        return await guards.foresee(planned, facts_of(looked.desired.entry, looked), now)


def _held(rule: HealingRule, held: Skipped) -> Outlook:
    from driftd.sync.guards import GRACE

    until = rfc3339(held.until.replace(microsecond=0)) if held.until is not None else ""
    # A snooze is the same guard, and says so itself.
    waits = held.guard == GRACE and not held.reason.startswith("snoozed")
    return Outlook(
        rung=rule.rung,
        heals_at=until if waits and rule.rung is Rung.FIELDS else "",
        reason=held.reason,
        guard=held.guard,
        until=until,
    )
