"""Flux objects for tests."""

from __future__ import annotations

from typing import Any

from driftd.flux.specs import KINDS
from driftd.model.flux import FluxObject

VERSIONS = {"Kustomization": "v1", "HelmRelease": "v2"}
SOURCE = {"kind": "GitRepository", "name": "fleet"}


def flux(kind: str, name: str, origin: str = "a.yaml", *, namespace: str = "flux-system",
         **fields: Any) -> FluxObject:  # fmt: skip
    """An object; `fields` are its spec, or, of ConfigMaps and Secrets, its own."""
    core = kind in ("ConfigMap", "Secret")
    version = "v1" if core else f"{KINDS[kind]}/{VERSIONS.get(kind, 'v1')}"
    body: dict[str, Any] = {"apiVersion": version, "kind": kind, "metadata": {"name": name}}
    body |= fields if core else {"spec": fields}
    return FluxObject(kind=kind, namespace=namespace, name=name, body=body, origin=origin)


def kustomization(name: str, path: str, origin: str = "a.yaml", **fields: Any) -> FluxObject:
    """A Kustomization of the repository `fleet`."""
    return flux("Kustomization", name, origin, path=path, sourceRef=SOURCE, **fields)


def repository(**fields: Any) -> FluxObject:
    """The GitRepository `fleet`."""
    return flux("GitRepository", "fleet", **{"url": "https://git.example/fleet", **fields})
