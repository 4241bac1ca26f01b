"""Severity of every change, and the rule that ignores it: the look's judgement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import UNSET

from driftd.controller.ignoring import Ignoring
from driftd.controller.statuses import status_of
from driftd.model.application import Application
from driftd.model.condition import Condition
from driftd.model.report import Change, ResourceReport, ResourceStatus
from driftd.model.resource import LiveObject, Manifest, ResourceKey
from driftd.model.severities import SeverityRules, shipped
from driftd.policy.customizations import NamedIgnore
from driftd.policy.ignore import rules_of
from driftd.policy.ignore_report import rule_conditions
from driftd.policy.severity import severity
from driftd.sandbox.pool import SandboxPool


async def judge(
    application: Application,
    resources: list[ResourceReport],
    desired: Mapping[ResourceKey, Manifest],
    live: Mapping[ResourceKey, LiveObject],
    sandbox: SandboxPool,
    *,
    shared: Sequence[NamedIgnore] = (),
    severities: SeverityRules | None = None,
    complete: bool = True,
) -> tuple[list[ResourceReport], list[Condition]]:
    """Attach severity and the ignoring rule to every change; rules that failed are conditions.

    `shared` are rules of all applications, from `argocd-cm`. `severities` are an operator's rules
    above the shipped ones. `complete` says that everything that Git declares is known: only then
    a rule can be of no use.
    """
    rules = rules_of(application, shared)
    ignoring = Ignoring(rules, sandbox, application.spec.project or "default")
    judged: list[ResourceReport] = []
    for resource in resources:
        resource = rated(resource, severities)
        if not resource.changes:
            judged.append(resource)
            ignoring.found.kept(judged[-1])
            continue
        key = resource.key
        changes = await ignoring.apply(resource, resource.changes, desired.get(key), live.get(key))
        status = resource.status
        if status is not ResourceStatus.OUT_OF_SYNC or resource.reason is UNSET:
            status = status_of(changes)
        judged.append(msgspec.structs.replace(resource, changes=changes, status=status))
    told = rule_conditions(
        rules, ignoring.found, resources, origin=application.origin, complete=complete
    )
    return judged, told


def rated(resource: ResourceReport, severities: SeverityRules | None) -> ResourceReport:
    """The object with the severity of each change, or its own where it is Missing or Extra."""
    if not resource.changes:
        return _whole(resource, severities or shipped())
    changes = tuple(_rated(resource, change, severities) for change in resource.changes)
    return msgspec.structs.replace(resource, changes=changes)


def _whole(resource: ResourceReport, severities: SeverityRules) -> ResourceReport:
    """An object that is Missing or Extra with its severity."""
    if resource.status not in (ResourceStatus.MISSING, ResourceStatus.EXTRA):
        return resource
    level, reason = severities.rate_object(resource.status, resource.group, resource.kind)
    return msgspec.structs.replace(resource, severity=level, severity_reason=reason or UNSET)


def _rated(resource: ResourceReport, change: Change, severities: SeverityRules | None) -> Change:
    level, reason = severity(resource.kind, change, resource.group, severities)
    return msgspec.structs.replace(change, severity=level, severity_reason=reason)
