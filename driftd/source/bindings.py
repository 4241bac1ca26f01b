"""Which repository an Application's source is read from: a repoURL in, a binding out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from driftd.errors import SourceError
from driftd.source.url import identity, parse, printable


class Checkout(msgspec.Struct, frozen=True):
    """A local repository and the URLs that its remotes name."""

    path: str
    remotes: tuple[str, ...] = ()


class Binding(msgspec.Struct, frozen=True):
    """Where a repoURL is read: a local path, or (path empty) the remote URL itself."""

    path: str
    url: str
    note: str = ""


class RepositoryMap(msgspec.Struct, frozen=True, kw_only=True):
    """What the user said about repositories (`--repo`), as data."""

    checkouts: tuple[Checkout, ...] = ()
    """`--repo PATH`; the first is the one that holds the Applications."""
    pairs: dict[str, str] = {}
    """`--repo URL=PATH`, by the URL as written."""
    own: tuple[str, ...] = ()
    """URLs that the checkout's own Applications name, where all sources are also a hub's."""
    remote: bool = False
    """Whether URLs without a checkout are fetched."""

    def bind(self, repo_url: str, all_urls: Iterable[str]) -> Binding:
        """The repository of one source; `all_urls` are those of all sources of all applications.

        Raises `SourceError` with the flag that settles it.
        """
        wanted = identity(repo_url)
        for url, path in self.pairs.items():
            if identity(url) == wanted:
                return Binding(path, repo_url)
        for checkout in self.checkouts:
            if _is_path_of(repo_url, checkout.path):
                return Binding(checkout.path, repo_url)
            if any(identity(remote) == wanted for remote in checkout.remotes):
                return Binding(checkout.path, repo_url)
        if self.remote:
            parse(repo_url)
            return Binding("", repo_url)
        names = {identity(url) for url in all_urls} | {wanted}
        own = {identity(url) for url in self.own}
        alone = own == {wanted} or (len(names) == 1 and (not own or wanted in own))
        if alone and len(self.checkouts) == 1:
            path = self.checkouts[0].path
            whose = "of the checkout's own Applications " if own else ""
            note = f"all sources {whose}name {printable(repo_url)}, which is taken to be {path}"
            return Binding(path, repo_url, note)
        raise SourceError(
            f"no checkout is known for the repository {printable(repo_url)}{self._remotes()}",
            hint=f"give it with --repo {printable(repo_url)}=PATH, let --fetch fetch it, or name "
            "the applications to look at, by names or patterns such as 'production/*'",
            reason="UnknownRepository",
        )

    def _remotes(self) -> str:
        """What the first checkout calls itself: a fork or another spelling explains itself."""
        if not self.checkouts:
            return ""
        names = sorted(printable(url) for url in self.checkouts[0].remotes)
        own = sorted(printable(url) for url in self.own)
        named = f"; its own Applications name {', '.join(own[:3])}" if own and own != names else ""
        return f" (remotes of the checkout: {', '.join(names[:3]) or 'none'}{named})"


def parse_repo_flags(flags: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """`--repo` values as (paths, {URL: path}). Raises `SourceError` for an empty half."""
    paths: list[str] = []
    pairs: dict[str, str] = {}
    for flag in flags:
        url, equals, path = flag.rpartition("=")
        is_url = "://" in url or ("@" in url and ":" in url)
        if not equals or (not is_url and Path(flag).exists()):
            paths.append(flag)
        elif url and path:
            pairs[url] = path
        else:
            raise SourceError(
                f"--repo {printable(flag)!r} is neither a path nor URL=PATH",
                hint="for example --repo https://github.com/example/gitops.git=../gitops",
            )
    return paths, pairs


def _is_path_of(text: str, path: str) -> bool:
    if text.startswith("file://"):
        text = text.removeprefix("file://")
    elif "://" in text:
        return False
    return text.rstrip("/") == path.rstrip("/") or (
        text.startswith(("/", "./", "../", "~")) and real(text) == real(path)
    )


def real(path: str) -> Path:
    """A path without links, whatever its form."""
    return Path(path).expanduser().resolve()
