"""Whether an object, as a dry run makes it, is what Git says: the look's own comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import orjson

from driftd.controller.check import Looked
from driftd.controller.verdict import Verdict
from driftd.diff.compare import Context, compare
from driftd.diff.schema import Node
from driftd.errors import CompareError
from driftd.model.report import DRIFT_CLASSES, Change, ResourceReport
from driftd.model.resource import GVK, LiveObject, Manifest, ResourceKey
from driftd.sync.plan import FIELD_MANAGER, SyncTask

_TOLD = 3
"""Fields that a reason names."""


@dataclass(slots=True)
class Foreseen:
    """Judges what dry runs return for the objects of one look."""

    looked: Looked
    manifests: Mapping[ResourceKey, Manifest] = field(init=False)
    reports: Mapping[ResourceKey, ResourceReport] = field(init=False)
    context: Context = field(init=False)

    def __post_init__(self) -> None:
        desired, shared = self.looked.desired, self.looked.shared
        self.manifests = {manifest.key: manifest for manifest in desired.manifests}
        self.reports = {resource.key: resource for resource in self.looked.report.resources}
        context = Verdict(desired, shared).context if shared is not None else Context()
        deployers = context.deployers | {FIELD_MANAGER}
        self.context = msgspec.structs.replace(context, deployers=deployers, sealer=None)

    def __call__(self, task: SyncTask, after: LiveObject) -> str:
        """Why the object would still not be what Git says; empty if it would."""
        try:
            result = compare(
                task.key,
                orjson.loads(self.manifests[task.key].body),
                orjson.loads(after.body),
                node_of(self.looked, task.gvk),
                self.context,
            )
        except CompareError as error:
            return f"what the API server makes of it cannot be compared: {error}"
        healed = {change.place for change in task.heals}
        report = self.reports.get(task.key)
        spared = {one.place for one in report.changes if one.place not in healed} if report else ()
        still = [
            change
            for change in result.changes
            if change.place not in spared
            and (change.change_class in DRIFT_CLASSES or change.place in healed)
        ]
        return _reason(still, healed) if still else ""


def node_of(looked: Looked, gvk: GVK) -> Node | None:
    """The schema of a kind, as the look read it."""
    return None if looked.shared is None else looked.shared.observation.schemas.node(gvk)


def _reason(still: list[Change], healed: set[str]) -> str:
    """What a dry run shows: what would be as before, and what would be wrong anew."""
    places = ", ".join(change.path for change in still[:_TOLD])
    more = f" and {len(still) - _TOLD} more" if len(still) > _TOLD else ""
    if any(change.place in healed for change in still):
        return (
            f"the API server would accept the write and still not hold what Git says at {places}"
            f"{more}: admission (a mutating webhook or policy) or the server itself sets it"
        )
    return (
        f"the write would make another difference at {places}{more}: admission "
        "(a mutating webhook or policy) or the server itself sets it"
    )
