"""Faults of an API server, over real HTTP."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from driftd import __version__
from driftd.cluster.access import ClusterAccess
from driftd.cluster.transport import Transport, TransportOptions, parse_retry_after
from driftd.errors import ClusterError, Distrusted, Forbidden, Unauthorized, Unreachable
from tests.testbed.webserver import Asked, Reply, WebServer, make_tls

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)


class FixedClock:
    """A clock that tests move by hand."""

    def __init__(self) -> None:
        self.moment = NOW

    def now(self) -> datetime:
        return self.moment


@pytest.fixture
async def transport(server, waits) -> AsyncIterator[Transport]:
    """A transport to the scripted server that waits without waiting."""
    made = Transport(
        server.access, options=TransportOptions(timeout=5), wait=waits, clock=FixedClock()
    )
    yield made
    await made.close()


async def test_requests_carry_our_name_token_and_no_gzip(server, transport, replies) -> None:
    """User-Agent and bearer token are ours; on the loopback interface nothing is compressed."""
    server.on("/version", replies.answer({}))
    await transport.get("/version", doing="look")
    headers = server.requests[0].headers
    assert headers["User-Agent"] == f"driftd/{__version__}"
    assert headers["Authorization"] == "Bearer t0ken"
    assert headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (403, "Forbidden", Forbidden),
        (500, "InternalError", ClusterError),
        (503, "ServiceUnavailable", ClusterError),
    ],
)
async def test_refusals_are_translated(
    server, transport, replies, status, reason, expected
) -> None:
    """A refusal names cluster, server, what was tried and the server's own words."""
    server.on("/x", replies.refusal(status, reason, "no, not\n you"))
    with pytest.raises(expected) as caught:
        await transport.get("/x", doing="list widgets")
    text = str(caught.value)
    assert text == f"cluster test ({server.url}): cannot list widgets: no, not you"
    assert caught.value.reason == reason
    assert len(server.requests) == 1


async def test_refusals_quote_no_sensitive_value(server, transport, replies) -> None:
    """What a webhook quotes of a sensitive value that was sent is masked, and the rest is not."""
    env = [{"name": "DB_PASSWORD", "value": "hunter22"}, {"name": "COLOUR", "value": "red"}]
    spec = {"containers": [{"name": "web", "env": env}]}
    body = json.dumps({"apiVersion": "v1", "kind": "Pod", "spec": spec}).encode()
    server.on("/x", replies.refusal(422, "Invalid", "DB_PASSWORD=hunter22 of COLOUR=red"))
    with pytest.raises(ClusterError) as caught:
        await transport.send(
            "POST",
            "/x",
            doing="create pods",
            headers={"Content-Type": "application/yaml"},
            body=body,
        )
    assert str(caught.value).endswith("DB_PASSWORD=«masked» of COLOUR=red")


async def test_unauthorized_names_the_credential_not_its_value(server, transport, replies) -> None:
    """401 says where the token stands, and never the token."""
    server.on("/x", replies.refusal(401, "Unauthorized", "Unauthorized"))
    with pytest.raises(Unauthorized) as caught:
        await transport.get("/x", doing="look")
    assert "the token in kubeconfig (k) is wrong or has expired" in caught.value.message
    assert "t0ken" not in caught.value.message


async def test_answer_that_is_no_status_object(server, transport) -> None:
    """An error page of a proxy is reported by its status alone."""
    server.on("/x", web.Response(status=502, text="<html>secret</html>"))
    with pytest.raises(ClusterError, match="HTTP status 502") as caught:
        await transport.get("/x", doing="look")
    assert "secret" not in caught.value.message


async def test_too_many_requests_waits_as_long_as_it_is_told(
    server, transport, waits, replies
) -> None:
    """429 and 503 with Retry-After are repeated after that time."""
    busy = replies.refusal(429, "TooManyRequests", "busy", Retry_After="7")
    down = replies.refusal(503, "ServiceUnavailable", "busy", Retry_After="3")
    server.on("/x", busy, down, replies.answer({}))
    response = await transport.get("/x", doing="look")
    assert response.status == 200
    assert waits.seconds == [7.0, 3.0]


async def test_waiting_is_bounded(server, transport, waits, replies) -> None:
    """A server that asks for more patience than allowed gets one request and is an error."""
    server.on("/x", replies.refusal(429, "TooManyRequests", "busy", Retry_After="3600"))
    with pytest.raises(ClusterError, match="it asks to wait 3600") as caught:
        await transport.get("/x", doing="look")
    assert caught.value.reason == "TooManyRequests"
    assert waits.seconds == []
    assert len(server.requests) == 1


async def test_repetitions_are_bounded(server, transport, waits, replies) -> None:
    """A server that is always busy is asked six times, not for ever."""
    server.on("/x", replies.refusal(429, "TooManyRequests", "busy", Retry_After="1"))
    with pytest.raises(ClusterError, match="busy"):
        await transport.get("/x", doing="look")
    assert waits.seconds == [1.0] * 5
    assert len(server.requests) == 6


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("30", 30.0),
        (" 2 ", 2.0),
        ("Wed, 25 Nov 2026 12:00:20 GMT", 20.0),
        ("Wed, 25 Nov 2026 11:00:00 GMT", 0.0),
        ("Wed, 25 Nov 2026 12:00:20", 20.0),
        ("", 1.0),
        ("soon", 1.0),
        ("-5", 1.0),
        ("\N{ARABIC-INDIC DIGIT ONE}", 1.0),
    ],
)
def test_retry_after_in_all_its_forms(header: str, seconds: float) -> None:
    """Seconds, HTTP dates and garbage all give a time to wait."""
    assert parse_retry_after(header, NOW) == seconds


async def test_slow_server_is_unreachable(server, waits) -> None:
    """A server that does not answer in time is Unreachable, and its socket is given up."""
    release = asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        await release.wait()
        return web.Response()

    server.on("/x", slow)
    transport = Transport(server.access, options=TransportOptions(timeout=0.05), wait=waits)
    try:
        with pytest.raises(Unreachable, match=r"no answer within 0\.05 s"):
            await transport.get("/x", doing="look")
    finally:
        release.set()
        await transport.close()


async def test_refused_connection_is_said_in_the_systems_words(waits) -> None:
    """Nobody listens: the address stands in the label, the reason is the system's own."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        access = ClusterAccess(name="down", server=f"https://127.0.0.1:{port}")
        transport = Transport(access, wait=waits)
        with pytest.raises(Unreachable, match=r": cannot look: connection refused$"):
            await transport.get("/x", doing="look")
        await transport.close()


async def test_answer_that_never_ends_is_unreachable(server, waits) -> None:
    """The time limit holds for the body too: headers alone do not satisfy it."""
    release = asyncio.Event()

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"items":[')
        await release.wait()
        return response

    server.on("/x", drip)
    transport = Transport(server.access, options=TransportOptions(timeout=0.1), wait=waits)
    try:
        with pytest.raises(Unreachable, match="no answer within"):
            await transport.get("/x", doing="look")
    finally:
        release.set()
        await transport.close()


async def test_answer_that_breaks_off_is_unreachable(server, transport) -> None:
    """A connection that is cut in the middle of the body gives no half answer."""

    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"items":[')
        assert request.transport is not None
        request.transport.close()
        return response

    server.on("/x", cut)
    with pytest.raises(Unreachable, match="broke off"):
        await transport.get("/x", doing="look")


async def test_address_that_is_none() -> None:
    """A host name that does not exist is Unreachable, with the name in the message."""
    access = ClusterAccess(name="gone", server="http://cluster.invalid:1")
    transport = Transport(access)
    try:
        with pytest.raises(Unreachable, match=r"cluster gone \(http://cluster\.invalid:1\)"):
            await transport.get("/x", doing="look")
    finally:
        await transport.close()


def requires_token(server, replies) -> Callable[[str], None]:
    """Make `/x` accept one token only; returns how to change it."""
    accepted = [""]

    async def check(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") == f"Bearer {accepted[0]}":
            return replies.answer({})
        return replies.refusal(401, "Unauthorized", "Unauthorized")

    server.on("/x", check)
    return lambda token: accepted.__setitem__(0, token)


async def test_renewed_kubeconfig_is_read_again_after_401(server, replies) -> None:
    """When a token stops working, the description is loaded again and the request repeated."""
    accept = requires_token(server, replies)
    accept("first")
    tokens = iter(["second", "third"])
    clock = FixedClock()

    def reload() -> ClusterAccess:
        return msgspec.structs.replace(server.access, user={"token": next(tokens)})

    access = msgspec.structs.replace(server.access, user={"token": "first"})
    transport = Transport(access, reload=reload, clock=clock)
    try:
        await transport.get("/x", doing="look")
        accept("second")
        with pytest.raises(Unauthorized):
            await transport.get("/x", doing="look")  # just loaded: not asked for again at once
        clock.moment = NOW.replace(minute=1)
        answers = await asyncio.gather(*(transport.get("/x", doing="look") for _ in range(5)))
        assert [response.status for response in answers] == [200] * 5
        assert next(tokens) == "third"  # five requests loaded it once
    finally:
        await transport.close()


async def test_rotated_token_file_is_read_again_after_401(server, replies, tmp_path) -> None:
    """A token file that was rewritten gives the new token, white space around it cut off."""
    accept = requires_token(server, replies)
    accept("first")
    file = tmp_path / "token"
    file.write_text("first\n")
    access = msgspec.structs.replace(server.access, user={"tokenFile": str(file)})
    clock = FixedClock()
    transport = Transport(access, clock=clock)
    try:
        await transport.get("/x", doing="look")
        file.write_text("second\n")
        accept("second")
        clock.moment = NOW.replace(minute=1)
        assert (await transport.get("/x", doing="look")).status == 200
        file.write_text("")
        accept("third")
        clock.moment = NOW.replace(minute=2)
        with pytest.raises(Unauthorized, match=r"token file .* is empty"):
            await transport.get("/x", doing="look")
    finally:
        await transport.close()


async def test_credential_of_a_plugin_is_replaced_before_it_ends(server, replies, tmp_path) -> None:
    """A plugin is asked again shortly before its token ends, not at each request."""
    calls = tmp_path / "calls"
    plugin = tmp_path / "plugin"
    plugin.write_text(
        "#!/bin/sh\n"
        f"echo call >> {calls}\n"
        f"hour=$((11 + 2 * $(wc -l < {calls})))\n"
        'echo "{\\"apiVersion\\": \\"v1\\", \\"kind\\": \\"ExecCredential\\", \\"status\\": {"\n'
        'echo "\\"token\\": \\"until-$hour\\","\n'
        'echo "\\"expirationTimestamp\\": \\"2026-11-25T$hour:00:00Z\\"}}"\n'
    )
    plugin.chmod(0o700)
    spec = {"command": str(plugin), "apiVersion": "v1"}
    access = msgspec.structs.replace(server.access, user={"exec": spec})
    clock = FixedClock()
    server.on("/x", replies.answer({}))
    transport = Transport(access, clock=clock)
    try:
        for minute in (0, 30, 58, 59, 59):
            clock.moment = NOW.replace(minute=minute)
            await transport.get("/x", doing="look")
    finally:
        await transport.close()
    tokens = [request.headers["Authorization"] for request in server.requests]
    assert tokens == ["Bearer until-13"] * 3 + ["Bearer until-15"] * 2


async def test_plugin_that_fails_is_unauthorized_for_each_request(server, tmp_path) -> None:
    """A plugin that is not installed makes the cluster's reads Unauthorized, with the remedy."""
    spec = {"command": str(tmp_path / "none"), "apiVersion": "v1", "installHint": "get it there"}
    access = msgspec.structs.replace(server.access, user={"exec": spec})
    transport = Transport(access)
    with pytest.raises(Unauthorized, match="cannot start exec plugin") as caught:
        await transport.get("/x", doing="look")
    assert caught.value.hint == "get it there"
    assert server.requests == []


async def test_concurrency_is_bounded(server, replies) -> None:
    """Of many requests only as many as allowed reach the server at the same time."""
    running = 0
    most = 0
    two_arrived = asyncio.Event()

    async def count(_: web.Request) -> web.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 2:
            two_arrived.set()
        await two_arrived.wait()
        running -= 1
        return replies.answer({})

    server.on("/x", count)
    transport = Transport(server.access, options=TransportOptions(concurrency=2))
    try:
        await asyncio.gather(*(transport.get("/x", doing="look") for _ in range(60)))
    finally:
        await transport.close()
    assert most == 2


async def test_a_rotated_authority_is_read_again(tmp_path: Path) -> None:
    """A server with a certificate of another authority is trusted once the file names it.

    Without a restart, and for requests and watches alike; until then it is not.
    """
    first, second = make_tls(tmp_path / "first"), make_tls(tmp_path / "second")
    trusted = tmp_path / "ca.crt"
    trusted.write_bytes(first.ca.read_bytes())
    clock = FixedClock()

    def served(_asked: Asked) -> Reply:
        return Reply(body=b"{}")

    def access(url: str) -> ClusterAccess:
        return ClusterAccess(
            name="x", server=url, cluster={"certificate-authority": str(trusted)}, origin="o"
        )

    with WebServer(served, first) as old, WebServer(served, second) as new:
        transport = Transport(access(old.url), clock=clock)
        try:
            assert (await transport.get("/", doing="ask")).status == 200
            # What answers at the address has another certificate from now on.
            transport.access = access(new.url)
            await transport.close()
            with pytest.raises(Distrusted, match="is not trusted"):
                await transport.get("/", doing="ask")
            trusted.write_bytes(second.ca.read_bytes())
            clock.moment += timedelta(seconds=60)
            assert (await transport.get("/", doing="ask")).status == 200
            trusted.write_bytes(first.ca.read_bytes())
            await transport.close()
            with pytest.raises(Distrusted):
                await transport.get("/", doing="ask")
            trusted.write_bytes(second.ca.read_bytes())
            clock.moment += timedelta(seconds=60)
            async with transport.stream("/", doing="watch", query={}, idle=5) as body:
                assert [piece async for piece in body] == [b"{}"]
        finally:
            await transport.close()


async def test_a_long_wish_to_wait_is_obeyed_by_later_requests(server, replies, waits) -> None:
    """What cannot be waited for is refused at once, and not asked again meanwhile."""
    server.on("/busy", replies.refusal(429, "TooManyRequests", "later", Retry_After="3600"))
    server.on("/other", replies.answer({}))
    transport = Transport(server.access, wait=waits)
    try:
        for _ in range(3):
            with pytest.raises(ClusterError) as failed:
                await transport.get("/busy", doing="ask")
            assert failed.value.reason == "TooManyRequests"
        assert len(server.queries("/busy")) == 1
        assert (await transport.get("/other", doing="ask")).status == 200
    finally:
        await transport.close()
    assert waits.seconds == []
