"""How repositories are reached: what Argo CD's repository Secrets and settings say, as data."""

from __future__ import annotations

from typing import Literal

import msgspec


class GitHubApp(msgspec.Struct, frozen=True, kw_only=True):
    """A GitHub App, which logs in by tokens that live for an hour."""

    app_id: str
    private_key: str
    """PEM, RSA."""
    installation_id: str = ""
    """Empty: asked of GitHub for the repository."""
    base_url: str = ""
    """The API's address of GitHub Enterprise; empty for github.com."""

    def __repr__(self) -> str:
        return f"GitHubApp(app_id={self.app_id!r})"


class RepositoryAccess(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one repository, or (`template`) of all whose URL begins like this.

    Its secrets go to the origin (scheme, host and port) of the URL alone and are never printed.
    """

    url: str
    type: Literal["git", "helm", "oci"] = "git"
    template: bool = False
    name: str = ""
    """What dependencies of charts call a Helm repository: `@name` or `alias:name`."""
    project: str = ""
    """The only project that may use it; empty for every one."""
    username: str = ""
    password: str = ""
    """Password or token."""
    bearer_token: str = ""
    ssh_private_key: str = ""
    github_app: GitHubApp | None = None
    client_certificate: str = ""
    """PEM, for TLS."""
    client_key: str = ""
    ca: str = ""
    """PEM of the certificate authorities to trust beside the system's; empty for these alone."""
    known_hosts: str = ""
    """The lines of a `known_hosts` file; empty for the user's own."""
    insecure: bool = False
    """Neither certificates nor host keys are verified: the operator's explicit wish."""
    plain_http: bool = False
    """An OCI registry is asked without TLS."""
    oci: bool = False
    """A Helm repository whose charts lie in an OCI registry."""
    lfs: bool = False
    """Pointers of Git LFS are replaced by what they point to."""
    submodules: bool = False
    """Submodules are read too."""
    paths: tuple[str, ...] = ()
    """Folders that are read of a Git repository; empty for all of it."""
    proxy: str = ""
    no_proxy: str = ""
    unsupported: tuple[str, ...] = ()
    """Ways to log in that the entry asks for and driftd does not have."""
    origin: str = ""
    """Where this was found, for messages."""

    def __repr__(self) -> str:
        return f"RepositoryAccess(url={self.url!r}, origin={self.origin!r})"

    @property
    def logs_in(self) -> bool:
        """Whether the entry has a credential of its own."""
        return bool(
            self.username
            or self.password
            or self.bearer_token
            or self.ssh_private_key
            or self.github_app
            or self.client_certificate
            or self.unsupported
        )


class AccessTable(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is known of repositories."""

    entries: tuple[RepositoryAccess, ...] = ()
    known_hosts: str = ""
    """Host keys of all ssh servers (`argocd-ssh-known-hosts-cm`); empty for the user's own."""
    certificates: dict[str, str] = {}
    """PEM by host name (`argocd-tls-certs-cm`)."""

    def joined(self, other: AccessTable) -> AccessTable:
        """Both; where they differ, this one counts first."""
        return AccessTable(
            entries=(*self.entries, *other.entries),
            known_hosts=self.known_hosts or other.known_hosts,
            certificates={**other.certificates, **self.certificates},
        )
