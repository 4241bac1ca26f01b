"""The mirror of a remote repository, against git's own server over TLS."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from driftd.errors import SourceError
from driftd.source.egress import Reach
from driftd.source.guard import unguarded
from driftd.source.mirror import GitCredential, GitMirror, MirrorLimits
from driftd.source.objects import TreeLimits
from driftd.source.process import MIB
from driftd.source.url import RepositoryURL
from tests.testbed.gitrepo import GitRepo
from tests.unit.source.httpsserver import GitServer, RunningServer

pytestmark = pytest.mark.slow


@pytest.fixture
def upstream(tmp_path: Path) -> GitRepo:
    """The repository that is served as `/upstream/.git`."""
    repo = GitRepo(tmp_path / "served" / "upstream")
    repo.write("app/one.yaml", "first")
    repo.commit("First")
    repo.git("tag", "--annotate", "--message=Release", "v1.0.0")
    repo.write("app/one.yaml", "second")
    repo.commit("Second")
    return repo


@pytest.fixture
def server(upstream: GitRepo, tmp_path: Path) -> Iterator[GitServer]:
    """A server of that repository."""
    (tmp_path / "tls").mkdir()
    with RunningServer(upstream.path.parent, tmp_path / "tls") as running:
        yield running


def _mirror(server: GitServer, tmp_path: Path, **credential: str) -> GitMirror:
    login = GitCredential(ca_file=str(server.ca_file), **credential)
    return GitMirror(
        server.url("upstream/.git"), tmp_path / "cache", credential=login, guard=unguarded
    )


async def test_branch_tag_and_head_are_read_without_history(
    server: GitServer, upstream: GitRepo, tmp_path: Path
) -> None:
    """A remote's branch, annotated tag and HEAD resolve, and only the commits asked for come."""
    mirror = _mirror(server, tmp_path)
    assert await mirror.resolve("") == await mirror.resolve("main") == upstream.head
    tagged = await mirror.resolve("v1.0.0")
    assert tagged == upstream.git("rev-parse", "v1.0.0^{commit}").strip()
    assert (await mirror.tree(upstream.head)).files == {"app/one.yaml": b"second"}
    assert (await mirror.tree(tagged)).files == {"app/one.yaml": b"first"}
    assert (await mirror.commit_info(tagged)).subject == "First"
    cached = GitRepo(next((tmp_path / "cache").iterdir()) / "work")
    kept = cached.git("--git-dir", str(cached.path.parent), "for-each-ref").split("\n")
    assert sorted(line[-40:] for line in kept if line) == sorted([upstream.head, tagged])


async def test_a_commit_in_the_mirror_needs_no_network(
    server: GitServer, upstream: GitRepo, tmp_path: Path
) -> None:
    """A second mirror object on the same cache reads a commit id without asking the remote."""
    await _mirror(server, tmp_path).tree(upstream.head)
    asked = len(server.requests)
    again = _mirror(server, tmp_path)
    assert (await again.tree(await again.resolve(upstream.head))).files
    assert len(server.requests) == asked


async def test_unknown_revision_names_near_ones(server: GitServer, tmp_path: Path) -> None:
    """An unknown revision says which repository, which revision and what may be meant."""
    with pytest.raises(SourceError) as error:
        await _mirror(server, tmp_path).resolve("mian")
    assert "'mian' does not exist" in str(error.value)
    assert "localhost" in str(error.value)
    assert error.value.hint == "did you mean main?"
    with pytest.raises(SourceError) as error:
        await _mirror(server, tmp_path).resolve("v9.9")
    assert error.value.hint.endswith("; correct the revision, or push it if it is new")


async def test_abbreviated_ids_are_refused_with_the_remedy(
    server: GitServer, upstream: GitRepo, tmp_path: Path
) -> None:
    """A remote cannot resolve a short id, and the error says to give the full one."""
    with pytest.raises(SourceError) as error:
        await _mirror(server, tmp_path).resolve(upstream.head[:8])
    assert error.value.hint == "give the full commit id"


async def test_an_untrusted_certificate_is_refused_and_the_password_unsent(
    server: GitServer, tmp_path: Path
) -> None:
    """Without the server's CA the connection fails before any request, credential included."""
    login = GitCredential(username="bot", password="hunter2")
    mirror = GitMirror(
        server.url("upstream/.git"), tmp_path / "cache", credential=login, guard=unguarded
    )
    with pytest.raises(SourceError) as error:
        await mirror.resolve("main")
    assert "certificate" in error.value.message
    assert "hunter2" not in error.value.message
    assert server.requests == []


async def test_the_credential_reaches_its_origin(
    server: GitServer, upstream: GitRepo, tmp_path: Path
) -> None:
    """A password opens the repository, a wrong one is an error that does not show it."""
    server.password = "Basic " + base64.b64encode(b"bot:hunter2").decode()
    mirror = _mirror(server, tmp_path, username="bot", password="hunter2")
    assert await mirror.resolve("main") == upstream.head
    with pytest.raises(SourceError) as error:
        await _mirror(server, tmp_path, username="bot", password="wrong-one").resolve("main")
    assert "wrong-one" not in error.value.message
    assert "credential" in error.value.hint


async def test_a_redirect_is_not_followed(
    server: GitServer, upstream: GitRepo, tmp_path: Path
) -> None:
    """S-12: no request, and so no Authorization header, reaches the host of a redirect."""
    (tmp_path / "other").mkdir()
    with RunningServer(upstream.path.parent, tmp_path / "other") as other:
        server.redirect = f"https://localhost:{other.port}"
        mirror = _mirror(server, tmp_path, username="bot", password="hunter2")
        with pytest.raises(SourceError):
            await mirror.resolve("main")
        assert server.requests
        assert other.requests == []


async def test_a_large_blob_is_refused_not_fetched(
    server: GitServer, upstream: GitRepo, tmp_path: Path
) -> None:
    """S-10: a blob over the limit stays at the remote, and the error names its file."""
    (upstream.path / "big.bin").write_bytes(b"x" * 300_000)
    upstream.commit("Big")
    mirror = GitMirror(
        server.url("upstream/.git"),
        tmp_path / "cache",
        credential=GitCredential(ca_file=str(server.ca_file)),
        guard=unguarded,
        limits=MirrorLimits(tree=TreeLimits(size=100_000)),
    )
    with pytest.raises(SourceError, match=r"big\.bin"):
        await mirror.tree(upstream.head)


async def test_the_disk_quota_is_kept(server: GitServer, upstream: GitRepo, tmp_path: Path) -> None:
    """S-10: a fetch over the quota is an error and leaves nothing on the disk."""
    (upstream.path / "random.bin").write_bytes(os.urandom(2 * MIB))
    upstream.commit("Random")
    mirror = GitMirror(
        server.url("upstream/.git"),
        tmp_path / "cache",
        credential=GitCredential(ca_file=str(server.ca_file)),
        guard=unguarded,
        limits=MirrorLimits(disk=MIB),
    )
    with pytest.raises(SourceError, match="disk quota of 1 MiB"):
        await mirror.tree(upstream.head)
    assert list((tmp_path / "cache").iterdir()) == []


async def test_a_mirror_near_its_quota_starts_over(
    server: GitServer, upstream: GitRepo, tmp_path: Path
) -> None:
    """Commits of the past never fill the quota: the mirror is emptied and goes on."""
    mirror = GitMirror(
        server.url("upstream/.git"),
        tmp_path / "cache",
        credential=GitCredential(ca_file=str(server.ca_file)),
        guard=unguarded,
        limits=MirrorLimits(disk=MIB),
    )
    for number in range(4):
        (upstream.path / "random.bin").write_bytes(os.urandom(MIB // 2))
        commit = upstream.commit(f"Random {number}")
        assert len((await mirror.tree(commit)).files) == 2


async def test_a_commit_that_the_remote_lacks_is_an_error(
    server: GitServer, tmp_path: Path
) -> None:
    """A full id that does not exist fails at the fetch, naming the repository."""
    with pytest.raises(SourceError, match="localhost"):
        await _mirror(server, tmp_path).tree("0123456789" * 4)


async def test_ssh_is_strict_and_asks_nothing(
    upstream: GitRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-13: ssh runs without the user's configuration, with known host keys only, never asks."""
    seen = tmp_path / "arguments"
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    # Stands in for ssh itself: notes how it was called, then runs the remote command here.
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > {seen}\n'
        'for last; do :; done\ncd / && exec sh -c "$last"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    login = GitCredential(ssh_key_file="/keys/deploy key", known_hosts_file="/keys/known_hosts")
    url = f"ssh://git@git.example.com:2222{upstream.path}"

    async def resolved(_url: RepositoryURL, _reach: Reach) -> tuple[str, ...]:
        return ("192.0.2.7", "192.0.2.8")

    mirror = GitMirror(url, tmp_path / "cache", credential=login, guard=resolved)
    assert (await mirror.tree(await mirror.resolve("main"))).files
    arguments = seen.read_text().splitlines()
    assert arguments[:2] == ["-F", "/dev/null"]
    for option in (
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "IdentitiesOnly=yes",
        'IdentityFile="/keys/deploy key"',
        'UserKnownHostsFile="/keys/known_hosts"',
        "HostName=192.0.2.7",
        "HostKeyAlias=[git.example.com]:2222",
    ):
        assert option in arguments
    assert arguments[arguments.index("-p") + 1] == "2222"
    assert "git@git.example.com" in arguments


@pytest.mark.parametrize("url", ["file:///etc", "http://localhost/x", "/etc", "ext::sh -c id"])
def test_other_transports_are_refused(url: str, tmp_path: Path) -> None:
    """S-02: a mirror of anything but https and ssh cannot even be made."""
    with pytest.raises(SourceError):
        GitMirror(url, tmp_path)


def test_a_credential_does_not_print_itself() -> None:
    """Neither repr nor str of a credential has its password."""
    login = GitCredential(username="bot", password="hunter2")
    assert "hunter2" not in f"{login!r} {login}"


async def test_signed_objects_and_history_are_fetched_on_demand(
    server: GitServer, upstream: GitRepo, tmp_path: Path
) -> None:
    """A mirror has one commit; annotated tags and the history come when they are asked for."""
    upstream.git("tag", "--annotate", "--message=Two", "v2")
    upstream.git("tag", "light")
    oid = upstream.git("rev-parse", "v2").strip()
    history = upstream.git("rev-list", "HEAD").split()
    assert len(history) > 1
    mirror = _mirror(server, tmp_path)
    sha = await mirror.resolve("v2")
    await mirror.tree(sha)
    assert set(await mirror.objects(history)) == {sha}
    tag = await mirror.annotated_tag("v2")
    assert tag is not None
    assert (tag.name, tag.id) == ("v2", oid)
    assert (await mirror.objects([oid]))[oid].kind == "tag"
    for name in ("HEAD", "main", "light", "none", sha):
        assert await mirror.annotated_tag(name) is None
    assert await mirror.ancestors(sha, 100) == history
    assert set(await mirror.objects(history)) == set(history)
