"""What a suspended Kustomization or HelmRelease has to do with healing."""

from __future__ import annotations

import pytest
from msgspec import structs

from driftd.cluster.operations import FLUX
from driftd.controller.observed import ClusterView
from driftd.controller.suspension import merged_in_vain, suspension, what_comes_first
from driftd.model.application import FluxSpec
from driftd.model.condition import Condition, Severity
from tests.unit.controller.cluster import MemoryCluster
from tests.unit.sync.builders import application

SUSPENDED = Condition("Suspended", "spec.suspend is true", Severity.INFO)
RESUME = "flux resume helmrelease shop -n flux-system comes first"


@pytest.mark.parametrize(
    ("live", "conditions", "origin", "told"),
    [
        (False, (), "clusters/a.yaml", ""),
        (True, (), "clusters/a.yaml", f"suspended live; {RESUME}"),
        (False, (SUSPENDED,), "hub one", f"suspended live; {RESUME}"),
        (
            True,
            (SUSPENDED,),
            "clusters/a.yaml",
            "suspended in Git; taking spec.suspend out of Git comes first",
        ),
    ],
)
def test_what_comes_before_flux_puts_anything_back(
    live: bool, conditions: tuple[Condition, ...], origin: str, told: str
) -> None:
    """Live it is a command, in Git a commit, for else Git suspends it anew."""
    flux = FluxSpec(kind="HelmRelease", object_name="shop", render={}, conditions=conditions)
    app = structs.replace(application(), namespace="flux-system", origin=origin, flux=flux)
    wanted = f"HelmRelease flux-system/shop is {told}" if told else ""
    assert what_comes_first(app, suspended=live) == wanted
    assert bool(suspension(app, suspended=live)) is bool(told)
    assert what_comes_first(structs.replace(app, flux=None), suspended=True) == ""


@pytest.mark.parametrize(
    ("live", "conditions", "told"),
    [
        (True, (), "live: merging changes nothing on the cluster before it is resumed"),
        (False, (SUSPENDED,),
         "in Git: merging changes nothing on the cluster while Git says spec.suspend"),
        (False, (), ""),
    ],
)  # fmt: skip
async def test_a_merge_that_flux_does_not_apply(
    live: bool, conditions: tuple[Condition, ...], told: str
) -> None:
    """A preview says it, of the live object where that can be read."""
    cluster, kind = MemoryCluster(), FLUX["HelmRelease"][0]
    cluster.resources.append(kind)
    cluster.put(
        {
            "apiVersion": f"{kind.group}/{kind.version}",
            "kind": kind.kind,
            "metadata": {"name": "shop", "namespace": "flux-system"},
            "spec": {"suspend": live},
        }
    )
    view = ClusterView(reader=cluster, discovery=None, version="")
    flux = FluxSpec(
        kind="HelmRelease", object_name="shop", render={}, conditions=conditions, context="fleet"
    )
    app = structs.replace(application(), namespace="flux-system", flux=flux)
    found = [one.message for one in await merged_in_vain(app, view)]
    assert found == ([f"HelmRelease flux-system/shop is suspended {told}"] if told else [])
    assert bool(list(await merged_in_vain(app, None))) is bool(conditions)
