"""driftd renders every case of `tests/golden/render` as helm, kustomize and jsonnet do.

A case is a folder with `case.yaml` (what it shows, the source, the destination) and the folders
of its repositories. The expected objects are made anew by the real programs on every run.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
import pytest_asyncio

from driftd.applicationset.documents import application
from driftd.model.condition import Severity
from driftd.model.tree import ResolvedSource, Tree
from driftd.render.renderer import Rendered, render_application
from driftd.sandbox.pool import SandboxPool
from tests.testbed.upstream import (
    REVISION,
    Case,
    Text,
    Upstream,
    UpstreamFailed,
    objects,
    read,
    repository,
)

CORPUS = Path(__file__).parent.parent / "golden/render"
CASES = {folder.name: Case(folder) for folder in sorted(CORPUS.iterdir())}
UPSTREAM = [name for name, case in CASES.items() if "refused" not in case.spec]
REFUSED = [name for name, case in CASES.items() if "refused" in case.spec]
CLUSTER_SCOPED = {"ClusterRole", "CustomResourceDefinition", "Namespace"}

Outcome = list[dict[str, Any]] | UpstreamFailed


@pytest.fixture(scope="module")
def upstream(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Outcome]:
    """What upstream makes of each case that is asked for: its objects, or its failure."""
    wanted = [
        item.callspec.params["name"]
        for item in request.session.items
        if "upstream" in getattr(item, "fixturenames", ()) and item.path == Path(__file__)
    ]
    programs = Upstream(tmp_path_factory.mktemp("upstream"))

    def render(name: str) -> list[Text] | UpstreamFailed:
        try:
            return programs.render(CASES[name])
        except UpstreamFailed as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        rendered = dict(zip(wanted, pool.map(render, wanted), strict=True))
    texts = [text for result in rendered.values() if isinstance(result, list) for text in result]
    readings = dict(zip(map(id, texts), read([text.data for text in texts]), strict=True))
    return {
        name: result if isinstance(result, UpstreamFailed) else _taken(result, readings)
        for name, result in rendered.items()
    }


def _taken(texts: list[Text], readings: Mapping[int, Mapping[str, Any]]) -> Outcome:
    try:
        return [one for text in texts for one in objects(text, readings[id(text)])]
    except UpstreamFailed as error:
        return error


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Tree]:
    """The repositories of the cases as trees, by case and folder; read when asked for."""

    class Trees(dict[tuple[str, str], Tree]):
        def __missing__(self, key: tuple[str, str]) -> Tree:
            place = tmp_path_factory.mktemp("case") / "case"
            CASES[key[0]].unpack(place)
            self[key] = _tree("/".join(key), place / key[1])
            return self[key]

    return Trees()


def _tree(name: str, folder: Path) -> Tree:
    files: dict[str, bytes] = {}
    links: dict[str, str] = {}
    for path in folder.rglob("*"):
        relative = str(path.relative_to(folder))
        if path.is_symlink():
            links[relative] = os.readlink(path)
        elif path.is_file():
            files[relative] = path.read_bytes()
    return Tree(name, files, links)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[SandboxPool]:
    """One worker for all cases."""
    async with SandboxPool(size=1) as pool:
        yield pool


async def _render(
    case: Case, trees: Mapping[tuple[str, str], Tree], sandbox: SandboxPool
) -> Rendered:
    app = application(case.application, "case.yaml")
    if options := case.spec.get("buildOptions"):
        app = msgspec.structs.replace(app, build_options={"": options})
    sources = [
        ResolvedSource(
            source=source,
            tree=trees[case.folder.name, repository(written)],
            revision=REVISION,
            repo_url=source.repo_url,
            index=index,
        )
        for index, (source, written) in enumerate(
            zip(app.spec.all_sources, case.sources, strict=True)
        )
    ]
    return await render_application(
        app,
        sources,
        sandbox,
        lambda _group, kind: kind not in CLUSTER_SCOPED,
        kube_version=case.kube_version,
        api_versions=case.api_versions,
    )


def _canonical(value: dict[str, Any], namespace: str) -> bytes:
    """One object as it is compared: in its namespace, keys in order."""
    metadata = dict(value["metadata"])
    if value["kind"] in CLUSTER_SCOPED:
        metadata.pop("namespace", None)
    else:
        metadata["namespace"] = metadata.get("namespace") or namespace
    # Once through text, for what is beyond 64 bits to be the same float on both sides.
    whole = orjson.loads(json.dumps({**value, "metadata": metadata}))
    return orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)


def _last(found: list[dict[str, Any]], namespace: str) -> list[bytes]:
    """The objects, of those with one key the last."""
    last: dict[tuple[str, ...], bytes] = {}
    for value in found:
        canonical = _canonical(value, namespace)
        metadata = orjson.loads(canonical)["metadata"]
        group = str(value["apiVersion"]).rpartition("/")[0]
        name = metadata.get("name") or metadata.get("generateName")
        last[group, value["kind"], metadata.get("namespace", ""), name] = canonical
    return sorted(last.values())


def _messages(rendered: Rendered, severity: Severity) -> str:
    return "\n".join(c.message for c in rendered.conditions if c.severity is severity)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", UPSTREAM)
async def test_renders_as_upstream(
    name: str,
    upstream: dict[str, Outcome],
    trees: Mapping[tuple[str, str], Tree],
    sandbox: SandboxPool,
) -> None:
    """Every object has the content that upstream gives it; where upstream fails, driftd does."""
    case = CASES[name]
    expected = upstream[name]
    rendered = await _render(case, trees, sandbox)
    errors = _messages(rendered, Severity.ERROR)
    if isinstance(expected, UpstreamFailed):
        assert case.spec.get("fails"), f"upstream fails: {expected}"
        assert case.spec["fails"] in errors
        return
    assert "fails" not in case.spec, f"upstream renders {len(expected)} objects"
    assert errors == ""
    found = sorted(m.body for m in (*rendered.manifests, *rendered.not_compared))
    namespace = case.application["spec"]["destination"]["namespace"]
    assert found == _last(expected, namespace)
    assert len(found) == case.spec["objects"]
    assert len(rendered.not_compared) == case.spec.get("hooks", 0)
    warnings = _messages(rendered, Severity.WARNING)
    for text in case.spec.get("warns", ()):
        assert text in warnings
    if not case.spec.get("warns"):
        assert warnings == ""


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", REFUSED)
async def test_refuses(
    name: str, trees: Mapping[tuple[str, str], Tree], sandbox: SandboxPool
) -> None:
    """What would have to be fetched or run is refused with the reason; nothing is rendered."""
    case = CASES[name]
    rendered = await _render(case, trees, sandbox)
    assert case.spec["refused"] in _messages(rendered, Severity.ERROR)
    assert not rendered.complete


@pytest.mark.asyncio(loop_scope="module")
async def test_order_does_not_matter(
    trees: Mapping[tuple[str, str], Tree], sandbox: SandboxPool
) -> None:
    """What one worker rendered before changes nothing: no case leaves anything behind."""

    async def all_of(names: list[str]) -> dict[str, tuple[bytes, ...]]:
        rendered = {name: await _render(CASES[name], trees, sandbox) for name in names}
        return {name: tuple(m.body for m in one.manifests) for name, one in rendered.items()}

    shuffled = sorted(CASES, key=lambda name: hashlib.sha256(name.encode()).digest())
    once = await all_of(shuffled)
    assert await all_of(shuffled[::-1]) == once
    assert sum(map(len, once.values())) > 100


def test_corpus_is_whole() -> None:
    """There are at least 60 cases, and each says what it shows."""
    assert len(UPSTREAM) >= 60
    for name, case in CASES.items():
        assert case.spec.get("shows"), name
