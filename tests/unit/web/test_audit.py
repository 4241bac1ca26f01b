"""The audit endpoint over real HTTP and TLS: who may post, and how much."""

from __future__ import annotations

import asyncio
import gzip
import os
import ssl
import subprocess
import zlib
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from driftd.cluster.auditstream import AuditStreams, Limits
from driftd.errors import ConfigError
from driftd.settings.quantity import Size
from driftd.settings.types import AuditPoster, AuditWebhook
from driftd.telemetry.metrics import Metrics
from driftd.web import audit as module
from driftd.web.audit import AuditEndpoint
from tests.unit.cluster.test_auditstream import numbered, posted

KNOWN = {"Authorization": "Bearer right"}
BATCH = posted(numbered(0))


class Endpoint:
    """An endpoint for the clusters `one` and `two`, and its client."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        for name, token in (("one", "right"), ("two", "other")):
            (folder / name).write_text(f"{token}\n")
        posters = (
            AuditPoster(cluster="one", token_file=str(folder / "one"), client_name="api-server"),
            AuditPoster(cluster="two", token_file=str(folder / "two")),
        )
        self.folder = folder
        self.now = 0.0
        self.streams = AuditStreams(
            ["one", "two"], Limits(events=100, size=1 << 20, age=0.0), lambda: 0.0
        )
        self.metrics = Metrics("0")
        defaults: dict[str, Any] = {"listen": "127.0.0.1:0", "max_body": Size("64Ki")}
        self.endpoint = AuditEndpoint(
            AuditWebhook(**defaults | settings, clusters=posters),
            self.streams,
            self.metrics,
            monotonic=lambda: self.now,
        )

    async def post(
        self,
        body: Any = BATCH,
        headers: dict[str, str] = KNOWN,
        *,
        cluster: str = "one",
        tls: ssl.SSLContext | None = None,
    ) -> tuple[int, str]:
        """Status and text of the answer."""
        scheme = "https" if tls else "http"
        url = f"{scheme}://127.0.0.1:{self.endpoint.port}/audit/{cluster}"
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=body, headers=headers, ssl=tls or False) as response,
        ):
            return response.status, await response.text()

    def kept(self, cluster: str = "one") -> int:
        """Writes that are kept of a cluster."""
        stream = self.streams.of(cluster)
        assert stream is not None
        return len(stream)

    def counted(self, result: str, cluster: str = "one") -> float:
        """Posts that ended so."""
        labels = {"cluster": cluster, "result": result}
        return self.metrics.registry.get_sample_value("driftd_audit_posts_total", labels) or 0.0


@pytest.mark.parametrize(
    ("cluster", "headers", "status"),
    [
        ("one", KNOWN, 200),
        ("one", {"Authorization": "bearer right"}, 200),
        ("one", {}, 401),
        ("one", {"Authorization": "Bearer "}, 401),
        ("one", {"Authorization": "Bearer other"}, 401),
        ("one", {"Authorization": "Basic right"}, 401),
        ("one", {"Authorization": "Bearer r\u00efght"}, 401),
        ("two", KNOWN, 401),
        ("two", {"Authorization": "Bearer other"}, 200),
        ("three", KNOWN, 401),
    ],
)
async def test_each_cluster_has_its_own_tokens(
    tmp_path: Path, cluster: str, headers: dict[str, str], status: int
) -> None:
    """No cluster speaks for another, and nobody learns which ones there are."""
    made = Endpoint(tmp_path)
    async with made.endpoint:
        assert (await made.post(cluster=cluster, headers=headers))[0] == status
    assert made.kept("one") + made.kept("two") == (status == 200)
    assert made.counted("unauthorized", "") == (status == 401)


async def test_tokens_are_read_anew(tmp_path: Path) -> None:
    """An old token ends and a new one counts as soon as the file says so; both may be there."""
    made = Endpoint(tmp_path)
    async with made.endpoint:
        for number, (tokens, status) in enumerate(
            [("right\nnew\n", 200), ("new\n", 401), ("", 401), ("right", 200)], 1
        ):
            fresh = tmp_path / "fresh"
            fresh.write_text(tokens)
            os.utime(fresh, (number, number))
            fresh.replace(tmp_path / "one")
            assert (await made.post())[0] == status, tokens
        (tmp_path / "one").unlink()  # a Secret is swapped right now
        assert (await made.post())[0] == 200


@pytest.mark.parametrize(
    ("body", "headers", "status", "words", "result"),
    [
        (b"x" * 70_000, {}, 413, "longer than 64Ki", "too long"),
        (gzip.compress(bytes(50 << 20)), {"Content-Encoding": "gzip"}, 413, "64Ki", "too long"),
        (gzip.compress(BATCH)[:-9], {"Content-Encoding": "gzip"}, 400, "ends early", "malformed"),
        (zlib.compress(BATCH), {"Content-Encoding": "gzip"}, 400, "no gzip", "malformed"),
        (BATCH, {"Content-Encoding": "br"}, 415, "not by br", "malformed"),
        (b"{", {}, 400, "no EventList", "malformed"),
        (b"", {}, 400, "no EventList", "malformed"),
    ],
)
async def test_what_is_too_long_or_no_batch_is_refused(
    tmp_path: Path, body: bytes, headers: dict[str, str], status: int, words: str, result: str
) -> None:
    """The answer says why; what it may have told of is a hole in the stream."""
    made = Endpoint(tmp_path)
    async with made.endpoint:
        await made.post()
        code, said = await made.post(body, KNOWN | headers)
        assert (code, words in said) == (status, True), said
        assert (await made.post(posted(numbered(1))))[0] == 200
    assert (made.kept(), made.counted(result)) == (2, 1.0)


async def test_a_packed_batch_is_taken(tmp_path: Path) -> None:
    """Proxies may pack."""
    made = Endpoint(tmp_path)
    async with made.endpoint:
        headers = KNOWN | {"Content-Encoding": "gzip"}
        assert await made.post(gzip.compress(BATCH), headers) == (200, "1 taken\n")


async def test_a_long_batch_leaves_the_loop_alone(tmp_path: Path) -> None:
    """It is decoded in a thread, and taken like others."""
    made = Endpoint(tmp_path, max_body=Size("4Mi"))
    body = posted(numbered(0, requestObject={"data": "x" * (1 << 19)}))
    async with made.endpoint:
        assert await made.post(body) == (200, "1 taken\n")


async def test_the_rate_is_limited_for_each_cluster(tmp_path: Path) -> None:
    """Beyond two seconds' worth posts are asked to come again; other clusters' are taken."""
    made = Endpoint(tmp_path, max_rate=3)
    other = {"Authorization": "Bearer other"}
    async with made.endpoint:
        codes = [(await made.post())[0] for _ in range(8)]
        assert codes == [200] * 6 + [429] * 2
        assert (await made.post(cluster="two", headers=other))[0] == 200
        made.now += 1.0
        assert [(await made.post())[0] for _ in range(4)] == [200] * 3 + [429]
    assert made.counted("rate") == 3


async def test_slow_clients_take_places_of_their_own_cluster_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two bodies are read at a time, a limited number waits, and a slow one is ended."""
    monkeypatch.setattr(module, "_WAITING", 3)
    monkeypatch.setattr(module, "_BODY_SECONDS", 0.5)
    made = Endpoint(tmp_path)
    begun = asyncio.Semaphore(0)
    never = asyncio.Event()

    async def slow() -> Any:
        yield b"{"
        begun.release()
        await never.wait()

    async with made.endpoint:
        posts = [asyncio.create_task(made.post(slow())) for _ in range(3)]
        for _ in posts:
            await begun.acquire()
        while made.endpoint._clusters["one"].waiting < 3:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert (await made.post())[0] == 429
        other = {"Authorization": "Bearer other"}
        assert (await made.post(cluster="two", headers=other))[0] == 200
        assert {status for status, _ in await asyncio.gather(*posts)} == {408}
        assert (await made.post())[0] == 200
    assert (made.counted("busy"), made.counted("slow")) == (1, 3)


async def test_other_paths_and_methods_are_refused(tmp_path: Path) -> None:
    """Nothing is served but the one path."""
    made = Endpoint(tmp_path)
    async with made.endpoint, aiohttp.ClientSession() as session:
        base = f"http://127.0.0.1:{made.endpoint.port}"
        for path, status in (("/audit/one", 405), ("/", 404), ("/metrics", 404)):
            async with session.get(base + path) as response:
                assert response.status == status


def certificate(folder: Path, name: str, *options: str) -> None:
    """A certificate and its key; without options it signs itself."""
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext",
            "subjectAltName=IP:127.0.0.1", "-keyout", f"{name}.key", "-out", f"{name}.crt",
            *options,
        ],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip


def client(folder: Path, server: str, name: str = "") -> ssl.SSLContext:
    """A client that trusts a certificate, and shows another one."""
    context = ssl.create_default_context(cafile=str(folder / f"{server}.crt"))
    if name:
        context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    return context


async def test_client_certificates(tmp_path: Path) -> None:
    """A verified certificate of the cluster's name needs no token; another name's is no use."""
    for name in ("driftd", "authority"):
        certificate(tmp_path, name)
    signed = ("-CA", "authority.crt", "-CAkey", "authority.key")
    for name in ("api-server", "stranger"):
        certificate(tmp_path, name, *signed)
    made = Endpoint(
        tmp_path,
        certificate_file=str(tmp_path / "driftd.crt"),
        key_file=str(tmp_path / "driftd.key"),
        client_ca_file=str(tmp_path / "authority.crt"),
    )
    async with made.endpoint:
        ours, theirs, none = (client(tmp_path, "driftd", n) for n in ("api-server", "stranger", ""))
        assert (await made.post(headers={}, tls=ours))[0] == 200
        assert (await made.post(headers={}, tls=ours, cluster="two"))[0] == 401
        assert (await made.post(headers={}, tls=theirs))[0] == 401
        assert (await made.post(headers={}, tls=none))[0] == 401
        assert (await made.post(tls=none))[0] == 200
        forged = tmp_path / "forged"
        forged.mkdir()
        certificate(forged, "api-server")
        (forged / "driftd.crt").write_bytes((tmp_path / "driftd.crt").read_bytes())
        with pytest.raises(aiohttp.ClientError):
            await made.post(headers={}, tls=client(forged, "driftd", "api-server"))


async def test_a_certificate_is_renewed_without_a_restart(tmp_path: Path) -> None:
    """Connections after the next post get the new one; half of a pair changes nothing."""
    certificate(tmp_path, "driftd")
    made = Endpoint(
        tmp_path,
        certificate_file=str(tmp_path / "driftd.crt"),
        key_file=str(tmp_path / "driftd.key"),
    )
    old = client(tmp_path, "driftd")
    async with made.endpoint:
        assert (await made.post(tls=old))[0] == 200
        fresh = tmp_path / "fresh"
        fresh.mkdir()
        certificate(fresh, "driftd")
        os.utime(fresh / "driftd.key", (1, 1))
        (fresh / "driftd.key").rename(tmp_path / "driftd.key")
        assert (await made.post(tls=old))[0] == 200
        os.utime(fresh / "driftd.crt", (1, 1))
        (fresh / "driftd.crt").rename(tmp_path / "driftd.crt")
        assert (await made.post(tls=old))[0] == 200
        assert (await made.post(tls=client(tmp_path, "driftd")))[0] == 200
        with pytest.raises(aiohttp.ClientError):
            await made.post(tls=old)


async def test_a_certificate_that_is_no_use_is_a_config_error(tmp_path: Path) -> None:
    """The message names the settings, and nothing of what the files hold."""
    (tmp_path / "driftd.crt").write_text("secret")
    made = Endpoint(
        tmp_path,
        certificate_file=str(tmp_path / "driftd.crt"),
        key_file=str(tmp_path / "driftd.crt"),
    )
    with pytest.raises(ConfigError, match="auditWebhook") as caught:
        await made.endpoint.__aenter__()
    assert "secret" not in str(caught.value)


async def test_a_used_address_is_a_config_error(tmp_path: Path) -> None:
    """The message names the address and the setting."""
    made = Endpoint(tmp_path)
    async with made.endpoint:
        second = Endpoint(tmp_path, listen=f"127.0.0.1:{made.endpoint.port}")
        with pytest.raises(ConfigError, match=str(made.endpoint.port)) as caught:
            await second.endpoint.__aenter__()
    assert "auditWebhook.listen" in caught.value.message
