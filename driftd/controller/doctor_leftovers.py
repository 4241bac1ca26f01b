"""Which kinds of a cluster a look can search for objects that Git dropped."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Final

from driftd.aio import gather_isolated
from driftd.cluster.discovery import display_name
from driftd.cluster.reader import ApiResource, Discovery
from driftd.controller.leftovers import searchable
from driftd.errors import ClusterError, Forbidden
from driftd.model.counts import counted

_PROBES: Final = 8
_NAMED: Final = 5


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
    failed: dict[str, list[ApiResource]] = {}
    for kind, answer in zip(kinds, answers, strict=True):
        if isinstance(answer, Forbidden):
            refused.append(kind)
        elif isinstance(answer, ClusterError):
            failed.setdefault(answer.message, []).append(kind)
    seen = len(kinds) - len(refused) - sum(map(len, failed.values()))
    text = f"kinds that are searched for objects that Git dropped: {seen} of {len(kinds)}"
    if refused:
        text += f"; may not list {_names(refused)} in the whole cluster"
    for why, of_kinds in failed.items():
        more = f" (and {counted(len(of_kinds) - 1, 'kind')} more)" if len(of_kinds) > 1 else ""
        text += f"; {why}{more}"
    return text


def _names(kinds: Collection[ApiResource]) -> str:
    # Kinds of Kubernetes itself first: Secrets are the ones that a role leaves out.
    ordered = sorted(kinds, key=lambda kind: ("." in kind.group, display_name(kind)))
    names = [display_name(kind) for kind in ordered]
    rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + rest
