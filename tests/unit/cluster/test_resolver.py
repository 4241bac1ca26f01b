"""Name servers that hang, fail and lie (F-39)."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from driftd.cluster.access import ClusterAccess
from driftd.cluster.resolver import Resolver
from driftd.cluster.transport import Transport
from driftd.errors import Unreachable


def answers(*addresses: str) -> list[tuple[Any, ...]]:
    """What the system says of a name with these addresses."""
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 443)) for one in addresses]


async def resolved(resolver: Resolver) -> list[str]:
    """The addresses of a name."""
    return [one["host"] for one in await resolver.resolve("one.example.com", 443)]


async def test_hanging_name_servers_take_no_thread_of_others() -> None:
    """Far more clusters than the default pool has threads hang; other work goes on, none piles up.

    Each cluster that is asked again and again has one look-up under way.
    """
    release = threading.Event()
    calls = 0

    def hang(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        nonlocal calls
        calls += 1
        release.wait(60)
        return answers("192.0.2.1")

    resolvers = [Resolver(timeout=0.05, lookup=hang) for _ in range(64)]
    try:
        for _ in range(3):
            found = await asyncio.gather(*map(resolved, resolvers), return_exceptions=True)
            assert {str(one) for one in found} == {
                "[Errno None] the name server gave no answer within 0.05 s"
            }
            # The threads that everything else shares are free.
            assert await asyncio.wait_for(asyncio.to_thread(lambda: 1), 5) == 1
        assert calls == 64
    finally:
        release.set()


async def test_the_last_answer_counts_while_there_is_none() -> None:
    """An address that changes is used; while the name server fails, the last one is."""
    said: list[Any] = [answers("192.0.2.1"), answers("192.0.2.2"), socket.gaierror(-3, "again")]

    def look(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        one = said.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    resolver = Resolver(lookup=look)
    assert await resolved(resolver) == ["192.0.2.1"]
    assert await resolved(resolver) == ["192.0.2.2"]
    assert await resolved(resolver) == ["192.0.2.2"]


async def test_a_name_that_does_not_exist_says_so() -> None:
    """Without a former answer the failure is the system's own."""

    def fail(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(OSError, match="Name or service not known"):
        await resolved(Resolver(lookup=fail))


async def test_addresses_of_the_link_are_left_out() -> None:
    """A name that leads to the link leads nowhere, unless that is permitted."""

    def look(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        return answers("169.254.169.254", "192.0.2.1")

    assert await resolved(Resolver(link_local=False, lookup=look)) == ["192.0.2.1"]
    assert len(await resolved(Resolver(lookup=look))) == 2
    only = Resolver(link_local=False, lookup=lambda *_, **__: answers("169.254.169.254"))
    with pytest.raises(OSError, match=r"clusters\.allow\.linkLocal"):
        await resolved(only)


async def test_scopes_of_addresses_stay() -> None:
    """An IPv6 address of the link is of use with its interface alone."""
    family = socket.AF_INET6
    given = [(family, socket.SOCK_STREAM, 6, "", ("fe80::1", 443, 0, 2))]
    assert await resolved(Resolver(lookup=lambda *_, **__: given)) == ["fe80::1%2"]


async def test_connections_look_names_up_so(server, monkeypatch) -> None:
    """A connection to a name uses it, and says in plain words what the name server did."""

    def look(host: str, *_: Any, **__: Any) -> list[tuple[Any, ...]]:
        if host == "gone.invalid":
            raise socket.gaierror(-2, "Name or service not known")
        return answers("127.0.0.1")

    monkeypatch.setattr("driftd.cluster.resolver.socket.getaddrinfo", look)
    port = server.url.rpartition(":")[2]
    for host, reached in (("some.invalid", True), ("gone.invalid", False)):
        transport = Transport(ClusterAccess(name="x", server=f"http://{host}:{port}"))
        try:
            if reached:
                answer = await transport.get("/none", doing="ask", answers=(404,))
                assert answer.status == 404
            else:
                with pytest.raises(Unreachable, match="Name or service not known"):
                    await transport.get("/none", doing="ask")
        finally:
            await transport.close()
