"""Files of Git LFS: pushed by the real git-lfs, fetched and verified by driftd."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from driftd.errors import SourceError
from driftd.model.tree import Tree
from driftd.source.access import reach_of
from driftd.source.egress import Egress, Reach
from driftd.source.git import GitRepository
from driftd.source.lfs import with_lfs
from driftd.source.objects import TreeLimits
from tests.testbed.gitrepo import GitRepo
from tests.testbed.webserver import Asked, Reply, Tls, WebServer

pytestmark = pytest.mark.slow


class LfsServer:
    """The batch API and its storage, as git-lfs and driftd use it."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.base = ""
        self.header = {"Authorization": "RemoteAuth once"}

    def __call__(self, asked: Asked) -> Reply:
        path = asked.path
        if path.endswith("/locks/verify"):
            return Reply(404)
        if path.endswith("/objects/batch"):
            question = json.loads(asked.body)
            objects = [self._answer(one, question["operation"]) for one in question["objects"]]
            kind = {"Content-Type": "application/vnd.git-lfs+json"}
            return Reply(200, json.dumps({"objects": objects}).encode(), kind)
        oid = path.rpartition("/")[2]
        if asked.method == "PUT":
            self.objects[oid] = asked.body
            return Reply(200)
        if asked.headers.get("authorization") != self.header["Authorization"]:
            return Reply(401)
        return Reply(200, self.objects[oid])

    def _answer(self, one: dict[str, str], operation: str) -> dict[str, object]:
        if operation == "download" and one["oid"] not in self.objects:
            return {**one, "error": {"code": 404, "message": "no"}}
        action = {"href": f"{self.base}/store/{one['oid']}", "header": self.header}
        return {**one, "actions": {operation: action}}


@pytest.fixture
def lfs() -> LfsServer:
    """An empty LFS server."""
    return LfsServer()


@pytest.fixture
async def tree(git_repo: GitRepo, lfs: LfsServer) -> Tree:
    """A commit with two pointers to one content, which git-lfs has pushed to the server."""
    git_repo.git("lfs", "install", "--local", "--skip-smudge")
    git_repo.git("lfs", "track", "*.bin")
    git_repo.write("a.bin", "content " * 1000)
    git_repo.write("app/b.bin", "content " * 1000)
    git_repo.write("app/map.yaml", "kind: ConfigMap\n")
    git_repo.commit("Large")
    with WebServer(lfs) as server:
        lfs.base = server.url
        git_repo.set_remote(f"{server.url}/x.git")
        git_repo.git("lfs", "push", "--all", "origin")
    repository = GitRepository.open(git_repo.path)
    return await repository.tree(git_repo.head)


def reach(server: WebServer, tls: Tls, egress: Egress) -> Reach:
    """How the server is talked to, with a login that the storage must not see."""
    egress.named = frozenset({f"https://localhost:{server.port}"})
    from driftd.model.repository import RepositoryAccess

    access = RepositoryAccess(
        url=server.url, username="bot", password="hunter2", ca=tls.ca.read_text()
    )
    return reach_of(server.url, access)


async def test_pointers_become_their_content(
    tree: Tree, lfs: LfsServer, tls: Tls, egress: Egress
) -> None:
    """Both files have the content, fetched once; other files stay; the tree has another id."""
    with WebServer(lfs, tls) as server:
        lfs.base = server.url
        found = await with_lfs(
            tree, f"{server.url}/x.git", egress, reach(server, tls, egress), TreeLimits()
        )
        assert found.files["a.bin"] == found.files["app/b.bin"] == b"content " * 1000
        assert found.files["app/map.yaml"] == b"kind: ConfigMap\n"
        assert found.id != tree.id
        (batch, download) = server.asked
        assert (batch.path, download.path[:7]) == ("/x.git/info/lfs/objects/batch", "/store/")
        assert batch.headers["authorization"].startswith("Basic ")
        assert download.headers["authorization"] == "RemoteAuth once"


async def test_what_is_wrong_is_said(tree: Tree, lfs: LfsServer, tls: Tls, egress: Egress) -> None:
    """Other content, an object that is not there, too much of it, and ssh."""
    oid = next(iter(lfs.objects))
    with WebServer(lfs, tls) as server:
        lfs.base, url = server.url, f"{server.url}/x.git"
        place = reach(server, tls, egress)
        lfs.objects[oid] = b"x" * 8000
        with pytest.raises(SourceError, match="its digest is sha256:"):
            await with_lfs(tree, url, egress, place, TreeLimits())
        lfs.objects.clear()
        with pytest.raises(SourceError, match="has no object"):
            await with_lfs(tree, url, egress, place, TreeLimits())
        asked = len(server.asked)
        with pytest.raises(SourceError, match="MiB of files"):
            await with_lfs(tree, url, egress, place, TreeLimits(size=10_000))
        with pytest.raises(SourceError, match="https alone"):
            await with_lfs(tree, "git@localhost:x.git", egress, None, TreeLimits())
        assert len(server.asked) == asked


async def test_a_login_for_another_place_stays_there(
    tree: Tree, lfs: LfsServer, tls: Tls, egress: Egress
) -> None:
    """Storage elsewhere gets the header that the server hands out, never the repository's login."""
    lfs.header = {}
    with WebServer(lfs, tls) as server, WebServer(lambda _asked: Reply(403), tls) as storage:
        lfs.base = storage.url
        place = reach(server, tls, egress)
        egress.named |= {f"https://localhost:{storage.port}"}
        with pytest.raises(SourceError):
            await with_lfs(tree, f"{server.url}/x.git", egress, place, TreeLimits())
        assert all("authorization" not in asked.headers for asked in storage.asked)
    assert replace(place, authorization="") != place


async def test_without_pointers_nothing_is_asked(egress: Egress) -> None:
    """A tree without pointers, or with text that only speaks of them, stays the same."""
    text = b"see version https://git-lfs.github.com/spec/v1\n"
    tree = Tree("t", {"a": text, "b": b"version https://git-lfs.github.com/spec/v1\noid x\n"})
    assert await with_lfs(tree, "https://x/y", egress, None, TreeLimits()) is tree
