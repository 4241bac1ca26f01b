"""What kubeconfigs and cluster Secrets may ask of a daemon beyond server, certificates and token.

`driftd check` does what kubectl does with the same file. A daemon runs unwatched, with rights of
its own: there everything else needs the operator's word in the settings. Pure but for paths.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from driftd.cluster.access import ClusterAccess
from driftd.cluster.proxy import is_loopback
from driftd.errors import ConfigError
from driftd.settings.types import ClusterPermissions

_FILES: Final = (
    ("cluster", "certificate-authority"),
    ("user", "client-certificate"),
    ("user", "client-key"),
    ("user", "tokenFile"),
)


def require_permitted(
    access: ClusterAccess, permitted: ClusterPermissions, folders: Iterable[Path], *, own: bool
) -> None:
    """Raise ConfigError for what the settings do not permit, naming origin and setting.

    `folders` are those of the kubeconfig's files: what lies beside it came with it. `own` says that
    the description is the operator's own file, and not a Secret of a hub.
    """
    for what, setting in _asked(access, permitted, folders, own=own):
        if setting:
            hint = f"clusters.allow.{setting} in the settings of driftd run permits it"
        else:
            hint = "use a token, a client certificate or an exec plugin"
        raise ConfigError(f"{access.label}: {access.origin}: {what} is not permitted", hint=hint)


def unverified(access: ClusterAccess) -> str:
    """Why nobody knows that the right server answers; empty where TLS proves it."""
    if access.server.startswith("http://"):
        return "" if is_loopback(access.server) else "it is reached without TLS"
    if access.cluster.get("insecure-skip-tls-verify"):
        return "its certificate is not verified (insecure-skip-tls-verify)"
    return ""


def _asked(
    access: ClusterAccess, permitted: ClusterPermissions, folders: Iterable[Path], *, own: bool
) -> Iterator[tuple[str, str]]:
    """What is asked for and not permitted, each with the setting that would; empty for none."""
    if "auth-provider" in access.user:
        yield "auth-provider, which Kubernetes has removed,", ""
    plugin = access.user.get("exec")
    if plugin is not None and not permitted.exec:
        command = plugin.get("command", "") if isinstance(plugin, dict) else ""
        yield f"to run the exec plugin {command!r}", "exec"
    yield from _files(access, permitted, folders)
    if access.cluster.get("proxy-url") and not permitted.proxies:
        yield "proxy-url", "proxies"
    scheme = urlsplit(access.server).scheme
    if scheme not in ("http", "https"):
        yield f"a server whose address begins with {scheme or 'no scheme'}", ""
    insecure = unverified(access) or ("" if own or scheme != "http" else "without TLS")
    if insecure and not permitted.insecure:
        field = "server http://" if scheme == "http" else "insecure-skip-tls-verify"
        yield field, "insecure"
    for place, url in (("server", access.server), ("proxy-url", access.cluster.get("proxy-url"))):
        if url and is_link_local(urlsplit(str(url)).hostname or "") and not permitted.link_local:
            yield f"{place} with a link-local address", "linkLocal"


def _files(
    access: ClusterAccess, permitted: ClusterPermissions, folders: Iterable[Path]
) -> Iterator[tuple[str, str]]:
    opened = [one.resolve() for one in (*folders, *map(Path, permitted.folders))]
    entries: dict[str, dict[str, Any]] = {"cluster": access.cluster, "user": access.user}
    for part, field in _FILES:
        path, inline = entries[part].get(field), entries[part].get(f"{field}-data")
        if not path or inline:
            continue
        real = Path(str(path)).resolve()
        if not any(real.is_relative_to(one) for one in opened):
            yield f"{field} {path}, which does not lie beside the kubeconfig,", "folders"


def is_link_local(host: str) -> bool:
    """Whether a host is an address of the link, where clouds give credentials to whoever asks."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return address.is_link_local or (mapped is not None and mapped.is_link_local)
