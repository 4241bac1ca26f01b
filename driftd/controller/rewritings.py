"""Branches whose history was rewritten since the last look: told with each application of theirs.

What is compared is what Git says now. But no look may pass over that it does not come from what
was compared before: somebody pushed with force, or a server answers with something older.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from driftd.controller.check import Looked
from driftd.errors import DriftdError
from driftd.model.condition import Condition, Severity
from driftd.model.report import published
from driftd.source.repositories import Repositories
from driftd.source.rewriting import is_rewritten
from driftd.source.url import public
from driftd.sync.revisions import sources
from driftd.telemetry.logs import get_logger

REWRITTEN: Final = "HistoryRewrittenWarning"
"""The condition's type."""
_SHORT: Final = 10
_KEPT: Final = 256


@dataclass(frozen=True, slots=True)
class Move:
    """A source that was compared at one commit and is at another now."""

    url: str
    project: str
    """Whose credentials read it."""
    revision: str
    """What the Application names: a branch, a tag, HEAD or empty."""
    old: str
    new: str


IsRewritten = Callable[[Move], Awaitable[bool]]
"""Whether the new commit is not made from the old one. Raises DriftdError."""


def by_git(
    repositories: Callable[[], Repositories], urls: Callable[[], frozenset[str]]
) -> IsRewritten:
    """What asks the repositories of the moment; `urls` are all that something is read from."""

    async def ask(move: Move) -> bool:
        repository = await repositories().repository(move.url, urls(), move.project)
        return await is_rewritten(repository, move.revision, move.old, move.new)

    return ask


@dataclass(slots=True)
class Rewritings:
    """What each source was compared at, and which of them stand on a rewritten history."""

    is_rewritten: IsRewritten
    _seen: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """By application: the last revision of each source, by what names the source."""
    _standing: dict[str, dict[str, Condition]] = field(default_factory=dict)
    """By application and source: told until the branch goes on."""
    _answers: dict[Move, bool] = field(default_factory=dict)

    async def judged(self, looked: Looked) -> Looked:
        """The same look, with a condition for each source whose history was rewritten."""
        application = looked.desired.entry.application
        name, now = application.qualified_name, sources(application, looked.report.revisions)
        if not now:
            return looked
        before, standing = self._seen.get(name, {}), self._standing.get(name, {})
        told: dict[str, Condition] = {}
        for source, new in now.items():
            old = before.get(source, new)
            if old == new:
                told |= {source: standing[source]} if source in standing else {}
                continue
            url, revision = source.split("|")[:2]
            move = Move(url, application.spec.project, revision, old, new)
            if await self._asked(move):
                told[source] = _condition(move)
        self._seen[name], self._standing[name] = now, told
        if not told:
            return looked
        conditions = (*looked.report.conditions, *published(list(told.values())))
        report = msgspec.structs.replace(looked.report, conditions=conditions)
        return replace(looked, report=report)

    def only(self, names: Collection[str]) -> None:
        """Forget applications that are not among these."""
        for gone in self._seen.keys() - set(names):
            del self._seen[gone], self._standing[gone]

    async def _asked(self, move: Move) -> bool:
        if move not in self._answers:
            try:
                answer = await self.is_rewritten(move)
            except DriftdError as error:
                log = get_logger("driftd.controller")
                log.debug("history", repository=public(move.url), problem=error.message)
                return False
            while len(self._answers) >= _KEPT:
                del self._answers[next(iter(self._answers))]
            self._answers[move] = answer
        return self._answers[move]


def _condition(move: Move) -> Condition:
    return Condition(
        REWRITTEN,
        f"the history of {move.revision or 'HEAD'} of {public(move.url)} was rewritten: revision "
        f"{move.new[:_SHORT]} does not come from {move.old[:_SHORT]}, which was compared before; "
        "if nobody meant that, push the old revision again",
        Severity.WARNING,
    )
