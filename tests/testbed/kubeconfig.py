"""Kubeconfig files for test clusters."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Access:
    """How one user reaches one cluster; `name` is the context's, cluster's and user's name."""

    name: str
    server: str
    authority: Path
    token: str
    namespace: str = "default"


def write_kubeconfig(path: Path, accesses: Iterable[Access]) -> Path:
    """Write one kubeconfig with a context per access; the first one is current."""
    entries = list(accesses)
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": entries[0].name,
        "clusters": [{"name": a.name, "cluster": _cluster(a)} for a in entries],
        "users": [{"name": a.name, "user": {"token": a.token}} for a in entries],
        "contexts": [
            {
                "name": a.name,
                "context": {"cluster": a.name, "user": a.name, "namespace": a.namespace},
            }
            for a in entries
        ],
    }
    # JSON is YAML; kubectl and every client library read it.
    path.write_text(json.dumps(document, indent=1))
    path.chmod(0o600)
    return path


def _cluster(access: Access) -> dict[str, str]:
    authority = base64.b64encode(access.authority.read_bytes()).decode()
    return {"server": access.server, "certificate-authority-data": authority}
