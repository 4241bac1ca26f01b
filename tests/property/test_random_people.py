"""Random changes by several people: an audit log with bodies names who made each.

`PEOPLE_TRIALS` sets how many changes are tried (60), `PEOPLE_SEED` the first seed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.property.lab import Lab
from tests.property.score import Score
from tests.testbed.cluster import ControlPlane

# Read here: tests run with an environment of their own later on.
TRIALS = int(os.environ.get("PEOPLE_TRIALS", "60"))
SEED = int(os.environ.get("PEOPLE_SEED", "1"))

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A namespace on an API server that logs whole requests."""
    with ControlPlane("people", audit="Request") as cluster:
        made = Lab(cluster, cluster.create_namespace("people"))
        made.install_widgets()
        yield made


def test_people_are_named(lab: Lab) -> None:
    """Never a wrong person, though others wrote under the same name; nearly always the right one.

    What the log leaves open is what the server stores otherwise than it was sent.
    """
    score = Score()
    for seed in range(SEED, SEED + TRIALS):
        score.run(lab, seed)
    print(score)  # noqa: T201 - for whoever wants to see a trial again
    assert score.counts["persons"] > TRIALS // 2
    assert score.counts["wrong person"] == 0, "\n\n".join(score.persons)
    assert score.counts["right person"] >= 0.96 * score.counts["persons"], score.persons
    assert not score.complaints, "\n\n".join(score.complaints)
