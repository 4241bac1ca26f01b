"""Which objects of a Flux application are declared without being compared. Pure.

Flux's own annotations say so, or the content in Git is encrypted.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any

import msgspec
import orjson

from driftd.model.flux import FluxSpec
from driftd.model.resource import Manifest, Unchecked
from driftd.render.hooks import HELM_HOOK

_RECONCILE = "kustomize.toolkit.fluxcd.io/reconcile"
_APPLY = "kustomize.toolkit.fluxcd.io/ssa"
_MARKS = (b"kustomize.toolkit.fluxcd.io/", b'"sops"', b"ENC[")
_ENCRYPTED = b"ENC[AES256_GCM"

_SOPS = Unchecked("encrypted with SOPS: what Git declares cannot be read here")
_ONCE = Unchecked(f"{_APPLY}: IfNotPresent: Flux creates it and never changes it")
_CRD = Unchecked(
    "Helm creates the chart's CRDs once; spec.upgrade.crds: CreateReplace keeps them as in Git"
)


def hook_annotations(spec: FluxSpec) -> frozenset[str]:
    """The annotations that make a hook: of a release Helm's, of a Kustomization none."""
    return frozenset({HELM_HOOK} if spec.kind == "HelmRelease" else ())


def left_alone(manifests: Iterable[Manifest], spec: FluxSpec) -> tuple[Manifest, ...]:
    """The manifests, those that are not compared marked with the reason."""
    return tuple(
        manifest if reason is None else msgspec.structs.replace(manifest, unchecked=reason)
        for manifest in manifests
        for reason in (_unchecked(manifest, spec),)
    )


def _unchecked(manifest: Manifest, spec: FluxSpec) -> Unchecked | None:
    if manifest.unchecked is not None:
        return None
    if spec.crds_once and manifest.key.kind == "CustomResourceDefinition":
        return _CRD if "/crds/" in f"/{manifest.origin.file}" else None
    is_secret = manifest.key.kind == "Secret" and not manifest.key.group
    if not is_secret and not any(mark in manifest.body for mark in _MARKS):
        return None
    body: dict[str, Any] = orjson.loads(manifest.body)
    if "sops" in body or _ENCRYPTED in manifest.body or (is_secret and _holds_sops(body)):
        return _SOPS
    if spec.kind != "Kustomization":
        return None
    annotations = (body.get("metadata") or {}).get("annotations") or {}
    for name, value in ((_RECONCILE, "disabled"), (_APPLY, "Ignore")):
        if str(annotations.get(name, "")).lower() == value.lower():
            return Unchecked(f"{name}: {value}: Flux leaves it alone", existence=False)
    return _ONCE if str(annotations.get(_APPLY, "")).lower() == "ifnotpresent" else None


def _holds_sops(secret: dict[str, Any]) -> bool:
    """Whether a value of a Secret is a file that SOPS has encrypted (of a generator, say)."""
    data = secret.get("data")
    for value in data.values() if isinstance(data, dict) else ():
        try:
            if _ENCRYPTED in base64.b64decode(str(value), validate=True):
                return True
        except (binascii.Error, ValueError):
            continue
    return False


def lacks_namespace(flux: FluxSpec | None, namespace: str) -> str:
    """Who gives objects without a namespace none, in the words of the deployer.

    `flux` is None for Argo CD; `namespace` is that of the application's own object.
    """
    if flux is None:
        return "the Application has no spec.destination.namespace"
    name = f"{namespace}/{flux.object_name}".lstrip("/")
    if flux.kind == "HelmRelease":  # its own namespace is the release's, where it has one
        return f"HelmRelease {name} has neither spec.targetNamespace nor metadata.namespace"
    return f"Kustomization {name} has no spec.targetNamespace"
