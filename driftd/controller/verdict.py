"""From desired and observed to the verdict on one application: compare, then judge."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from driftd.cluster.reader import Listing
from driftd.controller.comparisons import Comparisons
from driftd.controller.desired import Desired, definitions
from driftd.controller.memory import Past
from driftd.controller.mistakes import mistake_of
from driftd.controller.observed import ClusterView, Observation
from driftd.controller.random_names import RandomNames
from driftd.controller.statuses import accepted, status_of, status_of_application
from driftd.controller.tracking import Tracked, deployers_of, instances_of, left_behind, marks_of
from driftd.controller.unchanged import Clean, Standing, Unchanged
from driftd.controller.unserved import Unserved, unserved
from driftd.diff.batch import Pair
from driftd.diff.compare import Comparison, Context
from driftd.diff.history import History, Moment
from driftd.diff.mask import Sealer
from driftd.errors import DriftdError, Forbidden
from driftd.model.condition import Condition, Severity
from driftd.model.report import (
    MISNAMED,
    ApplicationReport,
    Change,
    Evidence,
    Invalid,
    ReportDestination,
    ResourceReport,
    ResourceStatus,
    origin_of,
    published,
)
from driftd.model.resource import GVK, LiveObject, Manifest, ResourceKey, Unchecked
from driftd.policy.baseline import Seal
from driftd.source.url import public

_TOGETHER: Final = 100
"""Objects that go to the second process at a time."""
_AT_A_TIME: Final = 10
"""Objects that are compared before others have their turn; one takes a millisecond or less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What all verdicts of one cluster share."""

    view: ClusterView
    observation: Observation
    observed_at: str
    instance_label: str | None = None
    sealer: Sealer | None = None
    """Makes the hashes by which baselines recognise masked values; None without a key."""
    defined_by: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """The application that declares the definition of a kind, by group and kind."""


@dataclass(slots=True)
class _Sides:
    """The two sides of an object that is there."""

    pair: Pair
    live: LiveObject
    mark: bytes
    """The digest of all that their comparison reads."""
    result: Comparison | None = None
    """Their comparison, if the second process has made it."""


def application_report(
    desired: Desired,
    resources: Iterable[ResourceReport],
    conditions: Iterable[Condition],
    deployers: Iterable[str] = (),
    *,
    not_searched: tuple[str, ...] = (),
) -> ApplicationReport:
    """Put a report together; OutOfSync beats Unknown, and errors make it incomplete."""
    entry = desired.entry
    listed = tuple(resources)
    told = tuple(conditions)
    failed = any(condition.severity is Severity.ERROR for condition in told)
    status, complete = status_of_application(listed, failed=failed)
    destination = entry.application.spec.destination
    return ApplicationReport(
        name=entry.application.name,
        namespace=entry.application.namespace,
        kind=entry.application.flux.kind if entry.application.flux else UNSET,
        project=entry.application.spec.project or "default",
        cluster=entry.cluster,
        destination=ReportDestination(
            server=destination.server or (entry.target.server if entry.target else ""),
            namespace=destination.namespace,
        ),
        revisions=desired.revisions,
        deployers=tuple(sorted(set(deployers))),
        status=status,
        conditions=published(told),
        resources=listed,
        complete=complete,
        not_searched=not_searched or UNSET,
    )


class Verdict:
    """Judges the objects of one application against one observation."""

    def __init__(
        self,
        desired: Desired,
        look: Look,
        synced: Mapping[ResourceKey, Manifest] | None = None,
        past: Past | None = None,
        unchanged: Unchanged | None = None,
    ) -> None:
        self._desired = desired
        self._look = look
        self._synced = synced or {}
        self._past = past
        application = desired.entry.application
        self.context = Context(
            deployers=deployers_of(application),
            facts=look.observation.facts,
            instance_label=look.instance_label if "label" in application.tracking else None,
            instances=instances_of(application),
            synced_here=bool(application.synced_revisions)
            and application.synced_revisions == desired.revisions,
            sealer=look.sealer,
        )
        self._standing = None
        if unchanged is not None:
            place = desired.entry.cluster, application.qualified_name
            hashes = look.observation.schema_hashes
            self._standing = Standing(unchanged, place, self.context, hashes, look.view.version)
        self._repositories = tuple(public(s.repo_url) for s in application.spec.all_sources)
        self.deployers: set[str] = set()
        self.live: dict[ResourceKey, LiveObject] = {}
        """The live object of each key with changes, and of extra ones."""
        self.seals: dict[Seal, str] = {}
        """Hashes of the values of masked changes; for baselines, never in a report."""
        self.histories: dict[ResourceKey, History] = {}
        """What the next look is to know of each object that was compared, if there is a past."""
        self._sides: dict[ResourceKey, ResourceReport | _Sides] = {}
        """What was read of objects that are judged next."""
        self._made = 0
        """Comparisons that were made here since the second process was last thought of."""
        self.unserved: dict[ResourceKey, Unserved] = {}
        """Why the kinds of some objects are not served."""

    def resources(self) -> list[ResourceReport]:
        """The verdict on every declared object, and on extra ones, by kind and name."""
        return self._all([self._judged(manifest) for manifest in self._desired.manifests])

    async def resources_with_pauses(
        self, comparisons: Comparisons | None = None
    ) -> list[ResourceReport]:
        """As `resources`; others' looks and watches go on meanwhile.

        `comparisons` makes comparisons in a second process, if that has time for them.
        """
        reports = []
        for number, manifest in enumerate(self._desired.manifests):
            if comparisons is not None and number % _TOGETHER == 0:
                await self._compare_elsewhere(number, comparisons)
            reports.append(self._judged(manifest))
            if number % _AT_A_TIME == _AT_A_TIME - 1:
                await asyncio.sleep(0)
        if comparisons is not None:
            comparisons.made(self._made)
        return self._all(reports)

    async def _compare_elsewhere(self, start: int, comparisons: Comparisons) -> None:
        """Let the second process compare some objects, if it has time for them."""
        manifests = self._desired.manifests[start : start + _TOGETHER]
        comparisons.made(self._made)
        self._made = 0
        if not comparisons.has_time(len(manifests)):
            return
        for manifest in manifests:
            # What goes wrong with an object is told where it is judged.
            with contextlib.suppress(Exception):
                self._sides[manifest.key] = self._both(manifest)
        found = (one for one in self._sides.values() if isinstance(one, _Sides))
        waiting = [one for one in found if one.pair.may_travel(self.context)]
        context = msgspec.structs.replace(self.context, sealer=None)
        schemas = self._look.observation.schemas
        answer = await comparisons.compared(context, schemas, [one.pair for one in waiting])
        for sides, result in zip(waiting, answer, strict=True):
            sides.result = result

    def _all(self, reports: list[ResourceReport]) -> list[ResourceReport]:
        if self._desired.complete:
            reports += self._extras()
        reports.sort(key=lambda r: (r.group, r.kind, r.namespace, r.name))
        return reports

    def _judged(self, manifest: Manifest) -> ResourceReport:
        """One declared object; whatever goes wrong with it stays with it (invariant 2)."""
        try:
            return self._declared(manifest)
        except DriftdError as error:
            return self._report(manifest, ResourceStatus.UNKNOWN, error.message)
        except Exception as error:  # noqa: BLE001 - one object's shape must not blank the others
            # A shape that no schema allows: this object is Unknown, the others are not.
            text = f"cannot be compared ({type(error).__name__}); is the manifest valid?"
            mistake = mistake_of(manifest, self._look.observation)
            text = text if mistake is UNSET else f"cannot be compared: {mistake.message}"
            return self._report(manifest, ResourceStatus.UNKNOWN, text)

    def _declared(self, manifest: Manifest) -> ResourceReport:
        sides = self._sides.pop(manifest.key, None) or self._both(manifest)
        if isinstance(sides, ResourceReport):
            return sides
        key, pair = manifest.key, sides.pair
        schemas = self._look.observation.schemas
        result = sides.result
        if result is None:
            self._made += 1
            result = pair.compared(schemas, self.context)
        if result.history is not None:
            self.histories[key] = result.history
        self.deployers |= result.deployers
        for (path, kind), seal in result.seals.items():
            self.seals[key, path, kind] = seal
        report = self._compared(manifest, sides.live, result)
        if self._standing is not None:
            clean = report.status is ResourceStatus.SYNCED and not report.changes
            self._standing.remember(key, Clean(sides.mark, result.deployers) if clean else None)
        return report

    def _both(self, manifest: Manifest) -> ResourceReport | _Sides:
        """The two sides of a declared object, or its verdict where it takes no comparison."""
        observation, gvk, key = self._look.observation, manifest.gvk, manifest.key
        problem = self._unseen(manifest)
        if problem is not None:
            return problem
        live = observation.live.get((gvk, key.namespace, key.name))
        if live is None:
            if manifest.unchecked is not None and not manifest.unchecked.existence:
                return self._left_alone(manifest, manifest.unchecked, None)
            return self._absent(manifest, observation.listings[gvk])
        if manifest.unchecked is not None:
            return self._left_alone(manifest, manifest.unchecked, live)
        if observation.schemas.node(gvk) is None:
            failure = observation.schema_problems.get(gvk.api_version)
            text = failure.message if failure else "the cluster publishes no schema for the kind"
            return self._report(manifest, ResourceStatus.UNKNOWN, text, live=live)
        mark = self._standing.mark(manifest, live) if self._standing else b""
        if self._stands_still(key, live, mark):
            return self._report(manifest, ResourceStatus.SYNCED, "", live=live)
        before = self._synced.get(key)
        pair = Pair(
            key,
            gvk,
            manifest.body,
            live.body,
            before.body if before else None,
            self._past.histories.get(key) if self._past else None,
            self._moment(gvk) if self._past else None,
        )
        return _Sides(pair, live, mark)

    def _stands_still(self, key: ResourceKey, live: LiveObject, mark: bytes) -> bool:
        """Whether the last look found the object clean, and all that it read is the same.

        Then this look finds it clean too; its history goes on with this look's time.
        """
        clean = self._standing.clean(key, mark) if self._standing else None
        if clean is None:
            return False
        if self._past is not None:
            history = self._past.histories.get(key)
            if history is None or history.look is None:
                return False
            seen = msgspec.structs.replace(
                history.look, at=self._look.observed_at, resource_version=live.resource_version
            )
            self.histories[key] = msgspec.structs.replace(history, look=seen)
        self.deployers |= clean.deployers
        return True

    def _moment(self, gvk: GVK) -> Moment:
        hashes = self._look.observation.schema_hashes
        return Moment(now=self._look.observed_at, schema_hash=hashes.get(gvk.api_version, ""))

    def _left_alone(
        self, manifest: Manifest, why: Unchecked, live: LiveObject | None
    ) -> ResourceReport:
        """An object whose content is not compared, whatever it is."""
        status = ResourceStatus.UNKNOWN if why.unknown else ResourceStatus.NOT_CHECKED
        return self._report(manifest, status, why.reason, live=live)

    def _compared(self, manifest: Manifest, live: LiveObject, result: Comparison) -> ResourceReport:
        changes = result.changes
        if changes:
            self.live[manifest.key] = live
        if result.deleting:
            text = f"being deleted since {result.deleting}"
            return self._report(manifest, ResourceStatus.OUT_OF_SYNC, text, live=live)
        status = status_of(changes)
        wrong = (result.invalid if status is ResourceStatus.OUT_OF_SYNC else None) or UNSET
        text = wrong.message if wrong and not any(one.invalid for one in changes) else ""
        return self._report(manifest, status, text, live=live, changes=changes, invalid=wrong)

    def _unseen(self, manifest: Manifest) -> ResourceReport | None:
        """Why the live side of an object is not known, or that it cannot exist yet."""
        gvk, key = manifest.gvk, manifest.key
        discovery = self._look.view.discovery
        if discovery is None:
            problem = self._look.view.problem
            text = problem.message if problem else "the cluster was not discovered"
            return self._report(manifest, ResourceStatus.UNKNOWN, text)
        if discovery.served(gvk.group, gvk.version, gvk.kind) is not None:
            return None
        failure = discovery.failure(gvk.group, gvk.version)
        if failure:
            text = f"discovery of {failure}"
            return self._report(manifest, ResourceStatus.UNKNOWN, text)
        definition = self._definitions.get((gvk.group, gvk.kind))
        if definition is not None and discovery.preferred(gvk.group, gvk.kind) is None:
            return self._undefined(manifest, definition)
        found = unserved(gvk, discovery, self._look.defined_by.get((gvk.group, gvk.kind), ""))
        if found is None:
            return None
        self.unserved[key] = found
        return self._report(manifest, ResourceStatus.UNKNOWN, found.text)

    @cached_property
    def _definitions(self) -> dict[tuple[str, str], Manifest]:
        return definitions(self._desired.manifests)

    def _undefined(self, manifest: Manifest, definition: Manifest) -> ResourceReport:
        """An object whose kind is not served: Missing only if its definition is seen to be."""
        observation = self._look.observation
        if (definition.gvk, "", definition.key.name) in observation.live:
            text = "its CustomResourceDefinition is installed, but the kind is not served (yet)"
            return self._report(manifest, ResourceStatus.UNKNOWN, text)
        listing = observation.listings.get(definition.gvk)
        if listing is None or not listing.covers(""):
            text = "whether its CustomResourceDefinition is installed cannot be seen"
            return self._report(manifest, ResourceStatus.UNKNOWN, text)
        text = "its CustomResourceDefinition, declared in Git too, is not installed"
        return self._report(manifest, ResourceStatus.MISSING, text)

    def _absent(self, manifest: Manifest, listing: Listing) -> ResourceReport:
        key = manifest.key
        if listing.covers(key.namespace):
            status = (
                ResourceStatus.PENDING
                if self._synced and key not in self._synced
                else ResourceStatus.MISSING
            )
            if status is ResourceStatus.PENDING:
                text = "Git is ahead: the object was added since the last sync"
                return self._report(manifest, status, text)
            mistake = mistake_of(manifest, self._look.observation)
            text = "" if mistake is UNSET else mistake.message
            return self._report(manifest, status, text, invalid=mistake)
        error = listing.errors.get(key.namespace) or listing.errors.get("")
        if isinstance(error, Forbidden) and key.group == "" and key.kind == "Secret":
            text = "no permission to list Secrets; grant get and list to compare them"
            return self._report(manifest, ResourceStatus.NOT_CHECKED, text)
        text = error.message if error else "the list of its kind is incomplete"
        return self._report(manifest, ResourceStatus.UNKNOWN, text)

    def _extras(self) -> list[ResourceReport]:
        """Live objects whose tracking mark gives them to this application, absent from Git."""
        application = self._desired.entry.application
        tracked = self._look.observation.tracked
        meant = self._meant()
        drawn = RandomNames(self._desired.manifests)
        marked = [one for name in marks_of(application) for one in tracked.get(name, ())]
        found = []
        for one in left_behind(application, marked, self._desired.keys):
            key = one.live.key
            if key in meant:
                self.live[key] = one.live
                found.append(self._misnamed(meant[key], one))
                continue
            ahead = key in self._synced
            self.live[key] = one.live
            found.append(
                ResourceReport(
                    group=one.gvk.group,
                    version=one.gvk.version,
                    kind=one.gvk.kind,
                    namespace=key.namespace,
                    name=key.name,
                    status=ResourceStatus.PENDING if ahead else ResourceStatus.EXTRA,
                    reason="Git is ahead: the object was removed since the last sync"
                    if ahead
                    else "it carries this application's tracking mark",
                    ignored_by=UNSET if ahead else accepted(one, application, drawn),
                    manager=one.creator or UNSET,
                    evidence=self._evidence(one.gvk, one.live),
                )
            )
        return found

    def _meant(self) -> dict[ResourceKey, Manifest]:
        """The objects that manifests of kinds that are not served were probably meant to be."""
        manifests = {manifest.key: manifest for manifest in self._desired.manifests}
        return {
            msgspec.structs.replace(key, group=one.group, kind=one.kind): manifests[key]
            for key, found in self.unserved.items()
            for one in found.meant
        }

    def _misnamed(self, manifest: Manifest, one: Tracked) -> ResourceReport:
        """A live object that Git declares under a wrong kind: it is not seen to be extra."""
        key = one.live.key
        return ResourceReport(
            group=one.gvk.group,
            version=one.gvk.version,
            kind=one.gvk.kind,
            namespace=key.namespace,
            name=key.name,
            status=ResourceStatus.UNKNOWN,
            reason=f"{MISNAMED}{manifest.gvk.api_version} {manifest.key.kind}, "
            "which the cluster does not serve",
            origin=origin_of(manifest.origin, self._repositories),
            evidence=self._evidence(one.gvk, one.live, manifest.origin.source),
        )

    def _report(
        self,
        manifest: Manifest,
        status: ResourceStatus,
        reason: str,
        *,
        live: LiveObject | None = None,
        changes: tuple[Change, ...] = (),
        invalid: Invalid | UnsetType = UNSET,
    ) -> ResourceReport:
        key = manifest.key
        return ResourceReport(
            group=key.group,
            version=manifest.version,
            kind=key.kind,
            namespace=key.namespace,
            name=key.name,
            status=status,
            reason=reason or UNSET,
            origin=origin_of(manifest.origin, self._repositories),
            evidence=self._evidence(manifest.gvk, live, manifest.origin.source),
            invalid=invalid,
            changes=changes,
        )

    def _evidence(self, gvk: GVK, live: LiveObject | None, source: int = 0) -> Evidence:
        revisions = self._desired.revisions
        revision = revisions[source] if source < len(revisions) else UNSET
        return Evidence(
            revision=revision,
            resource_version=live.resource_version if live else UNSET,
            uid=live.uid if live else UNSET,
            schema_hash=self._look.observation.schema_hashes.get(gvk.api_version, UNSET),
            observed_at=self._look.observed_at,
        )
