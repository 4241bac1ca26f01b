"""A checkout with one Application, and a kubeconfig, for tests of what opens both."""

from __future__ import annotations

import json
from pathlib import Path

from tests.testbed.gitrepo import GitRepo

URL = "https://git.example.com/gitops.git"


def kubeconfig(folder: Path, *contexts: str) -> Path:
    """A kubeconfig whose contexts lead to servers that nobody asks."""
    named = [{"name": name, "context": {"cluster": name, "user": name}} for name in contexts]
    clusters = [
        {"name": name, "cluster": {"server": f"https://{name}.example.com"}} for name in contexts
    ]
    users = [{"name": name, "user": {"token": "x"}} for name in contexts]
    document = {"contexts": named, "clusters": clusters, "users": users}
    file = folder / "kubeconfig"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **document}))
    return file


def declare_shop(git_repo: GitRepo) -> GitRepo:
    """A checkout that declares one Application, into cluster `one`."""
    document = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": "shop", "namespace": "argocd"},
        "spec": {
            "project": "default",
            "source": {"repoURL": URL, "path": "apps/shop"},
            "destination": {"name": "one", "namespace": "shop"},
        },
    }
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}
    git_repo.write("argocd/shop.json", json.dumps(document))
    git_repo.write("apps/shop/settings.json", json.dumps(settings))
    git_repo.set_remote(URL)
    git_repo.commit()
    return git_repo
