"""Charts of kustomizations: pulled as Kustomize has helm pull them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from driftd.errors import SourceError
from driftd.model.application import ApplicationSource, HelmSource, KustomizeSource
from driftd.model.repository import AccessTable, RepositoryAccess
from driftd.model.tree import Tree
from driftd.sandbox.pool import RenderApplication, SandboxPool
from driftd.source.charts import Charts
from driftd.source.egress import Egress
from driftd.source.inflation import with_charts
from tests.testbed import binaries
from tests.testbed import charts as testbed
from tests.testbed.webserver import WebServer, folder_of

pytestmark = pytest.mark.slow

SOURCE = ApplicationSource(repo_url="https://git.example.com/x", path="app")


@pytest.fixture(scope="module")
def server(scratch: Path) -> Iterator[WebServer]:
    """A Helm repository."""
    published = scratch / "published"
    testbed.package(scratch, "web", "1.0.0", "1.2.0", "2.0.0-rc.1", into=published)
    testbed.package(scratch, "cache", "3.0.0", into=published)
    testbed.index(published)
    with WebServer(folder_of(published)) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_asked(server: WebServer) -> None:
    """Each test counts its own requests."""
    server.asked.clear()


@pytest.fixture
def charts(server: WebServer, sandbox: SandboxPool, egress: Egress) -> Charts:
    """What fetches, from a repository that the operator has named."""
    entry = RepositoryAccess(url=server.url, type="helm")
    return Charts(sandbox, egress, AccessTable(entries=(entry,)))


def tree(files: dict[str, str]) -> Tree:
    """Files of Git."""
    content = {path: text.encode() for path, text in files.items()}
    return Tree(f"tree {hash(tuple(content.items()))}", content)


ENTRIES = """\
namespace: shop
resources: [../base]
helmCharts:
- {name: web, repo: URL, version: ^1.0.0, releaseName: range, valuesInline: {colour: red}}
- {name: web, repo: URL, version: 1.0.0, releaseName: exact}
- {name: web, repo: URL, releaseName: latest}
- {name: cache, repo: URL, devel: true, releaseName: devel, namespace: own}
"""
BASE = """\
helmGlobals: {chartHome: vendor}
helmCharts: [{name: cache, repo: URL, version: 3.x, releaseName: in-base}]
"""


async def test_charts_are_pulled_as_by_helm(
    charts: Charts, sandbox: SandboxPool, server: WebServer, tmp_path: Path
) -> None:
    """Ranges, versions and none, in bases too: the objects are those of kustomize with helm."""
    files = {"app/kustomization.yaml": ENTRIES, "base/kustomization.yaml": BASE}
    files = {path: text.replace("URL", server.url) for path, text in files.items()}
    whole = await with_charts(tree(files), SOURCE, "default", charts)
    result = await sandbox.render(
        whole,
        SOURCE,
        application=RenderApplication(name="shop"),
        revision="r",
        build_options={"helm": True},
    )
    found = [json.loads(bytes(document.object)) for document in result.documents]
    assert sorted(map(json.dumps, found)) == sorted(map(json.dumps, upstream(files, tmp_path)))
    versions = {one["metadata"]["name"]: one["data"]["version"] for one in found}
    assert versions == {
        "range-web": "1.2.0",
        "exact-web": "1.0.0",
        "latest-web": "1.2.0",
        "devel-cache": "3.0.0",
        "in-base-cache": "3.0.0",
    }


def upstream(files: dict[str, str], folder: Path) -> list[object]:
    """What kustomize builds of them with the real helm."""
    for path, text in files.items():
        (folder / "tree" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "tree" / path).write_text(text)
    done = subprocess.run(
        [
            binaries.kustomize(), "build", folder / "tree/app", "--enable-helm",
            "--helm-command", binaries.helm(),
        ],
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


async def test_a_chart_is_pulled_once(charts: Charts, server: WebServer) -> None:
    """The same tree has the same id, and a chart of an exact version is asked for once."""
    entry = f"{{name: web, repo: '{server.url}', version: 1.0.0}}"
    files = tree({"app/kustomization.yaml": f"helmCharts: [{entry}]\n"})
    first = await with_charts(files, SOURCE, "default", charts)
    asked = len(server.asked)
    second = await with_charts(files, SOURCE, "default", charts)
    assert first.id == second.id != files.id
    assert len(server.asked) == asked == 2
    other = await with_charts(
        tree({"app/kustomization.yaml": f"helmCharts: [{entry.replace('1.0.0', '1.2.0')}]\n"}),
        SOURCE,
        "default",
        charts,
    )
    assert other.id != first.id


async def test_what_is_there_is_not_pulled(charts: Charts, server: WebServer) -> None:
    """Charts of chartHome, other tools, and trees without charts ask for nothing."""
    entry = f"{{name: web, repo: '{server.url}', version: 1.0.0}}"
    text = f"helmCharts: [{entry}]\n"
    vendored = tree({"app/kustomization.yaml": text, "app/charts/web-1.0.0/web/Chart.yaml": "x"})
    assert await with_charts(vendored, SOURCE, "default", charts) is vendored
    plain = tree({"app/kustomization.yaml": "resources: []\n"})
    assert await with_charts(plain, SOURCE, "default", charts) is plain
    broken = tree({"app/kustomization.yaml": "helmCharts: {\n"})
    assert await with_charts(broken, SOURCE, "default", charts) is broken
    named = tree({"app/kustomization.yaml": text})
    helm = ApplicationSource(repo_url="x", path="app", helm=HelmSource())
    assert await with_charts(named, helm, "default", charts) is named
    elsewhere = ApplicationSource(repo_url="x", path="none", kustomize=KustomizeSource())
    assert await with_charts(named, elsewhere, "default", charts) is named
    assert server.asked == []


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("{name: web, repo: URL, version: 9.0.0}", "the highest are 2.0.0-rc.1, 1.2.0"),
        ("{name: none, repo: URL}", "has no chart none"),
        ("{name: ../web, repo: URL}", "name"),
        ("{name: web, repo: URL, version: ../../1.x}", "has the segment|neither a version"),
        ("{name: web, repo: 'git::https://git.example.com/x'}", "is no repository of charts"),
        ("{name: web, repo: 'https://127.0.0.1:1/'}", "of this machine"),
    ],
)
async def test_what_cannot_be_pulled_is_named(
    charts: Charts, server: WebServer, entry: str, words: str
) -> None:
    """The error has the kustomization, the chart and why."""
    text = f"helmCharts: [{entry.replace('URL', server.url)}]\n"
    files = tree({"app/kustomization.yaml": text})
    with pytest.raises(SourceError, match=words) as error:
        await with_charts(files, SOURCE, "default", charts)
    assert str(error.value).startswith("app/kustomization.yaml: helmCharts: ")
