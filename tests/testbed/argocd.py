"""Argo CD's kinds on a real API server, without Argo CD."""

from __future__ import annotations

from tests.testbed.cluster import ControlPlane

ARGO = "/apis/argoproj.io/v1alpha1"
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def serve_argo_kinds(api_server: ControlPlane) -> None:
    """Create Applications and AppProjects, without their schema, and wait until they are served.

    Tests that share an API server may all ask for it.
    """
    _create_kind(api_server, "Application", "applications")
    _create_kind(api_server, "AppProject", "appprojects")


def _create_kind(api_server: ControlPlane, kind: str, plural: str) -> None:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1alpha1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
    }
    body = {
        "metadata": {"name": f"{plural}.argoproj.io"},
        "spec": {
            "group": "argoproj.io",
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [version],
        },
    }
    status, answer = api_server.request("POST", _CRDS, body)
    assert status in (201, 409), answer
    api_server.wait_for(f"{ARGO}/{plural}", lambda _: True)
