"""Live Applications that somebody edited."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.cluster.edited import EDITED, edited, edited_beside_flux
from driftd.model.condition import Severity

TEMPLATE = {"f:spec": {".": {}, "f:project": {}, "f:source": {"f:path": {}, "f:repoURL": {}}}}
PARAMETERS = {"f:spec": {"f:source": {"f:helm": {".": {}, "f:parameters": {}}}}}


def application(*entries: tuple[str, dict[str, Any], str]) -> dict[str, Any]:
    """A live Application with these managers, their fields and the subresource they wrote to."""
    time = "2026-11-27T01:01:54Z"
    managed = [
        {"manager": manager, "operation": "Update", "time": time, "fieldsV1": fields}
        | ({"subresource": below} if below else {})
        for manager, fields, below in entries
    ]
    return {"metadata": {"name": "shop", "managedFields": managed}}


def test_an_override_is_told_with_its_author() -> None:
    """The field, who set it and when, and who declares the rest; a warning hides no verdict."""
    raw = application(
        ("argocd-applicationset-controller", TEMPLATE, ""), ("argocd-server", PARAMETERS, "")
    )
    [told] = edited(raw)
    assert (told.type, told.severity) == (EDITED, Severity.WARNING)
    assert told.message.startswith(
        "the live Application was edited: spec.source.helm.parameters by argocd-server at "
        "2026-11-27T01:01:54Z; argocd-applicationset-controller wrote the rest."
    )


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [("argocd-server", TEMPLATE, "")],
        [("argocd-applicationset-controller", TEMPLATE, "")],
        [("helm", TEMPLATE, ""), ("argocd-server", {"f:metadata": {"f:labels": {}}}, "")],
        [("helm", TEMPLATE, ""), ("argocd-server", {"f:spec": {"f:x": {}}}, "status")],
    ],
    ids=["no record", "made by hand", "untouched", "a label", "a subresource"],
)
def test_what_is_no_override(entries: list[tuple[str, dict[str, Any], str]]) -> None:
    """Who creates an Application by hand declares it so; labels and status decide nothing."""
    assert edited(application(*entries)) == ()


VALUES = {"f:spec": {"f:values": {"f:replicas": {}}, "f:chart": {}}}
ONE_VALUE = {"f:spec": {"f:values": {"f:replicas": {}}}}
COUNT = {"f:spec": {"f:values": {"f:count": {}}}}
SUSPEND = {"f:spec": {"f:suspend": {}}}


def test_a_release_that_somebody_edited() -> None:
    """The flux CLI's write counts too beside kustomize-controller, which owns the rest."""
    raw = application(("kustomize-controller", VALUES, ""), ("flux", COUNT, ""))
    [told] = edited_beside_flux("HelmRelease", raw)
    assert told.type == EDITED
    assert told.message == (
        "the live HelmRelease was edited: spec.values.count by flux at 2026-11-27T01:01:54Z; "
        "kustomize-controller wrote the rest. What is deployed, and called Git's value here, "
        "follows the live HelmRelease"
    )


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ([("kustomize-controller", VALUES, ""), ("kubectl-edit", ONE_VALUE, "")], False),
        ([("kustomize-controller", VALUES, ""), ("flux", SUSPEND, "")], False),
        ([("kustomize-controller", VALUES, ""), ("helm-controller", COUNT, "status")], False),
        ([("flux", VALUES, "")], False),
        ([("flux", VALUES, ""), ("kubectl-edit", COUNT, "")], True),
        ([("flux", VALUES, ""), ("kubectl-edit", SUSPEND, "")], False),
    ],
    ids=["owned by both", "suspended", "status", "made by hand", "edited by hand", "paused"],
)
def test_who_edits_flux_objects(entries: list[tuple[str, dict[str, Any], str]], told: bool) -> None:
    """A value that Git's hand owns too is Git's; suspending changes nothing that is deployed."""
    assert bool(edited_beside_flux("HelmRelease", application(*entries))) is told
