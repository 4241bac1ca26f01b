"""Which entry counts for a repository, and what becomes of it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from driftd.errors import SourceError
from driftd.model.repository import AccessTable, RepositoryAccess
from driftd.source.access import (
    CredentialFiles,
    authorization,
    find_access,
    named_origins,
    reach_of,
    tls_context,
)
from tests.testbed.webserver import Tls


def entry(url: str, *, template: bool = False, **fields: object) -> RepositoryAccess:
    """An entry, its user named by its URL."""
    values = {"username": f"user of {url}", **fields}
    return RepositoryAccess(url=url, template=template, **values)  # type: ignore[arg-type]


def user(*entries: RepositoryAccess, url: str, kind: str = "git", project: str = "p") -> str:
    """Who logs in; empty for nobody."""
    found = find_access(AccessTable(entries=entries), url, kind, project)  # type: ignore[arg-type]
    return "" if found is None else found.username


def test_the_repository_itself_counts_first_however_it_is_written() -> None:
    """Spellings of one git repository are one; the template counts only where it has no login."""
    own = entry("https://git.example.com/team/app.git")
    template = entry("https://git.example.com/team", template=True)
    url = "https://GIT.example.com/team/app"
    assert user(template, own, url=url) == own.username
    bare = entry("https://git.example.com/team/app", username="", insecure=True)
    assert user(template, bare, url=url) == template.username
    lent = find_access(AccessTable(entries=(template, bare)), url, "git", "p")
    assert lent is not None
    assert lent.insecure


def test_the_longest_prefix_wins() -> None:
    """Of several templates the one that says most of the URL counts."""
    short = entry("https://git.example.com/", template=True)
    long = entry("https://git.example.com/team/", template=True)
    assert user(short, long, url="https://git.example.com/team/app") == long.username
    assert user(short, long, url="https://git.example.com/other/app") == short.username


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example.com.evil.org/team/app",
        "https://git.example.community/team/app",
        "https://git.example.com:8443/team/app",
        "http://git.example.com/team/app",
        "https://evil.org/git.example.com/team/app",
    ],
)
def test_a_prefix_never_reaches_another_origin(url: str) -> None:
    """Scheme, host and port are the template's, whatever the text begins with."""
    for written in ("https://git.example.com", "https://git.example.com/team"):
        assert user(entry(written, template=True), url=url) == ""
        helm = entry(written, template=True, type="helm")
        assert user(helm, url=url, kind="helm") == ""


def test_ssh_templates() -> None:
    """`git@host:path` and `ssh://` are one form, as templates too."""
    template = entry("git@git.example.com:team", template=True)
    assert user(template, url="git@git.example.com:team/app.git") == template.username
    assert user(template, url="ssh://git@git.example.com/team/app") == template.username
    assert user(template, url="https://git.example.com/team/app") == ""


def test_projects_and_kinds_are_kept_apart() -> None:
    """An entry of a project counts first for it and never for another; git is not Helm."""
    common = entry("https://x.example.com/r", type="helm")
    scoped = entry("https://x.example.com/r", type="helm", project="p", username="scoped")
    assert user(common, scoped, url="https://x.example.com/r", kind="helm") == "scoped"
    assert user(scoped, url="https://x.example.com/r", kind="helm", project="q") == ""
    assert user(common, url="https://x.example.com/r") == ""


@pytest.mark.parametrize(
    "written", ["oci://r.example.com/team", "r.example.com/team", "R.example.com/team/"]
)
def test_registries_with_and_without_scheme_are_one(written: str) -> None:
    """Argo CD writes registries without scheme, other tools with `oci://`."""
    one = entry(written, type="helm", oci=True)
    for url in ("oci://r.example.com/team", "r.example.com/team"):
        assert user(one, url=url, kind="oci") == one.username


def test_a_login_that_is_not_supported_is_said() -> None:
    """The error names way, place and remedy."""
    one = entry(
        "https://x.example.com/r", unsupported=("Azure workload identity",), origin="Secret s"
    )
    with pytest.raises(SourceError, match=r"Azure workload identity \(Secret s\)") as error:
        user(one, url="https://x.example.com/r")
    assert "token" in error.value.hint


def test_trust_of_the_table_is_filled_in() -> None:
    """Host keys and certificates of the hub count where the entry has none."""
    table = AccessTable(
        entries=(entry("https://x.example.com/r"),),
        known_hosts="keys",
        certificates={"x.example.com": "PEM"},
    )
    found = find_access(table, "https://x.example.com/r", "git", "p")
    assert found is not None
    assert (found.known_hosts, found.ca) == ("keys", "PEM")


def test_headers() -> None:
    """User and password are Basic, a bearer token is Bearer, nothing is nothing."""
    assert authorization(entry("u", username="a", password="b")) == "Basic YTpi"
    assert authorization(entry("u", username="", bearer_token="t")) == "Bearer t"
    assert authorization(entry("u", username="")) == ""


def test_contexts_of_tls(tls: Tls) -> None:
    """Authorities and client certificates are loaded; broken ones are named, not shown."""
    good = entry("https://x", ca=tls.ca.read_text(), client_certificate=tls.client.read_text())
    context = tls_context(good)
    assert context is not None
    assert len(context.get_ca_certs()) == 1
    assert tls_context(entry("https://x")) is None
    assert "hunter2" not in repr(reach_of("https://x", entry("https://x", password="hunter2")))
    for broken in ({"ca": "hunter2"}, {"client_certificate": "hunter2"}):
        with pytest.raises(SourceError, match=r"Secret s: a certificate or key") as error:
            tls_context(entry("https://x", origin="Secret s", **broken))
        assert "hunter2" not in error.value.message


def test_named_origins() -> None:
    """What an operator names is known by scheme, host and port; templates name nothing."""
    table = AccessTable(
        entries=(
            entry("https://a.example.com/x"),
            entry("oci://b.example.com:5000/x", type="oci"),
            entry("git@c.example.com:x"),
            entry("https://d.example.com", template=True),
        )
    )
    assert named_origins(table) == {
        "https://a.example.com:443",
        "https://b.example.com:5000",
        "http://b.example.com:5000",
    }


def test_files_of_credentials_are_private_and_go_away() -> None:
    """Only this user reads them, the same content is one file, and closing removes all."""
    files = CredentialFiles()
    path = Path(files.write("KEY"))
    assert files.write("KEY") == str(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.read_text() == "KEY\n"
    files.close()
    assert not path.parent.exists()
