"""The declared object as it is sent: what is no drift keeps its live value. Pure.

Server-side apply sends every declared field, also those that nobody asked to put back: a field
that a trusted controller sets, one that a rule ignores or a baseline accepts, one that admission
rewrites. Sent as Git has them, they would be overwritten.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from driftd.diff import defaults
from driftd.diff.prepare import desired_view
from driftd.model.report import Change, ChangeKind
from driftd.model.resource import Json
from driftd.sync.removal import Unaddressable, place_of, value_at

_CLUSTER_ROLE = ("rbac.authorization.k8s.io", "ClusterRole")
_OVERWRITTEN = (ChangeKind.MODIFIED, ChangeKind.MISSING, ChangeKind.REORDERED, ChangeKind.RENAMED)


def folded(body: dict[str, Any]) -> dict[str, Any]:
    """The declared object with `stringData` of a Secret as `data`: as `data` it can be owned."""
    if body.get("kind") != "Secret" or body.get("apiVersion") != "v1" or "stringData" not in body:
        return body
    rest = {name: value for name, value in body.items() if name not in ("stringData", "data")}
    view = desired_view(body)
    return {**rest, **({"data": view["data"]} if "data" in view else {})}


def computed(body: dict[str, Any]) -> tuple[str, ...]:
    """Pointers of the fields that a controller computes from other objects, whatever Git says.

    Who writes them has it overwritten: the rules of a ClusterRole with an aggregation rule.
    """
    group, _, _ = str(body.get("apiVersion")).partition("/")
    aggregated = (group, body.get("kind")) == _CLUSTER_ROLE and body.get("aggregationRule")
    return ("/rules",) if aggregated else ()


def kept(changes: Iterable[Change]) -> list[Change]:
    """The changes that an apply of what Git declares would undo, although they are no drift."""
    return [one for one in changes if not one.is_drift and one.kind in _OVERWRITTEN]


def with_kept(
    body: dict[str, Any], live: dict[str, Any], changes: Iterable[Change]
) -> dict[str, Any]:
    """`body` (folded) with the live values of `changes`, which `kept` chose.

    Raises Unaddressable where a change cannot be found in the two objects.
    """
    result = deepcopy(body)
    leave: list[str] = []
    for one in changes:
        place = one.desired_path if isinstance(one.desired_path, str) else one.path
        value_at(result, place)
        if one.kind in (ChangeKind.MISSING, ChangeKind.RENAMED):
            leave.append(place)
            continue
        _put(result, place, deepcopy(value_at(live, one.path)))
    for place in sorted(leave, key=_depth_last, reverse=True):
        parent, last = value_at(result, place.rpartition("/")[0]), place_of(place)[-1]
        if isinstance(parent, list):
            del parent[int(last)]
        else:
            del parent[last]
    return result


def with_computed(body: dict[str, Any], live: dict[str, Any]) -> dict[str, Any]:
    """`body` with the live values of what a controller computes, so that a write changes none."""
    result = dict(body)
    for pointer in computed(body):
        name = pointer.removeprefix("/")
        value = result.pop(name, None)
        if not defaults.is_empty(value) and name in live:
            result[name] = deepcopy(live[name])
    return result


def without_empty(desired: Json, live: Json, drift: Iterable[str]) -> Json:
    """`desired` without empty values at places where live has a value that is no drift.

    Git leaves such a field to a controller or to the server; sent empty, it would be emptied.
    `drift` are pointers into `live`. Lists are left as they are.
    """
    return _without_empty(desired, live, "", tuple(drift))


def _without_empty(desired: Json, live: Json, place: str, drift: tuple[str, ...]) -> Json:
    if not isinstance(desired, dict) or not isinstance(live, dict):
        return desired
    result = {}
    for name, value in desired.items():
        below = f"{place}/{name.replace('~', '~0').replace('/', '~1')}"
        present = live.get(name)
        filled = present is not None and not defaults.is_empty(present)
        if filled and not isinstance(value, dict) and defaults.is_empty(value):
            if any(_related(below, one) for one in drift):
                result[name] = value
            continue
        result[name] = _without_empty(value, present, below, drift)
    return result


def _related(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _put(document: dict[str, Any], pointer: str, value: Json) -> None:
    parent, last = value_at(document, pointer.rpartition("/")[0]), place_of(pointer)[-1]
    if isinstance(parent, list):
        parent[int(last)] = value
    elif isinstance(parent, dict):
        parent[last] = value
    else:
        raise Unaddressable(f"the object has no {pointer}")


def _depth_last(pointer: str) -> list[tuple[int, str]]:
    return [(int(t) if t.isdigit() else -1, t) for t in place_of(pointer)]
