"""Applications that Git no longer declares and that stay, since nothing deletes what declares them.

Flux and Argo CD delete the objects of an application when its own object goes: the HelmRelease,
Kustomization, Application or ApplicationSet, which another application may have deployed. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec
from msgspec import UNSET

from driftd.controller.preview_fate import ABSENT
from driftd.controller.preview_inside import Ended, with_ended
from driftd.controller.preview_pairs import Pair
from driftd.controller.preview_pruning import FAILS
from driftd.controller.renders import application_above
from driftd.model.application import Application
from driftd.model.condition import Condition
from driftd.model.flux import GROUPS
from driftd.model.preview import Action, ApplicationAction, ApplicationPreview, ObjectPreview
from driftd.model.resource import ResourceKey

_ARGO: Final = "argoproj.io"
_SET: Final = "ApplicationSet "
_STAYS: Final = " stays with its objects: "
_DEPENDS: Final = re.compile(
    r"(?P<whole>.*\b(?P<kind>Kustomization|HelmRelease) (?P<namespace>[^/\s]+)/\S+ depends on "
    r"(?P=kind) (?P<name>\S+)), which nothing here declares: .*"
)
"""What a warning says of an entry of `spec.dependsOn` (`driftd.flux.dependencies`)."""
_Previewed = tuple[Pair, ApplicationPreview]


class Found(NamedTuple):
    """What was found of one cluster."""

    applications: Sequence[_Previewed]
    ended: Ended = Ended()


def settled(
    found: Sequence[Found], declared: Sequence[Application]
) -> Iterator[ApplicationPreview]:
    """The applications of all clusters, once all are known: one may declare those of another.

    `declared` are the applications of the base.
    """
    every = [one for each in found for one in each.applications]
    for each in found:
        reports = [_with_fate(one, every, declared) for one in each.applications if one[0].asked]
        yield from with_ended(reports, each.ended)


def still_met(
    conditions: Iterable[Condition], applications: Sequence[ApplicationPreview]
) -> Iterator[Condition]:
    """The conditions; of what depends on an application that stays, that Flux goes on with it."""
    reasons = [one.reason for one in applications if one.reason is not UNSET]
    stays = {
        name: why
        for reason in reasons
        for name, found, why in (reason.partition(_STAYS),)
        if found and sum(one.partition(_STAYS)[0] == name for one in reasons) == 1
    }
    for one in conditions:
        said = _DEPENDS.fullmatch(one.message) if one.type == "DependencyNotFound" else None
        if said is not None:
            name = said["name"] if "/" in said["name"] else f"{said['namespace']}/{said['name']}"
            why = stays.get(f"{said['kind']} {name}")
            if why is not None:
                text = (
                    f"{said['whole']}, which Git no longer declares and which stays on the "
                    f"cluster ({why}): Flux goes on as long as it is there; declare it, or remove "
                    "the entry"
                )
                one = msgspec.structs.replace(one, message=text)
        yield one


def _with_fate(
    one: _Previewed, every: Sequence[_Previewed], declared: Sequence[Application]
) -> ApplicationPreview:
    pair, report = one
    why = _keeps(pair, every, declared, frozenset())
    if pair.before is None or not why:
        return report
    key = _object_of(pair.before.application)
    return msgspec.structs.replace(
        report,
        action=ApplicationAction.UNCHANGED,
        reason=f"{key.kind} {key.namespace}/{key.name}{_STAYS}{why}",
        resources=(),
    )


def _keeps(
    pair: Pair, every: Sequence[_Previewed], declared: Sequence[Application], seen: frozenset[str]
) -> str:
    """Why an application stays that the change no longer declares; empty if nothing says so."""
    # One with a reason goes to another cluster: its object is not deleted but changed.
    if pair.before is None or pair.after is not None or pair.unseen or pair.reason:
        return ""
    application = pair.before.application
    if application.qualified_name in seen:
        return ""
    holders = list(_holders(application, every, declared))
    if len(holders) != 1:
        return ""
    holder, one = holders[0]
    if holder.after is None:
        return _keeps(holder, every, declared, seen | {application.qualified_name})
    reason = "" if one.reason is UNSET else one.reason
    if one.action is not Action.LEAVE or reason == ABSENT:
        return ""
    # A sync of Argo CD that does not prune may be followed by one that does.
    return reason if application.flux is not None or reason.startswith(FAILS) else ""


def _holders(
    application: Application, every: Sequence[_Previewed], declared: Sequence[Application]
) -> Iterator[tuple[Pair, ObjectPreview]]:
    """The applications that lose the object of another one, with what becomes of it."""
    key, flux = _object_of(application), application.flux
    above = application_above(declared, application) if flux is not None else None
    for pair, report in every:
        if pair.before is None or (pair.before.application.flux is None) != (flux is None):
            continue
        name = pair.before.application.qualified_name
        if flux is not None and (above is None or name != above.qualified_name):
            continue  # the roots of several clusters have objects of the same names
        for one in report.resources:
            if one.key == key and one.action in (Action.LEAVE, Action.DELETE):
                yield pair, one


def _object_of(application: Application) -> ResourceKey:
    """The object that an application is, or that generates it."""
    flux, namespace = application.flux, application.namespace
    if flux is not None:
        return ResourceKey(GROUPS[flux.kind], flux.kind, namespace, flux.object_name)
    if application.origin.startswith(_SET):
        name = application.origin.removeprefix(_SET).partition(" ")[0]
        return ResourceKey(_ARGO, "ApplicationSet", namespace, name)
    return ResourceKey(_ARGO, "Application", namespace, application.name)
