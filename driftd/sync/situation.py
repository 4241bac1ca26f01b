"""What guards decide from: the look, what they remember, and what persons have ordered. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from driftd.model.resource import ResourceKey
from driftd.store.types import DriftKey
from driftd.sync.fights import Heal, Quarantine
from driftd.sync.orders import Order
from driftd.sync.seams import Facts


class Canary(msgspec.Struct, frozen=True):
    """A first part of many writes, that has to prove itself before the next one."""

    stage: int
    """1: one object was written, 2: a share of them."""
    keys: tuple[ResourceKey, ...]
    at: datetime
    failed_until: datetime | None = None
    """Set once an object did not come back clean: nothing is written until then."""


class Held(msgspec.Struct, frozen=True):
    """An object that a guard holds back, as it is shown."""

    key: ResourceKey
    guard: str
    reason: str
    until: datetime | None = None


class GuardState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the guards remember of one application."""

    identity: str = ""
    """The cluster at which the application was seen."""
    first_look: datetime | None = None
    """The first complete look at it there; nothing is healed before the next one."""
    declared: int = 0
    """Objects that Git declared when that counted last."""
    shrunk_at: datetime | None = None
    """Since when Git declares so much less that it may be a mistake."""
    revisions: Mapping[str, tuple[str, ...]] = {}
    """Of each source the revisions that were seen, the newest last."""
    storm_at: datetime | None = None
    """Since when too much drifts at once."""
    canary: Canary | None = None
    quarantines: tuple[Quarantine, ...] = ()
    held: tuple[Held, ...] = ()
    """What the last look left alone."""


class Buckets(msgspec.Struct, frozen=True):
    """When the budgets are full again; None: they are."""

    application: datetime | None = None
    cluster: datetime | None = None


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a decision depends on, but the plan, the settings and the time."""

    facts: Facts
    identity: str
    """Which cluster this is: name, address and the uid of its namespace kube-system."""
    state: GuardState = GuardState()
    heals: tuple[Heal, ...] = ()
    """What was intended for the application lately."""
    buckets: Buckets = Buckets()
    orders: tuple[Order, ...] = ()
    stopped: str = ""
    """Why nothing is healed anywhere: the settings, the file, orders that cannot be read."""
    onsets: Mapping[DriftKey, datetime] = {}
    """When the drifts that are known were seen first."""
    by_hand: bool = False
    """A person heals this one application now, and sees what is written: what needs a memory of
    earlier looks, and what gives persons time, is not asked for."""
    ancestors: Mapping[str, frozenset[str]] = {}
    """Of revisions those that they are made from, as far as Git says."""
    rewritten: frozenset[str] = frozenset()
    """Sources whose branch does not come from the newest revision that was seen."""

    @property
    def name(self) -> str:
        """`namespace/name` of the application."""
        return self.facts.application.qualified_name
