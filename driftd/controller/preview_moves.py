"""Objects that a change puts into another namespace, within an application or across. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

import orjson

from driftd.controller.preview_names import pod_steps
from driftd.model.resource import Manifest, ResourceKey

Moves = dict[ResourceKey, ResourceKey]
"""By the key of an object with the change: its key at the base."""


def moves(before: Collection[ResourceKey], after: Collection[ResourceKey]) -> Moves:
    """The key at the base of each object that a change puts into another namespace."""
    left: dict[tuple[str, str, str], list[ResourceKey]] = defaultdict(list)
    for key in before:
        if key.namespace and key not in after:
            left[key.group, key.kind, key.name].append(key)
    found = {}
    for key in after:
        same = left.get((key.group, key.kind, key.name), ())
        if key.namespace and key not in before and len(same) == 1:
            found[key] = same[0]
    return found


def moves_across(
    gone: Mapping[ResourceKey, Manifest], come: Mapping[ResourceKey, Manifest]
) -> Moves:
    """The same of objects that change their application at once.

    What has Pods has to have the same images: two applications may well give one name to
    different things.
    """
    found = moves(gone, come)
    return {key: was for key, was in found.items() if _images(come[key]) == _images(gone[was])}


def _images(manifest: Manifest) -> frozenset[str]:
    try:
        return images_of(orjson.loads(manifest.body))
    except (KeyError, TypeError, AttributeError, ValueError):
        return frozenset()


def images_of(body: Mapping[str, Any]) -> frozenset[str]:
    """The images of a workload's containers, without tags and digests; none of other objects.

    Raises KeyError, TypeError, AttributeError or ValueError where it has not its kind's shape.
    """
    steps = pod_steps(body)
    if steps is None:
        return frozenset()
    pod: Any = body
    for step in steps:
        pod = pod[step]
    return frozenset(_repository(str(one["image"])) for one in pod["containers"])


def _repository(image: str) -> str:
    path, slash, name = image.partition("@")[0].rpartition("/")
    return f"{path}{slash}{name.partition(':')[0]}"
