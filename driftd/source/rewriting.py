"""Whether the history of a branch was rewritten: its new commit is not made from the old one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from driftd.source.objects import is_object_id

STEPS: Final = (50, 2_000)
"""Commits that are asked for, one after the other: most branches have moved on by a few."""


class Historical(Protocol):
    """A repository whose history can be read."""

    async def ancestors(self, sha: str, limit: int) -> Sequence[str]:
        """Commits from `sha` back, each before all of its parents, at most `limit`."""
        ...

    async def is_branch(self, name: str) -> bool:
        """Whether there is a branch of this short name."""
        ...

    async def is_cut(self) -> bool:
        """Whether commits may have parents that are not known here."""
        ...


async def is_rewritten(repository: Historical, revision: str, old: str, new: str) -> bool:
    """Whether what a revision names went from one commit to one that was not made from it.

    Only of branches that is odd: tags and ranges of versions name what they name. False where
    the history is not known far enough back. Raises SourceError.
    """
    if old == new or not (is_object_id(old) and is_object_id(new)):
        return False
    for limit in STEPS:
        commits = await repository.ancestors(new, limit)
        if old in commits:
            return False
        if len(commits) < limit:
            break
    else:
        return False
    if await repository.is_cut():
        return False
    short = revision.removeprefix("refs/heads/")
    return revision in ("", "HEAD") or short != revision or await repository.is_branch(short)
