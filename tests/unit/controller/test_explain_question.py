"""What an error suggests where neither side of an object has the path of a question."""

from __future__ import annotations

import pytest

from driftd.controller.explain_question import nearest_paths
from driftd.diff.compare import Context
from driftd.diff.explain import Inspection
from driftd.model.resource import ResourceKey
from tests.unit.diff.objects import deployment, node_of

KEY = ResourceKey("apps", "Deployment", "shop", "web")
IMAGE = "spec.template.spec.containers[name=web].image"


@pytest.mark.parametrize(
    ("path", "first"),
    [
        ("image", IMAGE),
        ("containers[name=web].imag", IMAGE),
        ("spec.template.spec.containers[0].imag", IMAGE),
        ("/spec/replica", "/spec/replicas"),
        ("replica", "spec.replicas"),
    ],
)
def test_suggested_paths_can_be_pasted(path: str, first: str) -> None:
    """They name items by their keys, as reports do, and the same question finds them."""
    wanted = deployment()
    inspection = Inspection(KEY, wanted, deployment(), node_of(wanted), Context())
    near = nearest_paths(path, inspection)
    assert near[0] == first
    assert all(inspection.find(one) for one in near)
