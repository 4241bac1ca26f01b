"""Hostile repositories hurt themselves only: S-16 to S-33 of the list of threats.

Each variant of `tests/cases/hostile` is rendered beside two harmless applications, by workers
with small limits. Whatever it asks for: nothing of the host is in any output, nobody calls a
server, the others are rendered, and the daemon is none the larger.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from driftd.model.application import Application, ApplicationSpec
from driftd.model.tree import ResolvedSource, Tree
from driftd.render.renderer import Rendered, render_application
from driftd.sandbox.pool import SandboxPool
from tests.testbed.hostile import Host, Variant, cases

CASES = list(cases())
SECONDS = 3.0
"""What a worker may take for one rendering here."""
MEMORY = 400 << 20
GROWTH = 10 << 20
"""Bytes by which a hostile template may make the daemon grow."""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A secret file and a server that nobody may reach."""
    host = Host(tmp_path_factory.mktemp("host"))
    yield host
    host.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[SandboxPool]:
    """Two workers with limits that are soon reached."""
    async with SandboxPool(size=2, max_rss=MEMORY, timeout=SECONDS) as pool:
        yield pool


def application(name: str, *sources: dict[str, Any], project: str = "default") -> Application:
    """An Application of some sources of one repository."""
    spec = {
        "project": project,
        "destination": {"server": "https://one.example.com", "namespace": "shop"},
        "sources": [{"repoURL": "https://git.example.com/r.git", **one} for one in sources],
    }
    converted = msgspec.convert(spec, ApplicationSpec)
    return Application(name=name, namespace="argocd", spec=converted, raw={"spec": spec})


async def rendered(app: Application, tree: Tree, sandbox: SandboxPool) -> Rendered:
    """An application whose sources all lie in one tree."""
    sources = [
        ResolvedSource(source=one, tree=tree, revision="1" * 40, repo_url=one.repo_url, index=index)
        for index, one in enumerate(app.spec.all_sources)
    ]
    return await render_application(app, sources, sandbox, lambda _group, _kind: None)


def said(result: Rendered) -> str:
    """All conditions, a line each."""
    return "\n".join(condition.message for condition in result.conditions)


def output(result: Rendered) -> str:
    """Everything of a rendering that anybody could see."""
    bodies = (one.body.decode() for one in (*result.manifests, *result.not_compared))
    return said(result) + "\n" + "\n".join(bodies)


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("case", "variant"), CASES, ids=[f"{case}-{variant.name}" for case, variant in CASES]
)
async def test_hostile_repository_hurts_itself_only(
    case: str, variant: Variant, host: Host, sandbox: SandboxPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No secret, no connection, no growth; its own application says why, the others render."""
    monkeypatch.setenv("DRIFTD_CANARY", host.secret)
    tree = host.tree(variant)
    sources = [{"path": "app", **host.filled(variant.source)}]
    if variant.ref:
        sources.append({"ref": variant.ref})
    before = resident()
    loop = asyncio.get_running_loop()
    started = loop.time()
    result = await rendered(application("hostile", *sources), tree, sandbox)
    took = loop.time() - started
    grown = resident() - before
    others = await asyncio.gather(
        rendered(application("one", {"path": "good"}), tree, sandbox),
        rendered(application("two", {"path": "good"}, project="other"), tree, sandbox),
    )
    assert host.secret not in output(result)
    assert "root:" not in output(result)
    assert host.hits == 0
    assert [[m.key.name for m in other.manifests] for other in others] == [["good"], ["good"]]
    assert took < (variant.seconds or 2 * SECONDS)
    if case in ("S-22", "S-24"):
        assert grown < GROWTH
    check(variant, result)


def check(variant: Variant, result: Rendered) -> None:
    """What the case itself says must come of it."""
    if variant.says:
        assert re.search(variant.says, said(result), re.DOTALL), said(result)
    if variant.renders is not None:
        data = json.loads(result.manifests[0].body).get("data", {})
        assert variant.renders.items() <= data.items()
    if variant.contains:
        assert variant.contains in result.manifests[0].body.decode()
    if variant.renders is None and not variant.contains and not variant.repeated:
        assert not result.complete, "nothing was refused"
    assert len(result.repeated) == variant.repeated
