"""Ignore rules applied to the objects of one application; the sandbox answers their expressions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import orjson

from driftd.diff.owners import entries
from driftd.errors import DriftdError
from driftd.model.condition import Condition
from driftd.model.report import ApplicationReport, Change, ResourceReport
from driftd.model.resource import LiveObject, Manifest
from driftd.policy.customizations import NamedIgnore
from driftd.policy.ignore import (
    JqAnswer,
    Rule,
    Subject,
    expressions_for,
    ignored,
    unstable_rules,
)
from driftd.policy.ignore_report import Findings, label, unused_shared, used_names
from driftd.policy.removal import Pointer, positions
from driftd.sandbox.pool import SandboxPool
from driftd.sandbox.results import JqOutcome

REQUEST_TIMEOUT = 20.0
"""Seconds that the expressions of one object may take together."""
_SLOW = "not done within"


class Ignoring:
    """The rules of an application at work."""

    def __init__(self, rules: tuple[Rule, ...], sandbox: SandboxPool, project: str) -> None:
        self.rules = rules
        self.found = Findings()
        self._sandbox = sandbox
        self._project = project
        self._given_up: set[str] = set()
        """Expressions that took too long: what one object costs, a thousand must not."""

    async def apply(
        self,
        resource: ResourceReport,
        changes: tuple[Change, ...],
        desired: Manifest | None,
        live: LiveObject | None,
    ) -> tuple[Change, ...]:
        """The changes of an object, those that rules ignore marked with their names."""
        key = resource.key
        covering = [rule for rule in self.rules if rule.covers(key)]
        covering += unstable_rules(desired) if desired is not None else ()
        if not covering:
            return changes
        sides = {
            side: orjson.loads(one.body)
            for side, one in (("live", live), ("desired", desired))
            if one is not None
        }
        managed = any(rule.manager for rule in covering) and "live" in sides
        subject = Subject(
            answers=await self._answers(expressions_for(covering, key), sides, label(resource)),
            owners=owners_of(sides["live"], changes) if managed else {},
            desired=sides.get("desired"),
        )
        marked = ignored(covering, key, changes, subject)
        self.found.used |= marked.used
        for rule, item in marked.positions.items():
            self.found.positions.setdefault(rule, item)
        self.found.hidden(resource, marked.changes)
        return marked.changes

    async def _answers(
        self, expressions: Sequence[str], sides: Mapping[str, Any], on: str
    ) -> dict[str, JqAnswer]:
        wanted = [one for one in expressions if one not in self._given_up]
        if not wanted or not sides:
            return {}
        try:
            return await self._asked(wanted, sides, on)
        except DriftdError as error:
            if len(wanted) == 1:
                self._failed(wanted[0], f"the sandbox gave up: {error.message}", on, for_good=True)
                return {}
        answers: dict[str, JqAnswer] = {}
        # One of them brought the worker down; alone, each harms nothing but itself.
        for one in wanted:
            answers |= await self._answers([one], sides, on)
        return answers

    async def _asked(
        self, expressions: Sequence[str], sides: Mapping[str, Any], on: str
    ) -> dict[str, JqAnswer]:
        answer = await self._sandbox.jq(
            expressions, list(sides.values()), project=self._project, timeout=REQUEST_TIMEOUT
        )
        answers: dict[str, JqAnswer] = {}
        for position, expression in enumerate(expressions):
            outcomes = {
                side: outcomes[position]
                for side, outcomes in zip(sides, answer.results, strict=True)
            }
            failure = next((one.error for one in outcomes.values() if one.error), "")
            if failure:
                self._failed(expression, failure, on, for_good=_SLOW in failure)
            answers[expression] = JqAnswer(
                **{side: _paths(one, sides[side]) for side, one in outcomes.items()},
                error=failure,
            )
        return answers

    def _failed(self, expression: str, why: str, on: str, *, for_good: bool) -> None:
        self.found.failures.setdefault(expression, (why, on))
        if for_good:
            self._given_up.add(expression)


class SharedRules:
    """Which rules of `argocd-cm` did something in the last look at each application."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[bool, frozenset[str]]] = {}
        self._told: frozenset[str] = frozenset()

    def looked(self, report: ApplicationReport) -> None:
        """Remember what a look at an application used, and whether it saw everything."""
        name = f"{report.namespace}/{report.name}"
        self._seen[name] = (report.complete, used_names([report]))

    def useless(self, shared: Iterable[NamedIgnore], known: Collection[str]) -> list[Condition]:
        """A condition for each rule that hid nothing anywhere and was not told before.

        Nothing is said until every known application has been seen in full.
        """
        self._seen = {name: seen for name, seen in self._seen.items() if name in known}
        if not known or not all(self._seen.get(name, (False,))[0] for name in known):
            return []
        used = frozenset().union(*(names for _, names in self._seen.values()))
        told = unused_shared(shared, used)
        fresh = [one for one in told if one.message not in self._told]
        self._told = frozenset(one.message for one in told)
        return fresh


def _paths(outcome: JqOutcome, value: Any) -> tuple[Pointer, ...]:
    return tuple(place for path in outcome.paths for place in positions(path, value))


def owners_of(live: Mapping[str, Any], changes: Iterable[Change]) -> dict[str, frozenset[str]]:
    """By `ssaPath` of each change, the managers whose entries own its place."""
    written = entries(dict(live), frozenset())
    found: dict[str, frozenset[str]] = {}
    for change in changes:
        if isinstance(change.ssa_path, str):
            segments = [
                one.replace("~1", "/").replace("~0", "~") for one in change.ssa_path.split("/")
            ]
            found[change.ssa_path] = frozenset(
                entry.manager for entry in written if _owns(entry.fields, segments)
            )
    return found


def _owns(fields: Mapping[str, Any], segments: Iterable[str]) -> bool:
    """Whether an entry owns a place itself, or all of an atomic one above it."""
    for segment in segments:
        if not fields:
            return True
        if segment not in fields:
            return False
        fields = fields[segment]
    return not fields or "." in fields
