"""An object that no parser takes, on a real API server: it is Unknown, and nothing else is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.site import Site, assert_rest_is_right

pytestmark = pytest.mark.cluster

GROUP = "poison.example.com"
DEPTH = 1500
DEEP = '{"a":' * DEPTH + "1" + "}" * DEPTH
CRD: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"vials.{GROUP}"},
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"kind": "Vial", "plural": "vials"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "x-kubernetes-preserve-unknown-fields": True,
                            }
                        },
                    }
                },
            }
        ],
    },
}


def vial(name: str, **spec: Any) -> dict[str, Any]:
    """A custom resource that takes anything."""
    metadata = {"name": name}
    return {"apiVersion": f"{GROUP}/v1", "kind": "Vial", "metadata": metadata, "spec": spec}


def test_a_deep_object_is_unknown_alone(site: Site) -> None:
    """Nested beyond what parsers take: declared, it is Unknown; with a mark alone, it is Extra.

    The object of the same kind and application beside it has its verdict, other applications too.
    """
    site.cluster.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", CRD)
    site.kubeconfig = site.cluster.kubeconfig()  # the shipped role does not read this kind
    path = f"/apis/{GROUP}/v1/namespaces/{site.namespace}/vials"
    site.cluster.wait_for(f"/apis/{GROUP}/v1/vials", lambda _: True)
    mark = {"argocd.argoproj.io/tracking-id": f"broken:{GROUP}/Vial:{site.namespace}/stray"}
    try:
        site.cluster.call("POST", f"{path}?fieldManager=argocd-controller", vial("sound", a="1"))
        for name, annotations in (("deep", {}), ("stray", mark)):
            body = vial(name, deep="HERE")
            body["metadata"]["annotations"] = annotations
            text = json.dumps(body).replace('"HERE"', DEEP)
            site.cluster.kubectl("create", "-n", site.namespace, "-f", "-", input=text)
        files = {f"{name}.yaml": json.dumps(vial(name, a="1")) for name in ("sound", "deep")}
        site.broken(files)
        seen = site.check()
    finally:
        name = CRD["metadata"]["name"]
        site.cluster.call(
            "DELETE", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
        )
    assert seen.stdout, seen.stderr
    assert_rest_is_right(seen)
    found = seen.objects("broken")
    assert found["Vial sound"][0] == "Synced", found
    assert found["Vial deep"] == (
        "Unknown",
        "cannot be compared (JSONDecodeError); is the manifest valid?",
    )
    assert found["Vial stray"][0] == "Extra"
    assert seen.exit_code == 2
