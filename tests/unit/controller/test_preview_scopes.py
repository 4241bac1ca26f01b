"""The scope of kinds that another application defines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from driftd.cluster.reader import ApiResource, Discovery
from driftd.controller.preview_pairs import Pair, touched
from driftd.controller.preview_scopes import settle_scopes
from tests.unit.controller.builders import application, desired


def definition(scope: str) -> dict[str, Any]:
    """A definition of widgets."""
    spec = {"group": "acme.example", "names": {"kind": "Widget"}, "scope": scope}
    name = {"name": "widgets.acme.example"}
    version = "apiextensions.k8s.io/v1"
    return {
        "apiVersion": version, "kind": "CustomResourceDefinition", "metadata": name, "spec": spec,
    }  # fmt: skip


def widget(namespace: str) -> dict[str, Any]:
    """A widget as it is rendered for a destination."""
    metadata = {"name": "one", "namespace": namespace}
    return {"apiVersion": "acme.example/v1", "kind": "Widget", "metadata": metadata}


def settled(scope: str, discovery: Discovery | None) -> tuple[Pair, Pair]:
    """An application whose destination changes, beside one with the definition of its kind."""
    old, new = desired(widget("shop")), desired(widget("new"))
    crds = desired(definition(scope), app=application(name="crds"))
    pairs = (
        Pair(old.entry, new.entry, old=old, new=new),
        Pair(crds.entry, crds.entry, old=crds, new=crds),
    )
    settle_scopes(pairs, discovery)
    return pairs


@pytest.mark.parametrize("discovery", [None, Discovery.of([])], ids=["no cluster", "not served"])
def test_another_application_tells_the_scope(discovery: Discovery | None) -> None:
    """An object of a cluster-scoped kind stays what it is when the destination changes."""
    pairs = settled("Cluster", discovery)
    assert touched(pairs) == []
    assert pairs[0].new is not None
    (one,) = pairs[0].new.manifests
    assert str(one.key) == "Widget.acme.example one"
    assert "namespace" not in json.loads(one.body)["metadata"]


def test_what_is_known_otherwise_stays() -> None:
    """A namespaced kind keeps its namespace, and so does one of which the cluster tells."""
    assert len(touched(settled("Namespaced", None))) == 2
    served = ApiResource("acme.example", "v1", "Widget", "widgets", True, ("get",))
    assert len(touched(settled("Cluster", Discovery.of([served])))) == 2
