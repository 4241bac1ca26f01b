"""Why an entry of a kustomization matches nothing: what differs, or what was probably meant. Pure.

Entries are matched where their kustomization is built, and the objects here are what the whole
application renders: an object that fits at the end did not fit there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import orjson

from driftd.model.choices import listed, nearest
from driftd.model.resource import Manifest, ResourceKey

_TAG: Final = re.compile(r"(@.*|:[^/:]*)$")
_CONTAINERS: Final = frozenset({"containers", "initContainers"})
"""The lists whose items Kustomize's `images` look at."""
_SELECTORS: Final = (("labelSelector", "labels"), ("annotationSelector", "annotations"))


class _Used(msgspec.Struct, frozen=True):
    key: ResourceKey
    path: tuple[str, ...]
    image: str
    """Without tag and digest."""

    @property
    def whose(self) -> str:
        return f"{self.key.kind} {self.key.name}"


def of_image(name: str, before: Sequence[Manifest], after: Sequence[Manifest], file: str) -> str:
    """Why no image is called `name` where `file` is built; empty if nothing is known."""
    used = [one for manifest in after for one in _images(manifest)]
    for one in used:
        if one.image != name:
            continue
        if not _CONTAINERS & set(one.path):
            return f"{one.whose} has it in {'.'.join(one.path)}, where Kustomize does not look"
        return (
            f"{one.whose} has it at the end only: where {file} is built it is not there yet, or "
            "another entry of images has renamed it"
        )
    now = {(one.key, one.path): one.image for one in used}
    for manifest in before:
        for one in _images(manifest):
            image = now.get((one.key, one.path), "")
            if one.image == name and image:
                return f"{one.whose} had it and has {image} now"
    return nearest(sorted({one.image for one in used}), name).strip()


def _images(manifest: Manifest) -> Iterator[_Used]:
    for path, text in _of(orjson.loads(manifest.body), ()):
        yield _Used(manifest.key, path, _TAG.sub("", text))


def _of(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict):
        for name, one in value.items():
            if name == "image" and isinstance(one, str):
                yield (*path, name), one
            else:
                yield from _of(one, (*path, name))
    elif isinstance(value, list):
        for index, one in enumerate(value):
            label = one.get("name") if isinstance(one, dict) else None
            yield from _of(one, (*path, label if isinstance(label, str) else str(index)))


def of_target(target: dict[str, Any], objects: Sequence[Manifest]) -> str:
    """Why no object fits the `target` of a patch; empty if nothing is known."""
    kind, name = _text(target, "kind"), _text(target, "name")
    same_kind = [one for one in objects if _fits(kind, one.key.kind)]
    same = [one for one in same_kind if _fits(name, one.key.name)]
    if same:
        reasons = [_differing(target, one) for one in same]
        return next(filter(None, reasons), "") or (
            f"{_label(same[0])} fits it at the end only: names, namespaces and labels that "
            "kustomizations add come after patches of the same file"
        )
    named = [one for one in objects if name and _fits(name, one.key.name)]
    if named and kind:
        kinds = {one.key.kind for one in named}
        return f"what is called {name} is of another kind: {listed(sorted(kinds), kind)}"
    if not same_kind:
        return nearest(sorted({one.key.kind for one in objects}), kind).strip()
    return nearest(sorted({one.key.name for one in same_kind}), name).strip()


def fits(target: dict[str, Any], manifest: Manifest) -> bool:
    """Whether kind and name of an object fit a target's."""
    kind, name = _text(target, "kind"), _text(target, "name")
    return _fits(kind, manifest.key.kind) and _fits(name, manifest.key.name)


def _differing(target: dict[str, Any], manifest: Manifest) -> str:
    """The first field beside kind and name that an object has otherwise than a target wants."""
    key = manifest.key
    has = {"group": key.group, "version": manifest.version, "namespace": key.namespace}
    for field, value in has.items():
        wanted = _text(target, field)
        if wanted and not _fits(wanted, value):
            return f"{_label(manifest)} has the {field} {value or '(none)'}"
    metadata = orjson.loads(manifest.body).get("metadata") or {}
    for field, part in _SELECTORS:
        selector = _text(target, field)
        terms = [term.strip() for term in selector.split(",")]
        given = metadata.get(part) or {}
        for term in terms if selector and "(" not in selector else ():
            name, equals, wanted = term.partition("=")
            name, wanted = name.strip(), wanted.lstrip("=").strip()
            if not equals or name.endswith("!") or str(given.get(name)) == wanted:
                continue
            shown = f"{name}={given[name]}" if name in given else f"no {name}"
            return f"{_label(manifest)} has {shown} in its {part}"
    return ""


def _label(manifest: Manifest) -> str:
    key = manifest.key
    return f"{key.kind} {f'{key.namespace}/' if key.namespace else ''}{key.name}"


def _text(target: dict[str, Any], field: str) -> str:
    value = target.get(field)
    return value if isinstance(value, str) else ""


def _fits(pattern: str, value: str) -> bool:
    """Whether a value fits a field of a target: an anchored regular expression, empty for all."""
    try:
        return not pattern or re.fullmatch(pattern, value) is not None
    except re.error:
        return pattern == value
