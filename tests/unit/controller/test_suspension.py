"""What a suspended Kustomization or HelmRelease has to do with healing."""

from __future__ import annotations

import pytest
from msgspec import structs

from driftd.controller.suspension import suspension, what_comes_first
from driftd.model.application import FluxSpec
from driftd.model.condition import Condition, Severity
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
