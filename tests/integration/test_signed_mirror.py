"""Signatures of a remote repository, of which a mirror has no history until it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from driftd.errors import VerificationError
from driftd.model.application import Application, ApplicationSource, ApplicationSpec
from driftd.model.project import SignatureDemand, SignatureMode
from driftd.model.tree import Tree
from driftd.source.guard import unguarded
from driftd.source.mirror import GitCredential, GitMirror
from driftd.source.repositories import Repositories
from driftd.verify.keys import keys_of_map
from driftd.verify.revision import RevisionCheck
from driftd.verify.verifier import Verifier
from tests.testbed.signing import GpgHome, SignedRepo
from tests.unit.source.httpsserver import GitServer, RunningServer

SEAL = "Argocd-gpg-seal: reviewed"


@pytest.fixture
def home() -> Iterator[GpgHome]:
    """Alice's key."""
    with GpgHome() as found:
        found.key("Alice")
        yield found


@pytest.fixture
def upstream(tmp_path: Path) -> SignedRepo:
    """The repository that is served, with an unsigned first commit."""
    repo = SignedRepo(tmp_path / "served" / "upstream")
    repo.write("app/one.yaml", "first")
    repo.commit("Unsigned")
    return repo


@pytest.fixture
def server(upstream: SignedRepo, tmp_path: Path) -> Iterator[GitServer]:
    """A server of that repository."""
    (tmp_path / "tls").mkdir()
    with RunningServer(upstream.path.parent, tmp_path / "tls") as running:
        yield running


async def test_remote_revisions(
    server: GitServer, upstream: SignedRepo, home: GpgHome, tmp_path: Path
) -> None:
    """Heads, annotated tags and histories of a remote are verified as those of a checkout."""
    alice = home.fingerprint("Alice")
    verifier = Verifier(keys_of_map({"alice": home.public("Alice")}, "keys"))
    credential = GitCredential(ca_file=str(server.ca_file))
    mirror = GitMirror(
        server.url("upstream/.git"), tmp_path / "cache", credential=credential, guard=unguarded
    )

    async def wrong(revision: str, mode: SignatureMode) -> tuple[str, ...]:
        commit = await mirror.resolve(revision)
        tree = await mirror.tree(commit)
        demand = SignatureDemand(project="team", mode=mode, keys=(alice,))
        check = RevisionCheck(mirror, verifier, demand)
        return await check.problems(commit, tree.git, await mirror.annotated_tag(revision))

    (told,) = await wrong("main", SignatureMode.HEAD)
    assert told.endswith("is not signed")
    upstream.signed_tag("v1", home, alice)
    assert await wrong("v1", SignatureMode.HEAD) == ()
    upstream.signed_commit("Signed", home, alice)
    assert await wrong("main", SignatureMode.HEAD) == ()
    (told,) = await wrong("main", SignatureMode.STRICT)
    assert told.endswith("is not signed")
    upstream.signed_commit("Seal", home, alice, trailer=SEAL)
    upstream.signed_commit("After it", home, alice)
    assert await wrong("HEAD", SignatureMode.STRICT) == ()


async def test_remote_trees_that_are_not_read_as_they_are(
    server: GitServer, upstream: SignedRepo, home: GpgHome, tmp_path: Path
) -> None:
    """Chosen folders, and files added to a commit's own, are held to the commit's signature."""
    alice = home.fingerprint("Alice")
    upstream.write("other/two.yaml", "second")
    upstream.signed_commit("Signed", home, alice)

    async def more(tree: Tree) -> Tree:
        files = {**tree.files, "app/large": b"what a pointer of Git LFS points to"}
        return msgspec.structs.replace(tree, id=f"{tree.id}+more", files=files)

    mirror = GitMirror(
        server.url("upstream/.git"),
        tmp_path / "cache",
        credential=GitCredential(ca_file=str(server.ca_file)),
        guard=unguarded,
        paths=("app",),
        more=more,
    )
    repositories = await Repositories.open((), mirror=lambda _url, _project: mirror)
    url = server.url("upstream/.git")
    source = ApplicationSource(repo_url=url, path="app", target_revision="main")
    app = Application(name="web", namespace="argocd", spec=ApplicationSpec(source=source))
    (found,) = (await repositories.resolve(app, [url])).sources
    assert set(found.tree.files) == {"app/one.yaml", "app/large"}
    verifier = Verifier(keys_of_map({"alice": home.public("Alice")}, "keys"))
    demand = SignatureDemand(project="team", mode=SignatureMode.HEAD, keys=(alice,))
    check = RevisionCheck(mirror, verifier, demand)
    assert await check.problems(found.revision, found.git_tree, None) == ()
    with pytest.raises(VerificationError, match="has other files"):
        await check.problems(found.revision, found.tree.id, None)
