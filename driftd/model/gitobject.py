"""Git's own objects as they are stored, for those who must see every byte."""

from __future__ import annotations

import msgspec


class GitObject(msgspec.Struct, frozen=True):
    """A commit or an annotated tag."""

    id: str
    """The full id that it was asked for by; nobody has checked that the bytes have it."""
    kind: str
    """`commit`, `tag`, `tree` or `blob`."""
    data: bytes


class AnnotatedTag(msgspec.Struct, frozen=True):
    """What a revision names, if that is an annotated tag."""

    name: str
    """Without `refs/tags/`."""
    id: str
    """The id of the tag object, not of the commit that it points to."""


class Addition(msgspec.Struct, frozen=True):
    """The files that a commit brought into a repository, renamed ones apart."""

    commit: str
    """The full id."""
    date: str
    """The committer's, YYYY-MM-DD."""
    files: frozenset[str]
    """Paths in the repository."""
