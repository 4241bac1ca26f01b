"""A repository's files at one revision, as they travel to the sandbox."""

from __future__ import annotations

import msgspec

from driftd.model.application import ApplicationSource


class Tree(msgspec.Struct, frozen=True):
    """Files of one Git tree, read without a checkout.

    `id` names the content (Git's tree id, or a digest for a work tree); equal ids mean
    equal files, so workers and caches may key on it.
    """

    id: str
    files: dict[str, bytes]
    """Path from the repository's root, with `/`, to blob bytes."""
    links: dict[str, str] = {}
    """Symbolic links: path to target text, unresolved."""
    submodules: tuple[str, ...] = ()
    """Paths of submodules that were not read."""
    remotes: dict[str, str] = {}
    """Remote bases that were fetched: URL, as kustomizations write it, to a folder of `files`."""
    gitlinks: dict[str, str] = {}
    """The commits that submodules stand at, by path; read or not."""
    folders: dict[str, str] = {}
    """Git's tree id of each folder: an equal id means that nothing below has changed."""
    git: str = ""
    """Git's id of the commit's own tree, whatever was left out of it or added; else empty."""


class ResolvedSource(msgspec.Struct, frozen=True, kw_only=True):
    """One source of an Application with the files it resolved to."""

    source: ApplicationSource
    tree: Tree
    revision: str
    """The commit's full id, `<id>-dirty` for a work tree."""
    repo_url: str
    """As the Application writes it."""
    index: int = 0
    """Position among the Application's sources."""
    tag: str = ""
    """The full name of the tag that a range of versions came to; empty without a range."""
    stale: str = ""
    """Why the revision may be older than the remote's, and since when; empty if it is not."""
    git_tree: str = ""
    """Id of the commit's own tree, to which `tree` may add the charts that it depends on."""
