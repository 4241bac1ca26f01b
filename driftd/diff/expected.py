"""What an oracle's answer says of the changes that a comparison found.

An oracle has let the API server make an object of Git's manifest, by a dry run. Its answer fills
in the value that an overridden default had, explains what admission makes of Git's own values, and
shows what the server would add that live lacks. It never makes a change at a critical place look
better: whoever controls a webhook would control the verdict.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET

from driftd.diff import defaults, mask, scalars
from driftd.diff.finding import ABSENT
from driftd.diff.owners import item_key, value_key
from driftd.diff.paths import Item, Path, pointer, ssa_path
from driftd.diff.prepare import desired_view, live_view
from driftd.diff.schema import Node, Shape
from driftd.model import patterns, places
from driftd.model.report import Change, ChangeClass, ChangeKind
from driftd.model.resource import Json, ResourceKey

_DECLARED: Final = frozenset({ChangeKind.MODIFIED, ChangeKind.REORDERED})
_EXTRA: Final = frozenset({ChangeKind.ADDED, ChangeKind.FORMERLY_DECLARED})


class Sides(NamedTuple):
    """One object as Git has it, as the cluster holds it, and as a dry run would make it."""

    key: ResourceKey
    desired: dict[str, Any]
    live: dict[str, Any]
    made: dict[str, Any]


def with_expected(
    changes: tuple[Change, ...],
    sides: Sides,
    node: Node,
    *,
    said: str,
    whole: bool,
    instance_label: str | None = None,
    instances: frozenset[str] = frozenset(),
) -> tuple[Change, ...]:
    """The changes of one object with what the server expects at their places.

    `said` names the question in reasons ("a dry-run create"). `whole` says that the answer is made
    of Git's manifest alone: of an apply it is not, which keeps what others added. The labels are
    those of the comparison's context.
    """
    wanted = desired_view(sides.desired)
    of_tools: dict[str, Any] = {"instance_label": instance_label, "instances": instances}
    views = Sides(
        sides.key,
        wanted,
        live_view(sides.live, wanted, **of_tools),
        live_view(sides.made, wanted, **of_tools),
    )
    told = [_explained(change, views, node, said, whole=whole) for change in changes]
    if whole:
        told += [
            _lacking(path, value, sides.key, said)
            for path, value in _absent(views.made, views.live, wanted, node, ())
        ]
    return tuple(told)


def _explained(change: Change, views: Sides, node: Node, said: str, *, whole: bool) -> Change:
    if change.ssa_path is UNSET:
        return change
    segments = [_unescaped(part) for part in str(change.ssa_path).split("/")]
    place = tuple(part[2:] if part.startswith("f:") else "*" for part in segments)
    made, live = _at(views.made, segments, node), _at(views.live, segments, node)
    if made is ABSENT or _is_chosen(segments, node):
        return change  # it would not be there, or the cluster would choose another value each time
    same = live is not ABSENT and scalars.identical(made, live)
    kind = views.key.kind
    critical = places.gives_power(kind, place, live)
    keyed = patterns.place_of(str(change.ssa_path))
    shown = mask.shown_at(views.key, keyed, made)
    if change.kind in _DECLARED and change.change_class is ChangeClass.DECLARED:
        if same and not critical:
            return msgspec.structs.replace(
                change,
                change_class=ChangeClass.REWRITTEN,
                reason=f"{said} makes live's value of Git's: admission rewrites it",
            )
        if scalars.identical(made, _at(views.desired, segments, node)):
            return change
        return msgspec.structs.replace(change, expected=shown)
    if change.kind not in _EXTRA or not whole:
        return change
    owned = change.kind is ChangeKind.ADDED and change.manager is not UNSET
    if same and not critical and not owned:
        return msgspec.structs.replace(
            change,
            change_class=ChangeClass.INJECTED,
            expected=shown,
            reason=f"{said} gives the same value: the server or its admission makes it",
        )
    return msgspec.structs.replace(change, expected=shown)


def _lacking(path: Path, value: Json, key: ResourceKey, said: str) -> Change:
    return Change(
        kind=ChangeKind.MISSING,
        change_class=ChangeClass.INJECTED,
        path=pointer(path, live=False) or "",
        ssa_path=ssa_path(path),
        expected=mask.shown(key, path, value),
        reason=f"{said} adds it, and live lacks it; whether it ever was there nobody knows",
    )


def _absent(
    made: Json, live: Json, desired: Json, node: Node, path: Path
) -> Iterator[tuple[Path, Json]]:
    """The topmost places that the server would fill in, Git does not declare and live lacks."""
    if isinstance(made, dict) and isinstance(live, dict):
        declared = desired if isinstance(desired, dict) else {}
        for name, value in made.items():
            below = (*path, name)
            if name in live:
                child = node.child(name)
                yield from _absent(value, live[name], declared.get(name), child, below)
            elif declared.get(name) is None and not (
                defaults.is_empty(value) or value == [] or defaults.is_allocated(node, name)
            ):
                yield below, value
    elif isinstance(made, list) and isinstance(live, list) and node.shape is Shape.LIST_MAP:
        present = _keyed(live, node)
        declared_items = _keyed(desired if isinstance(desired, list) else [], node)
        for key, (index, item) in _keyed(made, node).items():
            step = Item(key, index, None)
            if key in present:
                twin = declared_items.get(key, (0, None))[1]
                yield from _absent(item, present[key][1], twin, node.item, (*path, step))
            elif key not in declared_items:
                yield (*path, step), item


def _keyed(items: list[Json], node: Node) -> dict[str, tuple[int, Json]]:
    found: dict[str, tuple[int, Json]] = {}
    for index, item in enumerate(items):
        key = item_key(item, node.keys, node.key_defaults) if isinstance(item, dict) else None
        if key is not None:
            found.setdefault(key, (index, item))
    return found


def _at(value: Json, segments: list[str], node: Node) -> Json:
    """The value at a managedFields path; ABSENT where there is none."""
    for segment in segments:
        if segment.startswith("f:"):
            name = segment[2:]
            if not isinstance(value, dict) or name not in value:
                return ABSENT
            value, node = value[name], node.child(name)
            continue
        if not isinstance(value, list):
            return ABSENT
        value = next((item for item in value if _is_at(item, segment, node)), ABSENT)
        node = node.item
    return value


def _is_at(item: Json, segment: str, node: Node) -> bool:
    if segment.startswith("v:"):
        return value_key(item) == segment
    return isinstance(item, dict) and item_key(item, node.keys, node.key_defaults) == segment


def _is_chosen(segments: list[str], node: Node) -> bool:
    """Whether the cluster chooses the value at a place, or one above it."""
    for segment in segments:
        if not segment.startswith("f:"):
            node = node.item
        elif defaults.is_allocated(node, segment[2:]):
            return True
        else:
            node = node.child(segment[2:])
    return False


def _unescaped(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")
