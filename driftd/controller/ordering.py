"""What a person orders the guards of healing: written to the file of orders, and on record."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime

import msgspec

from driftd.errors import ConfigError, DriftdError, StoreError
from driftd.settings.types import Settings
from driftd.store import ledger, reading
from driftd.store.acts import person
from driftd.store.chain import AuditRecord
from driftd.sync.guards import OVERRIDABLE
from driftd.sync.orders import FREEZE, OVERRIDE, Order
from driftd.sync.standing_orders import StandingOrders, orders_path

Tell = Callable[[str], None]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a person wants; see `Order` for the fields."""

    kind: str
    application: str = ""
    cluster: str = ""
    object: str = ""
    guard: str = ""
    reason: str = ""
    until: datetime | None = None


async def order(settings: Settings, dsn: str, wanted: Wanted, now: datetime, tell: Tell) -> Order:
    """Give an order. Raises ConfigError, and StoreError where it cannot be kept.

    A freeze and a snooze hold at once, whatever the store does: `tell` says what could not be
    recorded. An override is recorded first, or not given.
    """
    file = _file(settings, dsn)
    if wanted.kind == OVERRIDE and wanted.guard not in OVERRIDABLE:
        raise ConfigError(
            f"{wanted.guard} lets nothing pass, or is no guard",
            hint=f"those that can be overridden: {', '.join(sorted(OVERRIDABLE))}",
        )
    name = await _known(dsn, wanted.application, tell)
    given = Order(
        id=uuid.uuid4().hex,
        kind=wanted.kind,  # type: ignore[arg-type]
        at=now,
        by=person(),
        reason=wanted.reason,
        application=name,
        cluster=wanted.cluster,
        object=wanted.object,
        guard=wanted.guard,
        until=wanted.until,
    )
    if given.kind == OVERRIDE:
        await ledger.acted(dsn, _record(given, given.kind, now))
    file.change(lambda before: (*(one for one in before if _alive(one, now)), given))
    if given.kind != OVERRIDE:
        await _recorded(dsn, _record(given, given.kind, now), tell)
    return given


async def take_back(
    settings: Settings, dsn: str, wanted: Wanted, now: datetime, tell: Tell
) -> tuple[Order, ...]:
    """Take back the orders of a kind and a scope; those that were in force. Raises as `order`."""
    name = await _known(dsn, wanted.application, tell)
    ended: list[Order] = []

    def edit(before: tuple[Order, ...]) -> tuple[Order, ...]:
        ended[:] = [one for one in before if _alive(one, now) and _same(one, wanted, name)]
        return tuple(one for one in before if _alive(one, now) and one not in ended)

    _file(settings, dsn).change(edit)
    for one in ended:
        kind = "unfreeze" if one.kind == FREEZE else f"{one.kind}-ended"
        await _recorded(dsn, _record(one, kind, now), tell)
    return tuple(ended)


def standing(settings: Settings, dsn: str, now: datetime) -> tuple[Order, ...]:
    """The orders in force, oldest first. Raises ConfigError and StoreError."""
    return tuple(one for one in _file(settings, dsn).read() if _alive(one, now))


def _file(settings: Settings, dsn: str) -> StandingOrders:
    path = orders_path(settings.healing.orders_file, dsn)
    if path is None:
        raise ConfigError(
            "healing.ordersFile names no file",
            hint="on PostgreSQL, name one that the daemon and this command can both reach",
        )
    return StandingOrders(path)


async def _known(dsn: str, application: str, tell: Tell) -> str:
    """The whole name of an application: one that nobody knows is a slip. Raises ConfigError."""
    if not application:
        return ""
    try:
        return await reading.whole_name(dsn, application)
    except StoreError as error:
        tell(f"whether there is an application {application!r} cannot be seen: {error.message}")
        return application


def _alive(one: Order, now: datetime) -> bool:
    return one.until is None or now < one.until


def _same(one: Order, wanted: Wanted, name: str) -> bool:
    return (one.kind, one.application, one.cluster, one.object.lower(), one.guard) == (
        wanted.kind,
        name,
        wanted.cluster,
        wanted.object.lower(),
        wanted.guard,
    )


async def _recorded(dsn: str, record: AuditRecord, tell: Tell) -> None:
    try:
        await ledger.acted(dsn, record)
    except DriftdError as error:
        tell(f"it is in force, but not on record: {error.message}")


def _record(one: Order, kind: str, now: datetime) -> AuditRecord:
    data = {"scope": one.scope, "order": one.id}
    if one.guard:
        data["guard"] = one.guard
    if one.until is not None:
        data["until"] = one.until.isoformat()
    return AuditRecord(
        id=uuid.uuid4().hex,
        at=now,
        kind=kind,
        who=person(),
        application=one.application,
        cluster=one.cluster,
        cause=one.reason,
        data=data,
    )
