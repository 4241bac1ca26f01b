"""Charts that were fetched before, by this process or by another one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from driftd.errors import SourceError
from driftd.model.application import ApplicationSource
from driftd.model.repository import AccessTable, RepositoryAccess
from driftd.sandbox.pool import SandboxPool
from driftd.sealed import SealedFolder
from driftd.source.charts import Charts
from driftd.source.egress import Egress
from tests.testbed import charts as testbed
from tests.testbed.webserver import Asked, Reply, WebServer, folder_of, forwarded_to

pytestmark = pytest.mark.slow

Make = Callable[..., Charts]


@pytest.fixture(scope="module")
def published(scratch: Path) -> Path:
    """A Helm repository's files."""
    place = scratch / "published"
    testbed.package(scratch, "web", "1.0.0", "1.2.0", into=place)
    testbed.index(place)
    return place


@pytest.fixture
def server(published: Path) -> Iterator[WebServer]:
    """That repository on a server that knows when its files have changed."""
    plain = folder_of(published)

    def answer(asked: Asked) -> Reply:
        reply = plain(asked)
        assert isinstance(reply.body, bytes)
        tag = f'"{hashlib.sha256(reply.body).hexdigest()}"'
        if asked.headers.get("if-none-match") == tag:
            return Reply(304)
        reply.headers["ETag"] = tag
        return reply

    with WebServer(answer) as running:
        yield running


@pytest.fixture(scope="module")
def registry(scratch: Path) -> Iterator[int]:
    """A registry that helm has pushed a chart to."""
    with testbed.registry() as port:
        for file in testbed.package(scratch, "web", "1.0.0", into=scratch / "pushed"):
            target = f"oci://localhost:{port}/team"
            testbed.helm("push", file, target, "--plain-http", home=scratch / "home")
        yield port


@pytest.fixture
def start(sandbox: SandboxPool, egress: Egress, tmp_path: Path) -> Make:
    """Charts as a process has them that has just started, with the folder of the others."""

    def make(url: str, **fields: object) -> Charts:
        entry = RepositoryAccess(url=url, **{"type": "helm", **fields})  # type: ignore[arg-type]
        folder = SealedFolder(tmp_path / "charts", "charts", 1 << 20)
        return Charts(sandbox, egress, AccessTable(entries=(entry,)), folder=folder)

    return make


def source(url: str, revision: str = "1.0.0") -> ApplicationSource:
    """A chart."""
    return ApplicationSource(repo_url=url, chart="web", target_revision=revision)


async def test_a_restart_fetches_no_chart_again(start: Make, server: WebServer) -> None:
    """The next process asks whether the index has changed, and for nothing else."""
    first = await start(server.url).read(source(server.url), "default")
    assert [one.path for one in server.asked] == ["/index.yaml", "/web-1.0.0.tgz"]
    server.asked.clear()
    again = await start(server.url).read(source(server.url), "default")
    assert again == first
    (asked,) = server.asked
    assert asked.path == "/index.yaml"
    assert asked.headers["if-none-match"]
    server.asked.clear()
    await start(server.url).read(source(server.url, "^1.0.0"), "default")
    assert [one.path for one in server.asked] == ["/index.yaml", "/web-1.2.0.tgz"]


async def test_a_changed_index_counts(
    start: Make, server: WebServer, published: Path, scratch: Path
) -> None:
    """A chart that was published anew under its version is fetched, for its digest is another."""
    before = (published / "index.yaml").read_bytes(), (published / "web-1.0.0.tgz").read_bytes()
    tree, _ = await start(server.url).read(source(server.url), "default")
    try:
        chart = testbed.write_chart(scratch, "web", "1.0.0", files={"templates/more.yaml": "---\n"})
        testbed.helm("package", chart, "--destination", published, home=scratch / "home")
        testbed.index(published)
        newer, _ = await start(server.url).read(source(server.url), "default")
    finally:
        (published / "index.yaml").write_bytes(before[0])
        (published / "web-1.0.0.tgz").write_bytes(before[1])
    assert newer.id != tree.id
    assert "templates/more.yaml" in newer.files


async def test_damaged_files_are_fetched_again(
    start: Make, server: WebServer, tmp_path: Path
) -> None:
    """What somebody has changed on the disk is not used."""
    first = await start(server.url).read(source(server.url), "default")
    kept = [path for path in (tmp_path / "charts").glob("??/*") if path.is_file()]
    assert len(kept) == 2
    for path in kept:
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    server.asked.clear()
    assert await start(server.url).read(source(server.url), "default") == first
    assert [one.path for one in server.asked] == ["/index.yaml", "/web-1.0.0.tgz"]
    assert "if-none-match" not in server.asked[0].headers


async def test_another_login_learns_nothing(start: Make, server: WebServer) -> None:
    """What was fetched with one entry is not there for another one, nor for another server."""
    await start(server.url, origin="one").read(source(server.url), "default")
    server.asked.clear()
    await start(server.url, origin="two").read(source(server.url), "default")
    assert [one.path for one in server.asked] == ["/index.yaml", "/web-1.0.0.tgz"]


async def test_a_registry_is_asked_for_tags_alone(start: Make, registry: int) -> None:
    """A tag's manifest is asked for anew, its content is not; a digest asks for nothing at all."""
    with WebServer(forwarded_to(registry)) as server:
        host = server.host
        first = await start(f"{host}/team", oci=True).read(source(f"{host}/team"), "default")
        (blob,) = [one.path for one in server.asked if "/blobs/" in one.path]
        server.asked.clear()
        again = await start(f"{host}/team", oci=True).read(source(f"{host}/team"), "default")
        assert again == first
        assert [one.path for one in server.asked] == ["/v2/team/web/manifests/1.0.0"]
        charts = start(f"{host}/team", oci=True)
        found = charts.registry(f"{host}/team", charts.table.entries[0], "web")
        digest, _ = await found.resolve("1.0.0")
        server.asked.clear()
        pinned = source(f"{host}/team", digest)
        assert (await start(f"{host}/team", oci=True).read(pinned, "default"))[0] == first[0]
        assert server.asked == []
        assert blob.rpartition(":")[2] in first[0].id


async def test_without_a_folder_nothing_is_kept(
    sandbox: SandboxPool, egress: Egress, server: WebServer
) -> None:
    """Two processes without a folder each fetch for themselves."""
    table = AccessTable(entries=(RepositoryAccess(url=server.url, type="helm"),))
    for _ in range(2):
        await Charts(sandbox, egress, table).read(source(server.url), "default")
    assert [one.path for one in server.asked] == ["/index.yaml", "/web-1.0.0.tgz"] * 2


async def test_a_server_that_fails_is_told(start: Make, published: Path) -> None:
    """An index that cannot be asked about is not taken from the disk."""
    plain, down = folder_of(published), False

    def answer(asked: Asked) -> Reply:
        reply = Reply(503) if down else plain(asked)
        reply.headers["ETag"] = '"one"'
        return reply

    with WebServer(answer) as server:
        await start(server.url).read(source(server.url), "default")
        down = True
        with pytest.raises(SourceError, match="503"):
            await start(server.url).read(source(server.url), "default")
