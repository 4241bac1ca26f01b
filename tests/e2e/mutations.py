"""Random drift: a seeded choice of changes, each with what `driftd check` must say of it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.e2e import object_changes, pod_changes, workload_changes
from tests.e2e.changes import MISSING, Made, Subject
from tests.e2e.edits import Edit, JsonPatch, MergePatch, Objects, Replace, Target

PEOPLE = ("alice", "bob", "carol-laptop", "oncall-runbook", "terraform", "cost-optimizer")
CATALOGUE = {**workload_changes.CHANGES, **pod_changes.CHANGES, **object_changes.CHANGES}
"""Kinds and maker of every change, by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """One change that was made."""

    target: Target
    change: str
    edit: Edit
    paths: tuple[str, ...]
    also: tuple[str, ...]
    change_class: str
    before: Any
    """The object as it was."""
    manager: str | None
    """None where no trace can exist."""

    def __str__(self) -> str:
        where = ", ".join(self.paths) or MISSING
        return f"{self.change}: {self.target} {where} by {self.manager}"


def random_drift(
    seed: int,
    count: int,
    targets: Iterable[Target],
    objects: Mapping[str, Objects],
    desired: Mapping[tuple[str, ...], Any],
) -> list[Expected]:
    """Make `count` changes to as many objects, spread over clusters, kinds and applications.

    `objects` are by cluster, `desired` is what Git declares by `Target.key`. The same seed makes
    the same changes to the same clusters.
    """
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    free = sorted(targets)
    autoscaled = _autoscaled(desired)
    used: Counter[str] = Counter()
    made: list[Expected] = []
    names = sorted(CATALOGUE)
    while len(made) < count:
        rng.shuffle(names)
        before = len(made)
        for name in names:
            if len(made) == count:
                break
            kinds, maker = CATALOGUE[name]
            fitting = [target for target in free if target.kind in kinds]
            rng.shuffle(fitting)
            fitting.sort(key=lambda t: used[t.cluster] + used[t.application] + used[t.kind])
            for target in fitting:
                subject = Subject(
                    live=objects[target.cluster].get(target),
                    desired=desired[target.key],
                    autoscaled=target.key in autoscaled,
                    rng=rng,
                )
                found = maker(subject)
                if found is None:
                    continue
                expected = _expected(name, target, found, subject)
                objects[target.cluster].perform(target, expected.edit)
                made.append(expected)
                free.remove(target)
                used.update((target.cluster, target.application, target.kind))
                break
        if len(made) == before:
            raise RuntimeError(f"nothing is left to change after {before} changes")
    return made


def _expected(name: str, target: Target, made: Made, subject: Subject) -> Expected:
    edit, manager, rng = made.edit, made.manager, subject.rng
    if edit is None:
        how = rng.choice((JsonPatch, MergePatch, Replace))
        manager = "kubectl-edit" if how is MergePatch else rng.choice(PEOPLE)
        edit = how(made.operations, manager)
    return Expected(
        target=target,
        change=name,
        edit=edit,
        paths=made.paths,
        also=made.also,
        change_class=made.change_class,
        before=subject.live,
        manager=manager if made.traced and _is_tracked(subject.live) else None,
    )


def _is_tracked(live: Any) -> bool:
    """Whether the API server writes down who changes the object.

    An object applied without any field but its name (a ServiceAccount) has no entry in
    managedFields, and then the API server starts none for an update.
    """
    return bool(live["metadata"].get("managedFields"))


def _autoscaled(desired: Mapping[tuple[str, ...], Any]) -> set[tuple[str, ...]]:
    found = set()
    for (cluster, _, kind, namespace, _), body in desired.items():
        if kind == "HorizontalPodAutoscaler":
            name = body["spec"]["scaleTargetRef"]["name"]
            found.add((cluster, "apps", "Deployment", namespace, name))
    return found
