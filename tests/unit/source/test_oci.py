"""OCI registries: a real one, filled by the real helm, behind the logins that registries use."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from driftd.errors import SourceError
from driftd.model.application import ApplicationSource
from driftd.model.repository import AccessTable, RepositoryAccess
from driftd.sandbox.pool import SandboxPool
from driftd.source.charts import Charts
from driftd.source.egress import Egress
from tests.testbed import charts as testbed
from tests.testbed.webserver import (
    Answerer,
    Asked,
    Reply,
    Tls,
    WebServer,
    behind_login,
    forwarded_to,
)

pytestmark = pytest.mark.slow

BASIC = "Basic " + base64.b64encode(b"bot:hunter2").decode()
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
VERSIONS = ("1.0.0", "1.2.0", "1.3.0-rc.1", "2.0.0+build.5")


@pytest.fixture(scope="module")
def registry(scratch: Path) -> Iterator[int]:
    """A registry with a chart that helm pushed, and an artifact with manifests."""
    with testbed.registry() as port:
        for file in testbed.package(scratch, "web", *VERSIONS, into=scratch / "packed"):
            testbed.helm(
                "push", file, f"oci://localhost:{port}/team", "--plain-http", home=scratch / "home"
            )
        layer = packed({"apps/map.yaml": b"kind: ConfigMap\n", "README": b"x"})
        push(port, "team/manifests", "v1", layer)
        yield port


def packed(files: dict[str, bytes]) -> bytes:
    """A gzipped tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def send(port: int, method: str, path: str, body: bytes, kind: str) -> str:
    """One upload; the place that the registry names."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", body, {"Content-Type": kind}, method=method
    )
    with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310
        return response.headers.get("Location", "")


def push(
    port: int,
    name: str,
    tag: str,
    layer: bytes,
    *,
    kind: str = "application/vnd.oci.empty.v1+json",
    **more: Any,
) -> str:
    """Push an artifact of one layer; its digest. `more` are fields of the manifest."""
    blobs = {f"sha256:{hashlib.sha256(data).hexdigest()}": data for data in (layer, b"{}")}
    for digest, data in blobs.items():
        place = send(port, "POST", f"/v2/{name}/blobs/uploads/", b"", "text/plain")
        path = urlsplit(place).path
        send(port, "PUT", f"{path}?digest={digest}", data, "application/octet-stream")
    first, config = blobs
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": kind, "digest": config, "size": 2},
        "layers": [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": first,
                "size": len(layer),
            }
        ],
        **more,
    }
    body = json.dumps(manifest).encode()
    send(port, "PUT", f"/v2/{name}/manifests/{tag}", body, MANIFEST)
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def known(host: str, **fields: Any) -> AccessTable:
    """A table that names one registry's folder."""
    fields = {"url": f"{host}/team", "type": "helm", "oci": True, **fields}
    return AccessTable(entries=(RepositoryAccess(**fields),))


def chart(host: str, revision: str = "1.0.0") -> ApplicationSource:
    """The chart as Argo CD writes a chart of a registry: without scheme."""
    return ApplicationSource(repo_url=f"{host}/team", chart="web", target_revision=revision)


@pytest.mark.parametrize(
    ("revision", "version"),
    [
        ("1.0.0", "1.0.0"),
        ("^1.0.0", "1.2.0"),
        ("*", "2.0.0+build.5"),
        ("2.0.0+build.5", "2.0.0+build.5"),
        (">=1.3.0-0 <2.0.0", "1.3.0-rc.1"),
    ],
)
async def test_a_chart_that_helm_pushed(
    registry: int, sandbox: SandboxPool, egress: Egress, revision: str, version: str
) -> None:
    """Exact versions and ranges, with the `+` that tags write as `_`."""
    host = f"localhost:{registry}"
    charts = Charts(sandbox, egress, known(host))
    tree, found = await charts.read(chart(host, revision), "default")
    assert found == version
    assert f"version: {version}".encode() in tree.files["Chart.yaml"]


async def test_oci_urls_and_digests(registry: int, sandbox: SandboxPool, egress: Egress) -> None:
    """`oci://` without chart names the repository itself; a digest is its own revision."""
    host = f"localhost:{registry}"
    entry = RepositoryAccess(url=f"oci://{host}/team/web", type="oci", oci=True)
    charts = Charts(sandbox, egress, AccessTable(entries=(entry,)))
    whole = ApplicationSource(repo_url=f"oci://{host}/team/web", path=".", target_revision="1.x")
    tree, revision = await charts.read(whole, "default")
    assert "Chart.yaml" in tree.files
    assert revision.startswith("sha256:")
    pinned = ApplicationSource(repo_url=f"oci://{host}/team/web", target_revision=revision)
    again, same = await charts.read(pinned, "default")
    assert (again.id, same) == (tree.id, revision)


async def test_an_artifact_keeps_its_folders(
    registry: int, sandbox: SandboxPool, egress: Egress
) -> None:
    """Files of an artifact lie where they were packed."""
    host = f"localhost:{registry}"
    entry = RepositoryAccess(url=f"oci://{host}/team/manifests", type="oci")
    charts = Charts(sandbox, egress, AccessTable(entries=(entry,)))
    one = ApplicationSource(
        repo_url=f"oci://{host}/team/manifests", path="apps", target_revision="v1"
    )
    tree, _ = await charts.read(one, "default")
    assert tree.files == {"apps/map.yaml": b"kind: ConfigMap\n", "README": b"x"}


async def test_what_a_registry_lacks_is_named(
    registry: int, sandbox: SandboxPool, egress: Egress
) -> None:
    """Tags and charts that are not there, and artifacts that are no chart."""
    host = f"localhost:{registry}"
    charts = Charts(sandbox, egress, known(host))
    with pytest.raises(SourceError, match=r"team/web:9\.9\.9: the server answers 404"):
        await charts.read(chart(host, "9.9.9"), "default")
    with pytest.raises(SourceError, match=r"no version that '\^9' means") as error:
        await charts.read(chart(host, "^9"), "default")
    assert "2.0.0+build.5" in error.value.hint
    wrong = ApplicationSource(repo_url=f"{host}/team", chart="manifests", target_revision="v1")
    with pytest.raises(SourceError, match="holds no Helm chart"):
        await charts.read(wrong, "default")


async def test_an_unnamed_registry_of_this_machine_is_refused(
    registry: int, sandbox: SandboxPool, egress: Egress
) -> None:
    """Plain http and loopback both take the operator's word."""
    with pytest.raises(SourceError, match="address of this machine"):
        await Charts(sandbox, egress).read(chart(f"localhost:{registry}"), "default")


class TokenServer:
    """A registry's login as Docker's and others have it: 401, a realm, a token for it."""

    def __init__(self, behind: Answerer) -> None:
        self.behind = behind
        self.realm = ""
        self.tokens: list[dict[str, list[str]]] = []
        self.logins: list[str | None] = []

    def __call__(self, asked: Asked) -> Reply:
        """Answer for registry and token server alike."""
        parts = urlsplit(asked.path)
        if parts.path == "/token":
            self.logins.append(asked.headers.get("authorization"))
            if asked.headers.get("authorization") != BASIC:
                return Reply(401)
            self.tokens.append(parse_qs(parts.query))
            return Reply(200, b'{"token":"t0ken"}')
        if asked.headers.get("authorization") != "Bearer t0ken":
            challenge = f'Bearer realm="{self.realm}/token",service="registry",scope="x"'
            return Reply(401, b"{}", {"WWW-Authenticate": challenge})
        return self.behind(asked)


async def test_a_token_is_asked_for_once(
    registry: int, tls: Tls, sandbox: SandboxPool, egress: Egress
) -> None:
    """The password goes to the token server, for pulling this repository; the token is reused."""
    login = TokenServer(forwarded_to(registry))
    with WebServer(login, tls) as server:
        login.realm = server.url
        access = {"username": "bot", "password": "hunter2", "ca": tls.ca.read_text()}
        charts = Charts(sandbox, egress, known(server.host, **access))
        assert (await charts.read(chart(server.host, "^1.0.0"), "default"))[1] == "1.2.0"
        assert login.tokens == [{"scope": ["repository:team/web:pull"], "service": ["registry"]}]
        for asked in server.asked:
            if not asked.path.startswith("/token"):
                assert asked.headers.get("authorization") in {None, "Bearer t0ken"}
        wrong = Charts(sandbox, egress, known(server.host, **{**access, "password": "wrong-one"}))
        with pytest.raises(SourceError, match=r"login for .* answers 401") as error:
            await wrong.read(chart(server.host), "default")
        assert "wrong-one" not in error.value.message


async def test_a_login_without_tls_is_refused(
    registry: int, tls: Tls, sandbox: SandboxPool, egress: Egress
) -> None:
    """A registry over TLS cannot send the password to a realm without it."""
    login = TokenServer(forwarded_to(registry))
    with WebServer(login) as plain, WebServer(login, tls) as server:
        login.realm = plain.url
        access = {"username": "bot", "password": "hunter2", "ca": tls.ca.read_text()}
        charts = Charts(sandbox, egress, known(server.host, **access))
        with pytest.raises(SourceError, match="without TLS"):
            await charts.read(chart(server.host), "default")
        assert plain.asked == []


async def test_a_realm_on_this_machine_is_refused(
    registry: int, sandbox: SandboxPool, egress: Egress
) -> None:
    """A registry cannot have driftd ask another service of this machine for tokens."""
    login = TokenServer(forwarded_to(registry))
    with WebServer(login) as elsewhere, WebServer(login) as server:
        login.realm = f"http://127.0.0.1:{elsewhere.port}"
        charts = Charts(sandbox, egress, known(server.host, username="bot", password="hunter2"))
        with pytest.raises(SourceError, match="address of this machine"):
            await charts.read(chart(server.host), "default")
        assert elsewhere.asked == []


async def test_basic_login(registry: int, tls: Tls, sandbox: SandboxPool, egress: Egress) -> None:
    """Registries that ask for user name and password themselves get them; others hear so."""
    with WebServer(behind_login(forwarded_to(registry), BASIC), tls) as server:
        ca = tls.ca.read_text()
        access = known(server.host, username="bot", password="hunter2", ca=ca)
        charts = Charts(sandbox, egress, access)
        assert (await charts.read(chart(server.host), "default"))[1] == "1.0.0"
        with pytest.raises(SourceError, match="the registry asks for a login") as error:
            await Charts(sandbox, egress, known(server.host, ca=ca)).read(
                chart(server.host), "default"
            )
        assert error.value.hint == "give the credential of this repository"


async def test_blobs_elsewhere_get_no_credential(
    registry: int, sandbox: SandboxPool, egress: Egress
) -> None:
    """Registries redirect to storage: it sees neither token nor password."""
    forward = forwarded_to(registry)
    with WebServer(forward) as storage:

        def answer(asked: Asked) -> Reply:
            if "/blobs/" in asked.path:
                return Reply(307, headers={"Location": storage.url + asked.path})
            return forward(asked)

        with WebServer(behind_login(answer, BASIC)) as server:
            named = RepositoryAccess(url=storage.url, type="helm")
            access = known(server.host, username="bot", password="hunter2")
            table = AccessTable(entries=(*access.entries, named))
            charts = Charts(sandbox, egress, table)
            assert (await charts.read(chart(server.host), "default"))[1] == "1.0.0"
        assert len(storage.asked) == 1
        assert "authorization" not in storage.asked[0].headers


def paged(names: list[str], size: int, link: str = "") -> Answerer:
    """A list of tags in pages; `link` replaces the address of the next page."""

    def answer(asked: Asked) -> Reply:
        last = parse_qs(urlsplit(asked.path).query).get("last", [""])[0]
        start = names.index(last) + 1 if last else 0
        page = names[start : start + size]
        reply = Reply(200, json.dumps({"name": "team/web", "tags": page}).encode())
        if start + size < len(names):
            target = link or f"/v2/team/web/tags/list?last={page[-1]}"
            reply.headers["Link"] = f'<{target}>; rel="next"'
        return reply

    return answer


async def test_tags_come_in_pages(sandbox: SandboxPool, egress: Egress) -> None:
    """All pages are read, and none of another server."""
    names = [f"1.{number}.0" for number in range(250)]
    with WebServer(paged(names, 100)) as server:
        repository = Charts(sandbox, egress, known(server.host)).registry(
            f"{server.host}/team", known(server.host).entries[0], "web"
        )
        assert await repository.tags() == names
        assert len(server.asked) == 3
    with WebServer(paged(names, 100, "http://registry.example.com/v2/x")) as server:
        repository = Charts(sandbox, egress, known(server.host)).registry(
            f"{server.host}/team", known(server.host).entries[0], "web"
        )
        with pytest.raises(SourceError, match="another server"):
            await repository.tags()


async def test_endless_pages_end(sandbox: SandboxPool, egress: Egress) -> None:
    """A registry whose list never ends is left."""
    page = json.dumps({"tags": [str(number) for number in range(1000)]}).encode()
    link = {"Link": '</v2/team/web/tags/list?last=x>; rel="next"'}
    with WebServer(lambda _asked: Reply(200, page, dict(link))) as server:
        repository = Charts(sandbox, egress, known(server.host)).registry(
            f"{server.host}/team", known(server.host).entries[0], "web"
        )
        with pytest.raises(SourceError, match="more than 50,000 tags"):
            await repository.tags()
        assert len(server.asked) == 51


@pytest.mark.parametrize("part", ["manifests", "blobs"])
async def test_other_bytes_than_the_digest_says_are_refused(
    registry: int, sandbox: SandboxPool, egress: Egress, part: str
) -> None:
    """S-15: manifests and layers are verified."""
    forward = forwarded_to(registry)

    def answer(asked: Asked) -> Reply:
        reply = forward(asked)
        if f"/{part}/" in asked.path and isinstance(reply.body, bytes):
            reply.body += b" "
        return reply

    with WebServer(answer) as server:
        charts = Charts(sandbox, egress, known(server.host))
        with pytest.raises(SourceError, match="its digest is sha256:"):
            await charts.read(chart(server.host), "default")


async def test_referrers(registry: int, sandbox: SandboxPool, egress: Egress) -> None:
    """What refers to a manifest is listed, of one type or all, by the API or by the tag for it."""
    host = f"localhost:{registry}"
    repository = Charts(sandbox, egress).registry(
        f"{host}/team", known(host).entries[0], "manifests"
    )
    egress.named = frozenset({f"http://{host}"})
    digest, manifest = await repository.resolve("v1")
    assert await repository.referrers(digest) == ()
    subject = {"mediaType": MANIFEST, "digest": digest, "size": 1}
    signature = push(
        registry, "team/manifests", "sig", packed({"s": b"s"}),
        subject=subject, kind="application/vnd.example.signature",
    )  # fmt: skip
    (found,) = await repository.referrers(digest)
    assert (found.digest, found.artifact_type) == (signature, "application/vnd.example.signature")
    assert await repository.referrers(digest, "application/other") == ()
    assert manifest.layers[0].size > 0

    forward = forwarded_to(registry)
    listing = json.dumps({"manifests": [{"digest": signature, "artifactType": "a"}]}).encode()

    def old(asked: Asked) -> Reply:
        if "/referrers/" in asked.path:
            return Reply(404)
        if asked.path.endswith(digest.replace(":", "-")):
            return Reply(200, listing)
        return forward(asked)

    with WebServer(old) as server:
        egress.named = frozenset({server.url})
        without = Charts(sandbox, egress, known(server.host)).registry(
            f"{server.host}/team", known(server.host).entries[0], "manifests"
        )
        assert [one.digest for one in await without.referrers(digest, "a")] == [signature]


async def test_archives_that_are_bombs_or_lead_out_are_refused(
    registry: int, sandbox: SandboxPool, egress: Egress
) -> None:
    """S-21: an artifact cannot unpack without end, and an index of images is no artifact."""
    host = f"localhost:{registry}"
    entry = RepositoryAccess(url=f"oci://{host}/team/bomb", type="oci")
    charts = Charts(sandbox, egress, AccessTable(entries=(entry,)))
    push(registry, "team/bomb", "zeros", gzip.compress(b"\0" * (300 << 20)))
    push(registry, "team/bomb", "out", packed({"../../etc/passwd": b"x"}))
    push(registry, "team/bomb", "two", packed({"a": b"x"}), layers=[])
    for tag, words in (
        ("zeros", "more than"),
        ("out", r"has the segment '\.\.'"),
        ("two", "0 layers of files"),
    ):
        one = ApplicationSource(repo_url=f"oci://{host}/team/bomb", target_revision=tag)
        with pytest.raises(SourceError, match=words):
            await charts.read(one, "default")
