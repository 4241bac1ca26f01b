"""What persons have told the guards: to freeze, to wait, to let something pass once. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final, Literal

import msgspec

from driftd.model.resource import ResourceKey

FREEZE: Final = "freeze"
SNOOZE: Final = "snooze"
OVERRIDE: Final = "override"


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """One order of a person; empty fields do not narrow it."""

    id: str
    kind: Literal["freeze", "snooze", "override"]
    at: datetime
    by: str
    """Who gave it: a name of the machine that the command ran on."""
    reason: str = ""
    application: str = ""
    """`NAMESPACE/NAME`, or a name that is the same in every namespace."""
    cluster: str = ""
    object: str = ""
    """`KIND/NAME` or `KIND/NAMESPACE/NAME`."""
    guard: str = ""
    """Of an override: the guard that lets pass what it would hold, such as `G-04`."""
    until: datetime | None = None
    """None: until it is taken back."""

    def holds(self, application: str, cluster: str, now: datetime) -> bool:
        """Whether it is in force for an application (`namespace/name`) on a cluster."""
        return (
            (self.until is None or now < self.until)
            and self.application in ("", application, application.partition("/")[2])
            and self.cluster in ("", cluster)
        )

    def names(self, key: ResourceKey) -> bool:
        """Whether it is about an object."""
        spellings = (
            f"{key.kind}/{key.name}",
            f"{key.kind}/{key.namespace}/{key.name}",
        )
        wanted = self.object.lower()
        return not wanted or wanted in {text.lower() for text in spellings}

    @property
    def scope(self) -> str:
        """What it is about, in words."""
        where = f" on cluster {self.cluster}" if self.cluster else ""
        what = f"{self.object} of " if self.object else ""
        return f"{what}{self.application or 'every application'}{where}"


class Orders(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The orders that are kept."""

    orders: tuple[Order, ...] = ()
    version: Literal[1] = 1


def in_force(
    orders: Iterable[Order], kind: str, application: str, cluster: str, now: datetime
) -> Iterator[Order]:
    """The orders of a kind that count for an application now."""
    return (one for one in orders if one.kind == kind and one.holds(application, cluster, now))


def told(order: Order) -> str:
    """Who gave an order and why, for messages."""
    return f"by {order.by}{f': {order.reason}' if order.reason else ''}"
