"""Severity of every change, and the rule that ignores it: the look's judgement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import UNSET

from driftd.controller.verdict import status_of
from driftd.errors import DriftdError
from driftd.model.application import Application
from driftd.model.condition import Condition
from driftd.model.report import Change, ResourceReport, ResourceStatus
from driftd.model.resource import LiveObject, Manifest, ResourceKey
from driftd.model.severities import SeverityRules, shipped
from driftd.policy.customizations import NamedIgnore
from driftd.policy.ignore import JqAnswer, Rule, expressions_for, ignored, rule_conditions, rules_of
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
) -> tuple[list[ResourceReport], list[Condition]]:
    """Attach severity and the ignoring rule to every change; rules that failed are conditions.

    `shared` are rules of all applications, from `argocd-cm`. `severities` are an operator's rules
    above the shipped ones.
    """
    rules = rules_of(application, shared)
    matched: set[str] = set()
    failures: dict[str, str] = {}
    judged: list[ResourceReport] = []
    for resource in resources:
        if not resource.changes:
            judged.append(_whole(resource, severities or shipped()))
            continue
        key = ResourceKey(resource.group, resource.kind, resource.namespace, resource.name)
        changes = tuple(_rated(resource, change, severities) for change in resource.changes)
        if rules:
            sides = {"live": live.get(key), "desired": desired.get(key)}
            answers = await _answers(application, rules, key, sides, sandbox, failures)
            changes, used = ignored(rules, key, changes, answers)
            matched |= used
        status = resource.status
        if status is not ResourceStatus.OUT_OF_SYNC or resource.reason is UNSET:
            status = status_of(changes)
        judged.append(msgspec.structs.replace(resource, changes=changes, status=status))
    return judged, rule_conditions(rules, matched, failures)


def _whole(resource: ResourceReport, severities: SeverityRules) -> ResourceReport:
    """An object that is Missing or Extra with its severity."""
    if resource.status not in (ResourceStatus.MISSING, ResourceStatus.EXTRA):
        return resource
    reason = severities.object_reason(resource.status, resource.group, resource.kind)
    return msgspec.structs.replace(
        resource,
        severity="critical" if reason else "medium",
        severity_reason=reason or UNSET,
    )


def _rated(resource: ResourceReport, change: Change, severities: SeverityRules | None) -> Change:
    level, reason = severity(resource.kind, change, resource.group, severities)
    return msgspec.structs.replace(change, severity=level, severity_reason=reason)


async def _answers(
    application: Application,
    rules: tuple[Rule, ...],
    key: ResourceKey,
    sides: Mapping[str, LiveObject | Manifest | None],
    sandbox: SandboxPool,
    failures: dict[str, str],
) -> dict[str, JqAnswer]:
    expressions = expressions_for(rules, key)
    if not expressions:
        return {}
    objects = {side: one for side, one in sides.items() if one is not None}
    try:
        answer = await sandbox.jq(
            expressions,
            [msgspec.Raw(one.body) for one in objects.values()],
            project=application.spec.project or "default",
        )
    except DriftdError as error:
        failures.update(dict.fromkeys(expressions, error.message))
        return {}
    answers: dict[str, JqAnswer] = {}
    for position, expression in enumerate(expressions):
        outcomes = [outcomes[position] for outcomes in answer.results]
        failure = next((outcome.error for outcome in outcomes if outcome.error), "")
        if failure:
            failures[expression] = failure
        paths = {
            side: tuple(tuple(str(step) for step in path) for path in outcome.paths)
            for side, outcome in zip(objects, outcomes, strict=True)
        }
        answers[expression] = JqAnswer(
            live=paths.get("live", ()), desired=paths.get("desired", ()), error=failure
        )
    return answers
