"""Ignore rules that hide nothing once a change is merged: mostly a name in them is misspelt.

A rule is told that the change brings or alters, or whose objects it takes away. What may fit
later is not: a field that the schema has, or a manager that may still write.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, Final

import orjson

from driftd.aio import gather_isolated
from driftd.controller.declared import Declared
from driftd.controller.own_places import own_places, path_of
from driftd.controller.preview_pairs import Pair, Touched
from driftd.controller.verdict import Look
from driftd.controller.workspace import Workspace
from driftd.diff.owners import entries
from driftd.diff.unfit import EACH, Unfit, steps_of, unfit
from driftd.errors import DriftdError
from driftd.model.application import Application
from driftd.model.condition import Condition, Severity
from driftd.model.resource import LiveObject, Manifest, ResourceKey
from driftd.policy.ignore import Rule, rules_of
from driftd.policy.ignore_report import failed_text
from driftd.policy.project import glob_match, is_glob
from driftd.policy.removal import has, positions
from driftd.render.idle_alternatives import slip_of
from driftd.render.trace import declaring_file
from driftd.sandbox.pool import SandboxPool

Seen = Callable[[Sequence[Touched]], Awaitable[Look]]
"""Reads some objects of the cluster."""
_ENTRY: Final = re.compile(r"\.(jsonPointers|jqPathExpressions|managedFieldsManagers)\[\d+\]$")
_LIKE: Final = 0.9
"""How alike a name is to one that it was meant to be."""
_NAMED: Final = 0.8
_ASKED: Final = 50
"""Objects that an expression is tried on."""
_WRITERS: Final = frozenset({
    "argocd-controller", "cert-manager-cainjector", "helm-controller", "kube-controller-manager",
    "kubectl-client-side-apply", "kustomize-controller",
})  # fmt: skip
_UNUSED: Final = "IgnoreRuleUnused"
Told = tuple[str, str, str, Severity, str]
"""Name of the rule or its entry, type, text after the name, severity, the rule as written."""


async def tell_idle_rules(
    workspace: Workspace, declared: Declared, pairs: Sequence[Pair], seen: Seen | None
) -> None:
    """Note with each application of a cluster its ignore rules that the change makes useless."""
    doubts = {id(pair): _brought(pair) for pair in pairs if _is_known(pair)}
    asked = {
        (id(pair), one.key): Touched(one.key, pair, None, one)
        for pair in pairs
        for rule in doubts.get(id(pair), ())
        if rule.expression == "" or steps_of(rule.expression)
        for one in _covered(rule, pair)
        if not (rule.pointer and has(orjson.loads(one.body), rule.pointer))
    }
    try:
        look = await seen(list(asked.values())) if asked and seen else None
    except DriftdError:
        look = None  # what cannot be read is told elsewhere, and here nothing is certain

    async def one(pair: Pair) -> None:
        found = [*_without_objects(pair, doubts[id(pair)], declared)]
        for rule in doubts[id(pair)]:
            if (covered := _covered(rule, pair)) and rule.pointer != ():
                told = await _of(rule, pair, covered, look, workspace.sandbox)
                found += [told] if told else []
        pair.notes += await _conditions(workspace, declared, pair, found)

    await gather_isolated(one, [pair for pair in pairs if id(pair) in doubts], limit=4)


def _is_known(pair: Pair) -> bool:
    """Whether all is known that an application of the change declares."""
    return bool(pair.asked and pair.after and pair.new and pair.new.complete and pair.new.manifests)


def _same(rule: Rule) -> tuple[Any, ...]:
    """What a rule is, wherever it stands in its list."""
    target = rule.target
    where = (target.group, target.kind, target.name, target.namespace)
    return (*where, rule.pointer, rule.expression, rule.manager)


def _brought(pair: Pair) -> list[Rule]:
    """The rules that are not at the base."""
    assert pair.after is not None  # noqa: S101 - looked at by the caller
    known = set(map(_same, rules_of(pair.before.application))) if pair.before else set()
    return [one for one in rules_of(pair.after.application) if _same(one) not in known]


def _covered(rule: Rule, pair: Pair) -> list[Manifest]:
    """The objects that a rule speaks of with the change."""
    return [one for one in pair.new.manifests if rule.covers(one.key)] if pair.new else []


def _without_objects(pair: Pair, brought: Sequence[Rule], declared: Declared) -> Iterator[Told]:
    """The entries that speak of no object, those alone that did at the base or are new."""
    assert pair.after is not None  # noqa: S101 - looked at by the caller
    assert pair.new is not None  # noqa: S101 - looked at by the caller
    rules = rules_of(pair.after.application)
    keys = sorted(pair.new.keys)
    old = sorted(pair.old.keys) if pair.old and pair.old.complete else []
    entries_seen: set[str] = set()
    for rule in rules:
        name = _entry(rule)
        if name in entries_seen or any(map(rule.covers, keys)):
            continue
        entries_seen.add(name)
        is_new = rule in brought
        if not is_new and not any(map(rule.covers, old)):
            continue
        others = [one for one in rules if one.target is not rule.target]
        why = _meant(rule, keys, others)
        if _is_shared(rule, pair.after.application, declared) and not why.startswith("did you"):
            continue
        what = "speaks of no object of the application" + ("" if is_new else " any more")
        severity = Severity.WARNING if why else Severity.INFO
        shown = f"({_target(rule)}) {what}, so it hides nothing"
        yield name, _UNUSED, f"{shown}; {why}".rstrip("; "), severity, ""


def _entry(rule: Rule) -> str:
    """`spec.ignoreDifferences[0]`: the entry that a rule is of."""
    return _ENTRY.sub("", rule.name)


def _target(rule: Rule) -> str:
    target = rule.target
    fields = ("group", "kind", "name", "namespace")
    told = {field: getattr(target, field) for field in fields}
    return ", ".join(f"{field} {value}" for field, value in told.items() if value not in ("", "*"))


def _meant(rule: Rule, keys: Sequence[ResourceKey], others: Sequence[Rule]) -> str:
    """What the target of a rule was probably meant to be; empty if that is not certain."""
    target = rule.target
    kin = [key for key in keys if glob_match(target.kind, key.kind)]
    if not kin:
        slip = slip_of(target.kind, sorted({key.kind for key in keys}))
        return f"did you mean the kind {slip}?" if slip else ""
    of_group = [key for key in kin if glob_match(target.group, key.group)]
    if not of_group:
        if any(other.covers(key) for other in others for key in kin):
            return ""  # entries for two groups, of which one is served
        has_group = f"the group {kin[0].group}" if kin[0].group else "no group"
        return f"{kin[0].kind} has {has_group}"
    for key in of_group:
        if target.name in ("", key.name):
            return f"{key.kind} {key.name} is in the namespace {key.namespace or '(none)'}"
    named = [one for one in others if one.target.name]  # what they name is not meant by this one
    free = [key.name for key in of_group if not any(one.covers(key) for one in named)]
    near = get_close_matches(target.name, free, n=1, cutoff=_NAMED)
    return f"did you mean the name {near[0]}?" if near else ""


def _is_shared(rule: Rule, application: Application, declared: Declared) -> bool:
    """Whether other applications have the same rule: each need match in one of them only."""
    return any(
        _same(other) == _same(rule)
        for one in declared.applications
        if one.qualified_name != application.qualified_name and one.spec.ignore_differences
        for other in rules_of(one)
    )


async def _of(
    rule: Rule, pair: Pair, covered: Sequence[Manifest], look: Look | None, sandbox: SandboxPool
) -> Told | None:
    """What is to be told of a rule that speaks of objects; None where it may hide something."""
    if rule.manager:
        return _of_manager(rule, covered, look)
    steps: tuple[str, ...] | None = rule.pointer
    if rule.expression:
        failure, selects = await _answers(rule, pair, covered, sandbox)
        if failure:
            text = failed_text(rule, failure, _label(covered[0].key))
            return rule.name, "IgnoreRuleFailed", text, Severity.WARNING, rule.shown
        if selects:
            return None
        steps = steps_of(rule.expression)
    if not steps or look is None:
        return None
    found_in: list[tuple[Manifest, Unfit]] = []
    for manifest in covered:
        body = orjson.loads(manifest.body)
        live = _live(manifest, look)
        node = look.observation.schemas.node(manifest.gvk)
        found = unfit(steps, node, body) if node else None
        if found is None or _has(body, found.upto) or (live and _has(live, found.upto)):
            return None
        found_in.append((manifest, found))
    if is_glob(rule.target.kind):  # an object of another kind may come, and have it
        found_in = [each for each in found_in if each[1].meant]
    if not found_in:
        return None
    one, first = found_in[0]
    version = f"{one.key.group}/{one.version}".lstrip("/")
    why = f"{one.key.kind} of {version} has no field {_written(rule, first.upto)}"
    guess = f"; did you mean {_written(rule, first.meant)}?" if first.meant else ""
    shown = f"({' '.join(rule.shown.split())}) hides nothing"
    return rule.name, _UNUSED, f"{shown}: {why}{guess}", Severity.WARNING, rule.shown


def _has(body: Any, steps: Sequence[str]) -> bool:
    """Whether an object has something at a path; of lists any item counts."""
    for at, step in enumerate(steps):
        if step == EACH:
            return isinstance(body, list) and any(_has(one, steps[at + 1 :]) for one in body)
        if not has(body, (step,)):
            return False
        body = body[int(step)] if isinstance(body, list) else body[step]
    return True


async def _answers(
    rule: Rule, pair: Pair, covered: Sequence[Manifest], sandbox: SandboxPool
) -> tuple[str, bool]:
    """Why an expression fails on Git's objects, and whether it selects something there."""
    project = pair.entry.application.spec.project or "default"
    bodies = [orjson.loads(one.body) for one in covered[:_ASKED]]
    try:
        answer = await sandbox.jq([rule.expression], bodies, project=project)
    except DriftdError:
        return "", True  # what overloads the sandbox is told by checks
    outcomes = [each[0] for each in answer.results]
    failures = [one.error for one in outcomes if one.error and "null" not in one.error]
    # What fails on one object may be meant for another, or for what the cluster fills in.
    failure = failures[0] if len(failures) == len(outcomes) else ""
    return failure, any(
        has(body, place)
        for body, one in zip(bodies, outcomes, strict=True)
        for path in one.paths
        for place in positions(path, body)
    )


def _of_manager(rule: Rule, covered: Sequence[Manifest], look: Look | None) -> Told | None:
    """A manager that has written none of the objects, where nearly its name is known."""
    live = [_live(one, look) for one in covered] if look else []
    known = {entry.manager for body in live if body for entry in entries(body, frozenset())}
    if rule.manager in known | _WRITERS:
        return None
    near = get_close_matches(rule.manager, sorted(known | _WRITERS), n=1, cutoff=_LIKE)
    if not near:
        return None
    text = f"({rule.manager}) hides nothing: no manager of that name is known"
    return rule.name, _UNUSED, f"{text}; did you mean {near[0]}?", Severity.WARNING, rule.manager


def _live(manifest: Manifest, look: Look) -> dict[str, Any] | None:
    """The live object of a manifest."""
    key = manifest.key
    found: LiveObject | None = look.observation.live.get((manifest.gvk, key.namespace, key.name))
    body: dict[str, Any] | None = orjson.loads(found.body) if found else None
    return body


def _written(rule: Rule, steps: Sequence[str]) -> str:
    """A path as the rule would have it: a pointer, or a path of jq."""
    if rule.pointer is not None:
        return "".join("/" + one.replace("~", "~0").replace("/", "~1") for one in steps)
    plain = re.compile(r"[A-Za-z_]\w*\Z")
    return "".join(
        one
        if one == EACH
        else f"[{one}]"
        if one.isdigit()
        else f".{one}"
        if plain.match(one)
        else f'["{one}"]'
        for one in steps
    )


def _label(key: ResourceKey) -> str:
    return f"{key.kind} {f'{key.namespace}/' if key.namespace else ''}{key.name}"


async def _conditions(
    workspace: Workspace, declared: Declared, pair: Pair, found: Sequence[Told]
) -> list[Condition]:
    """What is told, with the lines that have the rules where they are known."""
    if not found:
        return []
    application = pair.entry.application
    every = {name: _above(_steps(name, flux=application.flux is not None)) for name, *_ in found}
    asked = [(path, 0) for paths in every.values() for path in paths]
    places = await own_places(workspace, declared, application, asked)
    told = []
    for name, kind, text, severity, of in found:
        at = next((places[path, 0] for path in every[name] if (path, 0) in places), None)
        where = f"{at.file}:{at.line}" if at and at.line else ""
        where = where or await _only_line(workspace, application, of) or application.origin
        shown = name.replace("jsonPointers", "paths") if application.flux else name
        told.append(Condition(kind, f"{where}: {shown} {text}", severity))
    return told


async def _only_line(workspace: Workspace, application: Application, written: str) -> str:
    """The one line of an application's file that has a rule and nothing else; empty if none."""
    file = declaring_file(application)
    if not file or not written:
        return ""
    readings, _ = await workspace.repositories.homes()
    texts = [one.tree.files[file] for one in readings if file in one.tree.files]
    if len(texts) != 1:
        return ""
    lines = bytes(texts[0]).decode(errors="replace").splitlines()
    found = [
        number
        for number, line in enumerate(lines, 1)
        if line.strip().removeprefix("- ").strip().strip("'\"") == written
    ]
    return f"{file}:{found[0]}" if len(found) == 1 else ""


def _above(steps: Sequence[str | int]) -> list[str]:
    """The paths of a field and of those above it, but the spec itself."""
    return [path_of(steps[:end]) for end in range(len(steps), 1, -1)]


def _steps(name: str, *, flux: bool = False) -> list[str | int]:
    """The steps of a rule's name; Flux calls pointers `paths`.

    >>> _steps("spec.ignoreDifferences[0].jsonPointers[1]")
    ['spec', 'ignoreDifferences', 0, 'jsonPointers', 1]
    """
    found = re.findall(r"[^.\[\]]+", name.replace("jsonPointers", "paths") if flux else name)
    return [int(one) if one.isdigit() else one for one in found]
