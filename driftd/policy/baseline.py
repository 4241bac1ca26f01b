"""Baselines: known findings that a team has accepted for a while. Pure.

An entry speaks of one finding: a change by its place, class, manager and value, or an object that
is Missing or Extra. If any of them changes, or the entry's last day is over, the finding is told
again. A critical change, and an object that `model.places` names, is never hidden.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from driftd.model.condition import Condition, Severity
from driftd.model.places import whole_object_reason
from driftd.model.report import (
    ApplicationReport,
    Change,
    ChangeClass,
    ResourceReport,
    ResourceStatus,
)
from driftd.model.resource import ResourceKey

BASELINED: Final = frozenset({ChangeClass.DECLARED, ChangeClass.UNDECLARED, ChangeClass.INJECTED})
"""Classes that a baseline may hold. Injected changes are no drift, so none is written anew."""
WHOLE: Final = frozenset({ResourceStatus.MISSING, ResourceStatus.EXTRA})
"""Statuses that are findings of a whole object."""
KEYED: Final = "hmac-sha256"
PLAIN: Final = "sha256"

Seal: TypeAlias = "tuple[ResourceKey, str, str]"
"""What finds the keyed hash of a masked change: its object, `ssaPath` and kind."""


class BaselineEntry(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"
):
    """One accepted finding: a change (`path`, `class` and `value`) or a whole object (`status`)."""

    application: str
    """Name or glob, `name` or `namespace/name`."""
    group: str = ""
    kind: str
    namespace: str = ""
    name: str
    status: Literal["Missing", "Extra"] | UnsetType = UNSET
    """Accepts that the whole object is Missing or Extra."""
    path: str | UnsetType = UNSET
    """The change's `ssaPath`: list items by their keys, so that their order may change."""
    change_class: ChangeClass | UnsetType = msgspec.field(name="class", default=UNSET)
    manager: str | UnsetType = UNSET
    """Who made the change, or created the Extra object; empty where the object does not say."""
    value: str | UnsetType = UNSET
    """Digest of Git's and the live value: `hmac-sha256:…` or `sha256:…`."""
    owner: str = ""
    """Who answers for the entry."""
    reason: str = ""
    expires: date
    """The last day (UTC) on which the entry holds."""

    def __post_init__(self) -> None:
        """Raise ValueError unless the entry speaks of just one of a change and an object."""
        of_change = {"path": self.path, "class": self.change_class, "value": self.value}
        if self.status is UNSET:
            missing = [name for name, value in of_change.items() if value is UNSET]
            if missing:
                raise ValueError(f"missing field `{missing[0]}` (or `status` for a whole object)")
        elif any(value is not UNSET for value in of_change.values()):
            raise ValueError("`status` accepts a whole object: no `path`, `class` or `value`")


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


@dataclass(frozen=True, slots=True)
class Hashes:
    """What recognises the values of one application's changes."""

    key: bytes | None = field(default=None, repr=False)
    seals: Mapping[Seal, str] = field(default_factory=dict, repr=False)
    """Keyed hashes of real values that are published masked, made where they were compared."""

    def of(self, resource: ResourceReport, change: Change, *, keyed: bool) -> str:
        """The hash of a change's values; empty where they are masked and nothing else is known."""
        if not (holds_masked(change.desired) or holds_masked(change.live)):
            return digest(change, self.key if keyed else None)
        if not keyed or self.key is None:
            return ""
        return self.seals.get((resource.key, _text(change.ssa_path), str(change.kind)), "")


def refusal(change: Change) -> str:
    """Why no entry may speak of a change, whatever its value; empty if one may."""
    if change.severity is UNSET or change.severity == "critical":
        why = change.severity_reason if isinstance(change.severity_reason, str) else ""
        return f"critical{': ' if why else ''}{why}"
    if change.ssa_path is UNSET:
        return "it has no keyed path"
    return ""


def whole_refusal(resource: ResourceReport) -> str:
    """Why no entry may speak of a Missing or Extra object; empty if one may."""
    if resource.severity is UNSET:
        why = whole_object_reason(resource.status, resource.group, resource.kind)
    else:
        why = str(resource.severity_reason) if resource.severity == "critical" else ""
    return f"{resource.status} objects of its kind are critical: {why}" if why else ""


def speaks_of(application: str, report: ApplicationReport) -> bool:
    """Whether a name or glob of an entry names an application."""
    return any(
        fnmatchcase(name, application)
        for name in (report.name, f"{report.namespace}/{report.name}")
    )


def mismatch(
    entry: BaselineEntry,
    application: ApplicationReport,
    resource: ResourceReport,
    change: Change | None,
    hashes: Hashes,
) -> str | None:
    """Why an entry does not accept a finding, time aside; empty if it does.

    `change` is None for the object itself. None if the entry speaks of another place.
    """
    if _object(entry) != resource.key or not speaks_of(entry.application, application):
        return None
    if change is None:
        return _whole_mismatch(entry, resource)
    if entry.path != change.ssa_path:
        return None
    if entry.change_class is not change.change_class:
        return f"its class is {change.change_class} now, not {entry.change_class}"
    if change.change_class not in BASELINED:
        return f"a baseline holds no {change.change_class} changes"
    why = refusal(change)
    if why:
        return why
    found = [_manager_changed(_text(entry.manager), _text(change.manager))]
    now = hashes.of(resource, change, keyed=_keyed(entry))
    if not now:
        found.append("its value is masked, and the entry has no keyed hash of it")
    elif not hmac.compare_digest(_text(entry.value).encode(), now.encode()):
        found.append("its value has changed")
    return " and ".join(text for text in found if text)


def _whole_mismatch(entry: BaselineEntry, resource: ResourceReport) -> str | None:
    if entry.status is UNSET:
        return None
    if resource.status != entry.status:
        return f"the object is {resource.status} now, not {entry.status}"
    why = whole_refusal(resource)
    if why:
        return why
    wanted = _text(entry.manager)
    return _manager_changed(wanted, _text(resource.manager)) if wanted else ""


def _manager_changed(before: str, now: str) -> str:
    if before == now:
        return ""
    return f"it is by {now or 'nobody known'} now, not by {before or 'nobody known'}"


def _object(entry: BaselineEntry) -> ResourceKey:
    return ResourceKey(entry.group, entry.kind, entry.namespace, entry.name)


def by_object(entries: Iterable[NamedEntry]) -> dict[ResourceKey, list[NamedEntry]]:
    """The entries by the object that they speak of."""
    found: dict[ResourceKey, list[NamedEntry]] = {}
    for one in entries:
        found.setdefault(_object(one.entry), []).append(one)
    return found


def accepted(
    entries: Iterable[NamedEntry],
    application: ApplicationReport,
    resource: ResourceReport,
    hashes: Hashes,
) -> tuple[ResourceReport, frozenset[str]]:
    """The object with what an entry speaks of marked with the entry's name; the names.

    `entries` must hold no expired ones. A change that an ignore rule marked stays as it is.
    """
    chosen = list(entries)
    used: set[str] = set()

    def by(change: Change | None) -> str | UnsetType:
        for one in chosen:
            if mismatch(one.entry, application, resource, change, hashes) == "":
                used.add(one.name)
                return one.name
        return UNSET

    if resource.status in WHOLE:
        name = by(None)
        if resource.ignored_by is UNSET:
            resource = msgspec.structs.replace(resource, ignored_by=name)
        return resource, frozenset(used)
    marked = []
    for change in resource.changes:
        name = by(change)
        if name is not UNSET and change.ignored_by is UNSET:
            change = msgspec.structs.replace(change, ignored_by=name)
        marked.append(change)
    if not used:
        return resource, frozenset()
    return msgspec.structs.replace(resource, changes=tuple(marked)), frozenset(used)


def is_expired(entry: BaselineEntry, today: date) -> bool:
    """Whether the entry's last day is over."""
    return entry.expires < today


def place_of(entry: BaselineEntry) -> str:
    """What an entry speaks of, for a person."""
    what = entry.path if entry.status is UNSET else entry.status
    return f"{entry.application}, {entry.kind} {entry.name}, {what}"


def conditions(
    entries: Iterable[NamedEntry],
    used: Iterable[str],
    reports: Sequence[ApplicationReport],
    today: date,
    hashes: Mapping[str, Hashes] | None = None,
    *,
    names: Collection[str] | None = None,
) -> list[Condition]:
    """A condition for each entry that expired, matched nothing or names no application.

    An entry is unused only where all its applications were looked at and seen in full. `names`
    are the qualified names of all applications there are, looked at or not; None if some are
    not known. `hashes` are those of each application, by qualified name. (Invariant 6.)
    """
    known = set(used)
    told: list[Condition] = []
    applications = Named(reports, names)
    for one in entries:
        entry, place = one.entry, place_of(one.entry)
        if is_expired(entry, today):
            text = f"{one.name} ({place}) expired on {entry.expires}; mend the finding or renew it"
            told.append(Condition("BaselineEntryExpired", text, Severity.WARNING))
        elif applications.lack(entry.application):
            text = f"{one.name} ({place}) accepts nothing: {applications.why(entry.application)}"
            told.append(Condition("BaselineApplicationUnknown", text, Severity.WARNING))
        elif one.name not in known and applications.seen_in_full(entry.application):
            why = next(_reasons(entry, reports, hashes or {}), "")
            what = f"accepts nothing now: {why}" if why else "matches no finding; remove it"
            told.append(
                Condition("BaselineEntryUnused", f"{one.name} ({place}) {what}", Severity.INFO)
            )
    return told


def _reasons(
    entry: BaselineEntry, reports: Sequence[ApplicationReport], hashes: Mapping[str, Hashes]
) -> Iterator[str]:
    for report in reports:
        mine = hashes.get(f"{report.namespace}/{report.name}", Hashes())
        for resource in report.resources:
            for change in (None, *resource.changes):
                why = mismatch(entry, report, resource, change, mine)
                if why:
                    yield why


class Named:
    """What the applications that entries name came to, each name or glob found out once."""

    def __init__(
        self, reports: Sequence[ApplicationReport], names: Collection[str] | None = None
    ) -> None:
        """See `conditions`."""
        self._complete = {f"{one.namespace}/{one.name}": one.complete for one in reports}
        self._names = names
        self._found: dict[str, frozenset[str]] = {}

    def lack(self, application: str) -> bool:
        """Whether no application has the name, looked at or not."""
        return self._names is not None and not self._matching(application)

    def why(self, application: str) -> str:
        """That no application has the name, and the nearest one that there is."""
        names = sorted(self._names or ())
        short = [name.partition("/")[2] for name in names]
        near = get_close_matches(application, [*short, *names], n=1)
        remedy = f"did you mean {near[0]}?" if near else "correct the name or remove the entry"
        return f"no application of that name is looked at here; {remedy}"

    def seen_in_full(self, application: str) -> bool:
        """Whether all applications that a name or glob names were looked at and seen in full."""
        matching = self._matching(application)
        return bool(matching) and all(self._complete.get(name, False) for name in matching)

    def _matching(self, application: str) -> frozenset[str]:
        if application not in self._found:
            every = {*self._complete, *(self._names or ())}
            self._found[application] = frozenset(
                name
                for name in every
                if fnmatchcase(name, application)
                or fnmatchcase(name.partition("/")[2], application)
            )
        return self._found[application]


def captured(
    reports: Iterable[ApplicationReport],
    *,
    expires: date,
    hashes: Mapping[str, Hashes] | None = None,
    owner: str = "",
    reason: str = "",
) -> tuple[Baseline, tuple[LeftOut, ...]]:
    """A baseline of every finding of a look that one may hold, and the findings left out.

    `hashes` are those of each application, by qualified name; values are hashed with their key.
    """
    entries: list[BaselineEntry] = []
    left_out: list[LeftOut] = []
    for report in reports:
        mine = (hashes or {}).get(f"{report.namespace}/{report.name}", Hashes())
        for resource in report.resources:
            for fields, path, why in _findings(resource, mine):
                if why:
                    label = f"{resource.kind} {resource.namespace}/{resource.name}"
                    left_out.append(LeftOut(report.name, label.replace(" /", " "), path, why))
                    continue
                entries.append(
                    BaselineEntry(
                        application=report.name,
                        group=resource.group,
                        kind=resource.kind,
                        namespace=resource.namespace,
                        name=resource.name,
                        **fields,
                        owner=owner,
                        reason=reason,
                        expires=expires,
                    )
                )
    return Baseline(entries=tuple(entries)), tuple(left_out)


def _findings(
    resource: ResourceReport, hashes: Hashes
) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Of each drift that nothing ignores: its fields of an entry, its path, and why not."""
    if resource.status in WHOLE:
        if resource.ignored_by is UNSET:
            fields = {"status": str(resource.status), "manager": resource.manager}
            yield fields, "", whole_refusal(resource)
        return
    for change in resource.changes:
        if not change.is_drift:
            continue
        value = hashes.of(resource, change, keyed=hashes.key is not None)
        fields = {
            "path": change.ssa_path,
            "change_class": change.change_class,
            "manager": _text(change.manager),
            "value": value,
        }
        why = refusal(change)
        if not why and not value:
            why = "its value is masked; with --hash-key-file it can be accepted"
        yield fields, change.path, why


def _keyed(entry: BaselineEntry) -> bool:
    return _text(entry.value).startswith(f"{KEYED}:")


def needs_key(entries: Iterable[BaselineEntry]) -> bool:
    """Whether values can be recognised only with the team's key."""
    return any(_keyed(entry) for entry in entries)


def _text(value: str | UnsetType) -> str:
    return value if isinstance(value, str) else ""
