"""What is told of ignore rules: failed, useless, by position, hiding what is critical. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from msgspec import UNSET

from driftd.model.condition import Condition, Severity
from driftd.model.report import ApplicationReport, Change, ResourceReport, ResourceStatus
from driftd.policy.customizations import NamedIgnore
from driftd.policy.ignore import SEPARATOR, Rule, shared_rules

_POSITION = re.compile(r"\[\s*-?\d+\s*\]")
_UNSEEN = frozenset({ResourceStatus.UNKNOWN, ResourceStatus.NOT_CHECKED})


@dataclass(slots=True)
class Findings:
    """What the rules of an application did in one look."""

    used: set[str] = field(default_factory=set)
    failures: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By expression: why it failed, and on which object first."""
    positions: dict[str, str] = field(default_factory=dict)
    """By rule: the keys of the item that its position means."""
    critical: dict[str, list[str]] = field(default_factory=dict)
    """By rule: the critical changes that it hides."""
    extraneous: list[str] = field(default_factory=list)
    """Critical Extra objects that an annotation of their own lets stay."""

    def hidden(self, resource: ResourceReport, changes: Iterable[Change]) -> None:
        """Note the critical changes that carry the name of a rule."""
        for change in changes:
            if change.severity != "critical" or not isinstance(change.ignored_by, str):
                continue
            why = f" ({change.severity_reason})" if change.severity_reason is not UNSET else ""
            for name in change.ignored_by.split(SEPARATOR):
                found = self.critical.setdefault(name, [])
                found.append(f"{label(resource)} {change.path}{why}")

    def kept(self, resource: ResourceReport) -> None:
        """Note a critical object that may stay although Git does not have it."""
        if resource.severity == "critical" and isinstance(resource.ignored_by, str):
            why = f" ({resource.severity_reason})" if resource.severity_reason is not UNSET else ""
            self.extraneous.append(f"{label(resource)}{why}")


def label(resource: ResourceReport) -> str:
    """`Kind namespace/name`."""
    return f"{resource.kind} {resource.namespace}/{resource.name}".replace(" /", " ")


def rule_conditions(
    rules: Iterable[Rule],
    found: Findings,
    resources: Sequence[ResourceReport] = (),
    *,
    origin: str = "",
    complete: bool = True,
) -> list[Condition]:
    """A condition for each rule that failed, matched nothing, gives a position or hides something
    critical (invariant 6).

    `resources` are all objects of the application, if it is `complete`: else nothing is said to
    be of no use. `origin` is where its rules are written.
    """
    told: list[Condition] = []
    for rule in rules:
        where = f"{origin}: {rule.name}" if origin and not rule.shared else rule.name
        if rule.expression in found.failures and rule.expression:
            told.append(_failed(where, rule, *found.failures[rule.expression]))
        elif complete and rule.name not in found.used and not rule.shared:
            told += _unused(where, rule, resources)
        if rule.name in found.positions:
            told.append(_by_position(where, rule, found.positions[rule.name]))
        elif rule.name in found.used and _POSITION.search(rule.expression):
            text = (
                f"{where}: `{_line(rule.expression)}` names a list item by its position, "
                f"which means another item as soon as one is inserted; select it: {_SELECT}"
            )
            told.append(Condition("IgnoreRulePosition", text, Severity.WARNING))
        if rule.name in found.critical:
            told.append(_critical(where, rule, found.critical[rule.name]))
    if found.extraneous:
        more = f" and {len(found.extraneous) - 1} more" if len(found.extraneous) > 1 else ""
        text = (
            f"the compare option IgnoreExtraneous hides a critical object: {found.extraneous[0]}"
            f"{more}; declare it in Git, or remove the annotation"
        )
        told.append(Condition("IgnoreRuleHidesCritical", text, Severity.WARNING))
    return told


_SELECT = '.spec.template.spec.containers[] | select(.name == "NAME")'


def _failed(where: str, rule: Rule, why: str, on: str) -> Condition:
    text = f"{where}: {failed_text(rule, why, on)}"
    return Condition("IgnoreRuleFailed", text, Severity.WARNING)


def failed_text(rule: Rule, why: str, on: str) -> str:
    """That the expression of a rule failed on an object, why, and what to do."""
    on = f" on {on}" if on else ""
    return f"`{_line(rule.expression)}` failed{on}: {why}; {_remedy(why)}"


def _line(expression: str) -> str:
    """An expression on one line."""
    return " ".join(expression.split())


def _remedy(why: str) -> str:
    if "not done within" in why or "paths" in why or "sandbox" in why:
        return "it hides nothing; write a path without loops over everything"
    if "path" in why:
        return "it hides nothing; it must select places, as .spec.replicas does, not make values"
    return "it hides nothing; correct the expression"


def _unused(where: str, rule: Rule, resources: Sequence[ResourceReport]) -> list[Condition]:
    """That a rule matched nothing, with the likely cause; nothing where it could not be seen."""
    covered = [one for one in resources if rule.covers(one.key)]
    if any(one.status in _UNSEEN for one in covered):
        return []
    what = f"{where} ({_line(rule.shown)})"
    if resources and not covered:
        text = f"{what} speaks of no object of the application{_nearest(rule, resources)}"
    elif rule.pointer is not None and "*" in rule.pointer:
        path = "".join("[]" if name == "*" else f".{name}" for name in rule.pointer)
        text = (
            f"{what} matches no difference: * is no wildcard in a JSON pointer; "
            f"write it in jqPathExpressions: {path}"
        )
    elif rule.pointer == ():
        text = f"{what} matches no difference: an empty pointer is the whole object"
    else:
        text = f"{what} matches no difference; remove it if it never does"
    return [Condition("IgnoreRuleUnused", text, Severity.INFO)]


def _nearest(rule: Rule, resources: Sequence[ResourceReport]) -> str:
    """What a rule probably meant: the group, name or namespace of an object of its kind."""
    target = rule.target
    kin = [one for one in resources if one.kind.lower() == target.kind.lower()]
    for one in kin:
        if one.kind != target.kind:
            return f"; kind is {one.kind}"
        if not _speaks(target.group, one.group):
            return f"; {one.kind} has group: {one.group or '(none)'}"
    names = sorted({label(one) for one in kin})
    return f"; there is {', '.join(names[:3])}" if names else ""


def _speaks(group: str, of: str) -> bool:
    return group in ("*", of)


def _by_position(where: str, rule: Rule, item: str) -> Condition:
    text = (
        f"{where}: {rule.shown} names a list item by its position; it is taken for the item "
        f"{item} that Git has there, wherever the cluster has it; write it in jqPathExpressions "
        f"with select, as in {_SELECT}"
    )
    return Condition("IgnoreRulePosition", text, Severity.WARNING)


def _critical(where: str, rule: Rule, hidden: Sequence[str]) -> Condition:
    more = f" and {len(hidden) - 1} more" if len(hidden) > 1 else ""
    text = (
        f"{where} ({_line(rule.shown)}) hides a critical change: {hidden[0]}{more}; "
        "narrow the rule, or have Git declare what is there"
    )
    return Condition("IgnoreRuleHidesCritical", text, Severity.WARNING)


def shared_conditions(
    shared: Iterable[NamedIgnore],
    reports: Sequence[ApplicationReport],
    *,
    whole: bool,
) -> list[Condition]:
    """A condition for each rule of `argocd-cm` that hid nothing in any application.

    Nothing is said unless all applications (`whole`) were seen in full.
    """
    if not whole or not all(report.complete for report in reports):
        return []
    return unused_shared(shared, used_names(reports))


def unused_shared(shared: Iterable[NamedIgnore], used: Collection[str]) -> list[Condition]:
    """A condition for each rule of `argocd-cm` that is not among the used ones."""
    return [
        Condition(
            "IgnoreRuleUnused",
            f"{rule.name} ({_line(rule.shown)}) matches no difference of any application",
            Severity.INFO,
        )
        for rule in shared_rules(shared)
        if rule.name not in used
    ]


def used_names(reports: Iterable[ApplicationReport]) -> frozenset[str]:
    """The names that hide changes in these reports."""
    return frozenset(
        name
        for report in reports
        for resource in report.resources
        for change in resource.changes
        if isinstance(change.ignored_by, str)
        for name in change.ignored_by.split(SEPARATOR)
    )
