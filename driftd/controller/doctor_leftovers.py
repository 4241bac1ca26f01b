"""Which kinds of a cluster a look can search for objects that Git dropped."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from typing import Final

from driftd.aio import gather_isolated
from driftd.cluster.discovery import display_name
from driftd.cluster.reader import ApiResource, Discovery
from driftd.controller.leftovers import searchable
from driftd.errors import ClusterError, Forbidden

_PROBES: Final = 8
_PLACE: Final = "\0"
_NAMED: Final = 5
_CAUSES: Final = 3
"""Causes that are told; servers may word each failure differently."""


async def searched_kinds(
    may_list: Callable[[ApiResource], Awaitable[None]],
    discovery: Discovery,
    excluded: Callable[[str, str], bool],
) -> str:
    """How many kinds may be listed in the whole cluster, and which may not, with the reason.

    `may_list` raises ClusterError where one may not.
    """
    kinds = searchable(discovery, excluded)
    answers = await gather_isolated(may_list, kinds, limit=_PROBES, isolate=ClusterError)
    refused: list[ApiResource] = []
    failed: list[tuple[str, ClusterError]] = []
    for kind, answer in zip(kinds, answers, strict=True):
        if isinstance(answer, Forbidden):
            refused.append(kind)
        elif isinstance(answer, ClusterError):
            failed.append((display_name(kind), answer))
    seen = len(kinds) - len(refused) - len(failed)
    text = f"kinds that are searched for objects that Git dropped: {seen} of {len(kinds)}"
    if refused:
        text += f"; may not list {_names(refused)} in the whole cluster"
    return "; ".join((text, *causes(failed)))


def causes(failed: Iterable[tuple[str, ClusterError]]) -> Iterator[str]:
    """Why places could not be listed, those of one cause together.

    Each is given as its error's words name it (`pods`, `pods in namespace shop`).
    """
    alike: dict[str, list[str]] = {}
    for place, error in failed:
        alike.setdefault(error.message.replace(place, _PLACE), []).append(place)
    causes = sorted(alike.items(), key=lambda cause: -len(cause[1]))
    for words, places in causes[:_CAUSES]:
        named = places[:1] if _PLACE not in words else places[:_NAMED]
        more = f" and {len(places) - len(named)} more" if len(places) > len(named) else ""
        if _PLACE in words:
            yield words.replace(_PLACE, ", ".join(named) + more, 1).replace(_PLACE, places[0])
        else:
            yield f"{words} ({named[0]}{more})"
    if rest := sum(len(places) for _, places in causes[_CAUSES:]):
        yield f"{rest} more cannot be listed for other reasons"


def _names(kinds: Collection[ApiResource]) -> str:
    # Kinds of Kubernetes itself first: Secrets are the ones that a role leaves out.
    ordered = sorted(kinds, key=lambda kind: ("." in kind.group, display_name(kind)))
    names = [display_name(kind) for kind in ordered]
    rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + rest
