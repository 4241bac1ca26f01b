"""Namespaces that new objects go to although neither Git nor the cluster has them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from driftd.aio import gather_isolated
from driftd.controller.observed import ClusterView
from driftd.controller.preview_pairs import Pair, Touched, declared_by
from driftd.errors import ClusterError
from driftd.model.condition import Condition, Severity
from driftd.model.counts import counted
from driftd.model.preview import Action, ApplicationPreview

NAMESPACE_NOT_FOUND: Final = "NamespaceNotFound"
NAMESPACE_UNKNOWN: Final = "NamespaceUnknown"
_NAMESPACE: Final = ("", "Namespace")
_ALWAYS: Final = frozenset({"", "default", "kube-node-lease", "kube-public", "kube-system"})
"""No namespace, and those that every cluster has."""
_READS: Final = 8


class Absent(NamedTuple):
    """The namespaces of new objects that are not there."""

    names: frozenset[str] = frozenset()
    """Those that neither Git nor the cluster has."""
    doubtful: frozenset[str] = frozenset()
    """Those that may be there."""
    why: str = ""
    """Why that is not known."""


Stand = Callable[[Sequence[Pair]], Awaitable[None]]
"""Notes what applications that were not rendered declare."""


async def absent_namespaces(
    objects: Iterable[Touched],
    pairs: Sequence[Pair],
    view: ClusterView | None,
    stand: Stand,
    *,
    every: bool,
) -> Absent:
    """The namespaces that new objects go to and that are not there.

    `pairs` are all applications of the cluster, and `every` says whether they are: if not, or if
    one of them cannot be rendered, what Git declares is not known for certain. Where the cluster
    cannot tell, only namespaces count that no application was in at the base.
    """
    wanted = {one.key.namespace for one in objects if one.old is None and one.new is not None}
    wanted -= _ALWAYS | _declared(pairs)
    if not wanted:
        return Absent()
    there, problem = await _existing(view, wanted)
    used = _used(pairs)
    open_ = {name for name, is_there in there.items() if is_there is False}
    open_ |= {name for name, is_there in there.items() if is_there is None and name not in used}
    if not open_:
        return Absent()
    await stand([one for one in pairs if one.new is None and one.standing is None])
    open_ -= _declared(pairs)
    if not (every and all(_is_known(one) for one in pairs)):
        return Absent(doubtful=frozenset(open_), why="not all that Git declares is known")
    names = frozenset(name for name in open_ if there[name] is False)
    return Absent(names, frozenset(open_) - names, problem)


def _declared(pairs: Iterable[Pair]) -> set[str]:
    """The namespaces that applications declare with the change, or that their syncs create."""
    pairs = list(pairs)
    found = {key.name for key in declared_by(pairs).after if (key.group, key.kind) == _NAMESPACE}
    return found | {one.after.application.created_namespace for one in pairs if one.after}


def _used(pairs: Iterable[Pair]) -> set[str]:
    """The namespaces that applications were in at the base."""
    pairs = list(pairs)
    found = {key.namespace for key in declared_by(pairs).before}
    return found | {
        one.before.application.spec.destination.namespace for one in pairs if one.before
    }


def _is_known(pair: Pair) -> bool:
    """Whether all that an application declares with the change is known."""
    if pair.unseen:
        return False
    return pair.stands or pair.new_complete


async def _existing(
    view: ClusterView | None, names: Collection[str]
) -> tuple[dict[str, bool | None], str]:
    """Whether the cluster has each namespace; None where it cannot tell, and why it cannot."""
    unknown: dict[str, bool | None] = dict.fromkeys(names)
    if view is None or view.discovery is None:
        return unknown, "the cluster is not read"
    resource = view.discovery.preferred(*_NAMESPACE)
    if resource is None:
        return unknown, "the cluster does not tell its namespaces"
    order = sorted(names)
    answers = await gather_isolated(
        lambda name: view.reader.get(resource, "", name), order, limit=_READS, isolate=ClusterError
    )
    found, problem = unknown, ""
    for name, answer in zip(order, answers, strict=True):
        if isinstance(answer, Exception):
            problem = str(answer)
        else:
            found[name] = answer is not None
    return found, problem


def absent_conditions(
    pair: Pair, objects: Iterable[Touched], absent: Absent
) -> Iterator[Condition]:
    """What is to be known of an application that has new objects in such namespaces."""
    count: dict[str, int] = {}
    for one in objects:
        if one.owner is pair and one.old is None and one.new is not None:
            count[one.key.namespace] = count.get(one.key.namespace, 0) + 1
    for name in sorted(count.keys() & absent.names):
        text = (
            f"namespace {name} is not on the cluster, and Git does not declare it: the API server "
            f"refuses the {counted(count[name], 'object')} that the change puts there; "
            f"{_remedy(pair, name)}"
        )
        yield Condition(NAMESPACE_NOT_FOUND, text, Severity.WARNING)
    for name in sorted(count.keys() & absent.doubtful):
        text = (
            f"nothing that is known declares namespace {name}, and whether it exists is not known "
            f"({absent.why}): without it the API server refuses the "
            f"{counted(count[name], 'object')} that the change puts there; {_remedy(pair, name)}"
        )
        yield Condition(NAMESPACE_UNKNOWN, text, Severity.WARNING)


def _remedy(pair: Pair, name: str) -> str:
    application = pair.entry.application
    declare = f"declare Namespace {name} in Git"
    if name != application.spec.destination.namespace:
        created = application.created_namespace
        return (
            f"{declare}: of this application a sync creates {created} alone" if created else declare
        )
    if application.flux is None:
        return f"{declare}, or set CreateNamespace=true in spec.syncPolicy.syncOptions"
    if application.flux.kind == "HelmRelease":
        return f"{declare}, or set spec.install.createNamespace to true"
    return declare


def with_absent(report: ApplicationPreview, absent: Absent) -> ApplicationPreview:
    """The same application; new objects of namespaces that are not there are refused."""
    resources = []
    for one in report.resources:
        if one.action is Action.CREATE and one.namespace in absent.names:
            reason = f"namespace {one.namespace} does not exist"
            one = msgspec.structs.replace(one, action=Action.REFUSE, reason=reason)
        resources.append(one)
    return msgspec.structs.replace(report, resources=tuple(resources))
