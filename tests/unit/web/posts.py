"""Posts of Git servers as the providers send them, proved with a secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parents[2] / "fixtures/githooks"
SECRET = "a-secret-of-the-tests-and-nothing-else"
EVENTS = {
    "github": ("X-GitHub-Event", "push"),
    "gitlab": ("X-Gitlab-Event", "Push Hook"),
    "bitbucket": ("X-Event-Key", "repo:push"),
    "bitbucket-server": ("X-Event-Key", "repo:refs_changed"),
    "gitea": ("X-Gitea-Event", "push"),
    "gogs": ("X-Gogs-Event", "push"),
    "azure-devops": ("X-Ignored", "git.push"),
}
SIGNED = {
    "github": ("X-Hub-Signature-256", "sha256="),
    "bitbucket": ("X-Hub-Signature", "sha256="),
    "bitbucket-server": ("X-Hub-Signature", "sha256="),
    "gitea": ("X-Gitea-Signature", ""),
    "gogs": ("X-Gogs-Signature", ""),
}
"""The header of the signature and what stands before its digits."""
DELIVERIES = {
    "github": "X-GitHub-Delivery",
    "gitlab": "Idempotency-Key",
    "bitbucket": "X-Request-UUID",
    "bitbucket-server": "X-Request-Id",
    "gitea": "X-Gitea-Delivery",
    "gogs": "X-Gogs-Delivery",
}
URLS = {
    "github": "https://github.com/platform/gitops.git",
    "gitlab": "https://gitlab.example.com/platform/gitops.git",
    "bitbucket": "https://bitbucket.org/platform/gitops.git",
    "bitbucket-server": "https://bitbucket.example.com/scm/plat/gitops.git",
    "gitea": "https://gitea.example.com/platform/gitops.git",
    "gogs": "https://gogs.example.com/platform/gitops.git",
    "azure-devops": "https://dev.azure.com/platform/shop/_git/gitops",
}
"""What an application writes that reads the repository of the recorded post."""


def recorded(provider: str) -> Any:
    """The recorded post of a push."""
    return json.loads((RECORDED / f"{provider}.json").read_bytes())


def proof(provider: str, body: bytes, secret: str = SECRET) -> dict[str, str]:
    """The headers that prove a body."""
    if provider == "gitlab":
        return {"X-Gitlab-Token": secret}
    if provider == "azure-devops":
        return {"Authorization": f"Basic {base64.b64encode(f'driftd:{secret}'.encode()).decode()}"}
    header, prefix = SIGNED[provider]
    return {header: prefix + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


def headers(provider: str, body: bytes, delivery: str = "", **more: str) -> dict[str, str]:
    """All headers of a post."""
    name, event = EVENTS[provider]
    found = {"Content-Type": "application/json", name: event, **proof(provider, body), **more}
    if delivery and provider in DELIVERIES:
        found[DELIVERIES[provider]] = delivery
    return found
