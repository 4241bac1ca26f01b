"""Baselines: known findings that a team has accepted for a while. Pure.

An entry speaks of one finding: place, class, manager and value. If any of them changes, or the
entry's last day is over, the finding is told again. A critical change is never hidden.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from datetime import date
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from driftd.model.condition import Condition, Severity
from driftd.model.report import ApplicationReport, Change, ChangeClass, ResourceReport

BASELINED: Final = frozenset({ChangeClass.DECLARED, ChangeClass.UNDECLARED, ChangeClass.INJECTED})
"""Classes that a baseline may hold."""
KEYED: Final = "hmac-sha256"
PLAIN: Final = "sha256"


class BaselineEntry(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"
):
    """One accepted finding."""

    application: str
    """Name or glob, `name` or `namespace/name`."""
    group: str = ""
    kind: str
    namespace: str = ""
    name: str
    path: str
    """The change's `ssaPath`: list items by their keys, so that their order may change."""
    change_class: ChangeClass = msgspec.field(name="class")
    manager: str = ""
    """Who made it; empty where the object does not say."""
    value: str
    """Digest of Git's and the live value: `hmac-sha256:…` or `sha256:…`."""
    owner: str = ""
    """Who answers for the entry."""
    reason: str = ""
    expires: date
    """The last day (UTC) on which the entry holds."""


class Baseline(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"
):
    """A baseline file."""

    api_version: Literal["driftd.io/v1"] = "driftd.io/v1"
    kind: Literal["Baseline"] = "Baseline"
    entries: tuple[BaselineEntry, ...] = ()


class NamedEntry(msgspec.Struct, frozen=True):
    """An entry with what reports call it."""

    name: str
    """`baseline FILE#NUMBER`, from 1."""
    entry: BaselineEntry


class LeftOut(msgspec.Struct, frozen=True):
    """A finding that no baseline may hold, and why."""

    application: str
    resource: str
    path: str
    reason: str


def digest(change: Change, key: bytes | None) -> str:
    """What identifies the values of a change; with `key`, nobody without it can guess them."""
    values: dict[str, Any] = {"kind": str(change.kind)}
    if change.desired is not UNSET:
        values["desired"] = change.desired
    if change.live is not UNSET:
        values["live"] = change.live
    text = msgspec.json.encode(values, order="sorted")
    if key is None:
        return f"{PLAIN}:{hashlib.sha256(text).hexdigest()}"
    return f"{KEYED}:{hmac.new(key, text, hashlib.sha256).hexdigest()}"


def holds_masked(value: Any) -> bool:
    """Whether a published value is masked or has a masked part: it cannot be told from another."""
    if isinstance(value, dict):
        return value == {"masked": True} or any(map(holds_masked, value.values()))
    return isinstance(value, list) and any(map(holds_masked, value))


def refusal(change: Change) -> str:
    """Why no entry may speak of a change; empty if one may."""
    if change.severity is UNSET or change.severity == "critical":
        why = change.severity_reason if isinstance(change.severity_reason, str) else ""
        return f"critical{': ' if why else ''}{why}"
    if holds_masked(change.desired) or holds_masked(change.live):
        return "its value is masked"
    if change.ssa_path is UNSET:
        return "it has no keyed path"
    return ""


def matches(
    entry: BaselineEntry,
    application: ApplicationReport,
    resource: ResourceReport,
    change: Change,
    key: bytes | None,
) -> bool:
    """Whether an entry speaks of just this change, with just these values; time aside."""
    named = (application.name, f"{application.namespace}/{application.name}")
    return (
        any(fnmatchcase(name, entry.application) for name in named)
        and (entry.group, entry.kind) == (resource.group, resource.kind)
        and (entry.namespace, entry.name) == (resource.namespace, resource.name)
        and entry.path == change.ssa_path
        and entry.change_class is change.change_class
        and change.change_class in BASELINED
        and entry.manager == _text(change.manager)
        and not refusal(change)
        and hmac.compare_digest(entry.value, digest(change, key if _keyed(entry) else None))
    )


def accepted(
    entries: Iterable[NamedEntry],
    application: ApplicationReport,
    resource: ResourceReport,
    key: bytes | None,
) -> tuple[tuple[Change, ...], frozenset[str]]:
    """The changes of an object, those that an entry speaks of marked with its name; the names.

    `entries` must hold no expired ones. A change that an ignore rule marked stays as it is.
    """
    used: set[str] = set()
    marked: list[Change] = []
    for change in resource.changes:
        by = next(
            (one.name for one in entries if matches(one.entry, application, resource, change, key)),
            None,
        )
        if by is not None:
            used.add(by)
            if change.ignored_by is UNSET:
                change = msgspec.structs.replace(change, ignored_by=by)
        marked.append(change)
    return tuple(marked), frozenset(used)


def is_expired(entry: BaselineEntry, today: date) -> bool:
    """Whether the entry's last day is over."""
    return entry.expires < today


def conditions(
    entries: Iterable[NamedEntry],
    used: Iterable[str],
    reports: Sequence[ApplicationReport],
    today: date,
) -> list[Condition]:
    """A condition for each entry that expired or matched nothing (invariant 6).

    An entry is unused only where all its applications were looked at and seen in full.
    """
    known = set(used)
    told: list[Condition] = []
    for one in entries:
        entry = one.entry
        place = f"{entry.application}, {entry.kind} {entry.name}, {entry.path}"
        if is_expired(entry, today):
            text = f"{one.name} ({place}) expired on {entry.expires}; mend the finding or renew it"
            told.append(Condition("BaselineEntryExpired", text, Severity.WARNING))
        elif one.name not in known and _seen(entry, reports):
            text = (
                f"{one.name} ({place}) matches no finding; it is mended or has changed: remove it"
            )
            told.append(Condition("BaselineEntryUnused", text, Severity.INFO))
    return told


def _seen(entry: BaselineEntry, reports: Sequence[ApplicationReport]) -> bool:
    mine = [
        report
        for report in reports
        if fnmatchcase(report.name, entry.application)
        or fnmatchcase(f"{report.namespace}/{report.name}", entry.application)
    ]
    return bool(mine) and all(report.complete for report in mine)


def captured(
    reports: Iterable[ApplicationReport],
    *,
    key: bytes | None,
    expires: date,
    owner: str = "",
    reason: str = "",
) -> tuple[Baseline, tuple[LeftOut, ...]]:
    """A baseline of every finding of a look that one may hold, and the findings left out."""
    entries: list[BaselineEntry] = []
    left_out: list[LeftOut] = []
    for report in reports:
        for resource in report.resources:
            label = f"{resource.kind} {resource.namespace}/{resource.name}".replace(" /", " ")
            if resource.status in ("Missing", "Extra"):
                why = f"the whole object is {resource.status}"
                left_out.append(LeftOut(report.name, label, "", why))
            for change in resource.changes:
                if change.change_class not in BASELINED or change.ignored_by is not UNSET:
                    continue
                why = refusal(change)
                if why:
                    left_out.append(LeftOut(report.name, label, change.path, why))
                    continue
                entries.append(
                    BaselineEntry(
                        application=report.name,
                        group=resource.group,
                        kind=resource.kind,
                        namespace=resource.namespace,
                        name=resource.name,
                        path=_text(change.ssa_path),
                        change_class=change.change_class,
                        manager=_text(change.manager),
                        value=digest(change, key),
                        owner=owner,
                        reason=reason,
                        expires=expires,
                    )
                )
    return Baseline(entries=tuple(entries)), tuple(left_out)


def _keyed(entry: BaselineEntry) -> bool:
    return entry.value.startswith(f"{KEYED}:")


def needs_key(entries: Iterable[BaselineEntry]) -> bool:
    """Whether values can be recognised only with the team's key."""
    return any(_keyed(entry) for entry in entries)


def _text(value: str | UnsetType) -> str:
    return value if isinstance(value, str) else ""
