"""Applications and manifests for tests of plans."""

from __future__ import annotations

import json
from typing import Any

from driftd.model.application import (
    Application,
    ApplicationSpec,
    AutomatedSync,
    SyncPolicy,
)
from driftd.model.resource import GVK, Manifest, Origin, ResourceKey

SELF_HEAL = AutomatedSync(self_heal=True)


def application(
    *,
    automated: AutomatedSync | None = SELF_HEAL,
    annotations: dict[str, str] | None = None,
    origin: str = "argocd/shop.yaml",
) -> Application:
    """An Application that asks for self-healing, unless told otherwise."""
    return Application(
        name="shop",
        namespace="argocd",
        spec=ApplicationSpec(sync_policy=SyncPolicy(automated=automated)),
        annotations=annotations or {},
        origin=origin,
    )


def manifest(
    name: str,
    *,
    kind: str = "Deployment",
    api_version: str = "apps/v1",
    namespace: str = "shop",
    annotations: dict[str, str] | None = None,
    **content: Any,
) -> Manifest:
    """A manifest; `content` are further fields at the top of the object."""
    metadata: dict[str, Any] = {"name": name}
    if annotations:
        metadata["annotations"] = annotations
    body = {"apiVersion": api_version, "kind": kind, "metadata": metadata, **content}
    gvk = GVK.parse(api_version, kind)
    key = ResourceKey(gvk.group, kind, namespace, name)
    return Manifest(key, gvk.version, json.dumps(body).encode(), Origin(0, "shop.yaml"))
