"""Ignore rules of Argo CD, applied to changes. Pure.

A rule never hides a change from the report: it marks it with its own name. jq expressions are
queries that the controller has the sandbox answer; here only their answers are used. As in Argo
CD, what a rule names is taken out of both sides before they are compared: a rule hides a change at
or below its place, and one above it if nothing else differs there. Unlike Argo CD, a position in
a keyed list means the item that Git has there, wherever live has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import orjson
from msgspec import UNSET

from driftd.model.application import Application, IgnoreDifference
from driftd.model.report import Change, ChangeKind
from driftd.model.resource import Manifest, ResourceKey
from driftd.policy.customizations import NamedIgnore
from driftd.policy.project import glob_match
from driftd.policy.removal import Pointer, consists_of, has, is_masked, without

SEPARATOR = ", "
"""Between the names of several rules that hide a change together."""


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

    @property
    def shown(self) -> str:
        """The pointer as it was written, the expression or the manager."""
        if self.pointer is not None:
            tokens_ = (token.replace("~", "~0").replace("/", "~1") for token in self.pointer)
            return "/" + "/".join(tokens_)
        return self.expression or self.manager


class JqAnswer(msgspec.Struct, frozen=True):
    """What an expression selects on both sides of an object: paths, or why it failed.

    Positions in a list differ between the sides, so neither stands for the other.
    """

    live: tuple[Pointer, ...] = ()
    desired: tuple[Pointer, ...] = ()
    error: str = ""


class Subject(msgspec.Struct, frozen=True):
    """What rules look at beside the changes of an object."""

    answers: Mapping[str, JqAnswer] = {}
    """By expression."""
    owners: Mapping[str, frozenset[str]] = {}
    """By `ssaPath` of a change, the field managers that own its place."""
    desired: Any = None
    """Git's object, decoded: which item a position of a rule means."""


class Marked(msgspec.Struct, frozen=True):
    """The changes of an object after its rules."""

    changes: tuple[Change, ...]
    used: frozenset[str]
    """Names of the rules that hid a change, alone or together."""
    positions: Mapping[str, str]
    """Of rules that name an item of a keyed list by its position: the keys of that item."""


def rules_of(application: Application, shared: Iterable[NamedIgnore] = ()) -> tuple[Rule, ...]:
    """Every rule of an application in its order, then those that all applications share."""
    found: list[Rule] = []
    field = application.flux.ignore_field if application.flux else "spec.ignoreDifferences"
    for number, target in enumerate(application.spec.ignore_differences):
        found += _rules(f"{field}[{number}]", target, shared=False)
    return (*found, *shared_rules(shared))


def shared_rules(shared: Iterable[NamedIgnore]) -> Iterator[Rule]:
    """The rules of `argocd-cm`."""
    for one in shared:
        yield from _rules(one.name, one.target, shared=True)


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


UNSTABLE = "non-deterministic rendering"
"""The name of the rules that hold for places at which no two renderings agree."""


def unstable_rules(manifest: Manifest) -> Iterator[Rule]:
    """Rules for the places of an object that differ with each rendering."""
    key = manifest.key
    target = IgnoreDifference(
        group=key.group, kind=key.kind, name=key.name, namespace=key.namespace
    )
    for pointer in manifest.unstable:
        yield Rule(UNSTABLE, target, pointer=tokens(pointer), shared=True)


def expressions_for(rules: Iterable[Rule], key: ResourceKey) -> tuple[str, ...]:
    """The jq expressions that must be answered for an object with changes."""
    return tuple(dict.fromkeys(r.expression for r in rules if r.expression and r.covers(key)))


def ignored(
    rules: Iterable[Rule], key: ResourceKey, changes: Sequence[Change], subject: Subject
) -> Marked:
    """The changes, those that rules ignore marked with their names."""
    applicable = [rule for rule in rules if rule.covers(key)]
    used: set[str] = set()
    positions: dict[str, str] = {}
    marked: list[Change] = []
    for change in changes:
        names = _hiding(applicable, change, subject, positions)
        used.update(names)
        by = SEPARATOR.join(names) or UNSET
        marked.append(msgspec.structs.replace(change, ignored_by=by) if names else change)
    return Marked(tuple(marked), frozenset(used), positions)


def _hiding(
    rules: Sequence[Rule], change: Change, subject: Subject, positions: dict[str, str]
) -> tuple[str, ...]:
    """The first rule that hides a change, or those that do so together."""
    spot = _Spot(change, subject.desired)
    parts: list[tuple[Rule, list[Pointer], list[Pointer]]] = []
    for rule in rules:
        if rule.manager:
            if _is_by(rule.manager, change, subject.owners):
                return (rule.name,)
            continue
        live, desired = spot.selected(rule, subject.answers.get(rule.expression, JqAnswer()))
        if () in live or () in desired:
            if item := spot.item(rule.pointer):
                positions.setdefault(rule.name, item)
            return (rule.name,)
        if live or desired:
            parts.append((rule, live, desired))
    return _together(parts, change)


def _together(
    parts: Sequence[tuple[Rule, list[Pointer], list[Pointer]]], change: Change
) -> tuple[str, ...]:
    """The rules that name places inside a change, if nothing is left of it without these."""
    if not parts or is_masked(change.live) or is_masked(change.desired):
        return ()
    live = [place for _, places, _ in parts for place in places]
    desired = [place for _, _, places in parts for place in places]
    if change.live is UNSET or change.desired is UNSET:
        value, places = (change.desired, desired) if change.live is UNSET else (change.live, live)
        hidden = value is not UNSET and consists_of(value, places)
    else:
        hidden = _same(without(change.live, live), without(change.desired, desired))
    if not hidden:
        return ()
    return tuple(
        rule.name
        for rule, at_live, at_desired in parts
        if any(has(change.live, one) for one in at_live)
        or any(has(change.desired, one) for one in at_desired)
    )


def _same(one: Any, other: Any) -> bool:
    return orjson.dumps(one, option=_SORTED) == orjson.dumps(other, option=_SORTED)


_SORTED = orjson.OPT_SORT_KEYS


def _is_by(manager: str, change: Change, owners: Mapping[str, frozenset[str]]) -> bool:
    """Whether a manager made a change, or owns its place beside others."""
    if change.manager is not UNSET and change.manager == manager:
        return True
    place = change.ssa_path if isinstance(change.ssa_path, str) else ""
    return change.kind is not ChangeKind.MISSING and manager in owners.get(place, frozenset())


class _Spot:
    """Where a change is, on both sides and by the keys of lists."""

    def __init__(self, change: Change, git: Any) -> None:
        missing = change.kind is ChangeKind.MISSING
        # A missing place exists in the desired object alone, and its path points there.
        written = change.path if missing else change.desired_path
        self._live = None if missing else tokens(change.path)
        self._desired = tokens(written) if isinstance(written, str) else None
        segments = change.ssa_path.split("/") if isinstance(change.ssa_path, str) else []
        self._segments = [one.replace("~1", "/").replace("~0", "~") for one in segments]
        self._git = git

    def selected(self, rule: Rule, answer: JqAnswer) -> tuple[list[Pointer], list[Pointer]]:
        """What a rule selects of the change on each side, from the change's place on.

        `()` is the place itself or one above it.
        """
        if rule.pointer is None:
            return _rest(self._live, answer.live), _rest(self._desired, answer.desired)
        keyed = self._keyed(rule.pointer)
        if not all(self._means(rule.pointer, at) for at in keyed):
            return [], []
        live, desired = (
            [] if place is None else _rest(place, [_placed(rule.pointer, keyed, place)])
            for place in (self._live, self._desired)
        )
        return live, desired

    def _keyed(self, pointer: Pointer) -> list[int]:
        """Where a pointer gives a position in a keyed list on the way to the change."""
        place = self._live if self._live is not None else self._desired
        if place is None or len(self._segments) != len(place):
            return []
        return [
            at
            for at, (token, segment) in enumerate(zip(pointer, self._segments, strict=False))
            if segment[:2] in ("k:", "v:") and token.isdigit()
        ]

    def _means(self, pointer: Pointer, at: int) -> bool:
        """Whether a position is that of the item on the way to the change.

        It is Git's position; the live one only where Git has no item there.
        """
        if self._desired is not None:
            return pointer[at] == self._desired[at]
        value = self._in_git(at)
        if value is not None and has(value, (pointer[at],)):
            return pointer[at] == _followed(self._segments[at], value)[0]
        return self._live is not None and pointer[at] == self._live[at]

    def _in_git(self, at: int) -> Any:
        """The list of Git at a step on the way, found by the keys of items; None without one."""
        value = self._git
        for segment in self._segments[:at]:
            _, value = _followed(segment, value)
        return value

    def item(self, pointer: Pointer | None) -> str:
        """The items that positions in a pointer mean, by their keys; empty without positions."""
        keyed = self._keyed(pointer) if pointer is not None else []
        return ", ".join(self._segments[at].partition(":")[2] for at in keyed)


def _placed(pointer: Pointer, keyed: Iterable[int], place: Pointer) -> Pointer:
    """A pointer with the positions that its items have on one side."""
    found = list(pointer)
    for at in keyed:
        found[at] = place[at]
    return tuple(found)


def _followed(segment: str, value: Any) -> tuple[str, Any]:
    """A step of a managedFields path in a value: its token, and what is there."""
    tag, _, rest = segment.partition(":")
    if tag == "f":
        return rest, value.get(rest) if isinstance(value, dict) else None
    items = value if isinstance(value, list) else []
    if tag == "i":
        position = int(rest)
        return rest, items[position] if position < len(items) else None
    wanted = msgspec.json.decode(rest)
    for position, item in enumerate(items):
        if tag == "v" and item == wanted:
            return str(position), item
        if tag == "k" and isinstance(item, dict) and _has_keys(item, wanted):
            return str(position), item
    return "-", None


def _has_keys(item: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether an item has these keys; one that it leaves out has its default."""
    return any(key in item for key in wanted) and all(
        item.get(key, value) == value for key, value in wanted.items()
    )


def _rest(place: Pointer | None, selected: Iterable[Pointer]) -> list[Pointer]:
    """What selected paths name from a place on: `()` at or above it, more inside it."""
    if place is None:
        return []
    found: list[Pointer] = []
    for one in selected:
        if one and place[: len(one)] == one:
            return [()]
        if one[: len(place)] == place:
            found.append(one[len(place) :])
    return found


def tokens(pointer: str) -> Pointer:
    """The decoded tokens of an RFC 6901 pointer; a missing first slash is forgiven."""
    if not pointer:
        return ()
    text = pointer if pointer.startswith("/") else "/" + pointer
    return tuple(t.replace("~1", "/").replace("~0", "~") for t in text.split("/")[1:])
