"""Ignore rules of Argo CD Applications, applied to changes. Pure.

A rule never hides a change from the report: it marks it with its own name. jq expressions are
queries that the controller has the sandbox answer; here only their answers are used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET

from driftd.model.application import Application, IgnoreDifference
from driftd.model.condition import Condition, Severity
from driftd.model.report import Change, ChangeKind
from driftd.model.resource import ResourceKey
from driftd.policy.customizations import NamedIgnore
from driftd.policy.project import glob_match

Pointer: TypeAlias = "tuple[str, ...]"
"""Decoded RFC 6901 tokens."""


class Rule(msgspec.Struct, frozen=True):
    """One pointer, expression or manager of one entry of `spec.ignoreDifferences`."""

    name: str
    """`spec.ignoreDifferences[0].jsonPointers[1]`."""
    target: IgnoreDifference
    pointer: Pointer | None = None
    expression: str = ""
    manager: str = ""
    shared: bool = False
    """Whether all applications have it, so that one need not have a match for it."""

    def covers(self, key: ResourceKey) -> bool:
        """Whether the rule speaks of this object: group and kind are globs, the rest exact."""
        target = self.target
        return (
            glob_match(target.group, key.group)
            and glob_match(target.kind, key.kind)
            and target.name in ("", key.name)
            and target.namespace in ("", key.namespace)
        )


class JqAnswer(msgspec.Struct, frozen=True):
    """What an expression selects on both sides of an object: paths, or why it failed.

    Positions in a list differ between the sides, so neither stands for the other.
    """

    live: tuple[Pointer, ...] = ()
    desired: tuple[Pointer, ...] = ()
    error: str = ""


def rules_of(application: Application, shared: Iterable[NamedIgnore] = ()) -> tuple[Rule, ...]:
    """Every rule of an application in its order, then those that all applications share."""
    found: list[Rule] = []
    field = application.flux.ignore_field if application.flux else "spec.ignoreDifferences"
    for number, target in enumerate(application.spec.ignore_differences):
        found += _rules(f"{field}[{number}]", target, shared=False)
    for one in shared:
        found += _rules(one.name, one.target, shared=True)
    return tuple(found)


def _rules(name: str, target: IgnoreDifference, *, shared: bool) -> Iterator[Rule]:
    for index, pointer in enumerate(target.json_pointers):
        place = f"{name}.jsonPointers[{index}]"
        yield Rule(place, target, pointer=tokens(pointer), shared=shared)
    for index, expression in enumerate(target.jq_path_expressions):
        place = f"{name}.jqPathExpressions[{index}]"
        yield Rule(place, target, expression=expression, shared=shared)
    for index, manager in enumerate(target.managed_fields_managers):
        place = f"{name}.managedFieldsManagers[{index}]"
        yield Rule(place, target, manager=manager, shared=shared)


def expressions_for(rules: Iterable[Rule], key: ResourceKey) -> tuple[str, ...]:
    """The jq expressions that must be answered for an object with changes."""
    return tuple(dict.fromkeys(r.expression for r in rules if r.expression and r.covers(key)))


def ignored(
    rules: Iterable[Rule],
    key: ResourceKey,
    changes: Sequence[Change],
    answers: Mapping[str, JqAnswer],
) -> tuple[tuple[Change, ...], frozenset[str]]:
    """The changes, those that a rule ignores marked with its name, and the names that matched.

    `answers` has the paths of each expression in the live and in the desired object.
    """
    applicable = [rule for rule in rules if rule.covers(key)]
    matched: set[str] = set()
    marked: list[Change] = []
    for change in changes:
        by = next((rule.name for rule in applicable if _hides(rule, change, answers)), None)
        if by is None:
            marked.append(change)
        else:
            matched.add(by)
            marked.append(msgspec.structs.replace(change, ignored_by=by))
    return tuple(marked), frozenset(matched)


def _hides(rule: Rule, change: Change, answers: Mapping[str, JqAnswer]) -> bool:
    if rule.manager:
        return change.manager is not UNSET and change.manager == rule.manager
    # A missing place exists in the desired object alone, and its path points there.
    live = () if change.kind is ChangeKind.MISSING else (tokens(change.path),)
    written = change.path if change.kind is ChangeKind.MISSING else change.desired_path
    desired = (tokens(written),) if isinstance(written, str) else ()
    if rule.pointer is not None:
        return any(_is_at_or_below(place, rule.pointer) for place in (*live, *desired))
    answer = answers.get(rule.expression, JqAnswer())
    return any(
        _is_at_or_below(place, path)
        for places, paths in ((live, answer.live), (desired, answer.desired))
        for place in places
        for path in paths
    )


def _is_at_or_below(place: Pointer, target: Pointer) -> bool:
    return place[: len(target)] == target and bool(target)


def tokens(pointer: str) -> Pointer:
    """The decoded tokens of an RFC 6901 pointer; a missing first slash is forgiven."""
    text = pointer if pointer.startswith("/") else "/" + pointer
    return tuple(t.replace("~1", "/").replace("~0", "~") for t in text.split("/")[1:])


def rule_conditions(
    rules: Iterable[Rule], matched: Iterable[str], failures: Mapping[str, str]
) -> list[Condition]:
    """A condition for each rule that failed or matched nothing (invariant 6).

    `failures` has the error of an expression, by expression.
    """
    used = set(matched)
    conditions: list[Condition] = []
    for rule in rules:
        if rule.expression in failures and rule.expression:
            text = f"{rule.name}: {rule.expression} failed: {failures[rule.expression]}"
            conditions.append(Condition("IgnoreRuleFailed", text, Severity.WARNING))
        elif rule.name not in used and not rule.shared:
            text = f"{rule.name} ({_shown(rule)}) matches no difference"
            conditions.append(Condition("IgnoreRuleUnused", text, Severity.INFO))
    return conditions


def _shown(rule: Rule) -> Any:
    if rule.pointer is not None:
        return "/" + "/".join(rule.pointer)
    return rule.expression or rule.manager
