"""Holds git to the addresses that `driftd.source.addresses` allows.

git resolves and connects by itself. So a host is resolved here, refused if any of its addresses
must not be connected to, and git is told the addresses: a name that means another machine a moment
later does not lead there. Redirects, and protocols other than https and ssh, git does not follow.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from driftd.errors import Disposition, SourceError
from driftd.source.addresses import refused_address
from driftd.source.egress import Reach, proxy_of, refused
from driftd.source.url import RepositoryURL, printable

RESOLVE_SECONDS = 15.0
_SSH_PORT = 22

Guard: TypeAlias = Callable[[RepositoryURL, Reach], Awaitable[tuple[str, ...]]]
"""The addresses that git may connect to for a URL; none where it may choose by itself."""


async def guarded(url: RepositoryURL, reach: Reach) -> tuple[str, ...]:
    """The addresses of a host, for a repository that is named in Git alone.

    None for a proxy's work: what a name means there, the proxy decides. Raises SourceError.
    """
    host = url.host.strip("[]")
    if refused_address(host):
        raise refused(printable(url.url), host)
    if url.scheme == "https" and proxy_of(url.url, reach):
        return ()
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(
                host, url.port, type=socket.SOCK_STREAM
            )
    except (OSError, TimeoutError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "no answer"
        failure = SourceError(
            f"{printable(url.url)}: could not resolve host {printable(host)}: {why}",
            hint=f"check that {printable(url.url)} can be reached",
            reason="Unreachable",
        )
        failure.disposition = Disposition.TRANSIENT
        raise failure from None
    addresses = tuple(dict.fromkeys(str(one[4][0]) for one in found))
    if any(refused_address(address) for address in addresses):
        raise refused(printable(url.url), host)
    return () if host in addresses else addresses


async def unguarded(_url: RepositoryURL, _reach: Reach) -> tuple[str, ...]:
    """For a repository that the operator has named: it may lie on this machine too."""
    return ()


def pinned_https(url: RepositoryURL, addresses: tuple[str, ...]) -> dict[str, str]:
    """The configuration of git that connects a host to these addresses alone."""
    if not addresses:
        return {}
    listed = ",".join(f"[{one}]" if ":" in one else one for one in addresses)
    return {"http.curloptResolve": f"{url.host}:{url.port}:{listed}"}


def pinned_ssh(url: RepositoryURL, addresses: tuple[str, ...]) -> dict[str, str]:
    """The options of ssh that do the same; the host's key is still looked up by its name."""
    if not addresses:
        return {}
    name = url.host if url.port == _SSH_PORT else f"[{url.host}]:{url.port}"
    return {"HostName": addresses[0], "HostKeyAlias": name}
