"""Remote Git repositories behind real servers: ssh, GitHub Apps, logins of several projects."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from driftd.errors import SourceError
from driftd.model.application import Application, ApplicationSource, ApplicationSpec
from driftd.model.repository import AccessTable, GitHubApp, RepositoryAccess
from driftd.source.egress import Egress
from driftd.source.remotes import Remotes
from driftd.source.repositories import Repositories, git_urls
from driftd.source.rsa import RsaKey
from tests.testbed.gitrepo import GitRepo
from tests.testbed.sshserver import SshServer
from tests.testbed.webserver import Asked, Reply, Tls, WebServer
from tests.unit.source.httpsserver import GitServer

pytestmark = pytest.mark.slow

Make = Callable[..., Remotes]


class Time:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment


@pytest.fixture
def time() -> Time:
    """The time of GitHub's tokens."""
    return Time()


@pytest.fixture
async def make(tmp_path: Path, egress: Egress, time: Time) -> AsyncIterator[Make]:
    """Makes remotes from entries; their files are removed at the end."""
    made: list[Remotes] = []

    def remotes(*entries: RepositoryAccess, **table: Any) -> Remotes:
        given = AccessTable(entries=entries, **table)
        made.append(Remotes(tmp_path / "cache", egress, time, given))
        return made[-1]

    yield remotes
    for one in made:
        one.close()


async def test_ssh_with_a_known_host(make: Make, sshd: SshServer, upstream: GitRepo) -> None:
    """Key of the entry and host keys of the table open a repository."""
    url = sshd.url(upstream.path / ".git")
    entry = RepositoryAccess(url=url, ssh_private_key=sshd.key)
    mirror = make(entry, known_hosts=sshd.known_hosts()).mirror(url)
    commit = await mirror.resolve("main")
    assert commit == upstream.head
    assert (await mirror.tree(commit)).files == {"app/one.yaml": b"first"}


@pytest.mark.parametrize("keys", ["", "other"], ids=["unknown", "changed"])
async def test_ssh_refuses_a_host_that_is_not_known(
    make: Make, sshd: SshServer, upstream: GitRepo, keys: str
) -> None:
    """S-13: an unknown or changed host key is refused, says so, and nobody has logged in."""
    before = sshd.log.count("Accepted publickey")
    url = sshd.url(upstream.path / ".git")
    entry = RepositoryAccess(url=url, ssh_private_key=sshd.key)
    known = sshd.known_hosts(keys) if keys else "git.example.com ssh-ed25519 AAAA"
    with pytest.raises(SourceError, match="Host key verification failed") as error:
        await make(entry, known_hosts=known).mirror(url).resolve("main")
    assert "argocd-ssh-known-hosts-cm" in error.value.hint
    assert sshd.log.count("Accepted publickey") == before


async def test_ssh_with_a_wrong_key(make: Make, sshd: SshServer, upstream: GitRepo) -> None:
    """A key that may not log in is named as such."""
    url = sshd.url(upstream.path / ".git")
    wrong = (sshd.folder / "other").read_text()
    entry = RepositoryAccess(url=url, ssh_private_key=wrong)
    with pytest.raises(SourceError, match="Permission denied") as error:
        await make(entry, known_hosts=sshd.known_hosts()).mirror(url).resolve("main")
    assert error.value.hint == "check the SSH key of this repository"


async def test_an_insecure_entry_asks_for_no_host_key(
    make: Make, sshd: SshServer, upstream: GitRepo
) -> None:
    """`insecureIgnoreHostKey` is the operator's word."""
    url = sshd.url(upstream.path / ".git")
    entry = RepositoryAccess(url=url, ssh_private_key=sshd.key, insecure=True)
    assert await make(entry).mirror(url).resolve("main") == upstream.head


class GitHub:
    """GitHub's API as Apps use it: it verifies the signature of what it is told."""

    def __init__(self, public_key: Path, time: Time) -> None:
        self.tokens = 0
        self._key = public_key
        self._time = time

    def __call__(self, asked: Asked) -> Reply:
        claim = self._claim(asked.headers.get("authorization", ""))
        now = self._time.now().timestamp()
        if (
            claim is None
            or claim["iss"] != "7"
            or not claim["iat"] < now < claim["exp"] < now + 600
        ):
            return Reply(401)
        if asked.path == "/repos/upstream/installation":
            return Reply(200, b'{"id": 42}')
        if (asked.method, asked.path) != ("POST", "/app/installations/42/access_tokens"):
            return Reply(404)
        self.tokens += 1
        end = (self._time.now() + timedelta(hours=1)).isoformat()
        body = {"token": f"ghs_{self.tokens}", "expires_at": end}
        return Reply(201, json.dumps(body).encode())

    def _claim(self, header: str) -> Any:
        scheme, _, token = header.partition(" ")
        head, claim, signature = [*token.split("."), "", ""][:3]
        folder = self._key.parent
        (folder / "signed").write_text(f"{head}.{claim}")
        (folder / "signature").write_bytes(base64.urlsafe_b64decode(signature + "=="))
        done = subprocess.run(
            ["openssl", "dgst", "-sha256", "-verify", self._key, "-signature",
             folder / "signature", folder / "signed"],
            capture_output=True, check=False,
        )  # fmt: skip
        if scheme != "Bearer" or done.returncode != 0:
            return None
        return json.loads(base64.urlsafe_b64decode(claim + "=="))


def private_key(folder: Path, form: str) -> str:
    """An RSA key as GitHub (PKCS #1) or others (PKCS #8) write it; its public part beside it."""
    file = folder / "key.pem"
    subprocess.run(
        ["openssl", "genrsa", *(["-traditional"] if form == "pkcs1" else []), "-out", file, "2048"],
        check=True, capture_output=True,
    )  # fmt: skip
    subprocess.run(
        ["openssl", "rsa", "-in", file, "-pubout", "-out", folder / "public.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return file.read_text()


@pytest.mark.parametrize("form", ["pkcs1", "pkcs8"])
@pytest.mark.parametrize("installation", ["42", ""], ids=["given", "asked"])
async def test_a_github_app_logs_in_by_tokens(
    make: Make, server: GitServer, upstream: GitRepo, tls: Tls, time: Time, tmp_path: Path,
    form: str, installation: str,
) -> None:  # fmt: skip
    """The App signs, GitHub verifies, git gets the token; kept until near its end."""
    key = private_key(tmp_path, form)
    github = GitHub(tmp_path / "public.pem", time)
    with WebServer(github, tls) as api:
        app = GitHubApp(app_id="7", private_key=key, installation_id=installation, base_url=api.url)
        url = server.url("upstream/.git")
        trust = f"{tls.ca.read_text()}\n{server.ca_file.read_text()}"
        entry = RepositoryAccess(url=url, github_app=app, ca=trust)
        remotes = make(entry)
        remotes._tokens._egress.named = frozenset({f"https://localhost:{api.port}"})
        mirror = remotes.mirror(url)

        def expect(token: str) -> None:
            pair = base64.b64encode(f"x-access-token:{token}".encode()).decode()
            server.password = f"Basic {pair}"

        expect("ghs_1")
        assert await mirror.resolve("main") == upstream.head
        time.moment += timedelta(minutes=54)
        assert (await mirror.tree(upstream.head)).files
        assert github.tokens == 1
        time.moment += timedelta(minutes=2)
        expect("ghs_2")
        assert await mirror.resolve("main") == upstream.head
        assert github.tokens == 2


def test_keys_that_are_none_are_refused(tmp_path: Path) -> None:
    """Text, a key of another kind and a cut-off key are named, and nothing of them is shown."""
    subprocess.run(
        ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out",
         tmp_path / "ec.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    good = private_key(tmp_path, "pkcs1")
    cut = "\n".join([*good.splitlines()[:5], good.splitlines()[-1]])
    for pem in ("hunter2", (tmp_path / "ec.pem").read_text(), cut):
        with pytest.raises(SourceError, match="Secret s: the private key is no RSA key") as error:
            RsaKey(pem, "Secret s")
        assert "hunter2" not in error.value.message


def application(number: int, url: str, project: str = "p") -> Application:
    """An application that reads one folder of a repository."""
    source = ApplicationSource(repo_url=url, path="app", target_revision="main")
    spec = ApplicationSpec(project=project, source=source)
    return Application(name=f"app-{number}", namespace="argocd", spec=spec)


async def test_500_applications_fetch_one_repository_once(
    make: Make, server: GitServer, upstream: GitRepo
) -> None:
    """One listing and one fetch for all, however the URL is written and whatever their project."""
    url = server.url("upstream/.git")
    ca = server.ca_file.read_text()
    remotes = make(RepositoryAccess(url=url), certificates={"localhost": ca})
    repositories = await Repositories.open([], mirror=remotes.mirror)
    spellings = (url, url.replace("localhost", "LOCALHOST"), f"{url}/")
    apps = [application(n, spellings[n % 3], f"project-{n % 5}") for n in range(500)]
    urls = git_urls(apps)
    found = await asyncio.gather(*(repositories.resolve(app, urls) for app in apps))
    assert {one.sources[0].revision for one in found} == {upstream.head}
    runs = [path for path, _ in server.requests if path.endswith("/git-upload-pack")]
    assert len(runs) == 2
    repositories.forget()
    await asyncio.gather(*(repositories.resolve(app, urls) for app in apps))
    again = [path for path, _ in server.requests if path.endswith("/git-upload-pack")]
    assert len(again) == 3


async def test_projects_share_nothing_that_one_may_not_read(
    make: Make, server: GitServer, upstream: GitRepo
) -> None:
    """What one project's login fetched is not served to another, not even by commit id."""
    pair = base64.b64encode(b"bot:hunter2").decode()
    server.password = f"Basic {pair}"
    url, ca = server.url("upstream/.git"), server.ca_file.read_text()
    entry = RepositoryAccess(
        url=url, project="team-a", username="bot", password="hunter2", origin="Secret a"
    )
    remotes = make(entry, certificates={"localhost": ca})
    repositories = await Repositories.open([], mirror=remotes.mirror)
    mine = await repositories.resolve(application(1, url, "team-a"), [url])
    assert mine.sources[0].revision == upstream.head
    theirs = application(2, url, "team-b")
    pinned = ApplicationSource(repo_url=url, path="app", target_revision=upstream.head)
    for app in (
        theirs,
        Application(name="x", namespace="a", spec=ApplicationSpec(project="team-b", source=pinned)),
    ):
        found = await repositories.resolve(app, [url])
        assert found.sources == ()
        assert "credential" in found.conditions[0].message
        assert "hunter2" not in found.conditions[0].message


async def test_no_secret_is_in_an_argument(
    make: Make, server: GitServer, upstream: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arguments of git never hold a password, and its files belong to this user alone."""
    seen: list[tuple[str, ...]] = []
    start = asyncio.create_subprocess_exec

    async def recording(*arguments: str, **options: Any) -> asyncio.subprocess.Process:
        seen.append(arguments)
        return await start(*arguments, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", recording)
    url = server.url("upstream/.git")
    entry = RepositoryAccess(
        url=url, username="bot", password="hunter2", ca=server.ca_file.read_text()
    )
    mirror = make(entry).mirror(url)
    assert (await mirror.tree(await mirror.resolve("main"))).files
    assert seen
    pair = base64.b64encode(b"bot:hunter2").decode()
    assert not any(secret in word for one in seen for word in one for secret in ("hunter2", pair))
