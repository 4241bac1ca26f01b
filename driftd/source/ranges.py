"""Ranges of semantic versions as revisions of Git: the highest tag that a range means.

A branch, tag or commit that is named as the range comes first; only what Git's names do not
allow (`^1.2`, `>=1.0 <2`), or no ref has (`1.x`), is looked for among the tags.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol, TypeAlias

import msgspec

from driftd.errors import SourceError
from driftd.model.application import ApplicationSource
from driftd.source.revision import TAGS
from driftd.source.url import printable

_RANGE = re.compile(r"[*^~<>=|,]|(?:^|\.)[xX](?:\.|$)|\d\s+(?:-\s+)?[vV]?\d")
_NO_REF = re.compile(r"[\x00-\x20~^:?*\[\\]")


def is_range(revision: str) -> bool:
    """Whether a revision reads as a range of versions: no branch, tag or digest is written so."""
    return _RANGE.search(revision) is not None


class Chosen(msgspec.Struct, frozen=True):
    """The version that a range means, and the highest there are."""

    version: str = ""
    """Empty where none is meant."""
    near: tuple[str, ...] = ()


Choose: TypeAlias = Callable[[Sequence[str], str, str], Awaitable[Chosen]]
"""Chooses among version names, for a range and a project. Raises SourceError for no range."""


class Tagged(Protocol):
    """A repository whose tags can be listed."""

    @property
    def name(self) -> str:
        """The repository in messages."""
        ...

    async def resolve(self, revision: str) -> str:
        """The commit id of a revision. Raises `SourceError`."""
        ...

    async def tags(self) -> Sequence[str]:
        """The names of all tags, without `refs/tags/`."""
        ...


class TagRanges:
    """What ranges mean, found once for all sources of a look."""

    def __init__(self, choose: Choose) -> None:
        self._choose = choose
        self._found: dict[tuple[Tagged, str, str], asyncio.Task[str]] = {}

    def forget(self) -> None:
        """Start a new look: there may be new tags."""
        self._found.clear()

    def forget_some(self, repositories: Collection[Tagged]) -> None:
        """Like `forget`, of some repositories."""
        self._found = {key: one for key, one in self._found.items() if key[0] not in repositories}

    async def revision(self, repository: Tagged, source: ApplicationSource, project: str) -> str:
        """The full name of the tag that a source's range means; empty where it has no range.

        Raises `SourceError` where no tag is meant.
        """
        wanted = source.target_revision.strip()
        if not (is_range(wanted) or (wanted and source.tag_prefix)):
            return ""
        key = (repository, wanted, source.tag_prefix)
        if key not in self._found:
            self._found[key] = asyncio.create_task(self._find(*key, project))
        return await asyncio.shield(self._found[key])

    async def _find(self, repository: Tagged, wanted: str, prefix: str, project: str) -> str:
        if not _NO_REF.search(wanted):
            try:
                await repository.resolve(wanted)
            except SourceError as error:
                if error.reason not in ("UnknownRevision", "InvalidRevision"):
                    raise
            else:
                return ""
        tags = await repository.tags()
        versions = {tag.removeprefix(prefix): tag for tag in tags if tag.startswith(prefix)}
        found = await self._choose(list(versions), wanted, project)
        if found.version:
            return f"{TAGS}{versions[found.version]}"
        among = f"tags that begin with {printable(prefix)}" if prefix else "tags"
        if found.near:
            hint = f"the highest of {len(versions)} are {', '.join(map(printable, found.near))}"
        else:
            hint = f"it has {len(versions)} such tags, and none is a semantic version"
        raise SourceError(
            f"{repository.name}: none of its {among} is a version that {printable(wanted)!r} means",
            hint=hint,
            reason="UnknownRevision",
        )
