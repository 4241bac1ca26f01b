"""Random changes under random managers: each is found, where it is, and by whom it was made.

`PROPERTY_MUTATIONS` sets how many changes are made (150), `PROPERTY_SEED` the first seed.
"""

from __future__ import annotations

import itertools
import os
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from driftd.model.report import UNSET, Change
from tests.property import lab as labs
from tests.property.lab import Lab, Mode
from tests.property.mutations import Mutation, Mutator
from tests.property.truth import Leaf, leaves, related, view
from tests.testbed.client import ApiError
from tests.testbed.cluster import ControlPlane

# Read here: tests run with an environment of their own later on.
MUTATIONS = int(os.environ.get("PROPERTY_MUTATIONS", "150"))
SEED = int(os.environ.get("PROPERTY_SEED", "1"))
CHUNKS = 6
ATTEMPTS = 40
MANAGERS = ("alice", "kubectl-edit", "terraform", "rancher", "shop-operator")

pytestmark = pytest.mark.cluster


@dataclass(slots=True)
class Trial:
    """One object, one change, and everything that was seen."""

    seed: int
    mode: Mode
    desired: Any
    manager: str
    mutation: Mutation | None = None
    whole: bool = False
    before: Any = None
    after: Any = None
    truth: list[Leaf] = field(default_factory=list)
    found: tuple[Change, ...] = ()
    refused: int = 0

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: {self.desired['kind']} by {self.mode}, {self.manager}"]
        if self.mutation is not None:
            lines.append(f"  change: {self.mutation.operations}")
        lines += [f"  truth: {leaf}" for leaf in self.truth]
        lines += [
            f"  found: {c.kind} {c.change_class} {c.path} {c.manager or ''} {c.reason}"
            for c in self.found
        ]
        return "\n".join(lines)


Predicate = Callable[[Trial, str], bool]
LIMITS: dict[str, Predicate] = {}
"""What the comparison is known not to see or to see otherwise: a name and when it holds.

The second argument is the complaint (`CLEAN`, `FOUND`, `PATHS`, `MANAGER`, `INVERSE`).
"""
CLEAN, FOUND, PATHS, MANAGER, INVERSE = "clean", "found", "paths", "manager", "inverse"


@pytest.fixture(scope="module")
def lab(api_server: ControlPlane) -> Lab:
    """A namespace for all trials of this file."""
    made = Lab(api_server, api_server.create_namespace("property"))
    made.install_widgets()
    return made


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_mutations_are_found(lab: Lab, chunk: int) -> None:
    """Clean before; found with its path and manager after; clean again when it is taken back."""
    count = MUTATIONS // CHUNKS
    complaints: list[str] = []
    limits: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for seed in range(SEED + chunk * 1_000_000, SEED + chunk * 1_000_000 + count):
        trial = prepared(lab, seed)
        for what in examined(lab, trial):
            known = next((name for name, holds in LIMITS.items() if holds(trial, what)), None)
            if known is None:
                complaints.append(f"{what}: {trial}")
            else:
                limits[known] += 1
        seen["refused"] += trial.refused
        seen["real changes" if trial.truth else "without effect"] += 1
    print(f"seeds from {SEED + chunk * 1_000_000}: {dict(seen)}, known limits {dict(limits)}")
    assert not complaints, "\n\n".join(complaints)


def prepared(lab: Lab, seed: int) -> Trial:
    """A random object, not applied yet."""
    rng = random.Random(seed)
    base = rng.choice(labs.objects())
    name = f"p{seed}"
    return Trial(seed, rng.choice(labs.MODES), labs.named(base, name), rng.choice(MANAGERS))


def examined(lab: Lab, trial: Trial) -> list[str]:
    """Run one trial; the kinds of complaint about it."""
    rng = random.Random(trial.seed + 7)
    lab.deploy(trial.desired, trial.mode)
    trial.found = lab.look(trial.desired).changes
    if trial.found:
        return [CLEAN]
    trial.before = lab.live(trial.desired)
    change(lab, trial, rng)
    trial.after = lab.live(trial.desired)
    trial.truth = list(leaves(view(trial.before), view(trial.after)))
    trial.found = lab.look(trial.desired).changes
    complaints = list(judged(trial))
    undone = {**trial.before, "metadata": {**trial.before["metadata"]}}
    undone["metadata"]["resourceVersion"] = trial.after["metadata"]["resourceVersion"]
    undone["metadata"].pop("managedFields")
    try:
        lab.put(undone, trial.manager)
    except ApiError:
        return complaints  # what cannot be undone (a class is gone, a port is taken)
    again = lab.live(trial.desired)
    if list(leaves(view(trial.before), view(again))):
        return complaints  # the server made something else of it
    found = lab.look(trial.desired).changes
    if found:
        trial.found = found
        complaints.append(INVERSE)
    return complaints


def change(lab: Lab, trial: Trial, rng: random.Random) -> None:
    """Make the first of `ATTEMPTS` random changes that the server accepts."""
    mutator = Mutator(lab.document(trial.desired["apiVersion"]), rng)
    for mutation in itertools.islice(mutator.mutations(trial.before), ATTEMPTS):
        trial.whole = rng.random() < 0.4
        try:
            if trial.whole:
                lab.replace(trial.before, mutation.operations, trial.manager)
            else:
                lab.patch(trial.desired, mutation.operations, trial.manager)
        except ApiError:
            trial.refused += 1
            continue
        trial.mutation = mutation
        return


def judged(trial: Trial) -> list[str]:
    """What is wrong with what was found."""
    if bool(trial.truth) != bool(trial.found):
        return [FOUND]
    paths = [c.path for c in trial.found]
    complaints = []
    if any(not any(related(leaf.pointer, path) for path in paths) for leaf in trial.truth) or any(
        not any(related(leaf.pointer, path) for leaf in trial.truth) for path in paths
    ):
        complaints.append(PATHS)
    names = {c.manager for c in trial.found if c.manager is not UNSET}
    traced = any(
        entry["manager"] == trial.manager
        for entry in trial.after["metadata"].get("managedFields", ())
    )
    if trial.truth and traced != (trial.manager in names):
        complaints.append(MANAGER)
    return complaints
