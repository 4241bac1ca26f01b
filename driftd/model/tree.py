"""A repository's files at one revision, as they travel to the sandbox."""

from __future__ import annotations

import msgspec


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
