"""What all repositories at hand declare and render of Argo CD's kinds, together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from driftd.controller.homes import trusted_homes
from driftd.controller.nested import read_catalogs
from driftd.controller.workspace import Workspace
from driftd.model.application import Application
from driftd.model.condition import Condition, Severity
from driftd.model.project import PERMISSIVE, AppProject


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogued:
    """What the repositories declare; nothing without one."""

    applications: tuple[Application, ...] = ()
    projects: Mapping[str, AppProject] = field(default_factory=dict)
    """By name."""
    conditions: tuple[Condition, ...] = ()
    unexpanded: Mapping[str, Any] = field(default_factory=dict)
    """Documents of the ApplicationSets that cannot be expanded, by `namespace/name`."""


async def read_catalogued(workspace: Workspace) -> Catalogued:
    """Reads all repositories; of two of one name the first counts.

    A repository that cannot be read is a condition, unless there is no other: then DriftdError.
    """
    applications: dict[str, Application] = {}
    projects: dict[str, AppProject] = {}
    unexpanded: dict[str, Any] = {}
    readings, conditions = await trusted_homes(workspace)
    for catalog in await read_catalogs(workspace, readings):
        conditions += catalog.conditions
        unexpanded |= catalog.unexpanded
        for name, project in catalog.projects.items():
            if name not in projects or projects[name] is PERMISSIVE:
                projects[name] = project
        for application in catalog.applications:
            first = applications.setdefault(application.qualified_name, application)
            if first is not application:
                text = (
                    f"Application {application.qualified_name} is declared in two repositories "
                    f"({first.origin} counts, {application.origin} does not)"
                )
                conditions.append(Condition("RepeatedResourceWarning", text, Severity.WARNING))
    return Catalogued(
        applications=tuple(applications.values()),
        projects=projects,
        conditions=tuple(conditions),
        unexpanded=unexpanded,
    )
