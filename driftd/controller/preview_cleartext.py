"""Values of Secrets that a change puts where everybody may read them. Pure.

A block of values that is indented too deep makes a Secret's key one of a ConfigMap. The values are
those of Git, so nothing is asked of the cluster, and what is told masks them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import orjson

from driftd.controller.preview_names import Step, pod_steps, ssa_path
from driftd.controller.preview_references import Broken
from driftd.diff.between import overlap
from driftd.diff.mask import MASKED
from driftd.model.preview import FieldChange, ObjectPreview
from driftd.model.resource import Manifest, ResourceKey

IN_CLEAR: Final = "SecretInClear"
_SHAPES: Final = (KeyError, TypeError, AttributeError, ValueError)
"""What reading an object raises that has not the shape of its kind."""
_CONTAINERS: Final = ("initContainers", "containers")

Body = Mapping[str, Any]


class _Open(NamedTuple):
    """A text that anybody may read, and its name."""

    name: str
    text: str
    steps: tuple[Step, ...]


def secrets_in_clear(before: Sequence[Manifest], after: Sequence[Manifest]) -> Iterator[Broken]:
    """A warning for each value of a Secret at the base that stands in clear with the change.

    Both are everything that one application declares. The name has to be the same, and the value
    nowhere in clear before.
    """
    held = dict(_held(before))
    if not held:
        return
    known = {(one.name, one.text) for manifest in before for one in _open(manifest)}
    for manifest in after:
        for one in _open(manifest):
            secret = held.get((one.name, one.text))
            if secret is None or (one.name, one.text) in known:
                continue
            told = (
                f"{manifest.key}: {_shown(one.steps)} takes the value of {one.name} in Secret "
                f"{secret.name}, and whoever may read a {manifest.key.kind} reads it there: look "
                "at its place in Git, and at the indentation"
            )
            yield Broken(manifest, told, ssa_path(one.steps), type=IN_CLEAR)


def with_masks(
    resources: Iterable[ObjectPreview], found: Iterable[Broken]
) -> tuple[ObjectPreview, ...]:
    """The same objects, without the values of fields that hold such a value."""
    places: dict[ResourceKey, list[str]] = {}
    for one in found:
        if one.type == IN_CLEAR:
            places.setdefault(one.manifest.key, []).append(one.ssa_path)
    return tuple(
        msgspec.structs.replace(
            one, changes=tuple(_masked(field, places[one.key]) for field in one.changes)
        )
        if one.key in places
        else one
        for one in resources
    )


def _masked(field: FieldChange, places: Sequence[str]) -> FieldChange:
    if not any(overlap(str(field.ssa_path), place) for place in places):
        return field
    values = {
        name: MASKED for name in ("old", "new", "live") if getattr(field, name) is not msgspec.UNSET
    }
    return msgspec.structs.replace(field, **values)


def _held(manifests: Iterable[Manifest]) -> Iterator[tuple[tuple[str, str], ResourceKey]]:
    """The values of Secrets by their name and text."""
    for manifest in manifests:
        if (manifest.key.group, manifest.key.kind) != ("", "Secret"):
            continue
        body = orjson.loads(manifest.body)
        for name, text in _texts(body.get("stringData")):
            yield (name, text), manifest.key
        for name, text in _texts(body.get("data")):
            try:
                yield (name, base64.b64decode(text, validate=True).decode()), manifest.key
            except (binascii.Error, ValueError):
                continue  # no text, or none that a Secret could hold


def _open(manifest: Manifest) -> Iterator[_Open]:
    """The named texts of a ConfigMap, and of the variables of Pods."""
    body = orjson.loads(manifest.body)
    if (manifest.key.group, manifest.key.kind) == ("", "ConfigMap"):
        for name, text in _texts(body.get("data")):
            yield _Open(name, text, ("data", name))
        return
    try:
        yield from list(_variables(body))
    except _SHAPES:
        return  # the comparison says what is wrong with it


def _variables(body: Body) -> Iterator[_Open]:
    steps = pod_steps(body)
    if steps is None:
        return
    spec: Any = body
    for step in steps:
        spec = spec[step]
    for field in _CONTAINERS:
        for container in spec.get(field) or ():
            for one in container.get("env") or ():
                if isinstance(one.get("value"), str):
                    at = (*steps, field, ("name", container["name"]), "env", ("name", one["name"]))
                    yield _Open(one["name"], one["value"], (*at, "value"))


def _texts(value: Any) -> Iterator[tuple[str, str]]:
    for name, text in value.items() if isinstance(value, dict) else ():
        if isinstance(text, str) and text:
            yield name, text


def _shown(steps: Sequence[Step]) -> str:
    if steps[0] == "data":
        return f"data.{steps[-1]}"
    containers = [step for step in steps if isinstance(step, tuple)]
    return f"containers[name={containers[0][1]}].env[name={containers[1][1]}]"
