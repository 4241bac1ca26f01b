"""The one HTTP client for charts, artifacts and tokens: bounded, and faithful to origins.

URLs come from Git, so an answer may not be larger or slower than its caller accepts, redirects are
followed by hand, a credential reaches its own origin alone, and addresses of this machine and of
its link are refused unless the operator named the repository (`driftd.source.addresses`).
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from driftd.aio import Sleep, sleep
from driftd.errors import Disposition, SourceError
from driftd.source.addresses import refused_address
from driftd.source.url import printable

if TYPE_CHECKING:
    import aiohttp
    from aiohttp.abc import ResolveResult

MAX_REDIRECTS = 5
ATTEMPTS = 3
CONNECT_SECONDS = 10.0
IDLE_SECONDS = 20.0
"""How long a server may send nothing."""
_FIRST_DELAY = 0.5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BUSY = frozenset({408, 429, 500, 502, 503, 504})
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Reach:
    """How one origin is talked to. `authorization` and `ssl` are secrets of it alone."""

    origin: str
    authorization: str = field(default="", repr=False)
    ssl: ssl.SSLContext | None = field(default=None, repr=False)
    """Trust and client certificate for the origin; None for the system's trust."""
    proxy: str = field(default="", repr=False)
    no_proxy: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


def origin_of(url: str) -> str:
    """Scheme, host and port of an http or https URL. Raises SourceError for any other URL."""
    shown = printable(url)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise SourceError(f"the URL {shown!r} is malformed") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise SourceError(
            f"the URL {shown!r} is not allowed", hint="use an https:// URL", reason="NotAllowed"
        )
    if any(ord(c) <= 0x20 or ord(c) == 0x7F for c in url):
        raise SourceError(f"the URL {shown!r} has spaces or control characters")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port or _PORTS[parts.scheme]}"


class Egress:
    """Sends requests; to be closed at the end. The client is made at the first request."""

    def __init__(self, *, wait: Sleep = sleep) -> None:
        """`wait` is how pauses between attempts are spent."""
        self._wait = wait
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self.named: frozenset[str] = frozenset()
        """Origins that the operator named: these may lie on this machine."""

    async def close(self) -> None:
        """Close all connections."""
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            await session.close()

    async def ask(
        self,
        url: str,
        reach: Reach,
        *,
        what: str,
        limit: int,
        seconds: float = 60.0,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        accepted: frozenset[int] = frozenset({200}),
    ) -> Answer:
        """The answer of a server, tried again where that may help.

        `what` names the thing for messages; `limit` is in bytes of the unpacked body; `seconds`
        bounds each attempt. Raises SourceError.
        """
        delay = _FIRST_DELAY
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with asyncio.timeout(seconds):
                    answer = await self._follow(
                        url, reach, what, limit, method, headers or {}, body, accepted
                    )
            except TimeoutError:
                failure = _unreachable(what, f"took longer than {seconds:g} s")
            except SourceError as error:
                if error.disposition is not Disposition.TRANSIENT:
                    raise
                failure = error
            else:
                return answer
            if attempt < ATTEMPTS:
                await self._wait(delay)
                delay *= 4
        raise failure

    async def _follow(
        self,
        url: str,
        reach: Reach,
        what: str,
        limit: int,
        method: str,
        headers: Mapping[str, str],
        body: bytes | None,
        accepted: frozenset[int],
    ) -> Answer:
        first = url
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._send(url, reach, what, limit, method, headers, body)
            if answer.status not in _REDIRECTS:
                return _judged(answer, what, accepted)
            target = urljoin(url, answer.headers.get("location", ""))
            if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
                raise SourceError(
                    f"{what}: {_host(url)} redirects to {_host(target)} without TLS",
                    reason="NotAllowed",
                )
            url = target
        raise SourceError(
            f"{what}: {_host(first)} redirects more than {MAX_REDIRECTS} times",
            reason="NotAllowed",
        )

    async def _send(
        self,
        url: str,
        reach: Reach,
        what: str,
        limit: int,
        method: str,
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> Answer:
        import aiohttp

        own = origin_of(url) == reach.origin
        sent = {"Accept-Encoding": "gzip", "User-Agent": "driftd", **headers}
        if not own:
            sent.pop("Authorization", None)
        elif reach.authorization:
            sent.setdefault("Authorization", reach.authorization)
        proxy = proxy_of(url, reach if own else Reach(""))
        named = origin_of(url) in self.named
        host = urlsplit(url).hostname or ""
        if not named and refused_address(host):
            raise refused(what, host)
        try:
            async with self._session(free=named or bool(proxy)).request(
                method,
                url,
                headers=sent,
                data=body,
                allow_redirects=False,
                ssl=(reach.ssl if own and reach.ssl is not None else True),
                proxy=proxy or None,
            ) as response:
                content = await _read(response, what, limit)
                return Answer(
                    response.status,
                    {name.lower(): value for name, value in response.headers.items()},
                    content,
                )
        except _Refused as error:
            raise refused(what, error.host) from None
        except aiohttp.ClientConnectorCertificateError as error:
            raise SourceError(
                f"{what}: the certificate of {_host(url)} is not trusted "
                f"({printable(str(error.certificate_error))})",
                hint="give the certificate authority of this repository",
                reason="Untrusted",
            ) from None
        except ssl.SSLError as error:
            raise SourceError(
                f"{what}: TLS with {_host(url)} failed: {printable(error.reason or 'no reason')}",
                hint="check the certificates of this repository",
                reason="Untrusted",
            ) from None
        except aiohttp.InvalidURL:
            raise SourceError(f"{what}: the URL {printable(url)!r} is malformed") from None
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error.__cause__, _Refused):
                raise refused(what, error.__cause__.host) from None
            raise _unreachable(what, f"{_host(url)}: {_words(error)}") from None

    def _session(self, *, free: bool) -> aiohttp.ClientSession:
        """The client for what the operator named, and proxies (`free`), or for all others."""
        import aiohttp

        if free not in self._sessions:
            connector = aiohttp.TCPConnector(
                limit=16,
                resolver=aiohttp.ThreadedResolver() if free else _guarded_resolver(),
                use_dns_cache=False,
            )
            timeout = aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_SECONDS, sock_read=IDLE_SECONDS
            )
            self._sessions[free] = aiohttp.ClientSession(
                connector=connector,
                timeout=timeout,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._sessions[free]


class _Refused(OSError):
    """A host name stands for an address that must not be connected to."""

    def __init__(self, host: str) -> None:
        super().__init__(host)
        self.host = host


def _guarded_resolver() -> aiohttp.abc.AbstractResolver:
    """Resolves names, and refuses those of which any address must not be connected to."""
    import aiohttp

    class Guarded(aiohttp.ThreadedResolver):
        async def resolve(self, host: str, *args: object, **kwargs: object) -> list[ResolveResult]:
            found = await super().resolve(host, *args, **kwargs)  # type: ignore[arg-type]
            if any(refused_address(one["host"]) for one in found):
                raise _Refused(host)
            return found

    return Guarded()


async def _read(response: aiohttp.ClientResponse, what: str, limit: int) -> bytes:
    """The body, unpacked, within `limit` bytes."""
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in {"identity", "gzip"}:
        raise SourceError(f"{what}: the server encodes its answer as {printable(encoding)}")
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS) if encoding == "gzip" else None
    body = bytearray()
    async for chunk in response.content.iter_chunked(64 * 1024):
        room = limit - len(body) + 1
        try:
            body += unpacker.decompress(chunk, room) if unpacker else chunk[:room]
        except zlib.error:
            raise SourceError(f"{what}: the server's answer is broken") from None
        if len(body) > limit:
            response.close()
            raise SourceError(
                f"{what} is larger than {_size(limit)}",
                reason="LimitExceeded",
            )
    return bytes(body)


def _size(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count:,} bytes"


def _judged(answer: Answer, what: str, accepted: frozenset[int]) -> Answer:
    if answer.status in accepted:
        return answer
    hints = {
        401: "check the credential of this repository",
        403: "check what the credential of this repository may read",
        404: "check the URL and the name",
    }
    error = SourceError(
        f"{what}: the server answers {answer.status}",
        hint=hints.get(answer.status, ""),
        reason={401: "Unauthorized", 403: "Forbidden", 404: "NotFound"}.get(
            answer.status, "Unreachable"
        ),
    )
    if answer.status in _BUSY:
        error.disposition = Disposition.TRANSIENT
    raise error


def _unreachable(what: str, why: str) -> SourceError:
    error = SourceError(
        f"{what}: {why}", hint="check that the server can be reached", reason="Unreachable"
    )
    error.disposition = Disposition.TRANSIENT
    return error


def refused(what: str, host: str) -> SourceError:
    """The error for an address that nobody but the operator may name."""
    return SourceError(
        f"{what}: {printable(host)} is an address of this machine or of its link, where a "
        "repository named in Git may not lie",
        hint="if it shall be read, name it in repositoryAccess (--access-file, or the settings of "
        "driftd run)",
        reason="NotAllowed",
    )


def _host(url: str) -> str:
    """Where a URL leads, for messages: no user, path or query."""
    parts = urlsplit(url)
    return printable(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")


def _words(error: BaseException) -> str:
    """What a failed connection says, without addresses of objects or URLs with secrets."""
    if isinstance(error, OSError) and error.strerror:
        return printable(error.strerror)
    return type(error).__name__


def proxy_of(url: str, reach: Reach) -> str:
    """The proxy for a URL: the repository's own, else the environment's."""
    # Loading it takes longer than everything else here.
    from urllib.request import (  # type: ignore[attr-defined]
        getproxies_environment,
        proxy_bypass_environment,
    )

    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    if reach.proxy:
        bypassed = proxy_bypass_environment(host, {"no": reach.no_proxy})
        return "" if bypassed else reach.proxy
    proxies = getproxies_environment()
    if not proxies or proxy_bypass_environment(host, proxies):
        return ""
    return proxies.get(parts.scheme) or proxies.get("all", "")
