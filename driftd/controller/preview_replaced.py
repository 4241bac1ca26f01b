"""Objects that get another name with what they hold, as Kustomize's generators make them.

Such an object is a new one to the API server. To a reader it is the same one with another content:
what is told of it is what changes in that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from driftd.controller.preview_names import plain_name
from driftd.controller.preview_pairs import Pair, Touched
from driftd.controller.tracking import describes, left_behind, marks_of
from driftd.controller.verdict import Look
from driftd.model.choices import listed
from driftd.model.preview import Action, ObjectPreview
from driftd.model.resource import ResourceKey

_GENERATED: Final = frozenset({"ConfigMap", "Secret"})
_PLACE_TAKEN: Final = "another object takes its place"


def note_replaced(objects: Iterable[Touched]) -> None:
    """Note of each new object which one's place it takes.

    That is the one of its application, kind and namespace that goes and has the same name but for
    Kustomize's hash, where there is one on each side.
    """
    come: dict[tuple[int, ResourceKey], list[Touched]] = defaultdict(list)
    gone: dict[tuple[int, ResourceKey], list[Touched]] = defaultdict(list)
    for one in objects:
        if not _is_generated(one.key) or one.moved_from is not None:
            continue
        place = id(one.owner), _plain(one.key)
        if one.old is None:
            come[place].append(one)
        elif one.new is None:
            gone[place].append(one)
    for place, new in come.items():
        old = gone.get(place, [])
        if len(new) == len(old) == 1:
            new[0].replaces = old[0].old


def with_places_taken(found: Sequence[ObjectPreview]) -> list[ObjectPreview]:
    """The objects of an application; the end of one whose place is taken is no loss."""
    taken = {
        (one.group, one.kind, one.namespace, one.replaces)
        for one in found
        if one.action is Action.CREATE
    }
    return [
        msgspec.structs.replace(one, severity="medium", severity_reason=_PLACE_TAKEN)
        if one.action is Action.DELETE
        and one.severity == "high"
        and (one.group, one.kind, one.namespace, one.name) in taken
        else one
        for one in found
    ]


def owners_to_find(objects: Iterable[Touched]) -> frozenset[str]:
    """The owners whose marks tell what a cluster has in place of generated objects that go."""
    return frozenset(
        mark
        for one in objects
        if one.new is None and _has_hash(one.key) and one.owner.before is not None
        for mark in marks_of(one.owner.before.application)
    )


def stand_in(key: ResourceKey, pair: Pair, look: Look) -> str:
    """What the cluster has in place of a generated object that goes: the names, mostly one.

    They are the application's by their marks, called the same but for the hash, and not declared
    at the base. Empty where there is none, or none is known.
    """
    if pair.before is None or pair.old is None or not _has_hash(key):
        return ""
    application = pair.before.application
    marked = [
        one for mark in marks_of(application) for one in look.observation.tracked.get(mark, ())
    ]
    names = sorted(
        one.live.key.name
        for one in left_behind(application, marked, pair.old.keys)
        if _has_hash(one.live.key) and _plain(one.live.key) == _plain(key)
    )
    return listed(names) if names else ""


def is_its_own(key: ResourceKey, pair: Pair, look: Look) -> bool:
    """Whether a live object has the mark of the application already."""
    application = pair.entry.application
    return any(
        one.live.key == key and (application.flux is not None or describes(one.mark, key))
        for mark in marks_of(application)
        for one in look.observation.tracked.get(mark, ())
    )


def _is_generated(key: ResourceKey) -> bool:
    return key.group == "" and key.kind in _GENERATED


def _has_hash(key: ResourceKey) -> bool:
    return _is_generated(key) and plain_name(key.name) != key.name


def _plain(key: ResourceKey) -> ResourceKey:
    return msgspec.structs.replace(key, name=plain_name(key.name))
