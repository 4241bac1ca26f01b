"""Hostile repositories hurt themselves only: S-16 to S-33 of the list of threats.

Each variant of `tests/cases/hostile` is rendered beside two harmless applications, by workers
with small limits. Whatever it asks for: nothing of the host is in any output, nobody calls a
server, the others are rendered, and the daemon is none the larger.
"""

from __future__ import annotations

import asyncio
import json
import os
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
from tests.testbed.gitrepo import GitRepo
from tests.testbed.hostile import GOOD, Host, Variant, cases
from tests.testbed.program import driftd

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
    return Application(
        name=name,
        namespace="argocd",
        spec=converted,
        raw={"spec": spec},
        build_options={"": "--enable-helm"},
    )


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


QUICK = {"S-16", "S-17", "S-20", "S-21", "S-23", "S-25", "S-29", "S-30", "S-31", "S-32", "S-33"}
"""Cases that the program itself renders, all of them in one look."""
APPLICATION = """
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: NAME, namespace: argocd}
spec:
  project: PROJECT
  source: SOURCE
  destination: {server: https://one.example.com, namespace: shop}
"""
FENCE = """
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: fenced, namespace: argocd}
spec:
  sourceRepos: ['*']
  destinations: [{server: https://one.example.com, namespace: shop}]
  namespaceResourceWhitelist: [{group: '', kind: ConfigMap}]
"""
ESCAPE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: escape}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: elsewhere, namespace: kube-system}
---
apiVersion: v1
kind: Secret
metadata: {name: forbidden}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: allowed}
"""


def plant(repo: GitRepo, host: Host) -> int:
    """Put every quick case into one repository, beside harmless and fenced applications."""

    def declare(name: str, source: dict[str, Any], project: str = "default") -> None:
        told = json.dumps({"repoURL": "https://git.example.com/r.git", **source})
        text = APPLICATION.replace("NAME", name).replace("SOURCE", told)
        repo.write(f"applications/{name}.yaml", text.replace("PROJECT", project))

    planted = 0
    for case, variant in CASES:
        if (
            case not in QUICK
            or variant.ref
            or any(not path.isprintable() for path in variant.files)
        ):
            continue
        planted += 1
        folder = f"cases/{planted}"
        for path, data in host.files(variant).items():
            place = repo.path / folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        for path, target in variant.links.items():
            place = repo.path / folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(host.filled(target))
        declare(f"hostile-{planted}", {"path": f"{folder}/app", **host.filled(variant.source)})
    repo.write("good/config.yaml", GOOD)
    repo.write("fenced/objects.yaml", ESCAPE)
    repo.write("projects/fenced.yaml", FENCE)
    for name in ("good-1", "good-2"):
        declare(name, {"path": "good"})
    declare("fenced", {"path": "fenced"}, project="fenced")
    repo.commit()
    return planted


def test_the_program_survives_all_of_them(host: Host, git_repo: GitRepo) -> None:
    """One `driftd render` of a repository full of them: nobody is called (S-34 too)."""
    planted = plant(git_repo, host)
    done = driftd(
        *("render", "*", "-o", "name"),
        cwd=git_repo.path,
        env={**os.environ, "DRIFTD_CANARY": host.secret},
    )
    everything = done.stdout + done.stderr
    assert planted > 100, done.stderr[-3000:]
    assert host.secret not in everything
    assert "root:" not in everything
    assert host.hits == 0
    assert done.returncode == 2
    assert "Traceback" not in everything
    names = done.stdout.splitlines()
    assert names.count("configmap/shop/good") >= 2, done.stderr[-3000:]
    assert "configmap/shop/allowed" in names
    for refused in ("escape", "elsewhere", "forbidden"):
        assert not any(name.endswith(f"/{refused}") for name in names)
        assert re.search(rf"fenced.*{refused}", done.stderr), done.stderr


def test_every_threat_has_its_test() -> None:
    """The table of the documentation names S-01 to S-36 once each, and tests that exist."""
    root = Path(__file__).resolve().parents[2]
    text = (root / "docs/reference/sandbox.md").read_text()
    rows = re.findall(r"^\| (S-\d\d) \| .* \| `([^`]+)` \|$", text, re.MULTILINE)
    assert [number for number, _ in rows] == [f"S-{n:02}" for n in range(1, 37)]
    for _, place in rows:
        file, _, function = place.partition("::")
        assert (
            f"def {function}(" in (root / file).read_text() if function else (root / file).exists()
        )
