"""Finds what is known of a repository, and turns it into ways to log in.

The rules are Argo CD's: an entry of exactly this repository counts first; if it has no credential,
the template with the longest URL that this one begins with lends its own. Beyond that, scheme,
host and port of a template must be the repository's, so that no prefix reaches another host.
"""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec

from driftd.errors import SourceError
from driftd.model.repository import AccessTable, RepositoryAccess
from driftd.scratch import ScratchFolder
from driftd.source.egress import Reach, origin_of
from driftd.source.url import identity, parse, printable

Kind: TypeAlias = Literal["git", "helm", "oci"]

_CREDENTIAL = (
    "username",
    "password",
    "bearer_token",
    "ssh_private_key",
    "github_app",
    "client_certificate",
    "client_key",
    "unsupported",
)
_LENT = ("insecure", "plain_http", "oci", "ca", "known_hosts", "proxy", "no_proxy")


def find_access(table: AccessTable, url: str, kind: Kind, project: str) -> RepositoryAccess | None:
    """What is known of a repository for an application of `project`; None if nothing is.

    `kind` is `oci` for charts and artifacts of registries. The entry's certificate authorities
    and host keys are filled in. Raises SourceError for a way to log in that driftd does not have.
    """
    usable = [
        one
        for one in table.entries
        if one.project in {"", project} and (one.type == "git") == (kind == "git")
    ]
    wanted = _canonical(url, kind)
    exact = [one for one in usable if not one.template and _canonical(one.url, kind) == wanted]
    found = max(exact, key=lambda one: one.project != "", default=None)
    if found is None or not found.logs_in:
        template = _template(usable, url, kind)
        if template is not None:
            found = template if found is None else _lend(template, found)
    if found is None:
        return None
    if found.unsupported:
        raise SourceError(
            f"{printable(url)}: {', '.join(found.unsupported)} ({found.origin}) is a way to log in "
            "that driftd does not have",
            hint="give a user name and a token in the repository settings",
            reason="UnsupportedCredential",
        )
    return msgspec.structs.replace(
        found,
        ca=found.ca or table.certificates.get(_host(url), ""),
        known_hosts=found.known_hosts or table.known_hosts,
    )


def share_of(access: RepositoryAccess | None) -> str:
    """Names who may read what was fetched with an entry: those that use the same one."""
    return "" if access is None else f"{access.origin} {access.url} {access.project}"


def trusted_certificate(table: AccessTable, url: str) -> str:
    """The PEM that all repositories of a host are verified with; empty if there is none."""
    return table.certificates.get(_host(url), "")


def named_origins(table: AccessTable) -> frozenset[str]:
    """Scheme, host and port of everything that the operator named, templates left out."""
    found: set[str] = set()
    for one in table.entries:
        urls = [one.url] if not one.template else []
        if one.github_app is not None and one.github_app.base_url:
            urls.append(one.github_app.base_url)
        for url in urls:
            bare = url.removeprefix("oci://")
            spellings = [bare] if "://" in bare else [f"https://{bare}", f"http://{bare}"]
            for spelling in spellings:
                try:
                    found.add(origin_of(spelling))
                except SourceError:
                    continue  # ssh, or no URL at all
    return frozenset(found)


def git_origins(table: AccessTable) -> frozenset[str]:
    """Scheme, host and port of every Git repository that the operator named, templates left out."""
    found = set()
    for one in table.entries:
        if one.template or one.type != "git":
            continue
        try:
            found.add(parse(one.url).origin)
        except SourceError:
            continue  # not to be reached at all
    return frozenset(found)


def _template(entries: list[RepositoryAccess], url: str, kind: Kind) -> RepositoryAccess | None:
    wanted, origin = _prefix_form(url, kind)
    fitting = []
    for one in entries:
        if one.template:
            prefix, its_origin = _prefix_form(one.url, kind)
            if origin and origin == its_origin and wanted.startswith(prefix):
                fitting.append((len(prefix), one))
    return max(fitting, key=lambda pair: pair[0])[1] if fitting else None


def _lend(template: RepositoryAccess, entry: RepositoryAccess) -> RepositoryAccess:
    """The entry with the template's credential, and its switches where the entry has none."""
    values = {name: getattr(template, name) for name in _CREDENTIAL}
    values |= {name: getattr(entry, name) or getattr(template, name) for name in _LENT}
    return msgspec.structs.replace(entry, **values)


def _canonical(url: str, kind: Kind) -> str:
    if kind == "git":
        return identity(url)
    scheme, separator, rest = url.rpartition("://")
    host, slash, path = rest.rpartition("@")[2].rstrip("/").partition("/")
    # `oci://` is written or left out; http and https are two repositories.
    kept = "" if scheme == "oci" else f"{scheme}{separator}"
    return f"{kept}{host.lower()}{slash}{path}"


def _prefix_form(url: str, kind: Kind) -> tuple[str, str]:
    """A URL as prefixes are compared, and the origin that must be the same."""
    if kind == "git":
        try:
            parsed = parse(url)
        except SourceError:
            return _bare_origin(url)
        return f"{parsed.origin}/{parsed.path}", parsed.origin
    canonical = _canonical(url, kind)
    scheme, separator, rest = canonical.rpartition("://")
    return canonical, f"{scheme}{separator}{rest.partition('/')[0]}"


def _bare_origin(url: str) -> tuple[str, str]:
    """A template that is a host alone, which is no repository's URL."""
    try:
        parsed = parse(f"{url.rstrip('/')}/x")
    except SourceError:
        return url, ""
    return f"{parsed.origin}/", parsed.origin


def _host(url: str) -> str:
    if "://" not in url:
        try:
            return parse(url).host
        except SourceError:
            url = f"oci://{url}"
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def authorization(access: RepositoryAccess) -> str:
    """The header that logs in over http; empty without a credential."""
    if access.username or access.password:
        pair = f"{access.username}:{access.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"
    return f"Bearer {access.bearer_token}" if access.bearer_token else ""


def reach_of(url: str, access: RepositoryAccess | None, certificate: str = "") -> Reach:
    """How an http or https repository is talked to; `certificate` is PEM to trust without entry.

    Raises SourceError for certificates and keys that cannot be read.
    """
    origin = origin_of(url)
    if access is None:
        context = None
        if certificate and origin.startswith("https:"):
            context = tls_context(RepositoryAccess(url=url, ca=certificate))
        return Reach(origin, ssl=context)
    return Reach(
        origin,
        authorization=authorization(access),
        ssl=tls_context(access) if origin.startswith("https:") else None,
        proxy=access.proxy,
        no_proxy=access.no_proxy,
    )


def tls_context(access: RepositoryAccess) -> ssl.SSLContext | None:
    """Trust and client certificate of a repository; None where the system's trust is enough."""
    if not (access.ca or access.client_certificate or access.insecure):
        return None
    place = access.origin or printable(access.url)
    try:
        context = ssl.create_default_context(cadata=access.ca or None)
        if access.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if access.client_certificate:
            # The library reads a client certificate from files alone.
            with tempfile.TemporaryDirectory(prefix="driftd-tls-") as folder:
                pair = Path(folder) / "client.pem"
                with open(pair, "x", opener=_private) as file:
                    file.write(f"{access.client_certificate.strip()}\n{access.client_key}\n")
                context.load_cert_chain(pair)
    except (ssl.SSLError, ValueError) as error:
        words = error.reason if isinstance(error, ssl.SSLError) else type(error).__name__
        raise SourceError(
            f"{place}: a certificate or key of TLS cannot be read ({words})",
            hint="they are PEM, the key without password",
            reason="InvalidCredential",
        ) from None
    return context


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class CredentialFiles:
    """Files that git and ssh read credentials from, in a folder that only this user opens."""

    def __init__(self) -> None:
        self._folder: ScratchFolder | None = None
        self._known: dict[str, str] = {}

    def write(self, content: str) -> str:
        """The path of a file with this content; the same content is one file."""
        if content not in self._known:
            if self._folder is None:
                self._folder = ScratchFolder("driftd-access-")
            path = self._folder.path / str(len(self._known))
            with open(path, "x", opener=_private) as file:
                file.write(content if content.endswith("\n") else f"{content}\n")
            self._known[content] = str(path)
        return self._known[content]

    def close(self) -> None:
        """Remove them all."""
        self._known.clear()
        if self._folder is not None:
            self._folder.close()
            self._folder = None
