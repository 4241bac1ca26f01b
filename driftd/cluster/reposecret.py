"""Argo CD's repository Secrets, credential templates, host keys and certificates. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import msgspec

from driftd.cluster.access import decode_base64
from driftd.errors import ConfigError
from driftd.model.repository import GitHubApp, RepositoryAccess

_Field: TypeAlias = Callable[[str], str]

REPOSITORY = "repository"
TEMPLATE = "repo-creds"

_UNSUPPORTED = {
    "gcpServiceAccountKey": "gcpServiceAccountKey",
    "azureServicePrincipalClientId": "an Azure service principal",
    "useAzureWorkloadIdentity": "Azure workload identity",
}
"""Ways to log in that need a cloud's own token exchange, with their names."""


class _Meta(msgspec.Struct, frozen=True):
    name: str
    namespace: str = ""
    labels: dict[str, str] = {}


class _Secret(msgspec.Struct, frozen=True):
    metadata: _Meta
    data: dict[str, str] = {}


def parse_repository_secret(body: bytes, *, template: bool) -> RepositoryAccess:
    """Read a repository Secret (or credential template) as the API server serves it.

    Raises ConfigError naming the Secret and the field, never a value.
    """
    secret = msgspec.json.decode(body, type=_Secret)
    origin = f"repository Secret {secret.metadata.namespace}/{secret.metadata.name}"

    def text(name: str) -> str:
        return decode_base64(secret.data.get(name, ""), name, origin).decode(errors="replace")

    def field(name: str) -> str:
        return text(name).strip()

    def switch(*names: str) -> bool:
        return any(field(name).lower() in {"true", "1", "t"} for name in names)

    url = field("url")
    if not url:
        raise ConfigError(f"{origin}: url is missing", hint="Argo CD needs it too")
    kind = _kind(field("type"), origin)
    return RepositoryAccess(
        url=url,
        type=kind,
        template=template,
        name=field("name"),
        project=field("project"),
        username=field("username"),
        password=field("password"),
        bearer_token=field("bearerToken"),
        ssh_private_key=text("sshPrivateKey"),
        github_app=_github_app(field, text, origin),
        client_certificate=text("tlsClientCertData"),
        client_key=text("tlsClientCertKey"),
        insecure=switch("insecure", "insecureIgnoreHostKey"),
        plain_http=switch("insecureOCIForceHttp", "insecureOciForceHttp"),
        oci=switch("enableOCI", "enableOci") or kind == "oci",
        lfs=switch("enableLfs"),
        proxy=field("proxy"),
        no_proxy=field("noProxy"),
        unsupported=tuple(
            dict.fromkeys(
                name for key, name in _UNSUPPORTED.items() if field(key) not in {"", "false"}
            )
        ),
        origin=origin,
    )


def _kind(text: str, origin: str) -> Literal["git", "helm", "oci"]:
    match text or "git":
        case "git":
            return "git"
        case "helm":
            return "helm"
        case "oci":
            return "oci"
    raise ConfigError(f"{origin}: type {text!r} is none of git, helm and oci")


def _github_app(field: _Field, text: _Field, origin: str) -> GitHubApp | None:
    app, key = field("githubAppID"), text("githubAppPrivateKey")
    if not app and not key.strip():
        return None
    if not app or not key.strip():
        raise ConfigError(f"{origin}: githubAppID and githubAppPrivateKey go together")
    return GitHubApp(
        app_id=app,
        private_key=key,
        installation_id=field("githubAppInstallationID"),
        base_url=field("githubAppEnterpriseBaseUrl"),
    )


def host_keys(data: Mapping[str, str]) -> str:
    """The `known_hosts` lines of `argocd-ssh-known-hosts-cm`."""
    return data.get("ssh_known_hosts", "")


def host_certificates(data: Mapping[str, str]) -> dict[str, str]:
    """PEM by host name, of `argocd-tls-certs-cm`."""
    return {host.lower(): pem for host, pem in data.items() if "-----BEGIN" in pem}
