"""Which declared objects of Flux are not compared, and why."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from driftd.model.flux import FluxSpec
from driftd.model.resource import Manifest, Origin, ResourceKey
from driftd.render.flux import hook_annotations, lacks_namespace, left_alone
from driftd.render.manifests import RenderedDocument, process


def manifest(
    kind: str = "ConfigMap", *, file: str = "a.yaml", annotations: Any = None, **fields: Any
) -> Manifest:
    """A manifest of any kind."""
    body = {"kind": kind, "metadata": {"name": "x", "annotations": annotations or {}}, **fields}
    group = "apiextensions.k8s.io" if kind == "CustomResourceDefinition" else ""
    key = ResourceKey(group, kind, "ns", "x")
    return Manifest(key, "v1", orjson.dumps(body), Origin(0, file))


def judged(one: Manifest, kind: Any = "Kustomization", **fields: Any) -> Any:
    """Why a manifest is left alone, None if it is compared."""
    (found,) = left_alone([one], FluxSpec(kind=kind, object_name="app", render={}, **fields))
    return found.unchecked


@pytest.mark.parametrize(
    ("annotations", "existence"),
    [
        ({"kustomize.toolkit.fluxcd.io/reconcile": "disabled"}, False),
        ({"kustomize.toolkit.fluxcd.io/ssa": "Ignore"}, False),
        ({"kustomize.toolkit.fluxcd.io/ssa": "IfNotPresent"}, True),
        ({"kustomize.toolkit.fluxcd.io/ssa": "Merge"}, None),
        ({}, None),
    ],
)
def test_annotations_of_flux_decide(annotations: dict[str, str], existence: bool | None) -> None:
    """Ignored objects need not exist, those made once must; anything else is compared."""
    found = judged(manifest(annotations=annotations))
    assert (found.existence if found else None) is existence
    assert judged(manifest(annotations=annotations), kind="HelmRelease") is None


def test_encrypted_documents_are_left_alone() -> None:
    """SOPS leaves its key in documents and its marks in values, encoded or not."""
    value = base64.b64encode(b"password=ENC[AES256_GCM,data:x]").decode()
    assert "SOPS" in judged(manifest("Secret", sops={"mac": "x"})).reason
    assert "SOPS" in judged(manifest("Secret", data={"env": value})).reason
    plain = {"env": base64.b64encode(b"a").decode(), "odd": "?"}
    assert judged(manifest("Secret", data=plain)) is None


def test_crds_of_a_chart_are_made_once() -> None:
    """Unless the release replaces them, only that they exist counts."""
    crd = manifest("CustomResourceDefinition", file="charts/c/crds/x.yaml")
    assert judged(crd, kind="HelmRelease", crds_once=True).existence
    assert judged(crd, kind="HelmRelease") is None
    template = manifest("CustomResourceDefinition", file="charts/c/templates/x.yaml")
    assert judged(template, kind="HelmRelease", crds_once=True) is None


@pytest.mark.parametrize(
    ("kind", "compared"), [("Kustomization", {"helm", "argo"}), ("HelmRelease", {"argo"})]
)
def test_hooks_are_those_of_helm_in_releases_alone(kind: Any, compared: set[str]) -> None:
    """kustomize-controller applies objects with hook annotations, and nobody knows Argo CD's."""
    annotations = {
        "helm": {"helm.sh/hook": "pre-install"},
        "argo": {"argocd.argoproj.io/hook": "PreSync"},
    }
    documents = [
        RenderedDocument(
            0,
            "a.yaml",
            number,
            orjson.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": name, "annotations": annotations[name]},
                }
            ),
        )
        for number, name in enumerate(annotations)
    ]
    spec = FluxSpec(kind=kind, object_name="app", render={})
    found = process(
        documents, namespace="ns", scopes=lambda _g, _k: True, hooks=hook_annotations(spec)
    )
    assert {one.key.name for one in found.manifests} == compared


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (None, "the Application has no spec.destination.namespace"),
        ("Kustomization", "Kustomization flux-system/app has no spec.targetNamespace"),
        (
            "HelmRelease",
            "HelmRelease flux-system/app has neither spec.targetNamespace nor metadata.namespace",
        ),
    ],
)
def test_who_gives_no_namespace_is_told_in_the_deployers_words(kind: Any, told: str) -> None:
    """Flux has no Application and no destination: its object and its field are named."""
    flux = FluxSpec(kind=kind, object_name="app", render={}) if kind else None
    assert lacks_namespace(flux, "flux-system") == told
