"""How repositories are reached, as settings say it: what their files hold becomes data."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from driftd.errors import ConfigError
from driftd.model.repository import AccessTable, GitHubApp, RepositoryAccess
from driftd.settings.load import load, read_secret
from driftd.settings.types import RemoteBaseFile, RepositoryLogin, Settings

_ALIKE = tuple(
    field
    for field in RepositoryAccess.__struct_fields__
    if field in RepositoryLogin.__struct_fields__ and field not in ("github_app", "oci")
)
"""The fields of a login that hold no secrets: they mean the same in the settings and as data."""


def load_access(path: Path | None, hub: AccessTable | None = None) -> AccessTable:
    """What `repositoryAccess` of a settings file says, its files beside it, before the hub.

    Raises ConfigError.
    """
    own = AccessTable()
    if path is not None:
        own = access_table(load(path).repository_access, path.parent, str(path))
    return own.joined(hub) if hub is not None else own


def allowed_bases(path: Path | None) -> tuple[RemoteBaseFile, ...]:
    """The remote bases that a settings file allows. Raises ConfigError."""
    return load(path).remote_bases if path is not None else ()


def access_table(
    logins: tuple[RepositoryLogin, ...],
    folder: Path | None = None,
    origin: str = "settings",
    place: str = "repositoryAccess",
) -> AccessTable:
    """The entries with what their files hold. Raises ConfigError naming entry and file."""

    def secret(file: str, purpose: str) -> str:
        return read_secret(str((folder or Path()) / file), purpose) if file else ""

    entries = []
    for number, one in enumerate(logins):
        at = f"{place}[{number}]"
        app = one.github_app
        entries.append(
            RepositoryAccess(
                **{name: getattr(one, name) for name in _ALIKE},
                password=secret(one.password_file, f"{at}.passwordFile"),
                bearer_token=secret(one.bearer_token_file, f"{at}.bearerTokenFile"),
                ssh_private_key=secret(one.ssh_key_file, f"{at}.sshKeyFile"),
                known_hosts=secret(one.known_hosts_file, f"{at}.knownHostsFile"),
                ca=secret(one.ca_file, f"{at}.caFile"),
                client_certificate=secret(
                    one.client_certificate_file, f"{at}.clientCertificateFile"
                ),
                client_key=secret(one.client_key_file, f"{at}.clientKeyFile"),
                github_app=None
                if app is None
                else GitHubApp(
                    app_id=app.app_id,
                    installation_id=app.installation_id,
                    private_key=secret(app.private_key_file, f"{at}.githubApp.privateKeyFile"),
                    base_url=app.base_url,
                ),
                oci=one.oci or one.type == "oci",
                origin=f"{origin}: {at}",
            )
        )
    return AccessTable(entries=tuple(entries))


class DaemonAccess:
    """The table of a daemon: its settings before the hub, their files read anew at each look."""

    def __init__(self, settings: Settings, hub: AccessTable | None) -> None:
        self.hub = hub
        """What the hub said last; None without one."""
        self.use: Callable[[AccessTable], None] = lambda _table: None
        """Who is told of a new table."""
        self._settings = settings

    def table(self) -> AccessTable:
        """The table now. Raises ConfigError naming entry and file."""
        own = access_table(self._settings.repository_access)
        homes = access_table(
            tuple(
                RepositoryLogin(
                    url=one.url,
                    username=one.credentials.username,
                    password_file=one.credentials.password_file,
                    ssh_key_file=one.credentials.ssh_key_file,
                    known_hosts_file=one.credentials.known_hosts_file,
                )
                for one in self._settings.repositories
                if one.url
            ),
            place="repositories",
        )
        # An entry of one's own says more than the credentials beside a repository.
        table = own.joined(homes)
        return table.joined(self.hub) if self.hub is not None else table

    def renew(self) -> None:
        """Use what the files say now; while one is missing, what they said before."""
        with suppress(ConfigError):
            self.use(self.table())
