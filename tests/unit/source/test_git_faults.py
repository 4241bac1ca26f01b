"""Git that cannot be reached, was rewritten, or left a broken mirror behind."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from driftd.errors import SourceError
from driftd.model.application import Application, ApplicationSource, ApplicationSpec, Destination
from driftd.source.guard import unguarded
from driftd.source.lastgood import STALE
from driftd.source.mirror import GitCredential, GitMirror
from driftd.source.repositories import Repositories, Resolution
from tests.testbed.gitrepo import GitRepo
from tests.unit.reports import VirtualClock
from tests.unit.source.httpsserver import GitServer

pytestmark = pytest.mark.slow


class Looking:
    """The repositories of a daemon, and one application that is read from one."""

    def __init__(self, server: GitServer, cache: Path) -> None:
        login = GitCredential(ca_file=str(server.ca_file))
        self.url = server.url("upstream/.git")
        self.mirror = GitMirror(self.url, cache, credential=login, guard=unguarded)
        self.clock = VirtualClock()
        self.repositories: Repositories | None = None

    async def look(self, revision: str = "main") -> Resolution:
        """What a new look reads."""
        if self.repositories is None:
            self.repositories = await Repositories.open(
                [], mirror=lambda _url, _project: self.mirror, clock=self.clock
            )
        self.repositories.forget()
        source = ApplicationSource(repo_url=self.url, path="app", target_revision=revision)
        spec = ApplicationSpec(
            project="default", source=source, destination=Destination(namespace="shop")
        )
        return await self.repositories.resolve(
            Application(name="shop", namespace="argocd", spec=spec), [self.url]
        )


@pytest.fixture
def looking(server: GitServer, tmp_path: Path) -> Looking:
    """Looks at what the server has."""
    return Looking(server, tmp_path / "cache")


@pytest.mark.parametrize("status", [500, 503, 401, 403, 404])
async def test_a_remote_that_fails_is_read_as_it_was_last(
    looking: Looking, server: GitServer, upstream: GitRepo, status: int
) -> None:
    """The verdict goes on, says since when it is old, and is new again with the next look."""
    first = upstream.head
    assert (await looking.look()).conditions == ()
    looking.clock.advance(600)
    server.status = status
    for _ in range(2):
        found = await looking.look()
        (source,) = found.sources
        assert (source.revision, source.tree.files) == (first, {"app/one.yaml": b"first"})
        (condition,) = found.conditions
        assert (condition.type, condition.severity.value) == (STALE, "warning")
        assert "cannot be read since 2026-03-01T12:00:00Z" in condition.message
        assert first[:10] in condition.message
        looking.clock.advance(600)
    server.status = 0
    upstream.write("app/one.yaml", "second")
    upstream.commit("Second")
    found = await looking.look()
    assert found.conditions == ()
    assert found.sources[0].revision == upstream.head


async def test_a_remote_that_was_never_read_is_an_error(
    looking: Looking, server: GitServer
) -> None:
    """Nothing is compared with a guess."""
    server.status = 500
    found = await looking.look()
    assert (found.sources, [one.type for one in found.conditions]) == ((), ["ComparisonError"])


async def test_a_look_of_the_command_line_never_takes_old_for_new(
    looking: Looking, server: GitServer
) -> None:
    """Only a daemon goes on with what it knew."""
    looking.repositories = await Repositories.open([], mirror=lambda _url, _project: looking.mirror)
    assert (await looking.look()).sources
    server.status = 500
    assert (await looking.look()).sources == ()


async def test_a_branch_that_is_gone_is_an_error(looking: Looking, upstream: GitRepo) -> None:
    """Git says so itself: what it declared is unknown, not old."""
    upstream.git("branch", "next")
    assert (await looking.look("next")).sources
    upstream.git("branch", "-D", "next")
    found = await looking.look("next")
    assert (found.sources, [one.type for one in found.conditions]) == ((), ["ComparisonError"])


async def test_rewritten_branches_and_moved_tags_are_read_as_they_are(
    looking: Looking, upstream: GitRepo
) -> None:
    """A push of unrelated history, and a tag that names another commit now."""
    upstream.git("tag", "v1")
    assert (await looking.look("v1")).sources[0].revision == upstream.head
    upstream.git("checkout", "--quiet", "--orphan", "other")
    upstream.write("app/one.yaml", "unrelated")
    upstream.commit("Unrelated")
    upstream.git("branch", "--force", "main", "other")
    upstream.git("tag", "--force", "v1")
    for revision in ("main", "v1"):
        (source,) = (await looking.look(revision)).sources
        assert (source.revision, source.tree.files["app/one.yaml"]) == (
            upstream.head,
            b"unrelated",
        )


def lock(mirror: Path) -> None:
    """What a killed fetch leaves."""
    (mirror / "shallow.lock").touch()


def flip_pack(mirror: Path) -> None:
    """A disk that fails."""
    for pack in (mirror / "objects" / "pack").glob("*.pack"):
        pack.chmod(0o600)
        content = bytearray(pack.read_bytes())
        content[len(content) // 2] ^= 0xFF
        pack.write_bytes(content)


def cut_pack(mirror: Path) -> None:
    """A file that was never written to its end."""
    for pack in (mirror / "objects" / "pack").glob("*.pack"):
        pack.chmod(0o600)
        os.truncate(pack, pack.stat().st_size // 2)


def lose_objects(mirror: Path) -> None:
    """Files that somebody deleted."""
    for file in (mirror / "objects").rglob("*"):
        if file.is_file():
            file.unlink()


def lose_head(mirror: Path) -> None:
    """No repository any more, as far as git can tell."""
    (mirror / "HEAD").unlink()


@pytest.mark.parametrize("damage", [lock, flip_pack, cut_pack, lose_objects, lose_head])
async def test_a_broken_mirror_is_fetched_anew(
    server: GitServer, upstream: GitRepo, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """No manual step: the next look has the files of the new commit, and of the old one."""
    first = upstream.head
    cache = tmp_path / "cache"
    await Looking(server, cache).look()
    upstream.write("app/one.yaml", "second")
    upstream.commit("Second")
    (mirror,) = cache.iterdir()
    damage(mirror)
    again = Looking(server, cache)
    for revision, text in ((first, b"first"), ("main", b"second")):
        found = await again.look(revision)
        assert [one.message for one in found.conditions] == []
        assert found.sources[0].tree.files == {"app/one.yaml": text}


async def test_what_is_no_damage_is_fetched_once(looking: Looking, server: GitServer) -> None:
    """A commit that the remote does not have stays an error, and the mirror stays."""
    await looking.look()
    asked = len(server.requests)
    with pytest.raises(SourceError):
        await looking.mirror.tree("0" * 39 + "1")
    assert len(server.requests) - asked <= 3
