"""Suppressions: places that a team does not want to hear of, until a day. Pure.

A baseline accepts values; a suppression accepts a place, whatever its value, or that objects are
Missing or Extra. So each has an owner, a reason and a last day, and what is critical is told all
the same, unless the entry says that it means it: then that it hides something critical is told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date
from fnmatch import fnmatchcase
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET

from driftd.model.condition import Condition, Severity
from driftd.model.report import ApplicationReport, Change, ChangeClass, ResourceReport
from driftd.policy.baseline import WHOLE, Named, refusal, speaks_of, whole_refusal

NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]
Part: TypeAlias = "str | dict[str, str]"
"""A step of a path: a name or an index, or the keys of a list item."""
ANY_STEPS: Final = "**"
"""A step of a path that stands for any number of steps, as in severity rules not `metadata`."""
_METADATA: Final = "f:metadata"
SUPPRESSED: Final = frozenset(ChangeClass) - {ChangeClass.PENDING}
"""Classes that a suppression hides; pending ones end by themselves."""
_TEMPLATE: Final = ("spec", "template", "spec")
_TEMPLATES: Final = {
    ("apps", "Deployment"): _TEMPLATE,
    ("apps", "StatefulSet"): _TEMPLATE,
    ("apps", "DaemonSet"): _TEMPLATE,
    ("apps", "ReplicaSet"): _TEMPLATE,
    ("batch", "Job"): _TEMPLATE,
    ("batch", "CronJob"): ("spec", "jobTemplate", *_TEMPLATE),
}
"""What tables leave out in front of a path."""


class SuppressionEntry(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"
):
    """Places of some objects, or whole objects, that are not told. Globs know `*`, `?`, `[…]`."""

    application: NonEmpty = "*"
    """Name or glob, `name` or `namespace/name`."""
    cluster: NonEmpty = "*"
    """Name or glob of the cluster as reports name it."""
    kind: str = ""
    """`Kind` or `Kind.group`, globs; one of `kind` and `name` is given."""
    namespace: NonEmpty = "*"
    name: str = ""
    """Name or glob of the object."""
    paths: tuple[NonEmpty, ...] = ()
    """Fields as tables print them, or JSON pointers; each covers what is below it.

    Names and values of keys are globs with `*` and `?`, `[*]` is any list item and `**` any number
    of steps but `metadata`, none too; not in pointers.
    """
    objects: tuple[Literal["Missing", "Extra"], ...] = ()
    """Accepts whole objects that are so; one of `paths` and `objects` is given."""
    managers: tuple[NonEmpty, ...] = ()
    """Only changes by these field managers, names or globs; empty for all.

    Of an Extra object the manager that created it; nobody is known for a Missing one.
    """
    critical: bool = False
    """Hides critical changes and objects too, which is told."""
    owner: NonEmpty
    """Who answers for the entry."""
    reason: NonEmpty
    """Why the changes may stay."""
    expires: date
    """The last day (UTC) on which the entry holds."""
    ticket: str = ""
    """Where it is followed up."""

    def __post_init__(self) -> None:
        """Raise ValueError for an entry that would speak of every object."""
        if not (self.kind + self.name).strip("*"):
            raise ValueError("`kind` or `name` is missing: an entry must not speak of everything")
        if not (self.paths or self.objects):
            raise ValueError("`paths` (fields) or `objects` (Missing, Extra) is missing")


class Suppressions(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"
):
    """A suppression file."""

    api_version: Literal["driftd.io/v1"]
    kind: Literal["Suppressions"]
    entries: tuple[SuppressionEntry, ...] = ()


class SuppressedPath(msgspec.Struct, frozen=True):
    """A path of an entry as it was written, and its steps."""

    text: str
    parts: tuple[Part, ...]


class NamedSuppression(msgspec.Struct, frozen=True):
    """An entry with what reports call it, and its paths in steps."""

    name: str
    """`suppression FILE#NUMBER`, from 1."""
    entry: SuppressionEntry
    paths: tuple[SuppressedPath, ...]


class Applied(msgspec.Struct):
    """What the entries did in a look: names of those in use, and what is to be told."""

    used: set[str] = msgspec.field(default_factory=set)
    told: dict[tuple[str, str], Condition] = msgspec.field(default_factory=dict)
    """By type and entry with its path: what many objects have in common is told once."""

    def tell(self, kind: str, one: NamedSuppression, path: str, text: str) -> None:
        """Tell something of an entry, once for each of its paths."""
        condition = Condition(kind, f"{one.name} {text}", Severity.WARNING)
        self.told.setdefault((kind, f"{one.name} {path}"), condition)


def covers(
    entry: SuppressionEntry, application: ApplicationReport, resource: ResourceReport
) -> bool:
    """Whether an entry speaks of an object."""
    kind, _, group = entry.kind.partition(".")
    return (
        speaks_of(entry.application, application)
        and fnmatchcase(application.cluster, entry.cluster)
        and fnmatchcase(resource.kind, kind or "*")
        and fnmatchcase(resource.group, group or "*")
        and fnmatchcase(resource.namespace, entry.namespace)
        and fnmatchcase(resource.name, entry.name or "*")
    )


def suppressed(
    entries: Iterable[NamedSuppression],
    application: ApplicationReport,
    resource: ResourceReport,
    applied: Applied,
) -> ResourceReport:
    """The object with what an entry covers marked with the entry's name: changes, or itself.

    `entries` must hold no expired ones. What is critical and what a rule marked already stays as
    it is; what is to be told of it is added to `applied`.
    """
    if not resource.changes and resource.status not in WHOLE:
        return resource
    mine = [one for one in entries if covers(one.entry, application, resource)]
    if not mine:
        return resource
    if resource.status in WHOLE:
        return _whole(mine, resource, applied)
    changes = tuple(_marked(mine, resource, change, applied) for change in resource.changes)
    return msgspec.structs.replace(resource, changes=changes)


def _whole(
    entries: Iterable[NamedSuppression], resource: ResourceReport, applied: Applied
) -> ResourceReport:
    """A Missing or Extra object, marked if an entry accepts it."""
    for one in entries:
        if not covers_whole(one.entry, resource):
            continue
        applied.used.add(one.name)
        why = whole_mismatch(one.entry, resource)
        where = f"{resource.status} {resource.kind} {resource.name}"
        if why:
            text = f"covers {where}, which is told all the same: {why}"
            applied.tell("SuppressionRefused", one, where, text)
        elif resource.ignored_by is UNSET:
            if critical := whole_refusal(resource):
                applied.tell("SuppressionHidesCritical", one, where, f"hides {where}: {critical}")
            return msgspec.structs.replace(resource, ignored_by=one.name)
    return resource


def covers_whole(entry: SuppressionEntry, resource: ResourceReport) -> bool:
    """Whether an entry that speaks of an object accepts its status, critical or not."""
    manager = resource.manager if isinstance(resource.manager, str) else ""
    return resource.status in entry.objects and _names_manager(entry, manager)


def whole_mismatch(entry: SuppressionEntry, resource: ResourceReport) -> str:
    """Why an entry that covers a Missing or Extra object does not hide it; empty if it does."""
    return "" if entry.critical else whole_refusal(resource)


def _marked(
    entries: Iterable[NamedSuppression], resource: ResourceReport, change: Change, applied: Applied
) -> Change:
    for one in entries:
        if not _by_manager(one.entry, change) or not _is_covered(one, resource, change, applied):
            continue
        applied.used.add(one.name)
        why = mismatch(one.entry, change)
        if why.startswith("critical"):
            where = f"{resource.kind} {resource.name} {change.path}"
            text = f"covers {where}, which is told all the same: {why}"
            applied.tell("SuppressionRefused", one, where, text)
        elif not why and change.ignored_by is UNSET:
            if one.entry.critical and change.severity == "critical":
                where = f"{resource.kind} {resource.name} {change.path}"
                text = f"hides {where}: {refusal(change)}"
                applied.tell("SuppressionHidesCritical", one, where, text)
            return msgspec.structs.replace(change, ignored_by=one.name)
    return change


def mismatch(entry: SuppressionEntry, change: Change) -> str:
    """Why an entry that covers a change's place does not hide it, time aside; empty if it does."""
    if change.change_class not in SUPPRESSED:
        return f"a suppression hides no {change.change_class} changes"
    if not _by_manager(entry, change):
        manager = change.manager if isinstance(change.manager, str) else ""
        return f"it is by {manager or 'nobody known'}, whom `managers` does not name"
    why = refusal(change)
    return "" if entry.critical and why.startswith("critical") else why


def _by_manager(entry: SuppressionEntry, change: Change) -> bool:
    return _names_manager(entry, change.manager if isinstance(change.manager, str) else "")


def _names_manager(entry: SuppressionEntry, manager: str) -> bool:
    return not entry.managers or any(fnmatchcase(manager, one) for one in entry.managers)


def covers_place(one: NamedSuppression, resource: ResourceReport, change: Change) -> bool:
    """Whether a path of an entry is the place of a change or above it."""
    return any(_match(path, resource, change)[0] for path in one.paths)


def _is_covered(
    one: NamedSuppression, resource: ResourceReport, change: Change, applied: Applied
) -> bool:
    """Whether a path of an entry covers a change; of positions in lists it is told."""
    for path in one.paths:
        found, position = _match(path, resource, change)
        if found and position:
            text = (
                f"names a list item of {resource.kind} {resource.name} by its position in "
                f"{path.text}: write [{position}] instead"
            )
            applied.tell("SuppressionPosition", one, path.text, text)
        if found:
            return True
        if position:
            text = f"cannot use {path.text}: items of that list have no keys; name the list itself"
            applied.tell("SuppressionFailed", one, path.text, text)
    return False


def _match(path: SuppressedPath, resource: ResourceReport, change: Change) -> tuple[bool, str]:
    """Whether a path covers a change, and the first list item that it names by a position.

    Not covered with an item means: the position cannot be turned into keys.
    """
    if not isinstance(change.ssa_path, str):
        return False, ""
    segments = [_unescaped(one) for one in change.ssa_path.split("/")]
    positions = change.path.split("/")[1:]
    prefix = _TEMPLATES.get((resource.group, resource.kind), ())
    globs = not path.text.startswith("/")
    whole = (*prefix, *path.parts) if globs else path.parts
    for parts in dict.fromkeys((len(path.parts), len(whole))):
        found = _match_steps(whole[len(whole) - parts :], segments, positions, globs=globs)
        if found is not None:
            return found
    return False, ""


def _match_steps(
    parts: Sequence[Part],
    segments: Sequence[str],
    positions: Sequence[str],
    *,
    globs: bool,
    tried: set[tuple[int, int]] | None = None,
) -> tuple[bool, str] | None:
    """`tried` are numbers of steps of both sides, counted from the end, that do not match."""
    if not parts or len(segments) != len(positions):
        return None
    item = ""
    for number, part in enumerate(parts):
        if globs and part == ANY_STEPS:
            tried = set() if tried is None else tried
            rest_of = (parts[number + 1 :], segments[number:], positions[number:])
            below = _match_below(*rest_of, tried)
            return below if below is None or not below[0] else (True, item or below[1])
        if number >= len(segments):
            return None
        segment, position = segments[number], positions[number]
        tag, _, rest = segment.partition(":")
        if tag == "f":
            if not isinstance(part, str) or not _is_like(rest, part, globs=globs):
                return None
        elif globs and part == "*":
            continue
        elif isinstance(part, str) and part.isdigit() and part == position:
            if tag == "i":
                return False, part
            item = item or ",".join(_written(rest))
        elif not _names_item(part, tag, rest, globs=globs):
            return None
    return True, item


def _match_below(
    parts: Sequence[Part],
    segments: Sequence[str],
    positions: Sequence[str],
    tried: set[tuple[int, int]],
) -> tuple[bool, str] | None:
    """Whether the rest of a path covers a change from any step on."""
    if not parts:
        return True, ""
    failed: tuple[bool, str] | None = None
    for start in range(len(segments)):
        if start and segments[start - 1] == _METADATA:
            break  # a label or annotation may be called like any field
        state = (len(parts), len(segments) - start)
        if state in tried:
            continue
        found = _match_steps(parts, segments[start:], positions[start:], globs=True, tried=tried)
        if found is not None and found[0]:
            return found
        tried.add(state)
        failed = failed or found
    return failed


def _names_item(part: Part, tag: str, rest: str, *, globs: bool) -> bool:
    """Whether a step names a list item by its keys or, in a set, by its value."""
    value = msgspec.json.decode(rest)
    if tag == "k" and isinstance(part, dict):
        keys = {name: _plain(one) for name, one in value.items()}
        return keys.keys() == part.keys() and all(
            _is_like(keys[name], glob, globs=globs) for name, glob in part.items()
        )
    return tag == "v" and isinstance(part, str) and _is_like(_plain(value), part, globs=globs)


def _is_like(text: str, wanted: str, *, globs: bool) -> bool:
    """Whether a name or value is the wanted one, by glob where it may be one."""
    return text == wanted or (globs and fnmatchcase(text, wanted.replace("[", "[[]")))


def _written(rest: str) -> Iterator[str]:
    """Keys or a value as tables print them inside brackets."""
    value = msgspec.json.decode(rest)
    if isinstance(value, dict):
        yield from (f"{name}={_plain(one)}" for name, one in value.items())
    else:
        yield rest


def _plain(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _unescaped(segment: str) -> str:
    return segment.replace("~1", "/").replace("~0", "~")


def selects(entry: SuppressionEntry) -> str:
    """What an entry accepts of the objects that it speaks of, for a person."""
    return ", ".join((*entry.objects, *entry.paths))


def is_expired(entry: SuppressionEntry, today: date) -> bool:
    """Whether the entry's last day is over."""
    return entry.expires < today


def conditions(
    entries: Iterable[NamedSuppression],
    used: Iterable[str],
    reports: Sequence[ApplicationReport],
    today: date,
    *,
    names: Collection[str] | None = None,
) -> list[Condition]:
    """A warning for each entry that expired, covers nothing or names no application.

    An entry is unused only where all its applications were looked at and seen in full. `names`
    are the qualified names of all applications there are, looked at or not; None if some are
    not known. (Invariant 6.)
    """
    known = set(used)
    applications = Named(reports, names)
    told: list[Condition] = []
    for one in entries:
        entry = one.entry
        place = f"{entry.kind or '*'} {entry.name or '*'}, {selects(entry)}"
        if is_expired(entry, today):
            text = f"{one.name} ({place}) expired on {entry.expires}; {entry.owner} answers for it"
            told.append(Condition("SuppressionExpired", text, Severity.WARNING))
        elif applications.lack(entry.application):
            why = applications.why(entry.application)
            text = f"{one.name} ({entry.application}, {place}) covers nothing: {why}"
            told.append(Condition("SuppressionApplicationUnknown", text, Severity.WARNING))
        elif one.name not in known and applications.seen_in_full(entry.application):
            text = f"{one.name} ({place}) matches nothing; remove it or correct it"
            told.append(Condition("SuppressionUnused", text, Severity.WARNING))
    return told
