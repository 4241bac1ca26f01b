"""Live Kustomizations and HelmReleases beside those that the checkout declares."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.controller.live_flux import with_edits
from driftd.model.application import Application, ApplicationSpec
from driftd.model.flux import FluxObject, FluxSpec

BY_FLUX = {"f:values": {"f:count": {}}}


def release(origin: str, *writers: tuple[str, dict[str, Any]], **spec: Any) -> FluxObject:
    """A HelmRelease with these fields and these managers."""
    managed = [
        {"manager": manager, "operation": "Update", "fieldsV1": {"f:spec": owned}}
        for manager, owned in writers
    ]
    body = {"metadata": {"managedFields": managed}, "spec": spec}
    return FluxObject(kind="HelmRelease", namespace="web", name="shop", body=body, origin=origin)


def told(live: FluxObject, git: FluxObject | None) -> tuple[str, list[str]]:
    """What the application of a live object says of edits: how, and the conditions."""
    flux = FluxSpec(kind="HelmRelease", object_name="shop", render={})
    app = Application(name="shop", namespace="web", spec=ApplicationSpec(), flux=flux)
    found = with_edits(app, live, git)
    assert found.flux is not None
    how = "".join(one.how for one in found.flux.edited)
    return how, [f"{one.type}: {one.message}" for one in found.conditions]


def test_a_value_that_git_does_not_set() -> None:
    """The field, both values and who wrote it; the rest of the spec is the same."""
    git = release("releases/shop.yaml", values={"host": "a"}, interval="5m")
    live = release("hub one", ("flux", BY_FLUX), values={"host": "a", "count": 1}, interval="5m")
    how, conditions = told(live, git)
    assert how == "was edited beside Git"
    (condition,) = conditions
    assert condition == (
        "LiveApplicationDiffers: the live HelmRelease is not as releases/shop.yaml declares it, "
        "and the findings here compare with what the live HelmRelease says, not with Git alone: "
        "spec.values.count is 1 (Git: not set), written by flux"
    )


def test_a_default_is_no_value_of_git() -> None:
    """A field that the file leaves out is not set there, whatever Flux takes it for."""
    git = release("releases/shop.yaml", interval="5m")
    live = release("hub one", interval="5m", install={"disableSchemaValidation": True})
    _, [condition] = told(live, git)
    assert "spec.install.disableSchemaValidation is true (Git: not set)" in condition


def test_what_its_own_deployer_wrote_may_be_an_older_commit() -> None:
    """Git may be ahead: nobody is said to have edited anything."""
    git = release("releases/shop.yaml", values={"count": 2})
    live = release("hub one", ("kustomize-controller", BY_FLUX), values={"count": 1})
    how, [condition] = told(live, git)
    assert how == "is not what Git declares"
    assert "spec.values.count is 1 (Git: 2), written by kustomize-controller" in condition


def test_secret_values_are_masked() -> None:
    """Neither value is shown below a name that says it is secret."""
    git = release("releases/shop.yaml", values={"secrets": {"COOKIE": "xyzzy"}})
    live = release("hub one", values={"secrets": {"COOKIE": "plugh"}})
    _, [condition] = told(live, git)
    assert "spec.values.secrets.COOKIE is «masked» (Git: «masked»)" in condition
    assert "xyzzy" not in condition
    assert "plugh" not in condition


@pytest.mark.parametrize("live", [{"suspend": True}, {"install": {"crds": ""}}, {"values": {}}, {}])
def test_what_is_no_edit(live: dict[str, Any]) -> None:
    """A suspension and a default that is written out decide nothing that is deployed."""
    git = release("releases/shop.yaml")
    assert told(release("hub one", ("kubectl-edit", {"f:suspend": {}}), **live), git) == ("", [])


def test_without_git_the_owners_say_it() -> None:
    """Where no checkout declares the object, a part of another owner is told."""
    live = release(
        "hub one", ("kustomize-controller", {"f:interval": {}}), ("flux", BY_FLUX), values={}
    )
    how, [condition] = told(live, None)
    assert how == "was edited beside Git"
    assert condition.startswith("LiveApplicationEdited: the live HelmRelease was edited: spec.")
