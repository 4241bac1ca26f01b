"""One authenticated HTTP session with one API server, configured by kubernetes_asyncio."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftd import __version__
from driftd.cluster import buffers, slim
from driftd.cluster.access import IN_CLUSTER_NAME, ClusterAccess, decode_base64
from driftd.cluster.execplugin import run_plugin
from driftd.cluster.limits import PIECE
from driftd.cluster.proxy import is_loopback, proxy_for
from driftd.errors import ConfigError

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient, Configuration

    from driftd.cluster.resolver import Resolver

USER_AGENT = f"driftd/{__version__}"
TOKEN_FILE_PERIOD = 60.0
"""Seconds after which a token file is read again (service account tokens rotate)."""
FILES = {
    "certificate-authority": "cluster",
    "client-certificate": "user",
    "client-key": "user",
}


class Redirected(Exception):
    """An API server sends us to another one; the text says where."""


class Connection:
    """A session in use; it is closed when it is retired and the last request has ended."""

    def __init__(self, api: ApiClient, expires_at: datetime | None) -> None:
        self.api = api
        self.expires_at = expires_at
        """When its credential ends, as far as an exec plugin said so."""
        self._requests = 0
        self._retired = False

    async def __aenter__(self) -> ApiClient:
        self._requests += 1
        return self.api

    async def __aexit__(self, *_: object) -> None:
        self._requests -= 1
        if self._retired and not self._requests:
            await self.api.close()

    async def retire(self) -> None:
        """Close it now, or as soon as its last request has ended."""
        self._retired = True
        if not self._requests:
            await self.api.close()


async def connect(
    access: ClusterAccess,
    *,
    pool_size: int,
    exec_timeout: float,
    connected: Callable[[], None] = lambda: None,
    link_local: bool = True,
) -> Connection:
    """Open a session for `access`; `connected` is told of each connection that it makes.

    `link_local`: whether the server's name may lead to an address of the link.

    No request is made yet. Raises ConfigError for a description that cannot work and
    Unauthorized when a credential plugin fails.
    """
    user = dict(access.user)
    expires_at = None
    if "exec" in user:
        credential = await run_plugin(access, timeout=exec_timeout)
        expires_at = credential.expires_at
        user = {"token": credential.token} if credential.token else {}
        if credential.certificate:
            user |= {"certificate-pem": credential.certificate, "key-pem": credential.key}
    with tempfile.TemporaryDirectory(prefix="driftd-") as scratch:
        # The TLS context is built in ApiClient's constructor; after that no file is needed.
        cluster, user = await asyncio.to_thread(_materialise, access, user, Path(scratch))
        configuration = await _configuration(access, cluster, user)
        configuration.connection_pool_maxsize = pool_size
        proxy = proxy_for(access.server, access.cluster.get("proxy-url", ""), os.environ)
        configuration.proxy = proxy or None
        api = _api_client(access, configuration)
        from driftd.cluster.resolver import Resolver

        _own_session(api, connected, Resolver(link_local=link_local))
    return Connection(api, expires_at)


def _materialise(
    access: ClusterAccess, user: dict[str, Any], scratch: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Put inline certificates into private files and read the token file."""
    entries = {"cluster": dict(access.cluster), "user": user}
    for field, part in FILES.items():
        entry = entries[part]
        inline = entry.pop(f"{field}-data", "")
        if inline:
            content = decode_base64(inline, f"{field}-data", access.origin or access.label)
            entry[field] = str(_private_file(scratch, field, content))
        elif entry.get(field) and not Path(entry[field]).is_file():
            raise ConfigError(
                f"{access.label}: {field} names {entry[field]}, which is no file",
                hint=f"correct {access.origin}",
            )
    for pem, field in (("certificate-pem", "client-certificate"), ("key-pem", "client-key")):
        if pem in user:
            user[field] = str(_private_file(scratch, field, user.pop(pem).encode()))
    token_file = user.pop("tokenFile", "")
    if token_file:
        user["token"] = _read_token(Path(token_file), access)
    if "token" in user:
        user["token"] = str(user["token"]).strip()
    return entries["cluster"], user


def _private_file(scratch: Path, name: str, content: bytes) -> Path:
    path = scratch / name
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path


def _read_token(path: Path, access: ClusterAccess) -> str:
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{access.label}: cannot read token file {path}", hint=f"correct {access.origin}"
        ) from error
    if not token:
        raise ConfigError(f"{access.label}: token file {path} is empty")
    return token


async def _configuration(
    access: ClusterAccess, cluster: dict[str, Any], user: dict[str, Any]
) -> Configuration:
    buffers.use()
    slim.use()
    from kubernetes_asyncio.client import Configuration
    from kubernetes_asyncio.config import ConfigException, load_kube_config_from_dict

    # Its own instance: the library's default is global to the process.
    configuration = Configuration()
    document = {
        "clusters": [{"name": "it", "cluster": {**cluster, "server": access.server}}],
        "users": [{"name": "it", "user": user}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "current-context": "it",
    }
    try:
        await load_kube_config_from_dict(document, client_configuration=configuration)
    except (ConfigException, ImportError, ValueError, KeyError, OSError) as error:
        raise ConfigError(
            f"{access.label}: cannot use the credentials in {access.origin}: "
            f"{type(error).__name__}",
            hint="check that kubectl accepts them",
        ) from error
    if access.user.get("tokenFile"):
        configuration.refresh_api_key_hook = _token_file_hook(access)
    return configuration


def _token_file_hook(access: ClusterAccess) -> Callable[[Configuration], None]:
    path = Path(access.user["tokenFile"])
    read_at = asyncio.get_running_loop().time()

    def read_again(configuration: Configuration) -> None:
        nonlocal read_at
        now = asyncio.get_running_loop().time()
        if now - read_at >= TOKEN_FILE_PERIOD:
            read_at = now
            configuration.api_key["BearerToken"] = f"Bearer {_read_token(path, access)}"

    return read_again


def _api_client(access: ClusterAccess, configuration: Configuration) -> ApiClient:
    from kubernetes_asyncio.client import ApiClient

    headers = {"Accept-Encoding": accept_encoding(access), **_impersonation(access)}
    try:
        api = ApiClient(configuration)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigError(
            f"{access.label}: certificate authority, client certificate or key do not load",
            hint=f"check the PEM data in {access.origin}",
        ) from error
    api.user_agent = USER_AGENT
    # Else it reads ~/.netrc in a thread for each request and takes credentials from there.
    api.rest_client.pool_manager._trust_env = False  # noqa: SLF001
    for header, value in headers.items():
        api.set_default_header(header, value)
    return api


def _own_session(api: ApiClient, connected: Callable[[], None], resolver: Resolver) -> None:
    """Tell of new connections, and look names up in our way.

    The library makes the session itself: only this way leads in.
    """
    import aiohttp
    from yarl import URL

    async def made(*_: object) -> None:
        connected()

    async def same_server(
        _session: aiohttp.ClientSession, _context: object, asked: aiohttp.TraceRequestRedirectParams
    ) -> None:
        """Schemas that have changed are redirected to; nobody else is to be asked in our name."""
        to = asked.url.join(URL(asked.response.headers.get("Location", "")))
        if to.origin() != asked.url.origin():
            asked.response.close()
            raise Redirected(f"to {to.host}, which is not followed")

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(made)
    trace.on_request_redirect.append(same_server)
    trace.freeze()
    api.rest_client.pool_manager._trace_configs.append(trace)  # noqa: SLF001
    vars(api.rest_client.pool_manager.connector)["_resolver"] = resolver
    # Of each connection so much waits unread, and twice that: the library takes 2 MiB for its own
    # way of reading lines.
    api.rest_client.pool_manager._read_bufsize = PIECE  # noqa: SLF001


def accept_encoding(access: ClusterAccess) -> str:
    """`identity` where the network is cheaper than unpacking, else `gzip`."""
    near = is_loopback(access.server) or access.name == IN_CLUSTER_NAME
    return "identity" if near or access.cluster.get("disable-compression") else "gzip"


def _impersonation(access: ClusterAccess) -> dict[str, str]:
    """`as`, `as-uid` and `as-groups` of a kubeconfig user, which must not be dropped silently."""
    groups = access.user.get("as-groups") or []
    if len(groups) > 1 or access.user.get("as-user-extra"):
        raise ConfigError(
            f"{access.label}: several as-groups or as-user-extra are not supported",
            hint=f"use a user of its own in {access.origin}",
        )
    headers = {
        "Impersonate-User": access.user.get("as"),
        "Impersonate-Uid": access.user.get("as-uid"),
        "Impersonate-Group": groups[0] if groups else None,
    }
    return {header: str(value) for header, value in headers.items() if value}
