"""Remote repositories as they were read last, for as long as they cannot be reached."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Protocol

from driftd.clock import Clock, rfc3339
from driftd.errors import SourceError
from driftd.model.tree import Tree
from driftd.source.url import printable

STALE: Final = "StaleRevisionWarning"
"""A remote cannot be reached: what it said last is compared with."""
_UNREACHED: Final = frozenset({"Unreachable", "Timeout"})


class Readable(Protocol):
    """What is needed of a repository."""

    @property
    def name(self) -> str:
        """The repository in messages."""
        ...

    async def resolve(self, revision: str) -> str:
        """The commit id of a revision."""
        ...

    async def tree(self, sha: str) -> Tree:
        """All files of a commit."""
        ...


class LastGood:
    """The commit that each revision was last, and when that was known."""

    def __init__(self, clock: Clock | None) -> None:
        """Without a clock nothing is remembered: what cannot be reached is an error."""
        self._clock = clock
        self._good: dict[tuple[Readable, str], tuple[str, datetime]] = {}

    async def read(self, repository: Readable, revision: str) -> tuple[Tree, str, str]:
        """The files of a revision, its commit, and why these may be old; empty if they are not.

        Raises SourceError.
        """
        key = (repository, revision)
        try:
            sha = await repository.resolve(revision)
            tree = await repository.tree(sha)
        except SourceError as error:
            good = self._good.get(key)
            if good is None or error.reason not in _UNREACHED:
                raise
            sha, since = good
            stale = (
                f"{repository.name} cannot be read since {rfc3339(since)}; compared with "
                f"{printable(revision)} as it was then, {sha[:10]} ({error})"
            )
            return await repository.tree(sha), sha, stale
        if self._clock is not None:
            self._good[key] = (sha, self._clock.now())
        return tree, sha, ""
