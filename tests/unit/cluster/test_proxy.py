"""Proxies by the rules of kubectl."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftd.cluster.proxy import proxy_for
from driftd.cluster.transport import Transport
from driftd.errors import ConfigError

PROXY = "http://proxy.example.com:3128"
SERVER = "https://api.prod.example.com:6443"


@pytest.mark.parametrize(
    ("server", "no_proxy", "expected"),
    [
        (SERVER, "", PROXY),
        (SERVER, "*", ""),
        (SERVER, "example.org, prod.example.com", ""),
        (SERVER, ".prod.example.com", ""),
        (SERVER, "*.prod.example.com", ""),
        (SERVER, ".api.prod.example.com", PROXY),
        (SERVER, "d.example.com", PROXY),
        (SERVER, "api.prod.example.com:6443", ""),
        (SERVER, "api.prod.example.com:443", PROXY),
        ("https://10.1.2.3:6443", "10.0.0.0/8", ""),
        ("https://10.1.2.3:6443", "192.168.0.0/16,nonsense/x", PROXY),
        ("https://10.1.2.3:6443", "10.1.2.3", ""),
        ("https://[fd00::1]:6443", "fd00::/8", ""),
        ("https://[fd00::1]:6443", "fd00::1", ""),
        ("https://127.0.0.1:6443", "", ""),
        ("https://localhost:6443", "", ""),
        ("http://api.prod.example.com", "", ""),
    ],
)
def test_environment(server: str, no_proxy: str, expected: str) -> None:
    """HTTPS_PROXY counts unless NO_PROXY names the server by domain, port, address or network."""
    assert proxy_for(server, "", {"HTTPS_PROXY": PROXY, "no_proxy": no_proxy}) == expected


def test_own_proxy_of_the_cluster_comes_first() -> None:
    """`proxy-url` beats the environment, NO_PROXY included; a bare host is an http proxy."""
    environ = {"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}
    assert proxy_for(SERVER, "https://own:1", environ) == "https://own:1"
    assert proxy_for(SERVER, "own:1", environ) == "http://own:1"


def test_kinds_that_are_not_supported() -> None:
    """A SOCKS proxy is refused with a remedy instead of failing at each request."""
    with pytest.raises(ConfigError, match="of the kind socks5") as caught:
        proxy_for(SERVER, "socks5://p:1", {})
    assert "NO_PROXY" in caught.value.hint


async def test_requests_ignore_netrc_and_go_straight_to_loopback(
    server, replies, monkeypatch: pytest.MonkeyPatch, private_environment: Path
) -> None:
    """A ~/.netrc entry for the host and a proxy variable change nothing for a local server."""
    (private_environment / ".netrc").write_text("machine 127.0.0.1 login u password p\n")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    server.on("/x", replies.answer({}))
    transport = Transport(server.access)
    try:
        assert (await transport.get("/x", doing="look")).status == 200
    finally:
        await transport.close()
    assert server.requests[0].headers["Authorization"] == "Bearer t0ken"


async def test_cluster_is_reached_through_its_proxy(server, replies) -> None:
    """With `proxy-url` the request goes to the proxy, with the address of the server."""
    server.on("/x", replies.answer({"via": "proxy"}))
    access = server.access
    proxied = type(access)(
        name="far",
        server="http://api.invalid:6443",
        cluster={"proxy-url": server.url},
        user=access.user,
    )
    transport = Transport(proxied)
    try:
        response = await transport.get("/x", doing="look")
    finally:
        await transport.close()
    assert response.body == b'{"via": "proxy"}'
    assert server.requests[0].url.host == "api.invalid"
