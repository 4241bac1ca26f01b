"""New objects of kinds that a cluster does not serve: a real repository, a cluster in memory."""

from __future__ import annotations

import json

import pytest
from msgspec import UNSET

from driftd.cluster.destinations import ClusterTarget
from driftd.model.preview import Action
from tests.unit.controller.conftest import World
from tests.unit.controller.test_preview_lines import one, previewed

pytestmark = pytest.mark.slow

ODD = {"apiVersion": "example.org/v1", "kind": "Odd", "metadata": {"name": "one"}}
DEFINITION = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: odds.example.org}
spec: {group: example.org, names: {kind: KIND, plural: odds}, scope: Namespaced}
"""
PATCHED = """\
resources: [odds.yaml]
patches:
- target: {kind: CustomResourceDefinition}
  patch: '[{"op": "replace", "path": "/spec/names/kind", "value": "Odd"}]'
"""
NOWHERE = (
    "neither the cluster nor Git has a CustomResourceDefinition of Odd (example.org/v1): deploying "
    "it fails unless something else installs that first"
)
PERHAPS = (
    "the cluster has no CustomResourceDefinition of Odd (example.org/v1), and whether Git brings "
    "one is not known, since not all of its applications could be rendered: deploying it fails "
    "without"
)


@pytest.mark.parametrize(
    ("beside", "told"),
    [
        ({}, NOWHERE),
        ({"docs/odds.yaml": DEFINITION.replace("KIND", "Odd")}, UNSET),
        (
            {
                "apps/kept/odds.yaml": DEFINITION.replace("KIND", "Ood"),
                "apps/kept/kustomization.yaml": PATCHED,
            },
            UNSET,
        ),
        ({"apps/kept/kustomization.yaml": "resources: [lost.yaml]\n"}, PERHAPS),
    ],
    ids=["nowhere", "a file", "what another application renders", "an application fails"],
)
async def test_a_kind_that_nothing_defines(
    world: World, beside: dict[str, str], told: object
) -> None:
    """It is told as that only where all that Git declares is known and no file may define it."""
    cluster = world.clusters.open(ClusterTarget("context", "one"))
    cluster.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    for file, text in beside.items():
        world.repo.write(file, text)
    world.repo.commit()
    world.repo.git("checkout", "--quiet", "-b", "change")
    world.repo.write("apps/shop/odd.json", json.dumps(ODD))
    world.repo.commit()
    (found,) = one(await previewed(world), "shop").resources
    assert (found.action, found.kind, found.reason) == (Action.CREATE, "Odd", told)
