"""Compare what Git declares at two revisions: the same comparison, with no cluster in between.

Two walks agree on what merging changes. One takes the new object as desired and the old one as
live; what it misses in the old object counts only if the walk the other way round, which knows
the server's defaults, finds the same place: writing a default down changes nothing. An empty value
that only the old object has counts only if the server keeps it, which that walk knows as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from msgspec import UNSET

from driftd.diff import invalid, refused
from driftd.diff.compare import change
from driftd.diff.defaults import is_empty
from driftd.diff.extras import Excuses, is_custom
from driftd.diff.facts import Facts
from driftd.diff.fields import confirmed
from driftd.diff.finding import Finding
from driftd.diff.paths import Path, ssa_path, ssa_segments
from driftd.diff.prepare import desired_view
from driftd.diff.schema import ANY_NODE, Node
from driftd.diff.subject import Subject
from driftd.diff.walk import is_hollow, walk
from driftd.model.report import Change, ChangeClass, ChangeKind
from driftd.model.resource import GVK, Json, ResourceKey

_ALLOCATED: Final = "the cluster chooses the value, so Git cannot know it"
"""The excuse of the walk for a value on an allocated path."""


def between(
    key: ResourceKey, old: dict[str, Any], new: dict[str, Any], node: Node | None
) -> tuple[Change, ...]:
    """Every difference between two declared objects of one key, `live` being the old value.

    `node` is the schema of the kind; without one, lists are compared as a whole. Order of keys,
    quoting, spellings of a quantity and values that the server fills in anyway are none.

    Raises:
        CompareError: the two engines disagree.
    """
    root = node or ANY_NODE
    before, after = desired_view(old), desired_view(new)
    excuses: Excuses = {}
    found = walk(_subject(key, after, before), root, excuses)
    found += _allocated(before, excuses)
    if any(map(_is_doubtful, found)):
        back = walk(_subject(key, before, after), root)
        real = [ssa_segments(one.path) for one in back]
        found = [one for one in found if not _is_doubtful(one) or _told(one, real)]
    if is_custom(key.group):
        seen = {ssa_path(one.path) for one in found}
        mappings = [{k: v for k, v in side.items() if k != "metadata"} for side in (before, after)]
        found += [
            one for one in _emptied(mappings[0], mappings[1]) if ssa_path(one.path) not in seen
        ]
    found = confirmed(found)
    invalid.mark(found, root, key, after)
    refused.mark(found, new, old, key)
    return tuple(change(finding, key) for finding in found)


def version_change(old: GVK, new: GVK) -> Change:
    """A change of apiVersion, which no walk compares."""
    return Change(
        kind=ChangeKind.MODIFIED,
        change_class=ChangeClass.DECLARED,
        path="/apiVersion",
        ssa_path="f:apiVersion",
        desired=new.api_version,
        live=old.api_version,
    )


def pointer_of(change: Change) -> str:
    """Where a change is in the new object; in the old one if it is removed there."""
    return change.path if change.desired_path is UNSET else change.desired_path


def overlap(one: str, other: str) -> bool:
    """Whether one place is the other or lies inside it; both are `ssaPath`s."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _subject(key: ResourceKey, desired: dict[str, Any], live: dict[str, Any]) -> Subject:
    return Subject(key=key, desired=desired, live=live, entries=(), facts=Facts(), strict=True)


def _is_doubtful(finding: Finding) -> bool:
    """Whether the walk the other way round decides if a difference is one."""
    return finding.kind is ChangeKind.MISSING or (
        finding.kind is ChangeKind.ADDED and is_empty(finding.live)
    )


def _told(finding: Finding, real: list[list[str]]) -> bool:
    place = ssa_segments(finding.path)
    return any(_nested(place, other) for other in real)


def _nested(one: list[str], other: list[str]) -> bool:
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


def _allocated(before: dict[str, Any], excuses: Excuses) -> list[Finding]:
    """What Git no longer says and the cluster would choose: in Git it is a change all the same."""
    return [
        Finding(
            ChangeKind.ADDED, ChangeClass.UNDECLARED, path, live=_at(before, path), reason=reason
        )
        for path, reason in excuses.items()
        if reason == _ALLOCATED
    ]


def _emptied(old: dict[str, Any], new: dict[str, Any], path: Path = ()) -> Iterator[Finding]:
    """Mappings without content that one side alone has: to a custom kind they may say something.

    `automated: {}` of an Application does.
    """
    for name in sorted({*old, *new}):
        before, after, here = old.get(name), new.get(name), (*path, name)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _emptied(before, after, here)
        elif after is None and isinstance(before, dict) and is_hollow(before):
            yield Finding(ChangeKind.ADDED, ChangeClass.UNDECLARED, here, live=before)
        elif before is None and isinstance(after, dict) and is_hollow(after):
            yield Finding(ChangeKind.MISSING, ChangeClass.DECLARED, here, desired=after)


def _at(value: Json, path: Path) -> Json:
    for step in path:
        if isinstance(step, str):
            value = value[step]
        elif step.live_index is not None:
            value = value[step.live_index]
    return value
