"""Raw requests to one API server, with every failure translated into driftd's errors.

Reading raw bytes instead of the client library's models is about eighty times cheaper.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import msgspec

from driftd.aio import Sleep, sleep
from driftd.clock import Clock, SystemClock
from driftd.cluster.access import ClusterAccess
from driftd.cluster.asking import ask, connection_text, sensitive_values
from driftd.cluster.breaker import Breaker
from driftd.cluster.busy import Busy
from driftd.cluster.connection import Connection, Redirected, connect
from driftd.cluster.limits import PIECE, SMALL, Limits, exceeded
from driftd.cluster.streaming import Stream
from driftd.errors import (
    ClusterError,
    ConfigError,
    Distrusted,
    Forbidden,
    NotServed,
    ServerFailed,
    Unauthorized,
    Unreachable,
)
from driftd.model import sensitive

if TYPE_CHECKING:
    import aiohttp

RETRIES = 5
# With its parameter the client library passes bytes through instead of encoding them again.
APPLY_TYPE = "application/apply-patch+yaml; charset=utf-8"
"""The content type of a server-side apply."""
PATCH_TYPE = "application/json-patch+json"
EXEC_TIMEOUT = 30.0
"""Seconds that a credential plugin gets."""
ANONYMOUS = "system:anonymous"
_FORBIDDEN = re.compile(r'User "([^"]{1,200})" cannot ')
"""In the message of an authorizer's refusal; those of admission say something else."""
_PLAIN_HTTP = b"HTTP request to an HTTPS server"
_OTHER_NAME = (62, 64)
"""OpenSSL's verify codes: the host name, or the IP address, is not the certificate's."""
_EXPIRED = 10
EXPIRY_MARGIN = timedelta(seconds=60)
"""How long before its end a credential is replaced, at most a tenth of its life."""
RENEWAL_PAUSE = timedelta(seconds=10)
"""How long a credential is believed to be as good as it gets after it was loaded."""


_LOOK_LESS = "look less often, or raise the API server's priority for driftd"


class TransportOptions(msgspec.Struct, frozen=True):
    """Limits of the requests to one cluster; all times in seconds."""

    timeout: float = 30.0
    """For one request with its answer."""
    connect_timeout: float = 5.0
    exec_timeout: float = EXEC_TIMEOUT
    """For a credential plugin."""
    max_wait: float = 60.0
    """How long one request may wait altogether because the server said `Retry-After`."""
    concurrency: int = 16
    """Requests at the same time, and the size of the connection pool."""
    watches: int = 1_000
    """Watches at the same time; each holds a connection."""
    limits: Limits = Limits()
    link_local: bool = True
    """Whether the server's name may lead to an address of the link."""


class Response(msgspec.Struct, frozen=True):
    """An answer, read to its end."""

    status: int
    content_type: str
    body: bytes
    url: str = ""
    """Where it came from in the end, after redirections."""
    date: str = ""
    """The server's clock when it answered, as HTTP writes it; empty if it did not say."""


class ApiStatus(msgspec.Struct, frozen=True):
    """The `Status` object with which an API server explains a refusal."""

    class Details(msgspec.Struct, frozen=True):
        """What the refusal is about."""

        name: str = ""
        kind: str = ""

    reason: str = ""
    message: str = ""
    details: Details | None = None

    @classmethod
    def of(cls, response: Response) -> ApiStatus:
        """Read it from a response; empty if the body is something else."""
        try:
            return msgspec.json.decode(response.body, type=cls)
        except msgspec.MsgspecError:
            return cls()


class Transport:
    """Requests to one cluster; usable by many tasks at once, closed by its owner."""

    def __init__(
        self,
        access: ClusterAccess,
        *,
        options: TransportOptions | None = None,
        reload: Callable[[], ClusterAccess] | None = None,
        wait: Sleep = sleep,
        clock: Clock | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        self.access = access
        self.options = options or TransportOptions()
        self._reload = reload
        self._wait = wait
        self._clock = clock or SystemClock()
        self._breaker = breaker
        self._busy = Busy()
        self._connection: Connection | None = None
        self._ended = ""
        """Why nothing is asked any more; empty while it is."""
        self.connections = 0
        """How many connections have been made: who answers on a new one may be another."""
        self._renew_at: datetime | None = None
        self._loaded_at = datetime.min.replace(tzinfo=UTC)
        self._renewing = asyncio.Lock()
        self._large = asyncio.Semaphore(1)
        """Whoever reads a large answer has it: memory holds one of each cluster."""
        # Waiting for a free connection must not count as waiting for the server.
        self._slots = asyncio.Semaphore(self.options.concurrency)

    async def close(self) -> None:
        """Close the session; a later request would open a new one."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.retire()

    def _connected(self) -> None:
        self.connections += 1

    async def use(self, access: ClusterAccess) -> None:
        """Reach the cluster with another credential, from the next request on."""
        async with self._renewing:
            self.access = access
            self._ended = ""
            if self._breaker is not None:
                self._breaker.reset()
            await self.close()

    async def end(self, why: str) -> None:
        """Refuse every further request; `why` completes "cannot …"."""
        async with self._renewing:
            self._ended = why
            await self.close()

    async def get(
        self,
        path: str,
        *,
        doing: str,
        query: Mapping[str, str] | None = None,
        accept: str = "application/json",
        answers: Collection[int] = (),
        most: int | None = None,
    ) -> Response:
        """GET `path`; `doing` completes "cannot …" in errors.

        Statuses other than 2xx raise ClusterError, unless they are in `answers`; so does an answer
        of more than `most` bytes, or than the limits say.
        """
        return await self.send(
            "GET",
            path,
            doing=doing,
            query=query,
            headers={"Accept": accept},
            answers=answers,
            most=most,
        )

    async def send(
        self,
        method: str,
        path: str,
        *,
        doing: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        answers: Collection[int] = (),
        most: int | None = None,
        quoted: Collection[bytes] = (),
    ) -> Response:
        """Send one request; as `get`, for every method.

        `quoted` are objects (JSON) that a refusal may quote, beside `body`.

        429 and 5xx with `Retry-After` are repeated after that time, within `max_wait`; beyond
        it the path is not asked again before that time is over (five minutes at most). After a
        401 the credential is loaded again, once.
        """
        if left := self._busy.left(path):
            message = f"cannot {doing}: it asked to wait; {left:.0f} s are left"
            raise ClusterError(
                f"{self.access.label}: {message}", reason="TooManyRequests", hint=_LOOK_LESS
            )
        waited = 0.0
        renewed = False
        for attempt in range(RETRIES + 1):
            async with self._slots:
                connection = await self._open()
                try:
                    with self._breaker.attempt() if self._breaker else nullcontext():
                        response, retry_after = await self._once(
                            connection, method, path, query, headers, body, doing, most
                        )
                except Distrusted:
                    if renewed or not self._can_renew(connection, trust=True):
                        raise
                    renewed = True
                    await self._renew(connection)
                    continue
            if response.status == 401 and not renewed and self._can_renew(connection):
                renewed = True
                await self._renew(connection)
                continue
            pause = self._pause(response.status, retry_after)
            if pause is None or attempt == RETRIES:
                break
            if waited + pause > self.options.max_wait:
                self._busy.note(path, pause)
                break
            waited += pause
            await self._wait(pause)
        if 200 <= response.status < 300 or response.status in answers:
            return response
        raise self.refusal(response, doing, retry_after=retry_after, sent=(body, *quoted))

    def refusal(
        self,
        response: Response,
        doing: str,
        *,
        retry_after: str = "",
        sent: Collection[bytes | None] = (),
    ) -> ClusterError:
        """The error for a response that is not what was asked for.

        Servers and webhooks quote what they refuse: sensitive values of the objects that
        were `sent` are taken out of their words.
        """
        status = ApiStatus.of(response)
        said = sensitive.scrubbed(" ".join(status.message.split()), sensitive_values(sent))
        text = said[:300] or f"HTTP status {response.status}"
        if _PLAIN_HTTP in response.body:
            text = "the server speaks HTTPS alone"
        user = _FORBIDDEN.search(status.message) if response.status == 403 else None
        if user:
            text = f"user {user[1]} may not"
        message = f"{self.access.label}: cannot {doing}: {text}"
        if text == "the server speaks HTTPS alone":
            return Unreachable(message, hint=f"write https:// in {self.access.origin}")
        match response.status:
            case 401:
                return Unauthorized(message, hint=self.access.credential_hint)
            case 403:
                if user and user[1] == ANONYMOUS:
                    return Forbidden(message, hint=self.access.credential_hint)
                hint = f"grant the user of {self.access.name} the right to {doing}"
                return Forbidden(message, hint=hint)
            case 404:
                return NotServed(message, hint="the cluster does not serve this kind or version")
            case 429:
                asked = f"; it asks to wait {retry_after}" if retry_after else ""
                return ClusterError(
                    message + asked,
                    reason="TooManyRequests",
                    hint=_LOOK_LESS,
                )
        kind = ServerFailed if response.status >= 500 else ClusterError
        return kind(message, reason=status.reason or f"HTTP{response.status}")

    async def _open(self) -> Connection:
        connection = self._connection
        due = self._renew_at is not None and self._renew_at <= self._clock.now()
        if connection is None or due:
            return await self._renew(connection)
        return connection

    def _can_renew(self, used: Connection, *, trust: bool = False) -> bool:
        """Whether loading the credential, or whom to trust, again may give another one."""
        if self._connection is not used:
            return True  # another task has just done it
        renewable = "exec" in self.access.user or "tokenFile" in self.access.user
        if trust:
            renewable = "certificate-authority" in self.access.cluster
        fresh = self._clock.now() - self._loaded_at < RENEWAL_PAUSE
        return (renewable or self._reload is not None) and not fresh

    async def _renew(self, used: Connection | None) -> Connection:
        """Replace `used`, unless another task already did."""
        async with self._renewing:
            if self._ended:
                raise Unauthorized(f"{self.access.label}: {self._ended}")
            if self._connection is not None and self._connection is not used:
                return self._connection
            try:
                if used is not None and self._reload is not None:
                    self.access = await asyncio.to_thread(self._reload)
                connection = await connect(
                    self.access,
                    connected=self._connected,
                    link_local=self.options.link_local,
                    pool_size=self.options.concurrency,
                    exec_timeout=self.options.exec_timeout,
                )
            except ConfigError as error:
                # One cluster's broken description is that cluster's problem alone.
                raise Unauthorized(str(error), hint=error.hint) from error
            self._connection = connection
            self._loaded_at = now = self._clock.now()
            self._renew_at = None
            if connection.expires_at is not None:
                life = connection.expires_at - now
                self._renew_at = connection.expires_at - min(EXPIRY_MARGIN, life / 10)
                self._renew_at = max(self._renew_at, now + RENEWAL_PAUSE)
            if used is not None:
                await used.retire()
            return connection

    async def _once(
        self,
        connection: Connection,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        body: bytes | None,
        doing: str,
        most: int | None,
    ) -> tuple[Response, str]:
        import aiohttp

        timeout = aiohttp.ClientTimeout(
            total=self.options.timeout, sock_connect=self.options.connect_timeout
        )
        with self._translated(doing, self.options.timeout):
            async with connection as api:
                answer = await ask(api, method, path, query, headers, body, timeout)
                async with answer:
                    return await self._read(answer, doing, most)

    @asynccontextmanager
    async def stream(
        self, path: str, *, doing: str, query: Mapping[str, str], idle: float
    ) -> AsyncIterator[Stream]:
        """GET `path` and give its body in pieces, as they arrive; `doing` as in `get`.

        Nothing limits how long it takes, but after `idle` seconds without a byte it is
        Unreachable. A 401 loads the credential again, once; a 429 is raised after the time that
        the server asked for. Other statuses than 200 raise ClusterError at once.
        """
        import aiohttp

        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=self.options.connect_timeout, sock_read=idle
        )
        renewed = False
        while True:
            connection = await self._open()
            try:
                with self._translated(doing, idle):
                    async with connection as api:
                        answer = await ask(api, "GET", path, query, None, None, timeout)
                        async with answer:
                            if answer.status == 200:
                                with Stream(answer, idle) as body:
                                    yield body
                                return
                            response, retry_after = await self._read(answer, doing, None)
            except Distrusted:  # only before there is an answer
                if renewed or not self._can_renew(connection, trust=True):
                    raise
                renewed = True
                await self._renew(connection)
                continue
            if response.status == 401 and not renewed and self._can_renew(connection):
                renewed = True
                await self._renew(connection)
                continue
            pause = self._pause(response.status, retry_after)
            if pause is not None:
                await self._wait(min(pause, self.options.max_wait))
            raise self.refusal(response, doing, retry_after=retry_after)

    async def _read(
        self, answer: aiohttp.ClientResponse, doing: str, most: int | None
    ) -> tuple[Response, str]:
        """An answer to its end, and its `Retry-After`. Raises ClusterError for too long a one."""
        limit = self.options.limits.answer
        limit = limit if most is None else min(limit, most)
        parts: list[bytes] = []
        size = 0
        try:
            async with AsyncExitStack() as alone:
                async for part in answer.content.iter_chunked(PIECE):
                    if size <= SMALL < size + len(part):
                        await alone.enter_async_context(self._large)
                    size += len(part)
                    if size > limit:
                        answer.close()
                        what = f"the answer has more than {limit} bytes"
                        raise exceeded(self.access.label, doing, what, "answer")
                    parts.append(part)
                body = b"".join(parts)
        finally:
            parts.clear()  # an error that is kept would keep them, too
        response = Response(
            answer.status,
            answer.headers.get("Content-Type", ""),
            body,
            str(answer.url),
            answer.headers.get("Date", ""),
        )
        return response, answer.headers.get("Retry-After", "")

    @contextmanager
    def _translated(self, doing: str, seconds: float) -> Iterator[None]:
        """Failures of a connection as driftd's errors; `seconds` is the limit of waiting."""
        import aiohttp

        try:
            yield
        except Redirected as error:
            text = f"{self.access.label}: cannot {doing}: it redirects to another server"
            raise ClusterError(text, reason="Redirected", hint=str(error)) from error
        except aiohttp.InvalidURL as error:
            raise self._unreachable(doing, "the server's address is not valid", "") from error
        except (ssl.SSLCertVerificationError, aiohttp.ClientConnectorCertificateError) as error:
            why, hint = self._distrust(error)
            text = f"{self.access.label}: cannot {doing}: {why}"
            raise Distrusted(text, hint=hint) from error
        except aiohttp.ClientSSLError as error:
            hint = f"the client certificate or the address in {self.access.origin} is not accepted"
            raise self._unreachable(doing, "the TLS handshake failed", hint) from error
        except TimeoutError as error:
            limit = f"no answer within {seconds:g} s"
            raise self._unreachable(doing, limit, "is the server up, is a VPN needed?") from error
        except aiohttp.ClientPayloadError as error:
            raise self._unreachable(doing, "the answer broke off", "") from error
        except (aiohttp.ClientError, OSError) as error:
            text = connection_text(error)
            raise self._unreachable(doing, text, "is the server up, is a VPN needed?") from error

    def _unreachable(self, doing: str, why: str, hint: str) -> Unreachable:
        return Unreachable(f"{self.access.label}: cannot {doing}: {why}", hint=hint)

    def _distrust(self, error: BaseException) -> tuple[str, str]:
        """Why the server's certificate is not accepted, and the remedy."""
        found = getattr(error, "certificate_error", error)
        code = getattr(found, "verify_code", 0)
        origin = self.access.origin
        if code in _OTHER_NAME:
            return "its certificate is for another name", (
                f"correct server or tls-server-name in {origin}"
            )
        if code == _EXPIRED:
            return "its certificate has expired", "renew it, or set this machine's clock"
        return "its certificate is not trusted", f"check certificate-authority in {origin}"

    def _pause(self, status: int, retry_after: str) -> float | None:
        """Seconds to wait before the request is repeated; `None` if it is not."""
        if status == 429 or (status >= 500 and retry_after):
            return parse_retry_after(retry_after, self._clock.now())
        return None


def parse_retry_after(value: str, now: datetime) -> float:
    """The seconds that a `Retry-After` header asks for: a number, an HTTP date, else 1."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return 1.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max((moment - now).total_seconds(), 0.0)
