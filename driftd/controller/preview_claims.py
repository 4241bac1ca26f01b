"""The data that StatefulSets leave behind where a change moves or renames them. Pure.

The claims of `volumeClaimTemplates` have the StatefulSet's name in theirs and are in its namespace:
another name or namespace gets new, empty ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from driftd.controller.preview_moves import images_of, moves
from driftd.controller.preview_references import Broken, Elsewhere
from driftd.model.resource import Manifest, ResourceKey

CLAIMS_LEFT: Final = "ClaimsLeftBehind"
_STATEFUL: Final = ("apps", "StatefulSet")
_SHAPES: Final = (KeyError, TypeError, AttributeError, ValueError)
"""What reading a StatefulSet raises that has not the shape of its kind."""

Body = Mapping[str, Any]


def left_claims(
    before: Sequence[Manifest], after: Sequence[Manifest], elsewhere: Elsewhere
) -> Iterator[Broken]:
    """A warning for each claim template of a StatefulSet of `after` that was another one before.

    `before` and `after` are everything that one application declares on both sides.
    """
    own, new = {one.key: one for one in before}, {one.key: one for one in after}
    old = {one.key: one for one in elsewhere.gone} | own
    was, declared = elsewhere.before | own.keys(), elsewhere.after | new.keys()
    gone = {key: one for key, one in old.items() if _is_stateful(key) and key not in declared}
    come = {key: one for key, one in new.items() if _is_stateful(key) and key not in was}
    moved = {**elsewhere.moved, **moves(own, new)}
    for key, source in sorted(_pairs(gone, come, moved).items()):
        try:
            yield from _left(gone[source], come[key], declared, was)
        except _SHAPES:
            continue  # the comparison says what is wrong with it


def _is_stateful(key: ResourceKey) -> bool:
    return (key.group, key.kind) == _STATEFUL


def _pairs(
    gone: Mapping[ResourceKey, Manifest],
    come: Mapping[ResourceKey, Manifest],
    moved: Mapping[ResourceKey, ResourceKey],
) -> dict[ResourceKey, ResourceKey]:
    """Which StatefulSet of the base each new one was.

    One of the same name has moved. Others are taken for one another only where they are alike and
    no other is.
    """
    pairs = {key: moved[key] for key in come if moved.get(key) in gone}
    left = {key: _traits(one) for key, one in gone.items() if key not in moved.values()}
    right = {key: _traits(one) for key, one in come.items() if key not in moved}
    for key, traits in right.items():
        same = [each for each, other in left.items() if traits and other == traits]
        rivals = [each for each, other in right.items() if other == traits]
        if len(same) == 1 and len(rivals) == 1:
            pairs[key] = same[0]
    return pairs


def _traits(manifest: Manifest) -> tuple[frozenset[str], frozenset[str]] | None:
    """What a StatefulSet keeps under another name: its claim templates, its images without tags."""
    body = orjson.loads(manifest.body)
    try:
        claims = frozenset(name for _, name in _templates(body))
        images = images_of(body)
    except _SHAPES:
        return None
    return (claims, images) if claims else None


def _templates(body: Body) -> Iterator[tuple[int, str]]:
    for index, one in enumerate(body["spec"].get("volumeClaimTemplates") or ()):
        yield index, str(one["metadata"]["name"])


def _left(
    old: Manifest, new: Manifest, declared: frozenset[ResourceKey], was: frozenset[ResourceKey]
) -> Iterator[Broken]:
    """What is said of each claim template that a StatefulSet had."""
    before, after = orjson.loads(old.body), orjson.loads(new.body)
    places = {name: index for index, name in _templates(after)}
    space = ResourceKey("", "Namespace", "", old.key.namespace)
    taken = space in was and space not in declared
    for _, name in _templates(before):
        wanted = [
            one
            for one in _claims(name, new.key, after)
            if ResourceKey("", "PersistentVolumeClaim", new.key.namespace, one) not in declared
        ]
        if name in places and not wanted:
            continue
        kept = _range(_claims(name, old.key, before))
        fate = f"the data in {kept} of {_old_place(old.key, new.key)} {_fate(before, taken)}"
        if name not in places:
            yield Broken(new, f"{new.key}: {fate}", "", _here(new), CLAIMS_LEFT)
            continue
        told = (
            f"{new.key}: volumeClaimTemplates[{name}] asks for new claims: {fate}; unless "
            f"namespace {new.key.namespace} has {_range(wanted)} already, it begins empty"
        )
        path = f"f:spec/f:volumeClaimTemplates/i:{places[name]}"
        yield Broken(new, told, path, _here(new), CLAIMS_LEFT)


def _here(manifest: Manifest) -> frozenset[str]:
    return frozenset({manifest.key.namespace})


def _old_place(old: ResourceKey, new: ResourceKey) -> str:
    """The namespace that the claims are in, or the StatefulSet whose they are, or both."""
    if old.name == new.name:
        return f"namespace {old.namespace}"
    place = f" in namespace {old.namespace}" if old.namespace != new.namespace else ""
    return f"StatefulSet {old.name}{place}"


def _fate(body: Body, taken: bool) -> str:
    """What becomes of the data of a StatefulSet that Git no longer declares."""
    policy = body["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
    if taken:
        return "does not move, and that namespace is taken out of Git"
    if policy.get("whenDeleted") == "Delete":
        return "goes with the old one (persistentVolumeClaimRetentionPolicy.whenDeleted: Delete)"
    return "stays behind"


def _claims(template: str, key: ResourceKey, body: Body) -> list[str]:
    """The names of the claims of one template, as the StatefulSet controller gives them."""
    spec = body["spec"]
    replicas = spec.get("replicas")
    first = int((spec.get("ordinals") or {}).get("start") or 0)
    count = 1 if replicas is None else int(replicas)
    return [f"{template}-{key.name}-{n}" for n in range(first, first + max(count, 1))]


def _range(names: Sequence[str]) -> str:
    """`a-0`, `a-0 and a-1`, `a-0 to a-4`."""
    if len(names) < 3:
        return " and ".join(names)
    return f"{names[0]} to {names[-1]}"
