"""Whether a revision is older than one that was seen before, or not made from it. Pure.

What renders an older one reads from a server that lags, a cache, or a branch that was set back:
none of them is a person's word to undo what came after. To undo it, a person adds a commit.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Final

from driftd.model.application import Application, ApplicationSource

KEPT: Final = 50
"""Revisions of a source that are remembered."""


def sources(application: Application, revisions: tuple[str, ...]) -> Mapping[str, str]:
    """The revision of each source, by what names the source; empty where they do not fit."""
    found = application.spec.all_sources
    if len(found) != len(revisions):
        return {}
    return {
        _named(source): revision
        for source, revision in zip(found, revisions, strict=True)
        if revision
    }


def older(
    seen: Mapping[str, tuple[str, ...]],
    now: Mapping[str, str],
    ancestors: Mapping[str, frozenset[str]],
    rewritten: Container[str] = (),
) -> str:
    """Why what was rendered is older than what was seen before; empty if it is not.

    `ancestors` are known of some revisions: who is an ancestor of the newest one is older. Of the
    sources `rewritten` the branch does not come from what was seen: that is not newer either.
    """
    for source, revision in now.items():
        before = seen.get(source, ())
        if not before or revision == before[-1]:
            continue
        was_seen = revision in before
        if was_seen or revision in ancestors.get(before[-1], frozenset()):
            return (
                f"revision {revision[:10]} is older than {before[-1][:10]}, "
                f"which was seen before ({source.split('|')[0]})"
            )
        if source in rewritten:
            return (
                f"revision {revision[:10]} does not come from {before[-1][:10]}, which was seen "
                f"before: the history of {source.split('|')[0]} was rewritten"
            )
    return ""


def seen_with(
    seen: Mapping[str, tuple[str, ...]], now: Mapping[str, str]
) -> Mapping[str, tuple[str, ...]]:
    """What is remembered after a look; sources that are declared no longer are forgotten."""
    if not now:
        return seen
    return {
        source: (*(one for one in seen.get(source, ()) if one != revision), revision)[-KEPT:]
        for source, revision in now.items()
    }


def _named(source: ApplicationSource) -> str:
    """What a source is: another revision that a person writes into it makes it another one."""
    return f"{source.repo_url}|{source.target_revision}|{source.chart}|{source.path}"
