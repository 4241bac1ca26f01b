"""What server-side apply makes of a field that a built-in kind does not have, or an item that is
there twice.

It refuses the object. Everybody else sends such an object as it is: the API server drops the field
(for Argo CD without `ServerSideApply=true`, for Helm), or refuses it where it is asked to be strict
(`kubectl apply`). Kinds of CustomResourceDefinitions are left at that: the change may come with
their next version.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from driftd.controller.annotated import annotations_of, sync_options_of
from driftd.controller.declared import Entry
from driftd.diff.incomplete import ALWAYS_REFUSED, STORED
from driftd.diff.invalid import DROPPED
from driftd.model.preview import FieldChange
from driftd.model.report import Invalid
from driftd.model.resource import Manifest

_SSA: Final = "kustomize.toolkit.fluxcd.io/ssa"
_OPEN: Final = frozenset({"UnknownField", "DuplicateItem"})
"""Causes that need not keep an object out."""
_REFUSED: Final = "server-side apply refuses the object"


def refuses_unknown_fields(entry: Entry | None, manifest: Manifest) -> bool:
    """Whether who deploys an object of a built-in kind applies it server-side.

    A HelmRelease does as its Helm does, which is not known here.
    """
    if entry is None or not _is_built_in(manifest.key.group):
        return False
    application = entry.application
    if application.flux is not None:
        return (
            application.flux.kind == "Kustomization"
            and annotations_of(manifest).get(_SSA) != "Ignore"
        )
    own = sync_options_of(manifest)
    options = own | set(application.spec.sync_policy.sync_options)
    if "Replace=true" in options or "ServerSideApply=false" in own:
        return False
    return "ServerSideApply=true" in options


def _is_built_in(group: str) -> bool:
    return "." not in group or group.endswith(".k8s.io")


def certain(invalid: Invalid | UnsetType) -> Invalid | UnsetType:
    """A mistake as server-side apply takes it."""
    if invalid is UNSET or invalid.cause not in _OPEN:
        return invalid
    message = invalid.message.replace(DROPPED, _REFUSED).replace(STORED, _REFUSED)
    return msgspec.structs.replace(invalid, message=message)


def certain_of(fields: Iterable[FieldChange]) -> tuple[FieldChange, ...]:
    """Changed fields, with their mistakes as server-side apply takes them."""
    return tuple(msgspec.structs.replace(one, invalid=certain(one.invalid)) for one in fields)


def is_certain(invalid: Invalid | UnsetType) -> bool:
    """Whether the object of a mistake is refused: an unknown field may be dropped instead."""
    if invalid is UNSET or invalid.cause not in _OPEN:
        return invalid is not UNSET
    return any(fate in invalid.message for fate in (_REFUSED, ALWAYS_REFUSED))
