"""Helm repositories against a web server: indexes and archives that the real helm made."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from driftd.errors import SourceError
from driftd.model.application import ApplicationSource, HelmSource
from driftd.model.repository import AccessTable, RepositoryAccess
from driftd.sandbox.pool import SandboxPool
from driftd.source.charts import Charts
from driftd.source.egress import Egress
from driftd.source.helmrepo import section
from tests.testbed import charts as testbed
from tests.testbed.webserver import (
    Answerer,
    Asked,
    Reply,
    Tls,
    WebServer,
    behind_login,
    folder_of,
)

pytestmark = pytest.mark.slow

BASIC = "Basic " + base64.b64encode(b"bot:hunter2").decode()
VERSIONS = ("0.9.0", "1.0.0", "1.2.0", "1.10.0", "1.11.0-rc.1", "2.0.0", "2.1.0+build.5")


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packed charts with an index, all made by helm."""
    folder = tmp_path_factory.mktemp("charts")
    published = folder / "published"
    testbed.package(folder, "web", *VERSIONS, into=published)
    testbed.package(folder, "web-extra", "7.0.0", into=published)
    testbed.index(published)
    return published


@pytest.fixture
def server(packed: Path) -> Iterator[WebServer]:
    """The charts over plain http."""
    with WebServer(folder_of(packed)) as running:
        yield running


def known(url: str, **fields: Any) -> AccessTable:
    """A table that names one Helm repository."""
    return AccessTable(entries=(RepositoryAccess(url=url, type="helm", **fields),))


def source(url: str, revision: str = "1.0.0", chart: str = "web", **helm: Any) -> ApplicationSource:
    """A source that is a chart."""
    return ApplicationSource(
        repo_url=url, chart=chart, target_revision=revision, helm=HelmSource(**helm)
    )


@pytest.mark.parametrize(
    ("revision", "version"),
    [
        ("1.0.0", "1.0.0"),
        ("1.11.0-rc.1", "1.11.0-rc.1"),
        ("^1.0.0", "1.10.0"),
        ("1.x", "1.10.0"),
        ("~1.2", "1.2.0"),
        (">=1.0.0 <2.0.0", "1.10.0"),
        (">=1.0.0-0 <2.0.0", "1.11.0-rc.1"),
        ("*", "2.1.0+build.5"),
        ("", "2.1.0+build.5"),
        ("2.1.0+build.5", "2.1.0+build.5"),
        ("v1.0.0", "1.0.0"),
        ("<1.0.0 || ^2.0.0", "2.1.0+build.5"),
    ],
)
async def test_a_revision_is_an_exact_version_or_the_highest_of_a_range(
    server: WebServer, sandbox: SandboxPool, egress: Egress, revision: str, version: str
) -> None:
    """Ranges mean what Masterminds' library makes of them; pre-releases count where named."""
    charts = Charts(sandbox, egress, known(server.url))
    tree, found = await charts.read(source(server.url, revision), "default")
    assert found == version
    assert f"version: {version}".encode() in tree.files["Chart.yaml"]
    assert "templates/configmap.yaml" in tree.files


async def test_what_is_not_there_is_named_with_what_is(
    server: WebServer, sandbox: SandboxPool, egress: Egress
) -> None:
    """A missing version names the highest ones, a missing chart the repository."""
    charts = Charts(sandbox, egress, known(server.url))
    with pytest.raises(SourceError) as error:
        await charts.read(source(server.url, "^3.0.0"), "default")
    assert "chart web has no version that '^3.0.0' means" in str(error.value)
    assert error.value.hint == "the highest are 2.1.0+build.5, 2.0.0, 1.11.0-rc.1, 1.10.0, 1.2.0"
    with pytest.raises(SourceError, match="has no chart nonesuch"):
        await charts.read(source(server.url, chart="nonesuch"), "default")
    with pytest.raises(SourceError, match="neither a version nor a range"):
        await charts.read(source(server.url, "main"), "default")


async def test_a_look_asks_once(server: WebServer, sandbox: SandboxPool, egress: Egress) -> None:
    """500 applications of one chart fetch index and archive once; a pinned one never again."""
    charts = Charts(sandbox, egress, known(server.url))
    one = source(server.url, "1.2.0")
    await asyncio.gather(*(charts.read(one, "default") for _ in range(500)))
    assert [asked.path for asked in server.asked] == ["/index.yaml", "/web-1.2.0.tgz"]
    charts.forget()
    await charts.read(one, "default")
    assert len(server.asked) == 2
    await charts.read(source(server.url, "^1.0.0"), "default")
    assert [asked.path for asked in server.asked[2:]] == ["/index.yaml", "/web-1.10.0.tgz"]


async def test_an_unchanged_index_is_not_sent_again(
    packed: Path, sandbox: SandboxPool, egress: Egress
) -> None:
    """A server that knows ETags answers 304, and the index in hand counts."""
    files = folder_of(packed)

    def answer(asked: Asked) -> Reply:
        if asked.headers.get("if-none-match") == '"one"':
            return Reply(304)
        reply = files(asked)
        reply.headers["ETag"] = '"one"'
        return reply

    with WebServer(answer) as server:
        charts = Charts(sandbox, egress, known(server.url))
        for revision in ("^1.0.0", "^2.0.0"):
            assert (await charts.read(source(server.url, revision), "default"))[1]
            charts.forget()
        assert [a.headers.get("if-none-match") for a in server.asked if "index" in a.path] == [
            None,
            '"one"',
        ]


async def test_login_over_tls_with_a_client_certificate(
    packed: Path, tls: Tls, sandbox: SandboxPool, egress: Egress
) -> None:
    """Authority, client certificate and password open a repository; without one it says which."""
    with WebServer(behind_login(folder_of(packed), BASIC), tls, client_certificate=True) as server:
        login = {
            "username": "bot",
            "password": "hunter2",
            "ca": tls.ca.read_text(),
            "client_certificate": tls.client.read_text(),
        }
        charts = Charts(sandbox, egress, known(server.url, **login))
        assert (await charts.read(source(server.url), "default"))[1] == "1.0.0"

        server.asked.clear()
        distrusted = Charts(sandbox, egress, known(server.url, **{**login, "ca": ""}))
        with pytest.raises(SourceError, match="certificate of https://localhost"):
            await distrusted.read(source(server.url), "default")
        nameless = Charts(sandbox, egress, known(server.url, **{**login, "client_certificate": ""}))
        with pytest.raises(SourceError):
            await nameless.read(source(server.url), "default")
        assert server.asked == []
        wrong = Charts(sandbox, egress, known(server.url, **{**login, "password": "wrong-one"}))
        with pytest.raises(SourceError, match="answers 401") as error:
            await wrong.read(source(server.url), "default")
        assert "wrong-one" not in error.value.message


def leading_to(packed: Path, target: str) -> Answerer:
    """The repository, its index naming archives on another server."""
    files = folder_of(packed)

    def answer(asked: Asked) -> Reply:
        reply = files(asked)
        if asked.path == "/index.yaml" and isinstance(reply.body, bytes):
            reply.body = reply.body.replace(b"- web-", f"- {target}/web-".encode())
        return reply

    return answer


@pytest.mark.parametrize("passes", [False, True])
async def test_a_credential_stays_with_its_origin(
    packed: Path, sandbox: SandboxPool, egress: Egress, *, passes: bool
) -> None:
    """An archive elsewhere is fetched without the password, unless passCredentials says so."""
    with (
        WebServer(folder_of(packed)) as other,
        WebServer(behind_login(leading_to(packed, other.url), BASIC)) as server,
    ):
        table = AccessTable(
            entries=(
                *known(server.url, username="bot", password="hunter2").entries,
                *known(other.url).entries,
            )
        )
        charts = Charts(sandbox, egress, table)
        one = source(server.url, pass_credentials=passes)
        assert (await charts.read(one, "default"))[1] == "1.0.0"
        assert [asked.path for asked in other.asked] == ["/web-1.0.0.tgz"]
        assert other.asked[0].headers.get("authorization") == (BASIC if passes else None)


async def test_a_redirect_takes_no_credential_along(
    packed: Path, sandbox: SandboxPool, egress: Egress
) -> None:
    """S-12: no request with the Authorization header reaches the server of a redirect."""
    with WebServer(folder_of(packed)) as other:

        def answer(asked: Asked) -> Reply:
            return Reply(302, headers={"Location": other.url + asked.path})

        with WebServer(behind_login(answer, BASIC)) as server:
            access = known(server.url, username="bot", password="hunter2").entries
            charts = Charts(
                sandbox, egress, AccessTable(entries=(*access, *known(other.url).entries))
            )
            assert (await charts.read(source(server.url), "default"))[1] == "1.0.0"
        assert len(other.asked) == 2
        assert all("authorization" not in asked.headers for asked in other.asked)


async def test_this_machine_is_read_only_when_it_is_named(
    packed: Path, server: WebServer, sandbox: SandboxPool, egress: Egress
) -> None:
    """A URL of Git that leads to a loopback address is refused before anything is sent."""
    for url in (server.url, f"http://127.0.0.1:{server.port}", f"http://127.1:{server.port}"):
        with pytest.raises(SourceError, match=r"address of this machine|malformed"):
            await Charts(sandbox, egress).read(source(url), "default")
    template = AccessTable(entries=(RepositoryAccess(url=server.url, type="helm", template=True),))
    with pytest.raises(SourceError, match="address of this machine"):
        await Charts(sandbox, egress, template).read(source(server.url), "default")
    assert server.asked == []


async def test_a_redirect_to_this_machine_is_refused(
    packed: Path, server: WebServer, sandbox: SandboxPool, egress: Egress
) -> None:
    """A named repository cannot lead to another address of this machine or of its link."""
    for target in (server.url, "http://169.254.169.254"):

        def answer(asked: Asked, target: str = target) -> Reply:
            return Reply(307, headers={"Location": target + asked.path})

        with WebServer(answer) as redirecting:
            charts = Charts(sandbox, egress, known(redirecting.url))
            with pytest.raises(SourceError, match="address of this machine"):
                await charts.read(source(redirecting.url), "default")
    assert server.asked == []


async def test_endless_redirects_end(sandbox: SandboxPool, egress: Egress) -> None:
    """A server that redirects to itself is asked six times."""
    with WebServer(lambda asked: Reply(301, headers={"Location": asked.path + "x"})) as server:
        charts = Charts(sandbox, egress, known(server.url))
        with pytest.raises(SourceError, match="more than 5 times"):
            await charts.read(source(server.url), "default")
        assert len(server.asked) == 6


async def test_tls_is_not_left_by_a_redirect(
    packed: Path, tls: Tls, server: WebServer, sandbox: SandboxPool, egress: Egress
) -> None:
    """From https no redirect leads to http."""
    with WebServer(
        lambda asked: Reply(301, headers={"Location": server.url + asked.path}), tls
    ) as secure:
        charts = Charts(sandbox, egress, known(secure.url, ca=tls.ca.read_text()))
        with pytest.raises(SourceError, match="without TLS"):
            await charts.read(source(secure.url), "default")
    assert server.asked == []


async def test_a_busy_server_is_asked_again(
    packed: Path, sandbox: SandboxPool, egress: Egress
) -> None:
    """503 twice, then an answer; a server that stays busy is an error after three attempts."""
    files, refusals = folder_of(packed), [503, 429]

    def answer(asked: Asked) -> Reply:
        return Reply(refusals.pop()) if refusals else files(asked)

    with WebServer(answer) as server:
        charts = Charts(sandbox, egress, known(server.url))
        assert (await charts.read(source(server.url), "default"))[1] == "1.0.0"
    with WebServer(lambda _asked: Reply(500)) as server:
        charts = Charts(sandbox, egress, known(server.url))
        with pytest.raises(SourceError, match="answers 500"):
            await charts.read(source(server.url), "default")
        assert len(server.asked) == 3


async def test_another_archive_than_the_index_names_is_refused(
    packed: Path, sandbox: SandboxPool, egress: Egress
) -> None:
    """The digest of the index is verified."""
    files = folder_of(packed)
    other = (packed / "web-2.0.0.tgz").read_bytes()

    def answer(asked: Asked) -> Reply:
        return Reply(200, other) if asked.path == "/web-1.0.0.tgz" else files(asked)

    with WebServer(answer) as server:
        charts = Charts(sandbox, egress, known(server.url))
        with pytest.raises(SourceError, match="its digest is sha256:") as error:
            await charts.read(source(server.url), "default")
        assert error.value.reason == "DigestMismatch"


async def test_an_endless_index_ends_at_its_limit(
    sandbox: SandboxPool, egress: Egress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain or as a gzip bomb: no more than the limit is ever held."""
    monkeypatch.setattr("driftd.source.helmrepo.INDEX_BYTES", 1 << 20)
    bomb = gzip.compress(b"\0" * (64 << 20))

    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 65536

    for reply in (
        lambda: Reply(200, endless()),
        lambda: Reply(200, bomb, {"Content-Encoding": "gzip"}),
    ):
        with WebServer(lambda _asked, reply=reply: reply()) as server:
            charts = Charts(sandbox, egress, known(server.url))
            with pytest.raises(SourceError, match="larger than 1 MiB"):
                await charts.read(source(server.url), "default")


async def test_a_server_that_dribbles_is_left(
    sandbox: SandboxPool, egress: Egress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wall clock bounds an answer that comes byte by byte."""
    monkeypatch.setattr("driftd.source.helmrepo._INDEX_SECONDS", 0.3)
    monkeypatch.setattr("driftd.source.egress.ATTEMPTS", 1)
    stop = threading.Event()

    def slow() -> Iterator[bytes]:
        while not stop.wait(0.05):
            yield b"#"

    with WebServer(lambda _asked: Reply(200, slow())) as server:
        charts = Charts(sandbox, egress, known(server.url))
        with pytest.raises(SourceError, match=r"took longer than 0\.3 s"):
            await charts.read(source(server.url), "default")
        stop.set()


async def test_an_index_that_is_a_bomb_costs_only_its_application(
    server: WebServer, sandbox: SandboxPool, egress: Egress
) -> None:
    """Deep nesting and aliases are refused in the sandbox; the next index is read."""
    for bomb in (
        b"entries: " + b"[" * 60_000,
        b"a: &a [x,x]\nentries:\n  web: [" + b"*a," * 5000 + b"]\n",
        b"entries:\n  web:\n  - &x {urls: [a], version: *x}\n",
        b"\xff\xfe\x00",
        b"entries: 7",
    ):
        with WebServer(lambda _asked, bomb=bomb: Reply(200, bomb)) as hostile:
            charts = Charts(sandbox, egress, known(hostile.url))
            with pytest.raises(SourceError):
                await charts.read(source(hostile.url), "default")
    charts = Charts(sandbox, egress, known(server.url))
    assert (await charts.read(source(server.url), "default"))[1] == "1.0.0"


async def test_a_private_repository_of_another_project_stays_closed(
    packed: Path, sandbox: SandboxPool, egress: Egress
) -> None:
    """What one project's credential fetched is not served to another project from memory."""
    with WebServer(behind_login(folder_of(packed), BASIC)) as server:
        scoped = known(server.url, username="bot", password="hunter2", project="team-a").entries
        charts = Charts(sandbox, egress, AccessTable(entries=(*scoped, *known(server.url).entries)))
        assert (await charts.read(source(server.url), "team-a"))[1] == "1.0.0"
        with pytest.raises(SourceError, match="answers 401"):
            await charts.read(source(server.url), "team-b")


@pytest.mark.parametrize("name", ["../web", "web/../x", "-web", "web?x", "", "we b"])
async def test_odd_names_of_charts_are_refused(
    server: WebServer, sandbox: SandboxPool, egress: Egress, name: str
) -> None:
    """A chart's name cannot lead anywhere else."""
    one = source(server.url, chart=name) if name else source("oci://localhost/UPPER")
    with pytest.raises(SourceError):
        await Charts(sandbox, egress, known(server.url)).read(one, "default")
    assert server.asked == []


def test_the_part_of_an_index_that_is_one_charts(packed: Path) -> None:
    """The part has exactly the entries of the chart, in the forms that tools write."""
    whole = (packed / "index.yaml").read_bytes()
    part = section(whole, "web")
    assert part is not None
    assert part.count(b"\n    version: ") == len(VERSIONS)
    assert b"web-extra" not in part
    assert section(whole, "nonesuch") is None
    quoted = b'entries:\n    "a b": []\n    \'web\':\n        - version: "1"\ngenerated: x\n'
    assert section(quoted, "web") == b"entries:\n    'web':\n        - version: \"1\"\n"
    assert section(b'{"entries": {}}', "web") is None
    tricky = b"entries:\n  a:\n  - description: |\n      x\n       web:\n  web:\n  - version: 2\n"
    assert section(tricky, "web") == b"entries:\n  web:\n  - version: 2\n"


async def test_a_json_index_is_read(packed: Path, sandbox: SandboxPool, egress: Egress) -> None:
    """Some servers write their index as JSON."""
    data = (packed / "web-1.0.0.tgz").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    text = (
        f'{{"entries":{{"web":[null,{{"version":"1.0.0","urls":["c.tgz"],"digest":"{digest}"}}]}}}}'
    )

    def answer(asked: Asked) -> Reply:
        return Reply(200, text.encode() if asked.path == "/base/index.yaml" else data)

    with WebServer(answer) as server:
        url = f"{server.url}/base"
        charts = Charts(sandbox, egress, known(url))
        assert (await charts.read(source(url), "default"))[1] == "1.0.0"
        assert server.asked[-1].path == "/base/c.tgz"
