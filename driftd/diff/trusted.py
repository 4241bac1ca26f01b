"""Trusted controllers as data: writes that a healthy cluster makes to declared objects.

A rule names manager, operation, subresource, group, kind and path, never a manager alone (a
manager's name is chosen by the client), and may ask for evidence: that something in the cluster
names the object, that the value has a form, and that a relation to Git holds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from typing import Final

import msgspec

from driftd.diff.finding import ABSENT
from driftd.diff.owners import Entry
from driftd.diff.relations import RELATIONS, Asked, Except, Judged, Same, equal_except
from driftd.model import places
from driftd.model.resource import Json

_ANY: Final = "*"


class Trust(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """One trusted write."""

    managers: tuple[str, ...]
    """None at all: the API server itself writes here, and nobody owns what it writes."""
    objects: tuple[str, ...]
    """`group/Kind`, the group left out for the core one; `*` is any."""
    paths: tuple[tuple[str, ...], ...]
    """Names from the root, list steps as `*`; a last `**` matches everything below."""
    reason: str
    operations: tuple[str, ...] = ("Update",)
    subresources: tuple[str, ...] = ("",)
    name: str | None = None
    """The object's name, where only one object is meant."""
    values: str | None = None
    """A regular expression that the whole value must match, if it is a string."""
    named: str | None = None
    """The role in which something in the cluster must name the object (`Facts.named`)."""
    namer: bool = False
    """Whether the value must be the name of what names the object."""
    relation: str | None = None
    """What must hold between Git, live and the cluster: a key of `relations.RELATIONS`."""
    excepted: tuple[Except, ...] = msgspec.field(default=(), name="except")
    """In an atomic list: the fields that are the controller's; all others must be as in Git."""

    @property
    def needs_evidence(self) -> bool:
        """Whether more is asked for than who wrote and where."""
        return bool(self.relation or self.named or self.excepted)


class Controller(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A controller, and what is known about its writes."""

    controller: str
    evidence: str
    """Where the names of managers and fields are known from."""
    writes: tuple[Trust, ...]


@lru_cache(maxsize=1)
def controllers() -> tuple[Controller, ...]:
    """The shipped table, `data/trusted.json`."""
    text = resources.files("driftd.diff").joinpath("data/trusted.json").read_text("utf-8")
    return tuple(msgspec.convert(one, Controller) for one in json.loads(text)["trusted"])


def rules() -> tuple[Trust, ...]:
    """Every rule of every controller."""
    return tuple(rule for one in controllers() for rule in one.writes)


@lru_cache(maxsize=512)
def _rules_of(group: str, kind: str) -> tuple[Trust, ...]:
    own = f"{group}/{kind}" if group else kind
    return tuple(rule for rule in rules() if own in rule.objects or _ANY in rule.objects)


def trusted_write(
    entry: Entry,
    subject: Judged,
    path: Sequence[str],
    live: Json,
    desired: Json = ABSENT,
    same: Same | None = None,
) -> str | None:
    """Why this write by `entry` is expected, or None if nothing says it is.

    `desired` is what Git declares at the place; `same` compares the rest of an atomic list.
    """
    asked: Asked | None = None
    for rule in _rules_of(subject.key.group, subject.key.kind):
        if (
            entry.manager in rule.managers
            and entry.operation in rule.operations
            and entry.subresource in rule.subresources
            and _covers(rule, subject, path)
        ):
            asked = asked or Asked(subject, live, desired, same)
            why = _why(rule, asked)
            if why is not None:
                return why
    return None


def expected_value(
    subject: Judged,
    path: Sequence[str],
    live: Json,
    *,
    by_anybody: bool,
    desired: Json = ABSENT,
    same: Same | None = None,
) -> str | None:
    """Why a value that nobody can be named for is expected, or None if nothing says it is.

    The API server writes some places itself and owns none. With `by_anybody` the names of the
    managers are lost (`before-first-apply`, or no managedFields at all): then a rule holds
    whoever wrote, outside metadata only if it asks for evidence, and at a critical place never.
    """
    found = [
        rule
        for rule in _rules_of(subject.key.group, subject.key.kind)
        if (not rule.managers or by_anybody) and _covers(rule, subject, path)
    ]
    if not found:
        return None
    lost = by_anybody and not places.is_critical(subject.key.kind, path)
    asked = Asked(subject, live, desired, same)
    for rule in found:
        if not rule.managers or (lost and (rule.needs_evidence or path[0] == "metadata")):
            why = _why(rule, asked)
            if why is not None:
                return why
    return None


def scaling(subject: Judged, count: Json) -> str | None:
    """Which autoscaler explains a number of replicas that nobody owns, or None if none does."""
    bounds = subject.facts.scaler(subject.key, count)
    return str(bounds) if bounds is not None else None


def weighs(entry: Entry, subject: Judged, path: Sequence[str]) -> bool:
    """Whether the manager may write parts of the atomic list at a place, and so owns all of it.

    Then its name on the list says nothing about who changed the other parts.
    """
    return any(
        rule.excepted and entry.manager in rule.managers and _covers(rule, subject, path)
        for rule in _rules_of(subject.key.group, subject.key.kind)
    )


def _covers(rule: Trust, subject: Judged, path: Sequence[str]) -> bool:
    return any(_matches(pattern, path) for pattern in rule.paths) and rule.name in (
        None,
        subject.key.name,
    )


def _matches(pattern: Sequence[str], path: Sequence[str]) -> bool:
    if pattern and pattern[-1] == "**":
        stem = pattern[:-1]
        return len(path) >= len(stem) and tuple(path[: len(stem)]) == tuple(stem)
    return tuple(pattern) == tuple(path)


def _why(rule: Trust, asked: Asked) -> str | None:
    """The reason of a rule with what its evidence is; None if something that it asks is not so."""
    namers: tuple[str, ...] = ()
    if rule.named is not None:
        namers = asked.subject.facts.named.get((rule.named, asked.subject.key), ())
        if not namers:
            return None
    if rule.namer and asked.live not in [namer.partition(" ")[2] for namer in namers]:
        return None
    if rule.values is not None and not _fits(rule.values, asked.live):
        return None
    if rule.excepted and not equal_except(asked, rule.excepted):
        return None
    found: str | None = ""
    if rule.relation is not None:
        found = RELATIONS[rule.relation](asked)
        if found is None:
            return None
    detail = "; ".join(part for part in (", ".join(namers), found) if part)
    return f"{rule.reason}: {detail}" if detail else rule.reason


def _fits(pattern: str, value: Json) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None
