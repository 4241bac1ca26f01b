"""The way out for messages: what it reaches, what it sends, and what it takes."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest
from aiohttp import web

from driftd.errors import ConfigError, NotifyError
from driftd.notify.addresses import parse_networks, refused
from driftd.notify.egress import ANSWER_LIMIT, Unanswered, call, open_session, permitted
from tests.unit.source.httpsserver import make_certificate

REFUSED = "to which no message may be sent"
SPELLINGS = [
    "169.254.169.254",
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "0",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:169.254.169.254]",
    "[::ffff:7f00:1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:a9fe:a9fe::]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "[::127.0.0.1]",
    "[fe80::1]",
    "[fec0::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fe80::5efe:7f00:1]",
    "[2a00:1450::5efe:7f00:1]",
    "100.100.100.200",
    "100.64.0.1",
    "192.0.0.192",
    "192.0.0.170",
    "10.0.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "localhost",
    "localhost.",
    "LOCALHOST",
]
"""How the addresses of this machine, of its link and of metadata services can be written."""


@asynccontextmanager
async def canaries() -> AsyncIterator[tuple[int, list[str]]]:
    """Listeners on both loopback addresses at one port, and who connected to them."""
    arrived: list[str] = []

    def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append(str(writer.get_extra_info("peername")))
        writer.close()

    first = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = first.sockets[0].getsockname()[1]
    servers = [first]
    if socket.has_ipv6:
        try:
            servers.append(await asyncio.start_server(accept, "::1", port))
        except OSError:
            servers = [first]
    try:
        yield port, arrived
    finally:
        for server in servers:
            server.close()


async def get(session: aiohttp.ClientSession, url: str):
    """The answer to a request without anything of its own."""
    return await call(session, "POST", url, b"{}", headers={}, receiver="webhook x", limit=5)


@pytest.mark.parametrize("host", SPELLINGS)
async def test_no_spelling_of_an_inner_address_is_connected_to(host):
    """However it is written, the listener on this machine sees no connection (S-65)."""
    async with canaries() as (port, arrived), open_session() as session:
        with pytest.raises(Unanswered, match=f"{REFUSED}|is not valid|DNSError") as caught:
            await get(session, f"http://{host}:{port}/")
        assert caught.value.sent is False
        await asyncio.sleep(0)
    assert arrived == []


async def test_a_name_with_one_inner_address_among_public_ones_is_refused():
    """Every address of a name is judged, not only the first (a CNAME ends in these, too)."""

    async def both(_host: str, _port: int) -> Sequence[str]:
        return ["93.184.216.34", "127.0.0.1"]

    async with canaries() as (port, arrived), open_session(resolve=both) as session:
        with pytest.raises(Unanswered, match=REFUSED) as caught:
            await get(session, f"http://alerts.example.com:{port}/")
    assert arrived == []
    assert "notifications.allowNetworks" in caught.value.hint
    assert caught.value.sent is False


async def test_rebinding_between_two_resolutions_reaches_nothing():
    """A name that is public when it is judged is resolved once only, and never asked again."""
    asked: list[str] = []

    async def rebinding(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["203.0.114.1"] if len(asked) == 1 else ["127.0.0.1"]

    async with canaries() as (port, arrived), open_session(resolve=rebinding) as session:
        with pytest.raises(NotifyError):
            await call(
                session,
                "POST",
                f"http://alerts.example.com:{port}/",
                b"",
                headers={},
                receiver="webhook x",
                limit=0.2,
            )
        assert asked == ["alerts.example.com"]
        with pytest.raises(NotifyError, match=REFUSED):
            await get(session, f"http://alerts.example.com:{port}/")
    assert arrived == []


async def test_the_connection_goes_to_the_address_that_was_judged(hook):
    """The name is resolved by what judges it, and the request still names the host."""
    port = hook.url.split(":")[2].split("/")[0]

    async def here(_host: str, _port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    async with open_session(["127.0.0.1"], resolve=here) as session:
        answer = await get(session, f"http://alerts.example.com:{port}/hook/x")
    assert answer.status == 200
    assert hook.requests[0][0]["host"] == f"alerts.example.com:{port}"


async def test_a_redirect_to_an_inner_address_is_an_answer_and_no_more(hook):
    """Redirects are not followed, wherever they lead."""
    async with canaries() as (port, arrived), open_session(["127.0.0.0/8"]) as session:
        there = {"Location": f"http://127.0.0.1:{port}/latest/meta-data"}
        hook.answers.append(web.Response(status=302, headers=there))
        answer = await get(session, hook.url)
    assert (answer.status, arrived) == (302, [])


async def test_only_configured_headers_are_sent_and_cookies_are_not_kept(hook, monkeypatch):
    """A receiver sees no credential of hub or cluster, no proxy's, no cookie (S-67)."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://user:secret@127.0.0.1:9")
    async with open_session(["127.0.0.0/8"]) as session:
        hook.answers.append(web.Response(headers={"Set-Cookie": "session=abc; Path=/"}))
        for _ in range(2):
            await call(
                session,
                "POST",
                hook.url,
                b"{}",
                headers={"Content-Type": "application/json", "X-Signature": "sha256=00"},
                receiver="webhook x",
                limit=5,
            )
    own = {"host", "user-agent", "content-type", "x-signature", "content-length"}
    assert [set(headers) for headers, _ in hook.requests] == [own, own]
    assert hook.requests[0][0]["user-agent"] == "driftd"


@asynccontextmanager
async def talking(say) -> AsyncIterator[str]:
    """A server that says what it wants over plain TCP; its URL."""
    ended = asyncio.Event()

    async def say_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await say(reader, writer)
        finally:
            ended.set()

    server = await asyncio.start_server(say_all, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        await asyncio.wait_for(ended.wait(), 5)
    finally:
        server.close()


async def test_of_an_endless_answer_no_more_than_the_limit_is_read():
    """10 GB and a gzip bomb cost 64 KiB and a connection (S-66)."""
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        length = 10 * 1024**3
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n"
        writer.write(head.encode())
        try:
            while sent < length:
                writer.write(b"x" * 65536)
                sent += 65536
                await writer.drain()
        except OSError:
            return
        finally:
            writer.close()

    async with talking(endless) as url, open_session(["127.0.0.0/8"]) as session:
        answer = await get(session, url)
    assert (answer.status, len(answer.body), answer.cut) == (200, ANSWER_LIMIT, True)
    assert sent < 64 * 1024 * 1024


async def test_a_receiver_that_drips_is_left_after_the_limit():
    """One byte after the other does not renew the time that it has."""
    never = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        try:
            while True:
                writer.write(b"x")
                await writer.drain()
                with suppress(TimeoutError):
                    await asyncio.wait_for(never.wait(), 0.01)
        except OSError:
            return
        finally:
            writer.close()

    began = time.monotonic()
    async with talking(drip) as url, open_session(["127.0.0.0/8"]) as session:
        with pytest.raises(Unanswered, match=r"did not answer within 0\.2 s") as caught:
            await call(session, "POST", url, b"", headers={}, receiver="webhook x", limit=0.2)
    assert caught.value.sent is True
    assert time.monotonic() - began < 3


async def test_tls_that_cannot_be_verified_is_refused(tmp_path):
    """A certificate that nobody vouches for is no receiver's (S-66)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(make_certificate(tmp_path))
    server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    async with open_session(["127.0.0.0/8"]) as session:
        with pytest.raises(Unanswered, match="Certificate") as caught:
            await get(session, f"https://127.0.0.1:{port}/")
    server.close()
    assert caught.value.sent is False


def test_public_addresses_and_opened_networks_are_reachable():
    """Public addresses always, others once their network is opened, metadata only by name."""
    private = parse_networks(["10.0.0.0/8", "::1"])
    everything = parse_networks(["0.0.0.0/0", "::/0"])
    metadata = parse_networks(["169.254.169.254"])
    assert not refused("93.184.216.34")
    assert not refused("2606:4700::1111")
    assert not refused("64:ff9b::5db8:d822"), "NAT64 of a public address"
    assert not refused("10.1.2.3", private)
    assert not refused("::ffff:10.1.2.3", private)
    assert not refused("::1", private)
    assert refused("192.168.0.1", private)
    assert not refused("192.168.0.1", everything)
    assert refused("169.254.169.254", everything)
    assert refused("fe80::1", everything)
    assert not refused("169.254.169.254", metadata)
    assert refused("not-an-address", everything)


async def test_clients_that_connect_by_themselves_get_judged_addresses():
    """SMTP connects to an address of a name whose addresses are all permitted."""

    async def inner(_host: str, _port: int) -> Sequence[str]:
        return ["10.0.0.5"]

    assert await permitted("mail", 25, ["10.0.0.0/8"], resolve=inner) == ["10.0.0.5"]
    with pytest.raises(NotifyError, match=REFUSED):
        await permitted("mail", 25, resolve=inner)


async def test_what_is_no_network_is_found_at_the_start():
    """A misspelt network is an error of the settings."""
    with pytest.raises(ConfigError, match="allowNetworks"):
        async with open_session(["10.0.0.0/33"]):
            pass
