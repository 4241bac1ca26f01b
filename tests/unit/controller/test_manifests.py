"""The manifests of applications with the files behind them."""

from __future__ import annotations

import json
from pathlib import Path

import orjson
import pytest
import yaml

from driftd import app
from driftd.controller.field_paths import field_paths
from driftd.controller.manifests import why_not_compared
from driftd.controller.options import CheckOptions
from driftd.model.resource import Manifest, Origin, ResourceKey
from tests.testbed.gitrepo import GitRepo

URL = "https://git.example/platform.git"


def _job(annotations: dict[str, str]) -> Manifest:
    body = {"kind": "Job", "metadata": {"name": "one", "annotations": annotations}}
    key = ResourceKey("batch", "Job", "team", "one")
    return Manifest(key, "v1", orjson.dumps(body), Origin(0, ""))


def test_field_paths_enter_named_items() -> None:
    """Fields are told as managedFields does; items with names are entered, other lists are not."""
    value = {
        "spec": {
            "containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}],
            "args": ["one", "two"],
            "a/b": {},
        }
    }
    assert list(field_paths(value)) == [
        'f:spec/f:containers/k:{"name":"a"}/f:name',
        'f:spec/f:containers/k:{"name":"a"}/f:image',
        'f:spec/f:containers/k:{"name":"b"}/f:name',
        'f:spec/f:containers/k:{"name":"b"}/f:image',
        "f:spec/f:args",
        "f:spec/f:a~1b",
    ]


@pytest.mark.parametrize(
    ("annotations", "reason"),
    [
        ({"argocd.argoproj.io/hook": "PreSync,Sync"}, "hook PreSync, Sync"),
        ({"helm.sh/hook": "post-install"}, "hook PostSync"),
        ({"helm.sh/hook": "test"}, "hook test"),
        ({}, "Kubernetes removes it when it is done"),
    ],
)
def test_why_not_compared(annotations: dict[str, str], reason: str) -> None:
    """A hook is told by what it is for, a Job with a time to live by its end."""
    assert why_not_compared(_job(annotations)) == reason


@pytest.fixture
def repo(tmp_path: Path) -> GitRepo:
    """An overlay of a base with a patch, and an Application of it."""
    repo = GitRepo(tmp_path / "repo")
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "shop"},
        "spec": {
            "replicas": 1,
            "template": {"spec": {"containers": [{"name": "shop", "image": "shop:1"}]}},
        },
    }
    repo.write("base/deployment.yaml", yaml.safe_dump(deployment, sort_keys=False))
    repo.write("base/kustomization.yaml", "resources: [deployment.yaml]\n")
    patch = {**deployment, "spec": {"replicas": 3}}
    repo.write("overlay/more.yaml", yaml.safe_dump(patch, sort_keys=False))
    repo.write(
        "overlay/kustomization.yaml",
        "resources: [../base]\npatches:\n- path: more.yaml\nimages:\n- name: shop\n  newTag: '2'\n",
    )
    application = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": "shop", "namespace": "argocd"},
        "spec": {
            "project": "default",
            "source": {"repoURL": URL, "path": "overlay"},
            "destination": {"name": "nowhere", "namespace": "shop"},
        },
    }
    repo.write("shop.json", json.dumps(application))
    repo.commit()
    return repo


@pytest.mark.parametrize(
    ("scope", "files", "namespace"),
    [
        ("Cluster", "{}", ""),
        ("Namespaced", "{}", "shop"),
        ("Cluster", "{{{{ if .Values.crds }}}}\n{}{{{{ end }}}}\n", "shop"),
        ("", "", "shop"),
    ],
)
async def test_definitions_of_other_folders_tell_the_scope(
    repo: GitRepo,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    scope: str,
    files: str,
    namespace: str,
) -> None:
    """Without a cluster an object of a cluster-scoped kind is given no namespace."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    version = {"apiVersion": "acme.example/v1", "kind": "Widget"}
    repo.write("base/deployment.yaml", yaml.safe_dump({**version, "metadata": {"name": "one"}}))
    repo.write("overlay/kustomization.yaml", "resources: [../base]\n")
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.acme.example"},
        "spec": {"group": "acme.example", "names": {"kind": "Widget"}, "scope": scope},
    }
    if scope:
        repo.write("crds/widgets.yaml", files.format(yaml.safe_dump(definition)))
    repo.commit()
    (shown,) = await app.render(CheckOptions(repo=repo.path), progress=lambda _text: None)
    (manifest,) = shown.desired.manifests
    assert manifest.key == ResourceKey("acme.example", "Widget", namespace, "one")
    assert json.loads(manifest.body)["metadata"].get("namespace", "") == namespace


async def test_trace_names_base_patch_and_overlay(
    repo: GitRepo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of an overlaid object the base's lines, the patch's and the image entry's are told."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    options = CheckOptions(repo=repo.path)
    (shown,) = await app.render(options, progress=lambda _text: None, trace=True)
    (manifest,) = shown.desired.manifests
    lines: dict[str, list[int]] = {}
    for place in shown.places[manifest.key]:
        lines.setdefault(place.file, []).append(place.line)
    assert lines["overlay/more.yaml"] == [1, 2, 4, 6]
    assert set(lines) == {
        "base/deployment.yaml",
        "overlay/more.yaml",
        "overlay/kustomization.yaml",
    }
    assert 6 not in lines["base/deployment.yaml"]
    assert (shown.sources[0].path, shown.sources[0].revision) == ("overlay", repo.head)


async def test_kube_version_reaches_charts(
    repo: GitRepo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A chart sees the version that was named, not one of its own."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    for file in ("overlay/kustomization.yaml", "overlay/more.yaml"):
        repo.remove(file)
    repo.write("overlay/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\n")
    repo.write(
        "overlay/templates/cm.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: it\n"
        "data:\n  version: '{{ .Capabilities.KubeVersion.Version }}'\n",
    )
    repo.commit()
    options = CheckOptions(repo=repo.path)
    (shown,) = await app.render(options, progress=lambda _text: None, kube_version="v1.30.7")
    (manifest,) = shown.desired.manifests
    assert orjson.loads(manifest.body)["data"] == {"version": "v1.30.7"}
