"""Submodules, chosen folders and ids of folders, read through git's own server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from driftd.errors import SourceError
from driftd.model.repository import AccessTable, RepositoryAccess
from driftd.source.egress import Egress
from driftd.source.remotes import Remotes
from driftd.source.submodules import joined
from tests.testbed.gitrepo import GitRepo
from tests.unit.source.httpsserver import GitServer, RunningServer

pytestmark = pytest.mark.slow


class Fixed:
    """A clock that stands."""

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """The folder of the repositories that are served."""
    return tmp_path / "served"


@pytest.fixture
def server(served: Path, tmp_path: Path) -> Iterator[GitServer]:
    """Git over https."""
    (tmp_path / "tls").mkdir()
    served.mkdir()
    with RunningServer(served, tmp_path / "tls") as running:
        yield running


def link(repo: GitRepo, path: str, commit: str, url: str) -> None:
    """Add a submodule as git writes it."""
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{commit},{path}")
    text = f'[submodule "{path}"]\n\tpath = {path}\n\turl = {url}\n'
    with (repo.path / ".gitmodules").open("a") as file:
        file.write(text)
    repo.git("add", ".gitmodules")
    repo.git("commit", "--quiet", "--message=Link")


OPENED: list[Remotes] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """The files of credentials go away after each test."""
    yield
    while OPENED:
        OPENED.pop().close()


def remotes(server: GitServer, tmp_path: Path, egress: Egress, **fields: object) -> Remotes:
    """Remotes with one entry for the repository `main`."""
    entry = RepositoryAccess(url=server.url("main/.git"), **fields)  # type: ignore[arg-type]
    table = AccessTable(entries=(entry,), certificates={"localhost": server.ca_file.read_text()})
    OPENED.append(Remotes(tmp_path / "cache", egress, Fixed(), table))
    return OPENED[-1]


@pytest.fixture
def repositories(served: Path, server: GitServer) -> dict[str, GitRepo]:
    """`main` with the submodule `library`, which has one itself, and so on."""
    made = {name: GitRepo(served / name) for name in ("main", "library", "inner", "deepest")}
    for name, repo in made.items():
        repo.write(f"{name}.txt", name)
        repo.commit()
    for outer, inner in (("inner", "deepest"), ("library", "inner"), ("main", "library")):
        target = f"../../{inner}/.git" if outer != "main" else server.url(f"{inner}/.git")
        link(made[outer], f"lib/{inner}", made[inner].head, target)
    return made


async def test_submodules_are_read_where_asked_for(
    server: GitServer, repositories: dict[str, GitRepo], tmp_path: Path, egress: Egress
) -> None:
    """Relative and absolute URLs, two levels deep; without the switch nothing is fetched."""
    head, url = repositories["main"].head, server.url("main/.git")
    plain = await remotes(server, tmp_path, egress).mirror(url).tree(head)
    assert plain.submodules == ("lib/library",)
    asked = remotes(server, tmp_path, egress, submodules=True).mirror(url)
    tree = await asked.tree(head)
    assert tree.files["lib/library/library.txt"] == b"library"
    assert tree.files["lib/library/lib/inner/inner.txt"] == b"inner"
    assert tree.submodules == ("lib/library/lib/inner/lib/deepest",)
    assert not any("deepest.txt" in path for path in tree.files)
    assert tree.id == (await asked.tree(head)).id != plain.id


@pytest.mark.parametrize(
    "target", ["file:///etc", "ext::sh -c id", "--upload-pack=x", "../../../x"]
)
async def test_submodules_lead_nowhere_else(
    server: GitServer, served: Path, tmp_path: Path, egress: Egress, target: str
) -> None:
    """S-07: a submodule's URL is held to the same rules as a repository's."""
    main = GitRepo(served / "main")
    main.write("a", "a")
    main.commit()
    link(main, "lib", main.head, target)
    mirror = remotes(server, tmp_path, egress, submodules=True).mirror(server.url("main/.git"))
    with pytest.raises(SourceError, match="submodule"):
        await mirror.tree(main.head)


async def test_a_link_without_entry_is_named(
    server: GitServer, served: Path, tmp_path: Path, egress: Egress
) -> None:
    """A commit that links what .gitmodules does not know."""
    main = GitRepo(served / "main")
    main.write("a", "a")
    main.commit()
    main.git("update-index", "--add", "--cacheinfo", f"160000,{main.head},lib")
    main.git("commit", "--quiet", "--message=Link")
    mirror = remotes(server, tmp_path, egress, submodules=True).mirror(server.url("main/.git"))
    with pytest.raises(SourceError, match=r"submodule lib is not in \.gitmodules"):
        await mirror.tree(main.head)


def test_urls_of_submodules() -> None:
    """Relative ones stand beside their repository, over https and ssh, and never outside."""
    assert joined("https://h/team/app.git", "../lib.git") == "https://h/team/lib.git"
    assert joined("git@h:team/app.git", "../lib.git") == "ssh://git@h/team/lib.git"
    assert joined("https://h/a", "git@other:x/y") == "ssh://git@other/x/y"
    with pytest.raises(SourceError):
        joined("https://h/a", "../../x")


async def test_chosen_folders_alone_are_fetched(
    server: GitServer, served: Path, tmp_path: Path, egress: Egress
) -> None:
    """Of a large repository some folders and the root's files come, now and at the next commit."""
    main = GitRepo(served / "main")
    main.write("apps/web/a.yaml", "a")
    main.write("apps/other/b.yaml", "b")
    main.write("root.yaml", "r")
    (main.path / "huge").mkdir()
    (main.path / "huge" / "data").write_bytes(bytes(range(256)) * 4000)
    main.commit()
    first = main.head
    mirror = remotes(server, tmp_path, egress, paths=("apps/web/",)).mirror(server.url("main/.git"))
    tree = await mirror.tree(first)
    assert tree.files == {"apps/web/a.yaml": b"a", "root.yaml": b"r"}
    size = sum(f.stat().st_size for f in (tmp_path / "cache").rglob("*") if f.is_file())
    assert size < 100_000
    main.write("apps/web/a.yaml", "changed")
    main.commit()
    assert (await mirror.tree(main.head)).files["apps/web/a.yaml"] == b"changed"


async def test_folders_have_ids(
    server: GitServer, served: Path, tmp_path: Path, egress: Egress
) -> None:
    """An unrelated commit leaves a folder's id as it was; one below it changes it."""
    main = GitRepo(served / "main")
    main.write("apps/web/a.yaml", "a")
    main.write("apps/other/b.yaml", "b")
    main.commit()
    mirror = remotes(server, tmp_path, egress).mirror(server.url("main/.git"))
    before = (await mirror.tree(main.head)).folders
    main.write("apps/other/b.yaml", "changed")
    main.commit()
    after = (await mirror.tree(main.head)).folders
    assert before.keys() == after.keys() == {"apps", "apps/web", "apps/other"}
    assert before["apps/web"] == after["apps/web"] == main.git("rev-parse", "HEAD:apps/web").strip()
    assert before["apps"] != after["apps"]
