"""Misspelt fields of Flux's kinds."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.flux.fields import misspelt, unknown

RELEASE = {"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease"}
APPLIED = {"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization"}
GIT = {"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository"}


@pytest.mark.parametrize(
    ("of", "spec", "path", "meant"),
    [
        (RELEASE, {"value": {}}, "spec.value", "values"),
        (RELEASE, {"chart": {"spec": {"sourceref": {}}}}, "spec.chart.spec.sourceref", "sourceRef"),
        (RELEASE, {"valuesFrom": [{"name": "a"}, {"valueKey": "b"}]}, "spec.valuesFrom.1.valueKey",
         "valuesKey"),
        (APPLIED, {"prun": True}, "spec.prun", "prune"),
        (APPLIED, {"postBuild": {"substitutes": {}}}, "spec.postBuild.substitutes", "substitute"),
        (GIT, {"intervall": "5m"}, "spec.intervall", "interval"),
    ],
)  # fmt: skip
def test_slips(of: dict[str, Any], spec: dict[str, Any], path: str, meant: str) -> None:
    """A name that is nearly a field of its place is told with that field."""
    found = misspelt({**of, "spec": spec})
    assert found is not None
    assert (".".join(found.path), found.meant) == (path, meant)


@pytest.mark.parametrize(
    "body",
    [
        {**RELEASE, "spec": {"values": {"value": 1}, "valuesFrom": [{"name": "a"}], "chart": {}}},
        {**RELEASE, "spec": None},
        {**APPLIED, "spec": {"postBuild": {"substitute": {"prun": "x"}}, "prune": True}},
        {**APPLIED, "apiVersion": "kustomize.config.k8s.io/v1beta1", "spec": {"prun": True}},
        {"apiVersion": "v1", "kind": "ConfigMap"},
    ],
)
def test_what_is_right(body: dict[str, Any]) -> None:
    """Free maps, later fields, other kinds and objects without a shape have no slip."""
    assert misspelt(body) is None


def test_a_name_that_resembles_none() -> None:
    """It is no slip, and unknown unless the cluster's definition has it: a later Flux may."""
    body = {**APPLIED, "spec": {"prune": True, "postBuild": {"colour": 1}}}
    assert misspelt(body) is None
    assert unknown({**APPLIED, "spec": {"prune": True}}, lambda _: ()) is None
    assert unknown({"apiVersion": "v1", "kind": "X", "spec": {"y": 1}}, lambda _: ()) is None
    found = unknown(body, lambda _: ("prune",))
    assert found is not None
    assert (".".join(found.path), found.meant) == ("spec.postBuild.colour", "")
    assert unknown(body, lambda path: ("colour",) if path[-1] == "postBuild" else ()) is None
