"""How repositories are reached, as settings say it: what their files hold becomes data."""

from __future__ import annotations

from pathlib import Path

from driftd.model.repository import AccessTable, GitHubApp, RepositoryAccess
from driftd.settings.load import load, read_secret
from driftd.settings.types import RepositoryLogin


def load_access(path: Path) -> AccessTable:
    """What `repositoryAccess` of a settings file says; its files lie beside it.

    Raises ConfigError.
    """
    return access_table(load(path).repository_access, path.parent, str(path))


def access_table(
    logins: tuple[RepositoryLogin, ...], folder: Path | None = None, origin: str = "settings"
) -> AccessTable:
    """The entries with what their files hold. Raises ConfigError naming entry and file."""

    def secret(file: str, purpose: str) -> str:
        return read_secret(str((folder or Path()) / file), purpose) if file else ""

    entries = []
    for number, one in enumerate(logins):
        place = f"repositoryAccess[{number}]"
        app = one.github_app
        entries.append(
            RepositoryAccess(
                url=one.url,
                type=one.type,
                template=one.template,
                name=one.name,
                project=one.project,
                username=one.username,
                password=secret(one.password_file, f"{place}.passwordFile"),
                bearer_token=secret(one.bearer_token_file, f"{place}.bearerTokenFile"),
                ssh_private_key=secret(one.ssh_key_file, f"{place}.sshKeyFile"),
                known_hosts=secret(one.known_hosts_file, f"{place}.knownHostsFile"),
                ca=secret(one.ca_file, f"{place}.caFile"),
                client_certificate=secret(
                    one.client_certificate_file, f"{place}.clientCertificateFile"
                ),
                client_key=secret(one.client_key_file, f"{place}.clientKeyFile"),
                github_app=None
                if app is None
                else GitHubApp(
                    app_id=app.app_id,
                    installation_id=app.installation_id,
                    private_key=secret(app.private_key_file, f"{place}.githubApp.privateKeyFile"),
                    base_url=app.base_url,
                ),
                insecure=one.insecure,
                plain_http=one.plain_http,
                oci=one.oci or one.type == "oci",
                lfs=one.lfs,
                submodules=one.submodules,
                paths=one.paths,
                proxy=one.proxy,
                no_proxy=one.no_proxy,
                origin=f"{origin}: {place}",
            )
        )
    return AccessTable(entries=tuple(entries))
