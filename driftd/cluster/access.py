"""How one cluster is reached: server and credentials, in the words of a kubeconfig.

Contexts, cluster Secrets of Argo CD and the service account of a Pod all become a
`ClusterAccess`, so that one piece of code (`connection.py`) opens them.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from driftd.errors import ConfigError

SERVICE_ACCOUNT_DIR = Path("/var/run/secrets/kubernetes.io/serviceaccount")
IN_CLUSTER_NAME = "in-cluster"


class ClusterAccess(msgspec.Struct, frozen=True):
    """Server and credentials of one cluster; printing it shows no credential."""

    name: str
    """For people: the context, the cluster Secret's name, or `in-cluster`."""
    server: str
    cluster: dict[str, Any] = {}
    """The `cluster` entry of a kubeconfig, with absolute paths."""
    user: dict[str, Any] = {}
    """The `user` entry of a kubeconfig, with absolute paths."""
    origin: str = ""
    """Where it stands, for error texts: a kubeconfig file or a Secret."""

    def __repr__(self) -> str:
        return f"ClusterAccess({self.label})"

    def __rich_repr__(self) -> Any:
        yield "name", self.name
        yield "server", self.server

    @property
    def label(self) -> str:
        """The cluster as every message names it."""
        return f"cluster {self.name} ({self.server})"

    @property
    def credential_hint(self) -> str:
        """What to renew when the API server does not accept the credential."""
        where = f" in {self.origin}" if self.origin else ""
        if "exec" in self.user:
            command = self.user["exec"].get("command", "")
            return f"log in again with the credential plugin {command!r}{where}"
        if "tokenFile" in self.user:
            return f"renew the token file {self.user['tokenFile']}"
        if self.user.get("token"):
            return f"the token{where} is wrong or has expired: put a new one there"
        if "client-certificate" in self.user or "client-certificate-data" in self.user:
            return f"the client certificate{where} is not accepted or has expired: renew it"
        return f"there is no usable credential{where}: add a token, certificate or exec plugin"


def decode_base64(data: str, field: str, origin: str) -> bytes:
    """`data` decoded; raises ConfigError naming `field` and `origin`, never the content."""
    try:
        return base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigError(
            f"{origin}: {field} is not valid base64", hint="encode it again"
        ) from error


def in_cluster_access(
    environ: Mapping[str, str] | None = None, directory: Path = SERVICE_ACCOUNT_DIR
) -> ClusterAccess | None:
    """The service account of the Pod that this process runs in; `None` outside a Pod."""
    environ = os.environ if environ is None else environ
    host = environ.get("KUBERNETES_SERVICE_HOST", "")
    port = environ.get("KUBERNETES_SERVICE_PORT", "")
    token = directory / "token"
    if not host or not port or not token.is_file():
        return None
    if ":" in host:
        host = f"[{host}]"
    server = f"https://{host}:{port}"
    return ClusterAccess(
        name=IN_CLUSTER_NAME,
        server=server,
        cluster={"server": server, "certificate-authority": str(directory / "ca.crt")},
        user={"tokenFile": str(token)},
        origin=str(directory),
    )
