"""Repository URLs: what is allowed, and when two spellings mean one repository. Pure."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

import msgspec

from driftd.errors import SourceError

_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])\Z"
)
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@-]{0,63}\Z")
_SCP = re.compile(r"(?:(?P<user>[^@:/\s]+)@)?(?P<host>[^@:/\s]+):(?P<path>(?!//).*)\Z")
_DEFAULT_PORTS = {"https": 443, "ssh": 22}
_ALLOWED_HINT = "use an https:// or ssh:// URL, or git@host:path"


class RepositoryURL(msgspec.Struct, frozen=True):
    """A remote repository that driftd agrees to talk to."""

    scheme: str
    """`https` or `ssh`."""
    host: str
    """Lower case; an IPv6 address keeps its brackets."""
    port: int
    path: str
    """Without a leading slash, as written otherwise."""
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"RepositoryURL({self.url!r})"

    @property
    def origin(self) -> str:
        """Scheme, host and port: what a credential is bound to."""
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"

    @property
    def url(self) -> str:
        """The URL for git and for messages: never with a password."""
        if self.scheme == "https":
            return f"{self.origin}/{self.path}"
        origin = self.origin.removeprefix("ssh://")
        user = f"{self.user}@" if self.user else ""
        return f"ssh://{user}{origin}/{self.path}"


def parse(text: str) -> RepositoryURL:
    """The parsed URL of a remote repository.

    Only https and ssh (also `git@host:path`) are allowed; hosts, users and paths that git
    or ssh could take for an option are refused. Raises `SourceError`.
    """
    shown = printable(text)
    if not text or text != text.strip() or any(ord(c) < 0x21 or ord(c) == 0x7F for c in text):
        raise SourceError(f"repository URL {shown!r} has spaces or control characters")
    if "://" not in text:
        return _parse_scp(text)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise SourceError(f"repository URL {shown!r} is malformed", hint=_ALLOWED_HINT) from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise SourceError(
            f"repository URL {shown!r} uses the scheme {parts.scheme!r}, which is not allowed",
            hint=_ALLOWED_HINT,
        )
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    if parts.query or parts.fragment:
        raise SourceError(f"repository URL {shown!r} has a query or fragment; remove it")
    return _checked(
        RepositoryURL(
            parts.scheme,
            host.lower(),
            port if port is not None else _DEFAULT_PORTS[parts.scheme],
            parts.path.lstrip("/"),
            unquote(parts.username or ""),
            unquote(parts.password or ""),
        ),
        shown,
    )


def _parse_scp(text: str) -> RepositoryURL:
    shown = printable(text)
    match = _SCP.match(text)
    if match is None or "::" in text:
        raise SourceError(f"{shown!r} is not a repository URL", hint=_ALLOWED_HINT)
    path = match["path"].lstrip("/")
    return _checked(
        RepositoryURL("ssh", match["host"].lower(), 22, path, match["user"] or ""), shown
    )


def _checked(url: RepositoryURL, shown: str) -> RepositoryURL:
    if not _HOST.match(url.host):
        raise SourceError(f"repository URL {shown!r} has an invalid host", hint=_ALLOWED_HINT)
    if url.scheme == "ssh" and url.user and not _USER.match(url.user):
        raise SourceError(f"repository URL {shown!r} has an invalid user", hint=_ALLOWED_HINT)
    segments = url.path.split("/")
    if not url.path or url.path.startswith("-") or ".." in segments:
        raise SourceError(f"repository URL {shown!r} has an invalid path", hint=_ALLOWED_HINT)
    return url


def identity(text: str) -> str:
    """A key that is equal for all spellings of one repository.

    Scheme, user, password, default port, a trailing `/` or `.git` and the case of the host
    do not matter. Anything that is no remote URL (a path) is its own key.
    """
    text = text.strip()
    try:
        url = parse(text)
    except SourceError:
        return text.rstrip("/") or text
    port = "" if url.port == _DEFAULT_PORTS[url.scheme] else f":{url.port}"
    return f"{url.host}{port}/{url.path.rstrip('/').removesuffix('.git').rstrip('/')}"


_AZURE_SSH = ("ssh.dev.azure.com", "vs-ssh.visualstudio.com")


def provider_key(text: str) -> str:
    """Like `identity`, as the servers that post webhooks see it; empty for no remote URL.

    To all of them the case of a path does not matter (here: of ASCII letters), and Azure DevOps
    has other paths for ssh than for https. Raises nothing.
    """
    try:
        url = parse(text)
    except SourceError:
        return ""
    host, path = url.host, url.path.rstrip("/").removesuffix(".git").rstrip("/")
    segments = path.split("/")
    if host in _AZURE_SSH and len(segments) == 4 and segments[0].lower() == "v3":
        _, organisation, project, repository = segments
        host, path = "dev.azure.com", f"{organisation}/{project}/_git/{repository}"
    port = "" if url.port == _DEFAULT_PORTS[url.scheme] else f":{url.port}"
    lowered = "".join(c.lower() if c.isascii() else c for c in path)
    return f"{host}{port}/{lowered}"


def public(text: str) -> str:
    """The repository's URL for reports: without user and password (of ssh: without password)."""
    try:
        return parse(text).url
    except SourceError:
        return printable(re.sub(r"://[^/@\s]*@", "://", text))


def printable(text: str) -> str:
    """`text` for a message: no password, control characters escaped, at most 200 long."""
    text = re.sub(r"(://[^/@:\s]*):[^/@\s]*@", r"\1@", text)
    if len(text) > 200:
        text = text[:199] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
