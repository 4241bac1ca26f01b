"""What a change makes of the document of an Application itself, field by field."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from driftd.controller.declared import Declared
from driftd.controller.own_places import own_places
from driftd.controller.places import origin_of
from driftd.controller.preview_fate import FIELD_KINDS, spec_of
from driftd.controller.preview_pairs import Pair
from driftd.controller.workspace import Workspace
from driftd.diff.between import between, pointer_of
from driftd.errors import CompareError
from driftd.model.preview import ApplicationPreview, FieldChange
from driftd.model.report import Change
from driftd.model.resource import ResourceKey
from driftd.policy.merging import field_severity

_GROUP: Final = "argoproj.io"
_KIND: Final = "Application"


async def with_spec(
    workspace: Workspace, declared: Declared, pair: Pair, report: ApplicationPreview
) -> ApplicationPreview:
    """The same application with the fields of its own document that the change sets otherwise.

    Each with the line that sets it, where that is known. Of Flux's documents nothing is told:
    they are objects of what applies them.
    """
    before, after = pair.before, pair.after
    if before is None or after is None or after.application.flux or not pair.spec_changed:
        return report
    application = after.application
    key = ResourceKey(_GROUP, _KIND, application.namespace, application.name)
    try:
        changes = between(
            key, _document(key, spec_of(before)), _document(key, spec_of(after)), None
        )
    except CompareError:
        return report
    asked = [(str(one.ssa_path), 0) for one in changes]
    places = await own_places(workspace, declared, application, asked)
    told = []
    for one in changes:
        field = _field(one)
        place = places.get((str(one.ssa_path), 0))
        if place is not None and field.new is not msgspec.UNSET:
            field = msgspec.structs.replace(field, origin=origin_of(place))
        told.append(field)
    return msgspec.structs.replace(report, changes=tuple(told))


def told_once(applications: Iterable[ApplicationPreview]) -> list[ApplicationPreview]:
    """The applications; one that is told as an object of another has no fields of its own."""
    every = list(applications)
    listed = {
        (one.namespace, one.name)
        for app in every
        for one in app.resources
        if (one.group, one.kind) == (_GROUP, _KIND) and one.changes
    }
    return [
        msgspec.structs.replace(app, changes=())
        if app.changes and (app.namespace, app.name) in listed
        else app
        for app in every
    ]


def _document(key: ResourceKey, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": f"{_GROUP}/v1alpha1",
        "kind": _KIND,
        "metadata": {"name": key.name, "namespace": key.namespace},
        "spec": spec,
    }


def _field(change: Change) -> FieldChange:
    level, why = field_severity(_KIND, change, _GROUP)
    return FieldChange(
        kind=FIELD_KINDS[change.kind],
        path=pointer_of(change),
        ssa_path=change.ssa_path,
        old=change.live,
        new=change.desired,
        severity=level,
        severity_reason=why,
    )
