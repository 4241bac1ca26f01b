"""Every technique to hide a change, for everything that an intruder may want: none evades.

`EVASIONS=all` tries every pair; otherwise each technique is tried for one goal.
"""

from __future__ import annotations

import itertools
import os

import pytest

from tests.property.evasions import GOALS, TECHNIQUES, Goal, Technique
from tests.property.histories import ARGO
from tests.property.lab import Lab, named, objects
from tests.property.remembered import Remembered
from tests.property.truth import leaves, related, view
from tests.testbed.cluster import ControlPlane

ALL = os.environ.get("EVASIONS") == "all"
PAIRS = list(itertools.product(GOALS, TECHNIQUES))
UNDONE = {
    ("rule of a role", "wiped, then applied"),
    ("rule of a role", "recreated"),
    ("rule of a role", "recreated, entry dropped"),
}
"""Where the deployer's apply itself puts the object right: a role's rules are one value."""

pytestmark = pytest.mark.cluster


def chosen() -> list[tuple[str, str]]:
    """The pairs of this run."""
    if ALL:
        return PAIRS
    goals = itertools.cycle(GOALS)
    return [(next(goals), technique) for technique in TECHNIQUES]


@pytest.fixture(scope="module")
def lab(api_server: ControlPlane) -> Lab:
    """A namespace for all objects of this file."""
    return Lab(api_server, api_server.create_namespace("evasion-suite"))


def evaded(lab: Lab, number: int, goal: Goal, technique: Technique) -> dict[str, bool] | None:
    """Whether the change is told by nobody: to one look alone, and after a clean one.

    None if the technique's own apply has undone the change.
    """
    base = next(body for body in objects() if body["kind"] == goal.kind)
    desired = named(base, f"v{number}")
    desired["metadata"].pop("finalizers", None)
    lab.apply(desired, ARGO)
    looks = Remembered(lab)
    assert looks.look(desired).changes == ()
    before = view(lab.live(desired))
    technique(lab, desired, goal)
    reached = list(leaves(before, view(lab.live(desired))))
    if not any(related(leaf.pointer, place) for leaf in reached for place in goal.places):
        return None
    found = {"alone": looks.alone(desired), "with history": looks.look(desired).changes}
    return {
        how: not any(
            change.is_drift and related(change.path, place)
            for change in changes
            for place in goal.places
        )
        for how, changes in found.items()
    }


@pytest.mark.parametrize(("goal", "technique"), chosen())
def test_nobody_evades(lab: Lab, goal: str, technique: str) -> None:
    """Drift is told at the place of the change, by one look alone and by one with history."""
    number = PAIRS.index((goal, technique))
    outcome = evaded(lab, number, GOALS[goal], TECHNIQUES[technique])
    if (goal, technique) in UNDONE:
        assert outcome is None
    else:
        assert outcome == {"alone": False, "with history": False}
