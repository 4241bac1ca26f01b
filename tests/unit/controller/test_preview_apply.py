"""Who refuses a field that a kind does not have."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from msgspec import UNSET, structs

from driftd.controller.declared import Entry
from driftd.controller.preview_apply import (
    certain,
    is_certain,
    refuses_unknown_fields,
)
from driftd.diff.invalid import first
from driftd.model.flux import FluxSpec
from driftd.model.report import Invalid
from tests.unit.controller.builders import application, desired, manifest
from tests.unit.diff.objects import deployment, node_of

SERVER_SIDE = "ServerSideApply=true"
ARGO = "argocd.argoproj.io/sync-options"
FLUX = "kustomize.toolkit.fluxcd.io/ssa"


def deployer(*options: str, flux: Any = None) -> Entry:
    """An Application with sync options, or an object of Flux of that kind."""
    app = application(syncPolicy={"syncOptions": list(options)})
    if flux:
        app = structs.replace(app, flux=FluxSpec(kind=flux, object_name="shop", render={}))
    return desired(app=app).entry


@pytest.mark.parametrize(
    ("entry", "annotations", "refuses"),
    [
        (deployer(), {}, False),
        (deployer(SERVER_SIDE), {}, True),
        (deployer(SERVER_SIDE, "Replace=true"), {}, False),
        (deployer(), {ARGO: f"Prune=false, {SERVER_SIDE}"}, True),
        (deployer(SERVER_SIDE), {ARGO: "ServerSideApply=false"}, False),
        (deployer(flux="Kustomization"), {}, True),
        (deployer(flux="Kustomization"), {FLUX: "Ignore"}, False),
        (deployer(flux="HelmRelease"), {}, False),
        (None, {}, False),
    ],
)
def test_who_applies_server_side(
    entry: Entry | None, annotations: dict[str, str], refuses: bool
) -> None:
    """An Application's or an object's sync option says so; of Flux a Kustomization always does."""
    body = deepcopy(deployment())
    body["metadata"]["annotations"] = annotations
    assert refuses_unknown_fields(entry, manifest(body)) is refuses


def test_kinds_of_definitions_may_get_the_field_with_the_change() -> None:
    """What a kind that is not built in lacks is not certain: its next version may have it."""
    entry = deployer(SERVER_SIDE)
    for version, refuses in (
        ("v1", True),
        ("networking.k8s.io/v1", True),
        ("example.com/v1", False),
    ):
        body = {"apiVersion": version, "kind": "Lamp", "metadata": {"name": "web"}}
        assert refuses_unknown_fields(entry, manifest(body)) is refuses


def test_server_side_apply_makes_an_unknown_field_certain() -> None:
    """The mistake then says who refuses; one that the API server drops may be applied."""
    body = deepcopy(deployment())
    body["spec"]["replcas"] = 3
    found = first(body, node_of(body))
    assert found
    assert not is_certain(found)
    sure = certain(found)
    assert sure
    assert is_certain(sure)
    assert "no field replcas in spec: server-side apply refuses the object; did" in sure.message
    assert "drops" not in sure.message


def test_other_mistakes_are_certain_as_they_are() -> None:
    """A value that the schema refuses is refused by whoever applies it, as its words say."""
    wrong = Invalid(cause="WrongType", path="/spec/replicas", message="a number is expected")
    assert certain(wrong) is wrong
    assert is_certain(wrong)
    assert certain(UNSET) is UNSET
    assert not is_certain(UNSET)
