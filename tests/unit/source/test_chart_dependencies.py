"""What charts depend on: fetched as `helm dependency build` does, never by the sandbox."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from driftd.errors import SourceError
from driftd.model.application import ApplicationSource, HelmSource, KustomizeSource
from driftd.model.repository import AccessTable, RepositoryAccess
from driftd.model.tree import Tree
from driftd.sandbox.pool import RenderApplication, SandboxPool
from driftd.source.charts import Charts
from driftd.source.egress import Egress
from tests.testbed import charts as testbed
from tests.testbed.webserver import WebServer, folder_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(scratch: Path) -> Iterator[WebServer]:
    """A Helm repository with two charts to depend on."""
    published = scratch / "published"
    testbed.package(scratch, "database", "1.0.0", "1.2.0", into=published)
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
    """What fetches; the repository is known as `platform` too."""
    entry = RepositoryAccess(url=server.url, type="helm", name="platform")
    return Charts(sandbox, egress, AccessTable(entries=(entry,)))


SOURCE = ApplicationSource(repo_url="https://git.example.com/x", path="apps/web")


def tree_of(chart: Path, place: str = "apps/web") -> Tree:
    """A chart's folder as a tree of Git."""
    files = {
        f"{place}/{file.relative_to(chart)}".lstrip("/"): file.read_bytes()
        for file in sorted(chart.rglob("*"))
        if file.is_file()
    }
    return Tree(f"tree {hash(tuple(files.items()))}", files)


def umbrella(folder: Path, dependencies: str, **files: str) -> Path:
    """A chart with dependencies."""
    return testbed.write_chart(folder, "web", "0.1.0", dependencies=dependencies, files=files)


def one(server: WebServer, name: str = "database", version: str = "^1.0.0", more: str = "") -> str:
    """One entry of `dependencies`."""
    return f'- name: {name}\n  version: "{version}"\n  repository: {server.url}\n{more}'


async def rendered(
    sandbox: SandboxPool, tree: Tree, source: ApplicationSource = SOURCE
) -> dict[str, str]:
    """Name and `data.version` of every ConfigMap that a chart renders."""
    result = await sandbox.render(
        tree, source, application=RenderApplication(name="shop"), revision="r"
    )
    objects = [json.loads(bytes(document.object)) for document in result.documents]
    return {one["metadata"]["name"]: one["data"]["version"] for one in objects}


async def test_a_range_without_lock_takes_the_highest(
    charts: Charts, sandbox: SandboxPool, server: WebServer, tmp_path: Path
) -> None:
    """Without Chart.lock the highest version is fetched, packed as published, and rendered."""
    tree = tree_of(umbrella(tmp_path, one(server) + one(server, "cache", "3.0.0")))
    whole = await charts.complete(tree, SOURCE, "default")
    added = sorted(set(whole.files) - set(tree.files))
    assert added == ["apps/web/charts/cache-3.0.0.tgz", "apps/web/charts/database-1.2.0.tgz"]
    assert whole.id != tree.id
    assert whole.id == (await charts.complete(tree, SOURCE, "default")).id
    assert await rendered(sandbox, whole) == {
        "shop-web": "0.1.0",
        "shop-database": "1.2.0",
        "shop-cache": "3.0.0",
    }


async def test_the_lock_of_helm_is_honoured(
    charts: Charts, sandbox: SandboxPool, server: WebServer, tmp_path: Path
) -> None:
    """The version in the lock that helm wrote is fetched, though a higher one fits too."""
    chart = umbrella(tmp_path, one(server, version="1.0.0"))
    testbed.helm("dependency", "update", chart, home=tmp_path / "home")
    shutil.rmtree(chart / "charts")
    whole = await charts.complete(tree_of(chart), SOURCE, "default")
    assert "apps/web/charts/database-1.0.0.tgz" in whole.files

    # A range with `<` and `&`-like characters is hashed as Go writes JSON.
    chart = umbrella(tmp_path, one(server, version=">=1.0.0 <2.0.0", more="  tags: [a, b]\n"))
    testbed.helm("dependency", "update", chart, home=tmp_path / "home")
    shutil.rmtree(chart / "charts")
    whole = await charts.complete(tree_of(chart), SOURCE, "default")
    assert "apps/web/charts/database-1.2.0.tgz" in whole.files

    lock = chart / "Chart.lock"
    lock.write_text(lock.read_text().replace("1.2.0", "1.0.0"))
    with pytest.raises(SourceError, match=r"the lock file is out of sync with the dependencies"):
        await charts.complete(tree_of(chart), SOURCE, "default")

    (chart / "charts").mkdir()
    testbed.package(tmp_path, "cache", "3.0.0", into=chart / "charts")
    wanted = r"Chart.yaml:\d+: dependency database is not in charts/, which has cache, and the lock"
    with pytest.raises(SourceError, match=wanted):
        await charts.complete(tree_of(chart), SOURCE, "default")


async def test_what_is_vendored_is_used_as_it_is(
    charts: Charts, sandbox: SandboxPool, server: WebServer, tmp_path: Path
) -> None:
    """With everything in charts/ nothing is asked, and the tree stays the same."""
    chart = umbrella(tmp_path, one(server))
    testbed.helm("dependency", "update", chart, home=tmp_path / "home")
    server.asked.clear()
    tree = tree_of(chart)
    assert await charts.complete(tree, SOURCE, "default") is tree
    assert server.asked == []
    assert (await rendered(sandbox, tree))["shop-database"] == "1.2.0"


async def test_alias_and_condition_are_left_to_helm(
    charts: Charts, sandbox: SandboxPool, server: WebServer, tmp_path: Path
) -> None:
    """An alias renames what is rendered; a condition that is false renders nothing of it."""
    more = "  alias: store\n"
    tree = tree_of(umbrella(tmp_path, one(server, more=more)))
    whole = await charts.complete(tree, SOURCE, "default")
    assert (await rendered(sandbox, whole)).keys() == {"shop-web", "shop-store"}
    more = "  condition: database.enabled\n"
    tree = tree_of(umbrella(tmp_path, one(server, more=more)))
    whole = await charts.complete(tree, SOURCE, "default")
    off = ApplicationSource(
        repo_url=SOURCE.repo_url,
        path=SOURCE.path,
        helm=HelmSource(values="database: {enabled: false}"),
    )
    assert (await rendered(sandbox, whole, off)).keys() == {"shop-web"}


async def test_dependencies_of_registries_and_of_the_repository(
    sandbox: SandboxPool, egress: Egress, scratch: Path, tmp_path: Path
) -> None:
    """`oci://` is fetched, `file://` lies in the repository and is the sandbox's own matter."""
    with testbed.registry() as port:
        (packed,) = testbed.package(scratch, "queue", "5.0.0", into=scratch / "queue-packed")
        target = f"oci://localhost:{port}/team"
        testbed.helm("push", packed, target, "--plain-http", home=scratch / "home")
        text = (
            f"- {{name: queue, version: ^5, repository: '{target}'}}\n"
            "- {name: local, version: 1.x, repository: 'file://../local'}\n"
        )
        tree = tree_of(umbrella(tmp_path, text))
        local = tree_of(testbed.write_chart(tmp_path, "local", "1.0.0"), "apps/local")
        tree = Tree("both", {**tree.files, **local.files})
        entry = RepositoryAccess(url=f"localhost:{port}/team", type="helm", oci=True)
        charts = Charts(sandbox, egress, AccessTable(entries=(entry,)))
        whole = await charts.complete(tree, SOURCE, "default")
        assert set(whole.files) - set(tree.files) == {"apps/web/charts/queue-5.0.0.tgz"}
        assert await rendered(sandbox, whole) == {
            "shop-web": "0.1.0",
            "shop-queue": "5.0.0",
            "shop-local": "1.0.0",
        }


@pytest.mark.parametrize("alias", ["@platform", "alias:platform"])
async def test_repositories_by_name(
    charts: Charts, server: WebServer, tmp_path: Path, alias: str
) -> None:
    """`@name` is the repository of that name; an unknown one is said."""
    text = f'- {{name: database, version: 1.0.0, repository: "{alias}"}}\n'
    whole = await charts.complete(tree_of(umbrella(tmp_path, text)), SOURCE, "default")
    assert "apps/web/charts/database-1.0.0.tgz" in whole.files
    text = '- {name: database, version: 1.0.0, repository: "@nobody"}\n'
    with pytest.raises(SourceError, match="no repository is known by the name nobody"):
        await charts.complete(tree_of(umbrella(tmp_path, text)), SOURCE, "default")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("{name: database, version: ^9, repository: URL}", r"database \^9 of http.*no version"),
        ("{name: nonesuch, version: 1.0.0, repository: URL}", "has no chart nonesuch"),
        ("{name: database, version: 1.0.0}", r"without repository is not in charts/"),
        ("{name: ../x, version: 1.0.0, repository: URL}", r"Chart\.yaml"),
        ("{name: x, version: 1.0.0, repository: 'https://127.0.0.1:1/'}", "of this machine"),
        ("{name: x, version: 1.0.0, repository: 'git+ssh://h/x'}", r"is not in charts/"),
    ],
)
async def test_what_cannot_be_fetched_is_named(
    charts: Charts, server: WebServer, tmp_path: Path, entry: str, words: str
) -> None:
    """The error has the chart's file, the dependency, the repository and a remedy."""
    text = f"- {entry.replace('URL', server.url)}\n"
    with pytest.raises(SourceError, match=words) as error:
        await charts.complete(tree_of(umbrella(tmp_path, text)), SOURCE, "default")
    assert "apps/web/Chart.yaml: dependency" in str(error.value)
    assert error.value.hint


async def test_helm_2_requirements(
    charts: Charts, sandbox: SandboxPool, server: WebServer, tmp_path: Path
) -> None:
    """A chart of API version v1 names its dependencies in requirements.yaml."""
    chart = umbrella(tmp_path, "")
    (chart / "Chart.yaml").write_text("apiVersion: v1\nname: web\nversion: 0.1.0\n")
    (chart / "requirements.yaml").write_text(f"dependencies:\n{one(server)}")
    whole = await charts.complete(tree_of(chart), SOURCE, "default")
    assert (await rendered(sandbox, whole))["shop-database"] == "1.2.0"


async def test_other_tools_ask_for_nothing(
    charts: Charts, server: WebServer, tmp_path: Path
) -> None:
    """A folder that Kustomize renders, a broken chart and a chart without dependencies stay."""
    tree = tree_of(umbrella(tmp_path, one(server)))
    kustomize = ApplicationSource(repo_url="x", path="apps/web", kustomize=KustomizeSource())
    assert await charts.complete(tree, kustomize, "default") is tree
    broken = Tree("broken", {"apps/web/Chart.yaml": b"dependencies: ["})
    assert await charts.complete(broken, SOURCE, "default") is broken
    bare = tree_of(umbrella(tmp_path, ""))
    assert await charts.complete(bare, SOURCE, "default") is bare
    assert server.asked == []


async def test_a_published_chart_that_lacks_its_own_is_completed(
    charts: Charts, sandbox: SandboxPool, server: WebServer, tmp_path: Path
) -> None:
    """A packed chart whose charts/ was left out gets what it depends on, as Argo CD does it."""
    chart = umbrella(tmp_path, one(server))
    source = ApplicationSource(repo_url=server.url, chart="web", target_revision="0.1.0")
    tree = await charts.complete(tree_of(chart, ""), source, "default")
    assert "charts/database-1.2.0.tgz" in tree.files


async def test_a_hostile_dependency_is_the_sandboxes_matter(
    sandbox: SandboxPool, egress: Egress, server: WebServer, tmp_path: Path
) -> None:
    """S-21: a packed dependency that leads out fails in the sandbox, and the next chart renders."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in (
            ("evil/Chart.yaml", b"apiVersion: v2\nname: evil\nversion: 1.0.0\n"),
            ("evil/../../../etc/x", b"x"),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    tree = tree_of(umbrella(tmp_path, "- {name: evil, version: 1.0.0, repository: URL}\n"))
    hostile = Tree("h", {**tree.files, "apps/web/charts/evil-1.0.0.tgz": buffer.getvalue()})
    with pytest.raises(Exception, match=r"outside the base directory|illegal"):
        await rendered(sandbox, hostile)
    good = tree_of(testbed.write_chart(tmp_path, "web", "0.1.0"))
    assert await rendered(sandbox, good) == {"shop-web": "0.1.0"}
