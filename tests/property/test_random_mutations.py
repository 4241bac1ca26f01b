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

from driftd.diff import defaults
from driftd.model.report import UNSET, Change
from tests.property import lab as labs
from tests.property.lab import Lab, Mode
from tests.property.mutations import Mutation, Mutator
from tests.property.truth import Leaf, leaves, related, value_at, view
from tests.testbed.client import ApiError
from tests.testbed.cluster import ControlPlane

# Read here: tests run with an environment of their own later on.
MUTATIONS = int(os.environ.get("PROPERTY_MUTATIONS", "150"))
SEED = int(os.environ.get("PROPERTY_SEED", "1"))
CHUNKS = 6
ATTEMPTS = 40
DERIVED = {
    "serviceAccount",
    "allocateLoadBalancerNodePorts",
    "externalTrafficPolicy",
    "sessionAffinityConfig",
    "hostPort",
    "nodePort",
}
"""Fields whose value the server takes from a sibling, or allocates because of it."""
SETS = {"finalizers", "tags"}
MANAGERS = ("alice", "kubectl-edit", "terraform", "rancher", "shop-operator")

CLEAN, FOUND, PATHS, MANAGER, INVERSE = "clean", "found", "paths", "manager", "inverse"

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


def _only_server_values_removed(trial: Trial, what: str) -> bool:
    """A value that only the server or admission had made is gone: nothing local remembers it."""
    return what == FOUND and all(
        leaf.before and not leaf.after and not _declared(trial.desired, leaf.pointer)
        for leaf in trial.truth
    )


def _default_written(trial: Trial, what: str) -> bool:
    """Somebody writes the value that the server fills in itself in that type elsewhere."""
    return what == FOUND and all(
        not leaf.before and _is_some_default(leaf.pointer, value_at(trial.after, leaf.pointer))
        for leaf in trial.truth
    )


def _derived_sibling(trial: Trial, what: str) -> bool:
    """A field that only follows the one that was changed is not told a second time."""
    paths = [change.path for change in trial.found]
    untold = [
        leaf.pointer
        for leaf in trial.truth
        if not any(related(leaf.pointer, path) for path in paths)
    ]
    names = {pointer.rpartition("/")[2] for pointer in untold}
    made = {p.rpartition("/")[2] for p in untold if _was_written(trial, p)}
    return what == PATHS and bool(untold) and names <= DERIVED and made <= {"serviceAccount"}


def _allocated_unowned(trial: Trial, what: str) -> bool:
    """A list item without its key makes the server give up ownership; the field is allocated."""
    names = {name for fields in defaults.ALLOCATED.values() for name in fields}
    return (
        what == FOUND
        and not _traced(trial)
        and all(leaf.pointer.rpartition("/")[2] in names for leaf in trial.truth)
    )


def _allocated_set_back(trial: Trial, what: str) -> bool:
    """What the cluster had allocated is now somebody's, and nothing local knows the old value."""
    names = {name for fields in defaults.ALLOCATED.values() for name in fields}
    return what == INVERSE and all(c.path.rpartition("/")[2] in names for c in trial.found)


def _set_reordered(trial: Trial, what: str) -> bool:
    """The order of a set means nothing."""
    return what == FOUND and all(
        leaf.pointer.rpartition("/")[2] in SETS
        and leaf.after
        and sorted(value_at(trial.before, leaf.pointer))
        == sorted(value_at(trial.after, leaf.pointer))
        for leaf in trial.truth
    )


def _tolerations_admitted_again(trial: Trial, what: str) -> bool:
    """Admission gives a Pod its two tolerations back, in another order."""
    places = {leaf.pointer for leaf in trial.truth}
    return what == FOUND and trial.desired["kind"] == "Pod" and places == {"/spec/tolerations"}


def _was_written(trial: Trial, pointer: str) -> bool:
    return trial.mutation is not None and any(
        related(operation["path"], pointer) for operation in trial.mutation.operations
    )


def _traced(trial: Trial) -> bool:
    entries = trial.after["metadata"].get("managedFields", ())
    return any(entry["manager"] == trial.manager for entry in entries)


def _declared(document: Any, pointer: str) -> bool:
    return value_at(document, pointer) is not None


def _is_some_default(pointer: str, value: Any) -> bool:
    name, text = pointer.rpartition("/")[2], defaults.canonical(value)
    return any(text in fields.get(name, ()) for fields in defaults.table().values()) or any(
        field == name and rule(value, {}, {}) for (_, field), rule in defaults.CONDITIONAL.items()
    )


Predicate = Callable[[Trial, str], bool]
LIMITS: dict[str, Predicate] = {
    "a server-made value was removed": _only_server_values_removed,
    "a default was written": _default_written,
    "a derived sibling is not told": _derived_sibling,
    "an allocated field without owner": _allocated_unowned,
    "an allocated value was set back": _allocated_set_back,
    "a set was reordered": _set_reordered,
    "tolerations admitted again": _tolerations_admitted_again,
}
"""What the comparison is known not to see or to see otherwise: a name and when it holds.

The second argument is the complaint (`CLEAN`, `FOUND`, `PATHS`, `MANAGER`, `INVERSE`).
"""


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
    print(  # noqa: T201 - the seeds, for whoever wants to see a trial again
        f"seeds from {SEED + chunk * 1_000_000}: {dict(seen)}, known limits {dict(limits)}"
    )
    assert not complaints, "\n\n".join(complaints)


def prepared(lab: Lab, seed: int) -> Trial:
    """A random object, not applied yet."""
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    base = rng.choice(labs.objects())
    name = f"p{seed}"
    return Trial(seed, rng.choice(labs.MODES), labs.named(base, name), rng.choice(MANAGERS))


def examined(lab: Lab, trial: Trial) -> list[str]:
    """Run one trial; the kinds of complaint about it."""
    rng = random.Random(trial.seed + 7)  # noqa: S311 - reproducible, not secret
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
    if trial.truth and _traced(trial) != (trial.manager in names):
        complaints.append(MANAGER)
    return complaints
