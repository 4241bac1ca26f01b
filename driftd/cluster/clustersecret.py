"""Argo CD's cluster Secrets: the clusters that a hub deploys to. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from driftd.cluster.access import ClusterAccess, decode_base64
from driftd.errors import ConfigError

LABEL = "argocd.argoproj.io/secret-type"


class HubCluster(msgspec.Struct, frozen=True):
    """One cluster Secret; printing it shows no credential."""

    name: str
    server: str
    access: ClusterAccess
    secret: str
    """`namespace/name` of the Secret."""
    namespaces: tuple[str, ...] = ()
    """If not empty, the only namespaces that Argo CD manages there."""
    cluster_resources: bool = False
    """With `namespaces`: whether cluster-scoped kinds are managed all the same."""
    project: str = ""


class TlsClientConfig(msgspec.Struct, frozen=True, rename="camel"):
    """`tlsClientConfig`; the data fields are base64."""

    insecure: bool = False
    server_name: str = ""
    ca_data: str = ""
    cert_data: str = ""
    key_data: str = ""


class ExecProviderConfig(msgspec.Struct, frozen=True, rename="camel"):
    """`execProviderConfig`."""

    command: str = ""
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    api_version: str = ""
    install_hint: str = ""


class ClusterConfig(msgspec.Struct, frozen=True, rename="camel"):
    """The `config` field of a cluster Secret."""

    username: str = ""
    password: str = ""
    bearer_token: str = ""
    tls_client_config: TlsClientConfig = TlsClientConfig()
    aws_auth_config: dict[str, Any] | None = None
    exec_provider_config: ExecProviderConfig | None = None
    proxy_url: str = ""
    disable_compression: bool = False


class _Meta(msgspec.Struct, frozen=True):
    name: str
    namespace: str = ""


class _Secret(msgspec.Struct, frozen=True):
    metadata: _Meta
    data: dict[str, str] = {}


def parse_cluster_secret(body: bytes, *, allow_exec: bool = False) -> HubCluster:
    """Read a cluster Secret as the API server serves it.

    `allow_exec`: whether its credential plugin may be run on this machine. Raises
    ConfigError naming the Secret and the field, never a value.
    """
    secret = msgspec.json.decode(body, type=_Secret)
    origin = f"cluster Secret {secret.metadata.namespace}/{secret.metadata.name}"

    def field(name: str) -> str:
        return decode_base64(secret.data.get(name, ""), name, origin).decode(errors="replace")

    server = field("server").strip()
    if not server:
        raise ConfigError(f"{origin}: server is missing", hint="Argo CD needs it too")
    try:
        config = msgspec.json.decode(field("config") or "{}", type=ClusterConfig)
    except msgspec.MsgspecError as error:
        # The parser's text may quote a credential.
        raise ConfigError(f"{origin}: config is not the JSON that Argo CD defines") from error
    name = field("name").strip() or server
    return HubCluster(
        name=name,
        server=server,
        access=_access(name, server, config, origin, allow_exec=allow_exec),
        secret=f"{secret.metadata.namespace}/{secret.metadata.name}",
        namespaces=tuple(part.strip() for part in field("namespaces").split(",") if part.strip()),
        cluster_resources=field("clusterResources").strip().lower() == "true",
        project=field("project").strip(),
    )


def _access(
    name: str, server: str, config: ClusterConfig, origin: str, *, allow_exec: bool
) -> ClusterAccess:
    map_it = f"map it to a context of your own with --cluster {server}=CONTEXT"
    if config.aws_auth_config is not None:
        raise ConfigError(f"{origin}: awsAuthConfig is not supported", hint=map_it)
    if config.exec_provider_config is not None and not allow_exec:
        raise ConfigError(
            f"{origin}: execProviderConfig would run "
            f"{config.exec_provider_config.command!r} on this machine, which is not allowed",
            hint=map_it,
        )
    tls = config.tls_client_config
    cluster = {
        "server": server,
        "certificate-authority-data": tls.ca_data,
        "tls-server-name": tls.server_name,
        "insecure-skip-tls-verify": tls.insecure,
        "proxy-url": config.proxy_url,
        "disable-compression": config.disable_compression,
    }
    user: dict[str, Any] = {
        "token": config.bearer_token,
        "username": config.username,
        "password": config.password,
        "client-certificate-data": tls.cert_data,
        "client-key-data": tls.key_data,
    }
    plugin = config.exec_provider_config
    if plugin is not None:
        user["exec"] = {
            "command": plugin.command,
            "args": list(plugin.args),
            "env": [{"name": key, "value": value} for key, value in plugin.env.items()],
            "apiVersion": plugin.api_version,
            "installHint": plugin.install_hint,
        }
    return ClusterAccess(
        name=name,
        server=server,
        cluster={key: value for key, value in cluster.items() if value},
        user={key: value for key, value in user.items() if value},
        origin=origin,
    )
