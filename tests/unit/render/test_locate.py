"""The lines of fields of a whole application, with the real sandbox worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from driftd.model.application import Application, ApplicationSpec
from driftd.model.resource import Manifest, ResourceKey
from driftd.model.tree import ResolvedSource, Tree
from driftd.render import locate
from driftd.render.locate import field_places
from driftd.render.renderer import render_application
from driftd.sandbox.pool import SandboxPool

URL = "https://github.com/example/gitops.git"
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: NAME\ndata:\n  a: '1'\n  b: '2'\n"
PATH = "f:data/f:b"
FILES = {
    "raw/a.yaml": MAP.replace("NAME", "raw") + "---\n" + MAP.replace("NAME", "next"),
    "over/kustomization.yaml": "resources: [map.yaml]\nnamePrefix: pre-\n",
    "over/map.yaml": MAP.replace("NAME", "over"),
    "chart/Chart.yaml": "apiVersion: v2\nname: chart\nversion: 1.0.0\n",
    "chart/templates/map.yaml": MAP.replace("NAME", "chart"),
}


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxPool]:
    """One worker."""
    async with SandboxPool(size=1) as pool:
        yield pool


async def rendered(
    sandbox: SandboxPool, *folders: str
) -> tuple[Application, list[ResolvedSource], dict[ResourceKey, Manifest]]:
    """An application of several sources, and what they render to."""
    document: dict[str, Any] = {
        "destination": {"server": "https://one.example.com", "namespace": "app"},
        "sources": [{"repoURL": URL, "path": folder} for folder in folders],
    }
    app = Application(
        name="shop",
        namespace="argocd",
        spec=msgspec.convert(document, ApplicationSpec),
        raw={"spec": document},
    )
    tree = Tree("lines", {path: text.encode() for path, text in FILES.items()})
    sources = [
        ResolvedSource(source=source, tree=tree, revision="1" * 40, repo_url=URL, index=index)
        for index, source in enumerate(app.spec.all_sources)
    ]
    result = await render_application(app, sources, sandbox, lambda _group, _kind: True)
    assert result.complete
    return app, sources, {manifest.key: manifest for manifest in result.manifests}


async def test_every_source(sandbox: SandboxPool) -> None:
    """Each object is looked for in its own source; a chart's template has no lines."""
    app, sources, manifests = await rendered(sandbox, "raw", "over", "chart")
    fields = {key: [PATH] for key in manifests}
    found = await field_places(app, sources, fields, manifests, sandbox)
    assert {key.name: (place.file, place.line) for (key, _), place in found.items()} == {
        "raw": ("raw/a.yaml", 7),
        "next": ("raw/a.yaml", 15),
        "pre-over": ("over/map.yaml", 7),
    }


async def test_unknown_objects(sandbox: SandboxPool) -> None:
    """Objects that are not declared, and sources that are gone, have no lines."""
    app, _, manifests = await rendered(sandbox, "raw")
    fields = {key: [PATH] for key in (*manifests, ResourceKey("", "ConfigMap", "app", "other"))}
    assert await field_places(app, [], fields, manifests, sandbox) == {}


async def test_limit(sandbox: SandboxPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first fields of a source are looked for."""
    monkeypatch.setattr(locate, "FIELDS", 3)
    app, sources, manifests = await rendered(sandbox, "raw")
    fields = {key: ["f:data/f:a", PATH] for key in manifests}
    found = await field_places(app, sources, fields, manifests, sandbox)
    assert [(key.name, place.line) for (key, _), place in found.items()] == [
        ("next", 14),
        ("next", 15),
        ("raw", 6),
    ]
