"""Random changes under random managers: each is found, where it is, and by whom it was made.

Every object has a random content and a random history, and is clean before. `PROPERTY_MUTATIONS`
sets how many changes are made (300), `PROPERTY_SEED` the first seed.
"""

from __future__ import annotations

import os

import pytest

from tests.property.lab import Lab
from tests.property.score import Score
from tests.testbed.cluster import ControlPlane

# Read here: tests run with an environment of their own later on.
MUTATIONS = int(os.environ.get("PROPERTY_MUTATIONS", "300"))
SEED = int(os.environ.get("PROPERTY_SEED", "1"))
CHUNKS = 6

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def lab(api_server: ControlPlane) -> Lab:
    """A namespace for all trials of this file."""
    made = Lab(api_server, api_server.create_namespace("property"))
    made.install_widgets()
    return made


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_mutations_are_found(lab: Lab, chunk: int) -> None:
    """Clean before; found with its path and manager after; clean again when it is taken back."""
    first = SEED + chunk * 1_000_000
    score = Score()
    for seed in range(first, first + MUTATIONS // CHUNKS):
        score.run(lab, seed)
    print(f"seeds from {first}\n{score}")  # noqa: T201 - for whoever wants to see a trial again
    assert score.counts["changes"] > score.counts["trials"] // 3
    assert not score.complaints, "\n\n".join(score.complaints)
