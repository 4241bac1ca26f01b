"""Namespaces that Git stops declaring while it goes on to declare objects in them. Mostly pure.

Whoever prunes such a Namespace deletes everything in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
from msgspec import UNSET

from driftd.controller.preview_fate import ABSENT, keeps_its_own
from driftd.controller.preview_namespaces import Stand
from driftd.controller.preview_pairs import Pair, Touched
from driftd.model.condition import Severity
from driftd.model.counts import counted
from driftd.model.preview import Action, ApplicationPreview, ObjectPreview
from driftd.model.report import ReportCondition, ReportOrigin
from driftd.model.resource import ResourceKey

NAMESPACE_IN_USE: Final = "NamespaceInUse"
_NAMESPACE: Final = ("", "Namespace")
_NAMED: Final = 5
_WITH_DATA: Final = frozenset({"PersistentVolumeClaim", "StatefulSet"})
"""What is named first: more than an object is lost with it."""
_WORKLOADS: Final = frozenset({"CronJob", "DaemonSet", "Deployment", "Job"})
_UNDELETABLE: Final = frozenset({"default", "kube-public", "kube-system"})
"""Namespaces whose deletion every API server refuses."""


class Ended(NamedTuple):
    """The Namespaces that Git no longer declares."""

    inside: Mapping[str, tuple[ResourceKey, ...]] = {}
    """By namespace: what Git declares in it with the change, those with data first."""
    created: frozenset[str] = frozenset()
    """Those that a sync creates anew."""
    perhaps: frozenset[str] = frozenset()
    """Those that a Helm release may create anew."""


async def ended_namespaces(
    objects: Iterable[Touched], pairs: Sequence[Pair], stand: Stand
) -> Ended:
    """The Namespaces of `objects` that no application declares any more, with what is in them.

    `pairs` are all applications of the cluster. Of those that cannot be rendered nothing counts.
    """
    names = {one.key.name for one in objects if _ends(one)}
    if not names:
        return Ended()
    waiting = [one for one in pairs if one.new is None and one.standing is None and one.after]
    # Only so many are rendered: those that deploy there come first.
    waiting.sort(key=lambda one: one.entry.application.spec.destination.namespace not in names)
    await stand(waiting)
    names -= {key.name for one in pairs for key in _declared(one) if _is_namespace(key)}
    inside: dict[str, set[ResourceKey]] = {name: set() for name in names}
    for pair in pairs:
        for key in _declared(pair):
            if key.namespace in inside:
                inside[key.namespace].add(key)
    makers = [one.after.application for one in pairs if one.after]
    return Ended(
        {name: tuple(sorted(keys, key=_rank)) for name, keys in inside.items() if keys},
        frozenset(one.created_namespace for one in makers if one.flux is None),
        frozenset(one.created_namespace for one in makers if one.flux is not None),
    )


def _ends(one: Touched) -> bool:
    """Whether it is a Namespace that may be deleted: it has no option to stay."""
    if one.old is None or one.new is not None or not _is_namespace(one.key):
        return False
    if one.key.name in _UNDELETABLE:
        return False
    return not keeps_its_own(one.owner.after or one.owner.before, one.old)


def _is_namespace(key: ResourceKey) -> bool:
    return (key.group, key.kind) == _NAMESPACE


def _declared(pair: Pair) -> Iterator[ResourceKey]:
    """What an application is known to declare with the change, without what its sync creates."""
    if pair.after is None:
        return
    if pair.new is not None:
        yield from (one.key for one in pair.new.manifests)
    else:
        created = ResourceKey("", "Namespace", "", pair.after.application.created_namespace)
        yield from (pair.standing or frozenset()) - {created}


def _rank(key: ResourceKey) -> tuple[int, ResourceKey]:
    return 0 if key.kind in _WITH_DATA else 1 if key.kind in _WORKLOADS else 2, key


def in_ended(objects: Iterable[ObjectPreview], ended: Ended) -> list[ObjectPreview]:
    """The Namespaces among the objects of an application that go, or stay, with others in them."""
    return [
        one
        for one in objects
        if _is_namespace(one.key)
        and one.action in (Action.DELETE, Action.LEAVE)
        and one.reason != ABSENT
        and ended.inside.get(one.name)
    ]


def with_ended(
    applications: Sequence[ApplicationPreview], ended: Ended
) -> list[ApplicationPreview]:
    """The same applications of a cluster; what goes with its Namespace is told.

    New objects of a Namespace that is deleted, and that nothing creates anew, are refused.
    """
    deleted = {
        one.name
        for app in applications
        for one in in_ended(app.resources, ended)
        if one.action is Action.DELETE
    }
    lost = deleted - ended.created - ended.perhaps
    return [_told(app, ended, lost) for app in applications]


def _told(app: ApplicationPreview, ended: Ended, lost: set[str]) -> ApplicationPreview:
    emptied = {one.key for one in in_ended(app.resources, ended)}
    conditions, resources = list(app.conditions), []
    for one in app.resources:
        if one.key in emptied:
            inside = ended.inside[one.name]
            conditions.append(_condition(one, inside, ended))
            one = msgspec.structs.replace(one, declared_inside=len(inside))
        elif one.action is Action.CREATE and one.namespace in lost:
            reason = f"the change deletes namespace {one.namespace}"
            one = msgspec.structs.replace(one, action=Action.REFUSE, reason=reason)
        resources.append(one)
    return msgspec.structs.replace(app, conditions=tuple(conditions), resources=tuple(resources))


def _condition(one: ObjectPreview, inside: Sequence[ResourceKey], ended: Ended) -> ReportCondition:
    at = one.origin
    place = ""
    if isinstance(at, ReportOrigin):
        place = f"{at.file}: " if at.line is UNSET else f"{at.file}:{at.line}: "
    names = ", ".join(f"{key.kind} {key.name}" for key in inside[:_NAMED])
    more = f" and {len(inside) - _NAMED} more" if len(inside) > _NAMED else ""
    count, those = counted(len(inside), "object"), "it" if len(inside) == 1 else "them"
    if one.action is Action.DELETE:
        data = ", with their data" if any(key.kind in _WITH_DATA for key in inside) else ""
        text = (
            f"Namespace {one.name} is deleted, and with it {count} that Git still declares "
            f"there{data}: {names}{more}; {_afterwards(one.name, ended)}"
            f"declare the Namespace again, or take {those} out of Git too"
        )
    else:
        text = (
            f"Git no longer declares Namespace {one.name}, but {count} in it: {names}{more}; "
            f"nothing deletes it now ({one.reason}), and whoever does deletes {those} too; "
            "declare the Namespace again"
        )
    return ReportCondition(
        type=NAMESPACE_IN_USE, message=f"{place}{text}", severity=Severity.WARNING
    )


def _afterwards(name: str, ended: Ended) -> str:
    if name in ended.created:
        return "a later sync creates them anew, but not their data; "
    return "" if name in ended.perhaps else "syncs fail from then on, for nothing creates it; "
