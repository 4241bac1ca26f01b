"""One trial: an object with a history, one change, and everything that was seen."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from driftd.model.report import UNSET, Change
from tests.property import lab as labs
from tests.property.histories import HISTORIES, WAYS
from tests.property.lab import Lab
from tests.property.mutations import Mutation, Mutator
from tests.property.persons import PEOPLE, Log, Told, at_real_times, passing_by
from tests.property.remembered import Remembered
from tests.property.truth import Leaf, leaves, related, value_at, view
from tests.testbed.client import ApiError
from tests.testbed.jsonpatch import patched

Json = Any
ATTEMPTS = 40
VARIANTS = 4
MANAGERS = ("alice", "kubectl-edit", "terraform", "rancher", "shop-operator")

CLEAN, FOUND, PATHS, MANAGER, INVERSE = "clean", "found", "paths", "manager", "inverse"


@dataclass(slots=True)
class Trial:
    """What was done and what was found."""

    seed: int
    history: str
    way: str
    desired: Json
    manager: str
    mutation: Mutation | None = None
    before: Json = None
    after: Json = None
    fresh: Json = None
    """What the API server would create of Git's object, where the first look found something."""
    truth: list[Leaf] = field(default_factory=list)
    found: tuple[Change, ...] = ()
    alone: tuple[Change, ...] = ()
    """What the same look finds that knows of no earlier one."""
    refused: int = 0
    peers: dict[str, str] = field(default_factory=dict)
    told: Told | None = None
    """What the audit log says of who made it, where there is one."""

    def __str__(self) -> str:
        how = f"{self.history}, {self.way} by {self.manager}"
        lines = [f"seed {self.seed}: {self.desired['kind']} by {how}"]
        if self.mutation is not None:
            lines.append(f"  change: {self.mutation.operations}")
        lines += [f"  truth: {leaf}" for leaf in self.truth]
        lines += [
            f"  found: {c.kind} {c.change_class} {c.path} {c.manager or ''} {c.reason}"
            for c in self.found
        ]
        return "\n".join(lines)

    @property
    def traced(self) -> bool:
        """Whether managedFields still name the author."""
        entries = self.after["metadata"].get("managedFields", ())
        return any(entry["manager"] == self.manager for entry in entries)

    @property
    def left_a_trace(self) -> bool:
        """Whether something was written that stays: a removal leaves no owner behind."""
        return any(leaf.after for leaf in self.truth)

    @property
    def sort(self) -> str:
        """What sort of change it was, by the objects alone."""
        leaf = self.truth[0]
        place, last = leaf.pointer, leaf.pointer.rpartition("/")[2]
        if place.startswith("/metadata"):
            return "labels, annotations, finalizers"
        if value_at(self.desired, place) is not None:
            if not leaf.after:
                return "declared: removed"
            old, new = value_at(self.before, place), value_at(self.after, place)
            both = isinstance(old, list) and isinstance(new, list)
            if both and sorted(map(str, old)) == sorted(map(str, new)):
                return "declared: reordered"
            return "declared: changed"
        if not leaf.before:
            return "undeclared: item added" if last.isdigit() else "undeclared: field added"
        return "undeclared: default changed" if leaf.after else "undeclared: default removed"


def base_of(seed: int) -> Json:
    """The base object that a seed chooses."""
    return random.Random(seed).choice(labs.objects())  # noqa: S311 - reproducible, not secret


def prepared(seed: int, lab: Lab) -> Trial:
    """A random object that differs from its base as Git's authors may write it, not deployed."""
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    desired = labs.named(rng.choice(labs.objects()), f"p{seed}")
    way = rng.choice([w for w in WAYS if w != "other version" or _has_versions(desired)])
    trial = Trial(seed, rng.choice(list(HISTORIES)), way, desired, rng.choice(MANAGERS))
    mutator = Mutator(lab.document(desired["apiVersion"]), rng)
    for _ in range(rng.randrange(VARIANTS)):
        for mutation in itertools.islice(mutator.mutations(trial.desired), ATTEMPTS):
            changed = patched(trial.desired, mutation.operations)
            # A class for everybody would change the Pods of other trials.
            if not changed.get("globalDefault") and lab.accepts(changed):
                trial.desired = changed
                break
    return trial


def _has_versions(desired: Json) -> bool:
    return desired["apiVersion"] in labs.OTHER_VERSIONS


def deployed(lab: Lab, trial: Trial) -> Remembered:
    """Deploy the object by its history and look at it for the first time."""
    rng = random.Random(trial.seed + 3)  # noqa: S311 - reproducible, not secret
    deployer = HISTORIES[trial.history](lab, trial.desired, rng)
    if trial.way == "forged":
        trial.manager = deployer
    if lab.cluster.audit == "Request":
        passing_by(lab, trial.desired, trial.manager, rng)
    trial.before = lab.live(trial.desired)
    looks = Remembered(lab)
    trial.found = looks.look(trial.desired).changes
    return looks


def examined(
    lab: Lab, trial: Trial, ask: Callable[[Lab, Trial], dict[str, str]] | None = None
) -> list[str]:
    """Run one trial; the kinds of complaint about it. `ask` asks others about the change."""
    rng = random.Random(trial.seed + 7)  # noqa: S311 - reproducible, not secret
    log = Log(lab) if lab.cluster.audit == "Request" else None
    looks = deployed(lab, trial)
    if trial.found:
        trial.fresh = lab.fresh(trial.desired)
        return [CLEAN]
    clean = time.time()
    lab.user = rng.choice(PEOPLE) if log is not None else lab.user
    change(lab, trial, rng)
    person, lab.user = lab.user, "admin"
    trial.after = lab.live(trial.desired)
    trial.truth = list(leaves(view(trial.before), view(trial.after)))
    trial.found = looks.look(trial.desired).changes
    trial.alone = looks.alone(trial.desired)
    if log is not None and trial.truth and trial.found:
        found = at_real_times(trial.found, clean, time.time())
        trial.told = log.told(trial.desired, trial.after, found, person)
    complaints = list(judged(trial))
    if trial.truth and ask is not None:
        trial.peers = ask(lab, trial)
    return complaints + ([] if complaints else taken_back(looks, trial))


def change(lab: Lab, trial: Trial, rng: random.Random) -> None:
    """Make the first of `ATTEMPTS` random changes that the server accepts."""
    shown = trial.desired
    if trial.way == "other version":
        shown = lab.at_other_version(shown)
    mutator = Mutator(lab.document(shown["apiVersion"]), rng)
    live = lab.live(shown)
    for mutation in itertools.islice(mutator.mutations(live), ATTEMPTS):
        try:
            WAYS[trial.way](lab, trial.desired, live, mutation.operations, trial.manager)
        except ApiError:
            trial.refused += 1
            continue
        trial.mutation = mutation
        return


def judged(trial: Trial) -> Iterator[str]:
    """What is wrong with what was found."""
    if bool(trial.truth) != bool(trial.found):
        yield FOUND
        return
    paths = [c.path for c in trial.found]
    if any(not any(related(leaf.pointer, path) for path in paths) for leaf in trial.truth) or any(
        not any(related(leaf.pointer, path) for leaf in trial.truth) for path in paths
    ):
        yield PATHS
    names = {c.manager for c in trial.found if c.manager is not UNSET}
    if trial.left_a_trace and trial.way != "forged" and trial.traced != (trial.manager in names):
        yield MANAGER


def taken_back(looks: Remembered, trial: Trial) -> list[str]:
    """Write the object as it was before the change; whether it is clean again."""
    lab = looks.lab
    undone = {**trial.before, "metadata": {**trial.before["metadata"]}}
    undone["metadata"]["resourceVersion"] = trial.after["metadata"]["resourceVersion"]
    undone["metadata"].pop("managedFields", None)
    try:
        lab.put(undone, trial.manager)
    except ApiError:
        return []  # what cannot be undone (a class is gone, a port is taken)
    if list(leaves(view(trial.before), view(lab.live(trial.desired)))):
        return []  # the server made something else of it
    found = looks.look(trial.desired).changes
    if found:
        trial.found = found
        return [INVERSE]
    return []
