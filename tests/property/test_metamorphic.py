"""Git may say the same in another way: the verdict on an object does not change.

`PROPERTY_SAME` sets how many random objects are looked at (24).
"""

from __future__ import annotations

import base64
import os
import random
from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest

from tests.property.histories import merged
from tests.property.lab import Lab
from tests.property.trial import Trial, base_of, change, deployed, prepared
from tests.testbed.client import ApiError
from tests.testbed.cluster import ControlPlane

COUNT = int(os.environ.get("PROPERTY_SAME", "24"))
SEED = 700_000
WIDGETS = 4
Json = Any

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def lab(api_server: ControlPlane) -> Lab:
    """A namespace for all objects of this file."""
    made = Lab(api_server, api_server.create_namespace("metamorphic"))
    made.install_widgets()
    return made


def _shuffled(value: Json, rng: random.Random) -> Json:
    """The fields of every struct in another order."""
    if isinstance(value, dict):
        items = [(name, _shuffled(inner, rng)) for name, inner in value.items()]
        rng.shuffle(items)
        return dict(items)
    return [_shuffled(inner, rng) for inner in value] if isinstance(value, list) else value


def _other_quantities(value: Json, rng: random.Random, inside: str = "") -> Json:
    """Whole amounts of resources written in thousandths."""
    if isinstance(value, dict):
        return {
            name: _other_quantities(inner, rng, name if isinstance(inner, dict) else inside)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_other_quantities(inner, rng) for inner in value]
    if inside in ("requests", "limits", "hard", "max") and isinstance(value, str):
        return f"{Decimal(value) * 1000:f}m" if value.isdigit() else value
    return value


def _noted(body: Json, _: random.Random) -> Json:
    """What generators leave in manifests."""
    noted = deepcopy(body)
    noted["status"] = {}
    noted["metadata"]["creationTimestamp"] = None
    return noted


def _as_string_data(body: Json, _: random.Random) -> Json:
    """A Secret's data as text, where it is text."""
    if body["kind"] != "Secret" or not body.get("data"):
        return body
    told = deepcopy(body)
    for name, value in list(told["data"].items()):
        try:
            text = base64.b64decode(value or "").decode()
        except ValueError:
            continue
        told.setdefault("stringData", {}).setdefault(name, text)
        del told["data"][name]
    return told


SAME: dict[str, Callable[[Json, random.Random], Json]] = {
    "other order": _shuffled,
    "other quantities": _other_quantities,
    "notes of generators": _noted,
    "text data": _as_string_data,
}


def told(lab: Lab, desired: Json) -> set[tuple[str, str, str]]:
    """Kind, class and place of every change."""
    return {(str(c.kind), str(c.change_class), c.ssa_path) for c in lab.look(desired).changes}


def trials(lab: Lab, first: int) -> list[Trial]:
    """Random objects with a random history, deployed and clean."""
    found = []
    for seed in range(first, first + COUNT):
        try:
            trial = prepared(seed, lab)
            deployed(lab, trial)
        except ApiError:
            continue  # a former release that cannot be left again
        if not trial.found:
            found.append(trial)
    assert len(found) > COUNT * 2 // 3
    return found


def test_the_same_said_otherwise(lab: Lab) -> None:
    """Clean objects stay clean, drifted ones drifted at the same places, however Git puts it."""
    drifted = 0
    for trial in trials(lab, SEED):
        rng = random.Random(trial.seed)  # noqa: S311 - reproducible, not secret
        for turn in ("clean", "changed"):
            if turn == "changed":
                change(lab, trial, rng)
            verdict = told(lab, trial.desired)
            drifted += bool(verdict)
            for name, rewrite in SAME.items():
                rewritten = rewrite(trial.desired, rng)
                assert told(lab, rewritten) == verdict, f"{name}, {turn}: {trial}"
    assert drifted > COUNT // 2


def test_defaults_in_git(lab: Lab) -> None:
    """Git may write down every default: the object stays clean."""
    for trial in trials(lab, SEED + 10_000):
        full = merged(lab.live(trial.desired), trial.desired)
        full["metadata"] = trial.desired["metadata"]
        assert told(lab, full) == set(), str(trial)


def test_another_version_in_git(lab: Lab) -> None:
    """An object read through another version that says the same has the same verdict."""
    seen = 0
    for seed in range(SEED + 20_000, SEED + 21_000):
        if base_of(seed)["kind"] != "Widget":
            continue
        trial = prepared(seed, lab)
        deployed(lab, trial)
        rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
        change(lab, trial, rng)
        verdict = told(lab, trial.desired)
        assert told(lab, lab.at_other_version(trial.desired)) == verdict, str(trial)
        seen += 1
        if seen == WIDGETS:
            break
    assert seen == WIDGETS
