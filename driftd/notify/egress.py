"""The one way out for messages: a client of its own, that reaches only what may be reached.

A name is resolved once for each connection, every address of it is judged, and the connection
goes to one of these; the socket is judged once more as it is made. There are no redirects, no
cookies, no proxies of the environment, and no headers but those that a receiver is given.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from driftd.errors import ConfigError, NotifyError
from driftd.notify.addresses import Network, parse_networks, refused

if TYPE_CHECKING:
    import aiohttp
    from aiohttp.abc import ResolveResult

ANSWER_LIMIT: Final = 64 * 1024
"""Bytes of an answer that are read at most; nothing that is longer is believed."""
CONNECT_SECONDS: Final = 5.0
USER_AGENT: Final = "driftd"
_UNWANTED: Final = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host; raises OSError where it has none."""


class AddressRefused(OSError):
    """A receiver lies where nothing may be sent to."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    """At most `ANSWER_LIMIT` bytes."""
    cut: bool
    """Whether there was more of it."""


@asynccontextmanager
async def open_session(
    allow: Sequence[str] = (), *, limit: float = 10.0, resolve: Resolve | None = None
) -> AsyncIterator[aiohttp.ClientSession]:
    """A client for messages, closed at the end.

    `allow` are networks that the operator has opened (`notifications.allowNetworks`), `limit` is
    in seconds of a whole request, `resolve` asks for addresses otherwise than the machine does.
    Raises ConfigError for what is no network.
    """
    import aiohttp

    opened = networks(allow)

    def make_socket(info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, address = info
        if refused(address[0], opened):
            raise AddressRefused("the address may not be connected to")
        made = socket.socket(family=family, type=kind, proto=protocol)
        made.setblocking(False)
        return made

    connector = aiohttp.TCPConnector(
        limit=32,
        resolver=_resolver(opened, resolve),
        use_dns_cache=False,
        socket_factory=make_socket,
    )
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        skip_auto_headers=_UNWANTED,
        timeout=aiohttp.ClientTimeout(total=limit, sock_connect=CONNECT_SECONDS),
    ) as session:
        yield session


def networks(allow: Sequence[str]) -> tuple[Network, ...]:
    """The networks of a setting. Raises ConfigError for what is none."""
    try:
        return parse_networks(allow)
    except ValueError as error:
        raise ConfigError(
            f"notifications.allowNetworks: {error}", hint="write networks such as 10.0.0.0/8"
        ) from None


async def permitted(
    host: str, port: int, allow: Sequence[str] = (), *, resolve: Resolve | None = None
) -> list[str]:
    """The addresses of a host, for clients that connect by themselves (such as SMTP).

    Connect to one of these, not to the name. Raises NotifyError where the host has none, or where
    any of them may not be connected to.
    """
    opened = networks(allow)
    try:
        found = await (resolve or _resolved)(host, port)
    except OSError:
        raise NotifyError("the receiver's host name has no address") from None
    if any(refused(one, opened) for one in found):
        raise NotifyError(_REFUSED, hint=_OPEN)
    return list(found)


_REFUSED: Final = "the receiver has an address to which no message may be sent"
_OPEN: Final = "if it is meant to be there, open its network with notifications.allowNetworks"


async def call(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    body: bytes | None,
    *,
    headers: Mapping[str, str],
    receiver: str,
    limit: float,
) -> Answer:
    """Send one request; whatever is answered is given back, redirects too.

    `receiver` names the receiver in errors: the URL may be a secret. `limit` is in seconds.
    Raises NotifyError where there is no answer; `sent` of it says whether the receiver may have
    got the request all the same.
    """
    import aiohttp

    try:
        async with session.request(
            method,
            url,
            data=body,
            headers={"User-Agent": USER_AGENT, **headers},
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=limit, sock_connect=CONNECT_SECONDS),
        ) as response:
            answer = await _read(response)
    except TimeoutError as error:
        sent = not isinstance(error, aiohttp.ConnectionTimeoutError)
        raise Unanswered(f"{receiver} did not answer within {limit:g} s", sent=sent) from None
    except aiohttp.InvalidURL:
        raise Unanswered(f"the URL of {receiver} is not valid", sent=False) from None
    except (aiohttp.ClientError, OSError) as error:
        if _is_refusal(error):
            raise Unanswered(f"{receiver}: {_REFUSED}", sent=False, hint=_OPEN) from None
        sent = not isinstance(error, aiohttp.ClientConnectorError)
        raise Unanswered(f"cannot reach {receiver}: {type(error).__name__}", sent=sent) from None
    except ValueError:
        raise Unanswered(f"the URL of {receiver} is not valid", sent=False) from None
    return answer


class Unanswered(NotifyError):
    """The receiver did not answer."""

    reason = "Unanswered"

    def __init__(self, message: str, *, sent: bool, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.sent = sent
        """Whether the receiver may have got the message all the same."""


async def _read(response: aiohttp.ClientResponse) -> Answer:
    """The answer within its limit; of a longer one the connection is dropped."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_LIMIT:
            response.close()
            break
    headers = {name.lower(): value for name, value in response.headers.items()}
    cut = len(body) > ANSWER_LIMIT
    return Answer(response.status, headers, bytes(body[:ANSWER_LIMIT]), cut)


def _is_refusal(error: BaseException) -> bool:
    """Whether an address was refused, however the client wrapped that."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, AddressRefused):
            return True
        wrapped = getattr(seen, "os_error", None)
        seen = wrapped if isinstance(wrapped, AddressRefused) else seen.__cause__
    return False


async def _resolved(host: str, port: int) -> Sequence[str]:
    """The addresses of a host as the machine resolves them."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _resolver(opened: Sequence[Network], resolve: Resolve | None) -> aiohttp.abc.AbstractResolver:
    """Resolves names, and refuses those of which any address may not be connected to."""
    from aiohttp.abc import AbstractResolver

    ask = resolve or _resolved

    class Judged(AbstractResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            found = await ask(host, port)
            if not found or any(refused(one, opened) for one in found):
                raise AddressRefused("an address of the name may not be connected to")
            return [_result(host, port, one) for one in found]

        async def close(self) -> None:
            """Nothing is held."""

    return Judged()


def _result(host: str, port: int, address: str) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return {
        "hostname": host,
        "host": address,
        "port": port,
        "family": family,
        "proto": 0,
        "flags": socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    }
