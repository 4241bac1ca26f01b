"""Repository URLs: what is allowed, and which spellings are one repository."""

from __future__ import annotations

import pytest

from driftd.errors import SourceError
from driftd.source.url import identity, parse, printable, public


@pytest.mark.parametrize(
    "url",
    [
        "--upload-pack=touch X",
        "-oProxyCommand=id",
        "ssh://-oProxyCommand=id/x",
        "ssh://-l@host/x",
        "git@-oProxyCommand=id:x",
        "ssh://host/-x",
        "ext::sh -c id",
        "ext::sh",
        "fd::17",
        "file:///etc",
        "git://example.com/x",
        "http://example.com/x",
        "ftp://example.com/x",
        "/var/lib/other",
        "../x",
        "https://",
        "https://example.com",
        "https://example.com/a/../b",
        "https://exa mple.com/x",
        "https://example.com/x\n",
        "https://example.com/x?y=1",
        "https://example.com:99999/x",
        "https://[::1/x",
        "",
    ],
)
def test_dangerous_urls_are_refused(url: str) -> None:
    """S-01, S-02, S-03: options, helpers, other schemes and odd hosts never reach git."""
    with pytest.raises(SourceError):
        parse(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://github.com/Org/repo.git", "https://github.com/Org/repo.git"),
        ("https://bot:hunter2@Example.com:8443/x", "https://example.com:8443/x"),
        ("git@github.com:org/repo.git", "ssh://git@github.com/org/repo.git"),
        ("ssh://git@example.com:2222/x", "ssh://git@example.com:2222/x"),
        ("https://[::1]:8443/x", "https://[::1]:8443/x"),
    ],
)
def test_allowed_urls(url: str, shown: str) -> None:
    """The schemes https and ssh are allowed; the URL for git never carries a password."""
    parsed = parse(url)
    assert parsed.url == shown
    assert "hunter2" not in repr(parsed)


@pytest.mark.parametrize(
    "spelling",
    [
        "https://github.com/org/repo",
        "https://github.com/org/repo.git",
        "https://github.com/org/repo/",
        "https://GitHub.com:443/org/repo.git",
        "https://me:secret@github.com/org/repo",
        "ssh://git@github.com/org/repo.git",
        "ssh://git@github.com:22/org/repo",
        "git@github.com:org/repo.git",
        "github.com:org/repo",
    ],
)
def test_spellings_of_one_repository(spelling: str) -> None:
    """Scheme, user, default port, `.git` and the host's case do not make another repository."""
    assert identity(spelling) == "github.com/org/repo"


@pytest.mark.parametrize(
    "other", ["https://github.com/org/Repo", "https://github.com:8443/org/repo", "/org/repo"]
)
def test_other_repositories(other: str) -> None:
    """Another path, its case included, or another port is another repository."""
    assert identity(other) != "github.com/org/repo"


def test_messages_hide_passwords_and_control_characters() -> None:
    """What is printed of a URL has no password, no escape sequence and a bounded length."""
    shown = printable("https://me:hunter2@example.com/\x1b[31m" + "x" * 500)
    assert "hunter2" not in shown
    assert shown.isprintable()
    assert len(shown) <= 210


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://bot:hunter2@example.com/a.git", "https://example.com/a.git"),
        ("https://hunter2@example.com/a.git", "https://example.com/a.git"),
        ("git@example.com:a/b.git", "ssh://git@example.com/a/b.git"),
        ("http://hunter2@example.com/a.git?x", "http://example.com/a.git?x"),
        ("/srv/git/a.git", "/srv/git/a.git"),
    ],
)
def test_public_urls_hold_no_credential(text: str, shown: str) -> None:
    """A report names a repository without password, and over https without a token as user."""
    assert public(text) == shown
