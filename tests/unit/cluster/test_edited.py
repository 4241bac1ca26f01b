"""Live Applications that somebody edited."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.cluster.edited import EDITED, edited
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
