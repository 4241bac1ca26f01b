"""Reads submodules where an operator has asked for them, each through its own login."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Callable

import msgspec

from driftd.errors import SourceError
from driftd.model.tree import Tree
from driftd.source.mirror import GitMirror
from driftd.source.objects import TreeLimits, too_large, too_many_files
from driftd.source.process import Git, GitFailed
from driftd.source.url import parse, printable

DEPTH = 2
"""Levels of submodules in submodules; deeper ones stay unread."""
_SETTING = re.compile(r"submodule\.(?P<name>.*)\.(?P<key>path|url)\Z", re.DOTALL)


async def with_submodules(
    tree: Tree,
    url: str,
    git: Git,
    open_mirror: Callable[[str], GitMirror],
    limits: TreeLimits,
    depth: int = DEPTH,
) -> Tree:
    """The tree with the files of its submodules at the commits that it names.

    `url` is the repository's own, for relative ones; `git` reads `.gitmodules` and nothing else.
    Raises SourceError naming the submodule.
    """
    if not tree.gitlinks or not depth:
        return tree
    places = await _places(tree, git)
    files, links = dict(tree.files), dict(tree.links)
    unread: list[str] = []
    digest = hashlib.sha256(tree.id.encode())
    for path, sha in sorted(tree.gitlinks.items()):
        name = f"submodule {printable(path)}"
        if path not in places:
            raise SourceError(f"{name} is not in .gitmodules", hint="add it, or remove the link")
        try:
            target = joined(url, places[path])
            inner = await open_mirror(target).tree(sha)
            inner = await with_submodules(inner, target, git, open_mirror, limits, depth - 1)
        except SourceError as error:
            told = SourceError(f"{name}: {error}", hint=error.hint, reason=error.reason)
            told.disposition = error.disposition
            raise told from None
        files |= {f"{path}/{file}": data for file, data in inner.files.items()}
        links |= {f"{path}/{link}": to for link, to in inner.links.items()}
        unread += [f"{path}/{one}" for one in inner.submodules]
        digest.update(f"\0{path}\0{inner.id}".encode())
    if len(files) > limits.files:
        raise too_many_files(printable(url), limits)
    if sum(map(len, files.values())) > limits.size:
        raise too_large(printable(url), limits)
    return msgspec.structs.replace(
        tree,
        id=f"{tree.id}+modules:{digest.hexdigest()[:32]}",
        files=files,
        links=links,
        submodules=tuple(unread),
    )


async def _places(tree: Tree, git: Git) -> dict[str, str]:
    """The URL of each submodule, by its path."""
    try:
        output = await git.run(
            "config", "--no-includes", "--file", "-", "-z",
            "--get-regexp", r"^submodule\..*\.(path|url)$",
            stdin=tree.files.get(".gitmodules", b""), limit=1 << 20,
        )  # fmt: skip
    except GitFailed:
        return {}
    found: dict[str, dict[str, str]] = {}
    for line in output.decode("utf-8", "replace").split("\0")[:-1]:
        key, _, value = line.partition("\n")
        setting = _SETTING.match(key)
        if setting is not None:
            found.setdefault(setting["name"], {})[setting["key"]] = value
    return {one["path"]: one["url"] for one in found.values() if len(one) == 2}


def joined(base: str, url: str) -> str:
    """The URL of a submodule, which may be relative to its repository's. Raises SourceError."""
    if not url.startswith(("./", "../")):
        return parse(url).url
    own = parse(base)
    path = posixpath.normpath(posixpath.join(own.path, url))
    if path.startswith("..") or path == ".":
        raise SourceError(f"its URL {printable(url)!r} leads out of the server")
    return msgspec.structs.replace(own, path=path, password="").url
