"""git reaches the addresses that it may reach, and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from driftd.errors import Disposition, SourceError
from driftd.model.repository import AccessTable, RepositoryAccess
from driftd.source.egress import Egress, Reach
from driftd.source.guard import guarded, pinned_https, pinned_ssh
from driftd.source.mirror import GitCredential, GitMirror
from driftd.source.remotes import Remotes
from driftd.source.url import RepositoryURL, parse
from tests.testbed.gitrepo import GitRepo
from tests.testbed.sshserver import SshServer
from tests.unit.reports import VirtualClock
from tests.unit.source.httpsserver import GitServer

pytestmark = pytest.mark.slow

NONE = Reach("")


@pytest.fixture
def make(tmp_path: Path, egress: Egress) -> Iterator[Callable[..., Remotes]]:
    """Makes remotes from entries; their files are removed at the end."""
    made: list[Remotes] = []

    def remotes(*entries: RepositoryAccess, **table: Any) -> Remotes:
        given = AccessTable(entries=entries, **table)
        made.append(Remotes(tmp_path / "cache", egress, VirtualClock(), given))
        return made[-1]

    yield remotes
    for one in made:
        one.close()


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/x",
        "https://localhost/x",
        "https://[::1]/x",
        "https://[::ffff:169.254.169.254]/x",
        "https://169.254.169.254/latest/meta-data",
        "https://2130706433/x",
        "https://127.1/x",
        "https://0x7f.0.0.1/x",
        "https://0/x",
        "ssh://git@localhost/x",
        "git@169.254.169.254:x",
    ],
)
async def test_addresses_of_this_machine_are_refused(url: str) -> None:
    """Numbers in any spelling, names, and wrapped addresses; https and ssh alike."""
    with pytest.raises(SourceError, match="address of this machine") as error:
        await guarded(parse(url), NONE)
    assert error.value.reason == "NotAllowed"
    assert "repositoryAccess" in error.value.hint


async def test_others_are_allowed() -> None:
    """A private network is where repositories lie; a number needs no resolution to be held to."""
    assert await guarded(parse("https://10.1.2.3/x"), NONE) == ()
    assert await guarded(parse("https://[2001:db8::1]/x"), NONE) == ()


async def test_a_name_that_means_nothing_is_transient() -> None:
    """Git is not left to try again by itself: the name might mean something else by then."""
    with pytest.raises(SourceError, match="could not resolve host") as error:
        await guarded(parse("https://no-such-host.invalid/x"), NONE)
    assert error.value.disposition is Disposition.TRANSIENT


async def test_a_proxy_resolves_by_itself() -> None:
    """Through a proxy a name is the proxy's matter; an address is not."""
    proxied = Reach("", proxy="http://proxy.example.com:3128")
    assert await guarded(parse("https://no-such-host.invalid/x"), proxied) == ()
    with pytest.raises(SourceError, match="address of this machine"):
        await guarded(parse("https://169.254.169.254/x"), proxied)
    with pytest.raises(SourceError, match="could not resolve"):
        await guarded(parse("ssh://git@no-such-host.invalid/x"), proxied)


async def test_a_repository_of_this_machine_is_never_asked(
    make: Callable[..., Remotes], server: GitServer
) -> None:
    """Without an entry of its own, a template or none, git does not even connect."""
    trusted = {"certificates": {"localhost": server.ca_file.read_text()}}
    template = RepositoryAccess(
        url=f"https://localhost:{server.port}", template=True, username="bot", password="hunter2"
    )
    other = RepositoryAccess(url="https://localhost:1/upstream/.git")
    helm = RepositoryAccess(url=server.url("upstream/.git"), type="helm")
    for entries in ((), (template,), (other,), (helm,)):
        mirror = make(*entries, **trusted).mirror(server.url("upstream/.git"))
        with pytest.raises(SourceError, match="localhost is an address of this machine"):
            await mirror.resolve("main")
        with pytest.raises(SourceError, match="localhost is an address of this machine"):
            await mirror.tree("1" * 40)
    assert server.requests == []


async def test_what_the_operator_named_is_read(
    make: Callable[..., Remotes], server: GitServer, upstream: GitRepo
) -> None:
    """An entry of its own is the operator's word, for its server's other repositories too."""
    trusted = {"certificates": {"localhost": server.ca_file.read_text()}}
    for name in ("upstream/.git", "other/.git"):
        remotes = make(RepositoryAccess(url=server.url(name)), **trusted)
        assert await remotes.mirror(server.url("upstream/.git")).resolve("main") == upstream.head


async def test_ssh_to_this_machine_is_never_asked(
    make: Callable[..., Remotes], sshd: SshServer, upstream: GitRepo
) -> None:
    """The same for ssh: no connection reaches the server."""
    before = sshd.log.count("Connection from")
    url = sshd.url(upstream.path / ".git")
    with pytest.raises(SourceError, match=r"127\.0\.0\.1 is an address of this machine"):
        await make(known_hosts=sshd.known_hosts()).mirror(url).resolve("main")
    assert sshd.log.count("Connection from") == before


async def test_https_connects_where_the_name_led(
    server: GitServer, upstream: GitRepo, tmp_path: Path
) -> None:
    """Git goes to the addresses that were looked at, whatever the name means to it."""

    async def resolved(_url: RepositoryURL, _reach: Reach) -> tuple[str, ...]:
        return ("127.0.0.1",)

    url = f"https://no-such-host.invalid:{server.port}/upstream/.git"
    credential = GitCredential(insecure=True)
    mirror = GitMirror(url, tmp_path / "cache", credential=credential, guard=resolved)
    commit = await mirror.resolve("main")
    assert commit == upstream.head
    assert (await mirror.tree(commit)).files == {"app/one.yaml": b"first"}


async def test_ssh_connects_where_the_name_led(
    sshd: SshServer, upstream: GitRepo, tmp_path: Path
) -> None:
    """Ssh too, and the host's key is the one that is known for the name."""

    async def resolved(_url: RepositoryURL, _reach: Reach) -> tuple[str, ...]:
        return ("127.0.0.1",)

    url = sshd.url(upstream.path / ".git").replace("127.0.0.1", "no-such-host.invalid")
    (tmp_path / "key").write_text(sshd.key)
    (tmp_path / "key").chmod(0o600)
    for name, words in (("no-such-host.invalid", ""), ("127.0.0.1", "Host key verification")):
        known = tmp_path / f"known of {name}"
        known.write_text(sshd.known_hosts().replace("127.0.0.1", name))
        credential = GitCredential(ssh_key_file=str(tmp_path / "key"), known_hosts_file=str(known))
        mirror = GitMirror(url, tmp_path / "cache", credential=credential, guard=resolved)
        if words:
            with pytest.raises(SourceError, match=words):
                await mirror.resolve("main")
        else:
            assert await mirror.resolve("main") == upstream.head


def test_how_addresses_are_handed_on() -> None:
    """Curl's list for https, one address and the name of the host's key for ssh."""
    https = parse("https://git.example.com/x")
    listed = pinned_https(https, ("192.0.2.1", "2001:db8::1"))
    assert listed == {"http.curloptResolve": "git.example.com:443:192.0.2.1,[2001:db8::1]"}
    assert pinned_https(https, ()) == pinned_ssh(https, ()) == {}
    ssh = parse("ssh://git@git.example.com/x")
    assert pinned_ssh(ssh, ("192.0.2.1",)) == {
        "HostName": "192.0.2.1",
        "HostKeyAlias": "git.example.com",
    }
