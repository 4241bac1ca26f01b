"""The endpoint to which API servers post audit events: `POST /audit/CLUSTER`.

It answers nobody but the API servers that the settings name. Whatever is posted, it takes bounded
memory: a limited number of posts of a cluster is read at a time, each up to a limited size, packed
or not. What is refused may have told of a write, so the stream of its cluster begins anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ssl
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from driftd.cluster.auditevents import of_list
from driftd.cluster.auditstream import AuditStream, AuditStreams
from driftd.errors import ConfigError
from driftd.settings.types import AuditPoster, AuditWebhook
from driftd.telemetry.logs import get_logger
from driftd.telemetry.metrics import Metrics
from driftd.web.server import answer, listen

if TYPE_CHECKING:
    from aiohttp import web

_AT_A_TIME: Final = 2
"""Posts of a cluster that are read at a time."""
_WAITING: Final = 64
"""Posts of a cluster that wait for that."""
_BODY_SECONDS: Final = 30.0
"""Seconds that a body may take to come: a slow client keeps a place."""
_IN_PLACE: Final = 256 << 10
"""Bytes that are decoded without leaving the event loop."""
_CHUNK: Final = 64 << 10
_BURST: Final = 2.0
"""Seconds of the rate that may come at once."""


class _Refused(Exception):
    """A post that is not taken: the status, why, and the seconds after which it may come again."""

    def __init__(self, status: int, result: str, text: str, retry_after: int = 0) -> None:
        super().__init__(text)
        self.status = status
        self.result = result
        self.text = text
        self.retry_after = retry_after


class _Bucket:
    """So many posts a second, and a few seconds' worth at once."""

    def __init__(self, rate: int, now: Callable[[], float]) -> None:
        self._rate = rate
        self._now = now
        self._tokens = self._full
        self._at = now()

    @property
    def _full(self) -> float:
        return max(self._rate * _BURST, 1.0)

    def take(self) -> bool:
        """Whether one more may come now."""
        now = self._now()
        self._tokens = min(self._full, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class _Cluster:
    """What the endpoint keeps of a cluster that may post."""

    def __init__(self, poster: AuditPoster, stream: AuditStream, bucket: _Bucket) -> None:
        self.name = poster.cluster
        self.stream = stream
        self.bucket = bucket
        self.reading = asyncio.Semaphore(_AT_A_TIME)
        self.waiting = 0
        self.told: set[str] = set()
        """Kinds of refusals that are in the log since the last post that was taken."""
        self._poster = poster
        self._stamp: tuple[int, int] | None = None
        self._digests: tuple[bytes, ...] = ()

    def knows(self, token: str) -> bool:
        """Whether a token is one of the file's, compared in constant time."""
        given = _digest(token.encode("utf-8", "surrogateescape"))
        known = False
        for one in self._tokens():
            known |= hmac.compare_digest(given, one)
        return known

    def is_client(self, name: str) -> bool:
        """Whether a verified client certificate of this common name may post."""
        wanted = self._poster.client_name
        return bool(wanted) and hmac.compare_digest(name.encode(), wanted.encode())

    def _tokens(self) -> tuple[bytes, ...]:
        """The digests of the file's tokens, read again when it has changed."""
        if not self._poster.token_file:
            return ()
        path = Path(self._poster.token_file)
        try:
            stat = path.stat()
            stamp = (stat.st_mtime_ns, stat.st_ino)
            if stamp != self._stamp:
                lines = path.read_bytes().splitlines()
                self._digests = tuple(_digest(one.strip()) for one in lines if one.strip())
                self._stamp = stamp
        except OSError:
            return self._digests  # secrets are swapped: the next post finds the new file
        return self._digests


class AuditEndpoint:
    """Listens while it is entered (`async with`)."""

    def __init__(
        self,
        settings: AuditWebhook,
        streams: AuditStreams,
        metrics: Metrics,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`streams` has one for each cluster of the settings."""
        self._settings = settings
        self._metrics = metrics
        host, _, port = settings.listen.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._clusters = {
            one.cluster: _Cluster(one, stream, _Bucket(settings.max_rate, monotonic))
            for one in settings.clusters
            if (stream := streams.of(one.cluster)) is not None
        }
        self._tls: ssl.SSLContext | None = None
        self._certificate: tuple[int, ...] = ()
        self._runner: web.AppRunner | None = None
        self._log = get_logger("driftd.web")

    @property
    def port(self) -> int:
        """The port that is listened on."""
        if self._runner is None or not self._runner.addresses:
            return self._port
        return int(self._runner.addresses[0][1])

    async def __aenter__(self) -> Self:
        """Start to listen. Raises ConfigError for an address or a certificate that is no use."""
        from aiohttp import web

        self._tls = self._tls_context()
        app = web.Application()
        app.router.add_post("/audit/{cluster}", self._post)
        self._runner = await listen(
            app,
            self._host,
            self._port,
            self._settings.listen,
            "auditWebhook.listen",
            tls=self._tls,
            auto_decompress=False,  # bodies are unpacked here, no further than they may be long
        )
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _post(self, request: web.Request) -> web.Response:
        name = request.match_info["cluster"]
        cluster = self._clusters.get(name)
        self._renew()
        if not self._is_known(request, cluster) or cluster is None:
            self._metrics.audit_post("", "unauthorized")
            return answer(401, "who posts here must show a token or a certificate of this cluster")
        try:
            taken = await self._taken(request, cluster)
        except _Refused as refused:
            cluster.stream.hole()
            self._metrics.audit_post(name, refused.result)
            if refused.result not in cluster.told:
                cluster.told.add(refused.result)
                self._log.warning("audit events refused", cluster=name, why=refused.text)
            response = answer(refused.status, refused.text)
            if refused.retry_after:
                response.headers["Retry-After"] = str(refused.retry_after)
            return response
        cluster.told.clear()
        self._metrics.audit_post(name, "taken")
        self._metrics.audit_kept(name, len(cluster.stream))
        return answer(200, f"{taken} taken")

    def _is_known(self, request: web.Request, cluster: _Cluster | None) -> bool:
        """Whether the client is an API server of the cluster, in the same time if it is not."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        bearer = token.strip() if scheme.lower() == "bearer" else ""
        if cluster is None:
            hmac.compare_digest(_digest(bearer.encode("utf-8", "surrogateescape")), _digest(b""))
            return False
        by_token = bool(bearer) and cluster.knows(bearer)
        return by_token or cluster.is_client(_common_name(request))

    async def _taken(self, request: web.Request, cluster: _Cluster) -> int:
        """Take a post over; how many writes were new. Raises _Refused."""
        if not cluster.bucket.take():
            raise _Refused(429, "rate", "too many posts: see auditWebhook.maxRate", 1)
        if cluster.waiting >= _WAITING:
            raise _Refused(429, "busy", "too many posts wait to be read", 1)
        cluster.waiting += 1
        try:
            async with cluster.reading:
                body = await self._body(request)
                in_place = len(body) <= _IN_PLACE
                try:
                    batch = of_list(body) if in_place else await asyncio.to_thread(of_list, body)
                except ValueError as error:
                    raise _Refused(400, "malformed", str(error)) from None
        finally:
            cluster.waiting -= 1
        if batch.broken:
            self._metrics.audit_broken(cluster.name, batch.broken)
            self._log.warning("audit events not readable", cluster=cluster.name, n=batch.broken)
        return cluster.stream.take(batch)

    async def _body(self, request: web.Request) -> bytes:
        """The body of a request, unpacked. Raises _Refused beyond the limit."""
        coding = request.headers.get("Content-Encoding", "identity").lower()
        if coding not in {"identity", "gzip"}:
            raise _Refused(415, "malformed", f"bodies may be packed by gzip, not by {coding[:40]}")
        limit = self._settings.max_body.bytes
        if (request.content_length or 0) > limit:
            raise self._too_long()
        unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS) if coding == "gzip" else None
        found = bytearray()
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                async for chunk in request.content.iter_chunked(_CHUNK):
                    room = limit + 1 - len(found)
                    found += chunk if unpacker is None else unpacker.decompress(chunk, room)
                    if len(found) > limit:
                        raise self._too_long()
        except TimeoutError:
            text = f"the body did not come within {_BODY_SECONDS:g}s"
            raise _Refused(408, "slow", text) from None
        except zlib.error:
            raise _Refused(400, "malformed", "the body is no gzip") from None
        if unpacker is not None and not unpacker.eof:
            raise _Refused(400, "malformed", "the packed body ends early")
        return bytes(found)

    def _too_long(self) -> _Refused:
        text = f"the body is longer than {self._settings.max_body.text} (auditWebhook.maxBody)"
        return _Refused(413, "too long", text)

    def _tls_context(self) -> ssl.SSLContext | None:
        hook = self._settings
        if not hook.certificate_file:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(hook.certificate_file, hook.key_file)
            if hook.client_ca_file:
                context.load_verify_locations(hook.client_ca_file)
                # Other clusters may show tokens.
                context.verify_mode = ssl.CERT_OPTIONAL
        except (OSError, ssl.SSLError) as error:
            why = getattr(error, "reason", None) or getattr(error, "strerror", None) or "unusable"
            raise ConfigError(
                f"the certificate of auditWebhook cannot be used: {why}",
                hint="certificateFile, keyFile and clientCaFile must be PEM, and belong together",
            ) from None
        self._certificate = self._stamp()
        return context

    def _stamp(self) -> tuple[int, ...]:
        hook = self._settings
        try:
            return tuple(
                Path(one).stat().st_mtime_ns for one in (hook.certificate_file, hook.key_file)
            )
        except OSError:
            return self._certificate

    def _renew(self) -> None:
        """Show a certificate that has been replaced to the connections from now on."""
        if self._tls is None or self._stamp() == self._certificate:
            return
        hook = self._settings
        try:
            self._tls.load_cert_chain(hook.certificate_file, hook.key_file)
        except (OSError, ssl.SSLError):
            return  # it is being written: the next post tries again
        self._certificate = self._stamp()


def _common_name(request: web.Request) -> str:
    """The common name of the client certificate; empty without a verified one."""
    found = request.get_extra_info("peercert") or {}
    for part in found.get("subject", ()):
        for key, value in part:
            if key == "commonName":
                return str(value)
    return ""


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()
