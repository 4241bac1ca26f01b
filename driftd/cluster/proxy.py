"""Which proxy leads to an API server, by the rules of kubectl (Go's `HTTPS_PROXY`, `NO_PROXY`).

The HTTP client's own reading of the environment differs: it proxies loopback addresses,
knows no networks in `NO_PROXY`, and takes credentials from `~/.netrc`. Pure.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from driftd.errors import ConfigError

SCHEMES = ("http", "https")


def proxy_for(server: str, configured: str, environ: Mapping[str, str]) -> str:
    """The proxy's URL for `server`, empty for none.

    `configured` is the cluster's own `proxy-url`, which beats the environment. Raises
    ConfigError for a kind of proxy that is not supported.
    """
    proxy = configured or _from_environment(server, environ)
    if not proxy:
        return ""
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    scheme = urlsplit(proxy).scheme
    if scheme not in SCHEMES:
        raise ConfigError(
            f"the proxy for {server} is of the kind {scheme}, which is not supported",
            hint="use an http or https proxy, or exempt the server with NO_PROXY",
        )
    return proxy


def is_loopback(server: str) -> bool:
    """Whether `server` is this machine."""
    host = urlsplit(server).hostname or ""
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _from_environment(server: str, environ: Mapping[str, str]) -> str:
    parts = urlsplit(server)
    if is_loopback(server) or not parts.hostname:
        return ""
    if _exempt(parts.hostname, parts.port, _variable("NO_PROXY", environ)):
        return ""
    return _variable(f"{parts.scheme.upper()}_PROXY", environ)


def _variable(name: str, environ: Mapping[str, str]) -> str:
    return environ.get(name) or environ.get(name.lower()) or ""


def _exempt(host: str, port: int | None, no_proxy: str) -> bool:
    address = _address(host)
    for rule in (part.strip().lower() for part in no_proxy.split(",")):
        if rule == "*":
            return True
        if not rule:
            continue
        if "/" in rule:
            if address is not None and _in_network(address, rule):
                return True
            continue
        name, colon, rule_port = rule.rpartition(":")
        if colon and rule_port.isdigit() and ":" not in name.strip("[]"):
            if port != int(rule_port):
                continue
            rule = name
        if address is not None:
            if _address(rule.strip("[]")) == address:
                return True
        elif _domain_matches(host.lower(), rule):
            return True
    return False


def _domain_matches(host: str, rule: str) -> bool:
    """`example.com` means itself and what is below, `.example.com` only what is below."""
    rule = rule.removeprefix("*")
    if rule.startswith("."):
        return host.endswith(rule)
    return host == rule or host.endswith(f".{rule}")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _in_network(address: ipaddress.IPv4Address | ipaddress.IPv6Address, network: str) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
