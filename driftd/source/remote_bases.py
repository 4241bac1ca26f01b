"""Remote bases of kustomizations: fetched here, where there is a network, and laid into the tree.

Only what the operator lists is fetched, each file by https and pinned by its digest: rendering
stays without a network, and what is rendered is what somebody has looked at.
"""

from __future__ import annotations

import asyncio
import hashlib
import posixpath
import ssl
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from driftd.errors import ConfigError, DriftdError
from driftd.model.tree import Tree
from driftd.source.egress import Egress, Reach, origin_of
from driftd.source.url import printable

LIMIT = 10 << 20
"""Bytes that a remote base may have."""
SECONDS = 60.0
FOLDER = ".driftd/remote"
"""Where fetched bases lie in a tree; what the repository itself has there is left out."""

_NAMES = frozenset({"kustomization.yaml", "kustomization.yml", "Kustomization"})


class RemoteBase(msgspec.Struct, frozen=True):
    """A file that kustomizations name by its URL."""

    url: str
    """As the kustomization writes it."""
    sha256: str
    """The digest that the file must have, 64 hex digits."""

    def checked(self) -> RemoteBase:
        """The base itself, if it can be fetched at all. Raises ConfigError."""
        shown = printable(self.url)
        if urlsplit(self.url).scheme != "https":
            raise ConfigError(f"the remote base {shown} is not allowed", hint="use an https:// URL")
        if len(self.sha256) != 64 or not set(self.sha256) <= set("0123456789abcdef"):
            raise ConfigError(
                f"the remote base {shown} has no digest",
                hint="set sha256 to the 64 hex digits that `curl URL | sha256sum` prints",
            )
        return self


class RemoteBases:
    """The remote bases that an operator allows; each is fetched once."""

    def __init__(
        self,
        bases: Sequence[RemoteBase],
        egress: Egress,
        *,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """`trust` is for their servers; None is the system's.

        Raises ConfigError for a base that cannot be fetched.
        """
        self._trust = trust
        self._bases = tuple(base.checked() for base in bases)
        self._egress = egress
        self._fetches: dict[RemoteBase, asyncio.Task[bytes]] = {}

    async def added(self, tree: Tree) -> tuple[Tree, list[str]]:
        """The tree with the bases that its kustomizations name, and why others are not there."""
        named = [base for base in self._bases if _names(tree, base.url)]
        fetched = await asyncio.gather(*map(self._content, named), return_exceptions=True)
        contents: dict[RemoteBase, bytes] = {}
        problems = []
        for base, content in zip(named, fetched, strict=True):
            if isinstance(content, bytes):
                contents[base] = content
            elif isinstance(content, DriftdError):
                problems.append(content.message)
            else:
                raise content
        return (with_bases(tree, contents) if contents else tree), problems

    async def _content(self, base: RemoteBase) -> bytes:
        fetch = self._fetches.get(base)
        if fetch is None or (fetch.done() and (fetch.cancelled() or fetch.exception())):
            fetch = self._fetches[base] = asyncio.create_task(self._fetched(base))
        return await asyncio.shield(fetch)

    async def _fetched(self, base: RemoteBase) -> bytes:
        what = f"remote base {printable(base.url)}"
        reach = Reach(origin_of(base.url), ssl=self._trust)
        answer = await self._egress.ask(base.url, reach, what=what, limit=LIMIT, seconds=SECONDS)
        found = hashlib.sha256(answer.body).hexdigest()
        if found != base.sha256:
            raise ConfigError(
                f"{what} has another digest than the settings say, {found}; "
                "it is not used: look at what has changed there, then correct sha256"
            )
        return answer.body


def with_bases(tree: Tree, contents: dict[RemoteBase, bytes]) -> Tree:
    """A tree in which remote bases are folders of their own, and which names them by URL."""
    inside = f"{FOLDER}/"
    files = {path: data for path, data in tree.files.items() if not path.startswith(inside)}
    remotes = {}
    for base, content in sorted(contents.items(), key=lambda one: one[0].url):
        folder = f"{FOLDER}/{base.sha256}"
        name = posixpath.basename(urlsplit(base.url).path) or "base"
        if name in _NAMES or not name.endswith((".yaml", ".yml", ".json")):
            name = "base.yaml"
        files[f"{folder}/kustomization.yaml"] = f"resources: [{name!r}]\n".encode()
        files[f"{folder}/{name}"] = content
        remotes[base.url] = folder
    links = {path: to for path, to in tree.links.items() if not path.startswith(inside)}
    named = repr(sorted(remotes.items())).encode()
    return msgspec.structs.replace(
        tree,
        id=f"{tree.id}+{hashlib.sha256(named).hexdigest()[:16]}",
        files=files,
        links=links,
        remotes=remotes,
    )


def _names(tree: Tree, url: str) -> bool:
    """Whether a kustomization of the tree names a URL; more than that is for the sandbox."""
    wanted = url.encode()
    return any(
        wanted in data for path, data in tree.files.items() if posixpath.basename(path) in _NAMES
    )
