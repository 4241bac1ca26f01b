"""Objects that other applications declare too: known for sure before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from driftd.aio import gather_isolated
from driftd.controller.check import Looked
from driftd.controller.declared import Declared, Entry
from driftd.controller.desired import desired_state
from driftd.controller.shared import SHARED, Claims, same_cluster
from driftd.controller.workspace import Workspace
from driftd.model.report import published
from driftd.model.resource import ResourceKey

_RENDERS = 4
"""Applications that are rendered at a time to learn what they declare."""


async def declared_elsewhere(
    workspace: Workspace, declared: Declared, claims: Claims, entry: Entry, looked: Looked
) -> tuple[Looked, Mapping[ResourceKey, str]]:
    """The objects that other applications declare too, by what Git says now.

    An application that this sweep has not come to yet may declare them since the last one,
    and so may one that nobody looks at: they are rendered before anything is written.
    """
    target, view = entry.target, looked.view
    if target is None or view is None:
        return looked, {}

    async def render(other: Entry) -> None:
        desired = await desired_state(
            workspace,
            other,
            view.discovery,
            urls=declared.urls,
            kube_version=view.version,
            customizations=declared.customizations,
        )
        claims.declare(target, desired)

    unknown = [
        one
        for one in declared.entries
        if one.target is not None
        and same_cluster(one.target, target)
        and not claims.is_fresh(one.application.qualified_name)
    ]
    await gather_isolated(render, unknown, limit=_RENDERS)
    name = entry.application.qualified_name
    told = (
        *(one for one in looked.report.conditions if one.type != SHARED),
        *published(claims.conditions(name)),
    )
    report = msgspec.structs.replace(looked.report, conditions=told)
    return replace(looked, report=report), claims.others(name)
