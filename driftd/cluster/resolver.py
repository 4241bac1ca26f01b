"""Looks up the names of API servers so that a name server that hangs holds up nobody else.

The system's look-up blocks a thread for as long as it likes, and asyncio's own takes one of the
threads that everything else shares: a handful of clusters with a dead name server would leave none.
Here each cluster has at most one look-up under way, in a thread of its own, and what it said last
counts while it says nothing.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any, Final

from aiohttp.abc import AbstractResolver, ResolveResult

from driftd.cluster.permitted import is_link_local

TIMEOUT: Final = 4.0
"""Seconds that a look-up may take: less than a connection gets."""

Lookup = Callable[..., list[tuple[Any, ...]]]


class Resolver(AbstractResolver):
    """The addresses of one cluster's server, or of the proxy that leads to it."""

    def __init__(
        self,
        *,
        link_local: bool = True,
        timeout: float = TIMEOUT,
        lookup: Lookup | None = None,
    ) -> None:
        """`link_local`: whether addresses of the link count; `timeout` in seconds.

        `lookup` stands for the system's own.
        """
        self._link_local = link_local
        self._timeout = timeout
        self._lookup = lookup or socket.getaddrinfo
        self._under_way: dict[tuple[str, int, int], asyncio.Future[list[ResolveResult]]] = {}
        self._last: dict[tuple[str, int, int], list[ResolveResult]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses now; those of the last look-up where this one fails. Raises OSError."""
        key = (host, port, int(family))
        try:
            async with asyncio.timeout(self._timeout):
                found = await asyncio.shield(self._started(key))
        except TimeoutError:
            text = f"the name server gave no answer within {self._timeout:g} s"
            found = self._known(key, OSError(None, text))
        except OSError as error:
            found = self._known(key, error)
        self._last[key] = found
        allowed = [one for one in found if self._link_local or not is_link_local(one["host"])]
        if found and not allowed:
            text = f"{host} has a link-local address, which clusters.allow.linkLocal would permit"
            raise OSError(None, text)
        return allowed

    async def close(self) -> None:
        """Nothing is kept open: a look-up under way ends by itself."""

    def _known(self, key: tuple[str, int, int], error: OSError) -> list[ResolveResult]:
        if key not in self._last:
            raise error
        return self._last[key]

    def _started(self, key: tuple[str, int, int]) -> asyncio.Future[list[ResolveResult]]:
        """The look-up under way, or a new one."""
        future = self._under_way.get(key)
        if future is None:
            loop = asyncio.get_running_loop()
            future = self._under_way[key] = loop.create_future()
            # One that nobody waits for any more may fail.
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            threading.Thread(
                target=self._run, args=(key, future, loop), name="driftd-dns", daemon=True
            ).start()
        return future

    def _run(
        self,
        key: tuple[str, int, int],
        future: asyncio.Future[list[ResolveResult]],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        host, port, family = key
        found: list[ResolveResult] = []
        failure: OSError | None = None
        try:
            answers = self._lookup(
                host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
            )
            found = [_result(host, port, one) for one in answers]
        except (OSError, UnicodeError) as error:
            failure = error if isinstance(error, OSError) else OSError(None, "no valid name")

        def tell() -> None:
            self._under_way.pop(key, None)
            if failure is None:
                self._last[key] = found
            if future.done():
                return
            if failure is not None:
                future.set_exception(failure)
            else:
                future.set_result(found)

        if not loop.is_closed():
            loop.call_soon_threadsafe(tell)


def _result(host: str, port: int, answer: tuple[Any, ...]) -> ResolveResult:
    family, _, protocol, _, address = answer
    name = str(address[0])
    if family == socket.AF_INET6 and len(address) > 3 and address[3]:
        name = f"{name.partition('%')[0]}%{address[3]}"
    return ResolveResult(
        hostname=host,
        host=name,
        port=port,
        family=int(family),
        proto=int(protocol),
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
