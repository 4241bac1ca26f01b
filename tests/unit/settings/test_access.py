"""How repositories are reached, from settings and the files that they name."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftd.errors import ConfigError
from driftd.model.repository import AccessTable, GitHubApp, RepositoryAccess
from driftd.settings.access import DaemonAccess, access_table, load_access
from driftd.settings.github import GitHubAppLogin
from driftd.settings.types import Credentials, Repository, RepositoryLogin, Settings

HUB = AccessTable(entries=(RepositoryAccess(url="https://hub.example.com/x"),))


def test_a_file_of_one_look_names_its_secrets_beside_itself(tmp_path: Path) -> None:
    """Relative files lie beside the settings; the hub's entries come after one's own."""
    (tmp_path / "token").write_text("hunter2\n")
    file = tmp_path / "access.yaml"
    file.write_text(
        "repositoryAccess:\n"
        "- {url: https://charts.example.com, type: helm, username: bot, passwordFile: token}\n"
    )
    table = load_access(file, HUB)
    assert [one.url for one in table.entries] == [
        "https://charts.example.com",
        "https://hub.example.com/x",
    ]
    assert (table.entries[0].password, table.entries[0].type) == ("hunter2", "helm")
    assert table.entries[0].origin == f"{file}: repositoryAccess[0]"
    assert load_access(None) == AccessTable()


def test_a_missing_secret_names_entry_and_file(tmp_path: Path) -> None:
    """The error says which field of which entry, and where it looked."""
    file = tmp_path / "access.yaml"
    file.write_text("repositoryAccess: [{url: https://x.example.com, passwordFile: nowhere}]\n")
    with pytest.raises(ConfigError, match=r"repositoryAccess\[0\]\.passwordFile.*nowhere"):
        load_access(file)


def test_a_daemon_reads_its_secrets_anew(tmp_path: Path) -> None:
    """A rotated secret counts from the next look on; while its file is gone, the old one does."""
    secret = tmp_path / "token"
    secret.write_text("one")
    login = RepositoryLogin(url="https://a.example.com/x", password_file=str(secret))
    home = Repository(url="https://b.example.com/x", credentials=Credentials(username="home"))
    access = DaemonAccess(Settings(repository_access=(login,), repositories=(home,)), HUB)
    told: list[AccessTable] = []
    access.use = told.append
    access.renew()
    assert [(one.username, one.password) for one in told[-1].entries] == [
        ("", "one"),
        ("home", ""),
        ("", ""),
    ]
    secret.write_text("two")
    access.renew()
    assert told[-1].entries[0].password == "two"
    secret.unlink()
    access.renew()
    assert len(told) == 2


def test_every_field_of_a_login_counts(tmp_path: Path) -> None:
    """Whatever a login sets, plain or by a file, the entry has; a new field is not forgotten."""
    (tmp_path / "secret").write_text("hunter2")
    plain = {
        "url": "oci://r.example.com/x", "type": "oci", "template": True, "name": "n",
        "project": "p", "username": "u", "insecure": True, "plain_http": True, "oci": True,
        "lfs": True, "submodules": True, "paths": ("a",), "proxy": "http://p", "no_proxy": "q",
    }  # fmt: skip
    files = {
        field: str(tmp_path / "secret")
        for field in RepositoryLogin.__struct_fields__
        if field.endswith("_file")
    }
    app = GitHubAppLogin(app_id="1", private_key_file=str(tmp_path / "secret"))
    assert {*plain, *files, "github_app"} == set(RepositoryLogin.__struct_fields__)
    (entry,) = access_table((RepositoryLogin(**plain, **files, github_app=app),)).entries
    assert {name: getattr(entry, name) for name in plain} == plain
    held = ("password", "bearer_token", "ssh_private_key", "known_hosts", "ca")
    for name in (*held, "client_certificate", "client_key"):
        assert getattr(entry, name) == "hunter2"
    assert entry.github_app == GitHubApp(app_id="1", private_key="hunter2")
