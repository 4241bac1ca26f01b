"""A glance: some objects of an application are looked at again, the rest stands as it was seen.

Watches say which objects have changed since the last look. These alone are read, compared and
judged, by the very code of a whole look; their verdicts take the places of the old ones. Whatever
concerns more than single declared objects (what Git says, kinds, extra objects, permissions) is
left to a whole look.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

import msgspec

from driftd.clock import Clock
from driftd.cluster.reader import ApiResource
from driftd.controller.check import ClusterLook, Looked, quiet
from driftd.controller.declared import Declared, Entry
from driftd.controller.desired import Desired
from driftd.controller.observed import glimpse, view_cluster
from driftd.controller.options import CheckOptions
from driftd.controller.statuses import status_of_application
from driftd.controller.workspace import Workspace
from driftd.diff.mask import Sealer
from driftd.errors import ClusterError, ConfigError
from driftd.model.condition import Severity
from driftd.model.report import ApplicationReport, ReportCondition, ResourceReport, ResourceStatus
from driftd.model.resource import LiveObject, ResourceKey
from driftd.policy.baseline import Seal

OBJECTS: Final = 30_000
"""Objects of applications that glances are possible at; about half a KB each."""
_REACHING: Final = frozenset({"CustomResourceDefinition", "Namespace"})
"""Kinds whose objects decide on others: their changes ask for a whole look."""
NOTHING_TOLD: Final[Mapping[tuple[ApiResource, ResourceKey], LiveObject]] = {}

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(tuple[ResourceReport, ...])


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the last looks at an application came to, before findings were accepted."""

    desired: Desired
    report: ApplicationReport
    """Without its objects."""
    objects: bytes = field(repr=False)
    """The verdicts on them, encoded."""
    size: int
    seals: Mapping[Seal, str] = field(repr=False)
    began: datetime
    """When the last whole look began to read."""

    def resources(self) -> tuple[ResourceReport, ...]:
        """The verdicts on all objects."""
        return _decoder.decode(self.objects)

    def after(self, looked: Looked) -> Standing:
        """What stands after a glance has been merged."""
        return replace(
            self,
            report=msgspec.structs.replace(looked.report, resources=()),
            objects=_encoder.encode(looked.report.resources),
            seals=looked.seals,
        )


class Standings:
    """What stands of each application; the ones that were looked at last are kept."""

    def __init__(self, limit: int = OBJECTS) -> None:
        """`limit` is how many objects all kept applications may have together."""
        self._limit = limit
        self._kept: OrderedDict[str, Standing] = OrderedDict()
        self._objects = 0

    def looked(self, name: str, looked: Looked, began: datetime) -> None:
        """Take what a whole look came to; one that failed leaves nothing to glance from."""
        failed = any(one.severity is Severity.ERROR for one in looked.report.conditions)
        if failed or looked.shared is None or looked.desired.entry.target is None:
            self.forget(name)
            return
        report = looked.report
        self.keep(
            name,
            Standing(
                desired=looked.desired,
                report=msgspec.structs.replace(report, resources=()),
                objects=_encoder.encode(report.resources),
                size=len(report.resources),
                seals=looked.seals,
                began=began,
            ),
        )

    def keep(self, name: str, standing: Standing) -> None:
        """Keep what stands of an application, in place of what stood before."""
        self.forget(name)
        self._kept[name] = standing
        self._objects += standing.size
        while self._objects > self._limit and self._kept:
            self.forget(next(iter(self._kept)))

    def only(self, names: Collection[str]) -> None:
        """Drop the applications that are not among these."""
        for gone in self._kept.keys() - set(names):
            self.forget(gone)

    def of(self, name: str) -> Standing | None:
        """What stands of an application, if that is known."""
        found = self._kept.get(name)
        if found is not None:
            self._kept.move_to_end(name)
        return found

    def forget(self, name: str) -> None:
        """Leave the application to a whole look."""
        gone = self._kept.pop(name, None)
        self._objects -= gone.size if gone is not None else 0


@dataclass(frozen=True, slots=True)
class Glanced:
    """What a glance came to: the application with its new verdicts, and what was seen."""

    looked: Looked
    seen: Mapping[tuple[ApiResource, ResourceKey], LiveObject | None]


async def glance(
    workspace: Workspace,
    declared: Declared,
    options: CheckOptions,
    entry: Entry,
    standing: Standing,
    touched: Collection[tuple[ApiResource, ResourceKey]],
    *,
    clock: Clock,
    sealer: Sealer | None,
    told: Mapping[tuple[ApiResource, ResourceKey], LiveObject] = NOTHING_TOLD,
) -> Glanced | None:
    """Look at the `touched` objects of an application; None where only a whole look will do.

    Those that are `told` are as they were just read; the others are read. Raises StoreError.
    """
    target, objects = entry.target, tuple(touched)
    part = _part(standing, [key for _, key in objects])
    if target is None or part is None or options.oracle:
        return None
    try:
        view = await view_cluster(workspace.clusters.open(target))
        if view.discovery is None:
            return None
        observation = await glimpse(
            view,
            objects,
            standing.desired.keys,
            limit=options.concurrency,
            target=target,
            memory=workspace.schemas,
            told=told,
        )
    except (ClusterError, ConfigError):
        return None  # the whole look says what is wrong, and whose fault it is
    work = ClusterLook(workspace, declared, options, quiet, clock, keep=True, sealer=sealer)
    glanced = await work.glance(part, view, observation)
    whole = _merged(standing, glanced)
    if whole is None:
        return None
    return Glanced(
        replace(whole, desired=standing.desired),
        {
            (resource, key): observation.live.get((resource.gvk, key.namespace, key.name))
            for resource, key in objects
        },
    )


def _part(standing: Standing, keys: Sequence[ResourceKey]) -> Desired | None:
    """Some objects of what Git declares; None if they are not single declared objects."""
    desired, wanted = standing.desired, set(keys)
    manifests = tuple(one for one in desired.manifests if one.key in wanted)
    alone = len(manifests) == len(wanted) and not any(one.kind in _REACHING for one in wanted)
    if not alone or not desired.complete or desired.repeated & wanted:
        return None
    return replace(desired, manifests=manifests, partial=True)


def _merged(standing: Standing, glanced: Looked) -> Looked | None:
    """The application with the verdicts of a glance in place of older ones."""
    report = glanced.report
    blind = any(one.severity is Severity.ERROR for one in report.conditions) or any(
        one.status is ResourceStatus.UNKNOWN for one in report.resources
    )
    fresh = {one.key: one for one in report.resources}
    before = standing.resources()
    if blind or sum(one.key in fresh for one in before) != len(fresh):
        return None
    resources = tuple(fresh.get(one.key, one) for one in before)
    conditions = _together(standing.report.conditions, report.conditions)
    status, complete = status_of_application(resources, failed=False)
    whole = msgspec.structs.replace(
        standing.report,
        resources=resources,
        conditions=conditions,
        status=status,
        complete=complete,
        deployers=tuple(sorted({*standing.report.deployers, *report.deployers})),
    )
    seals = {seal: text for seal, text in standing.seals.items() if seal[0] not in fresh}
    return replace(glanced, report=whole, seals={**seals, **glanced.seals})


def _together(
    before: Iterable[ReportCondition], now: Iterable[ReportCondition]
) -> tuple[ReportCondition, ...]:
    """Each condition once; the older ones first, which the next whole look may end."""
    known = list(before)
    return (*known, *(one for one in now if one not in known))
