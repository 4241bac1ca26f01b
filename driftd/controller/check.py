"""One look at every chosen application: the reconciler's sentence without acting and recording.

declared -> desired -> observed -> compared -> judged -> told
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

from driftd.aio import gather_isolated
from driftd.clock import Clock, rfc3339
from driftd.cluster.destinations import ClusterTarget
from driftd.cluster.oracle import DryRun
from driftd.controller.audit import attributed
from driftd.controller.baselines import load_acceptance
from driftd.controller.bearings import nothing_judged
from driftd.controller.declared import (
    Declared,
    Entry,
    declare,
    looks_foreign,
    refuse_unmatched,
    unfit_contexts,
)
from driftd.controller.desired import Desired, definitions, desired_state, synced_state
from driftd.controller.emptiness import empty_clusters
from driftd.controller.facts import unexplained
from driftd.controller.judge import judge
from driftd.controller.leftovers import Claimants, Marked
from driftd.controller.memory import Since, left, open_state, recalled, save_state
from driftd.controller.newly_declared import note_newly_declared
from driftd.controller.observed import ClusterView, Observation, observe, view_cluster
from driftd.controller.of_daemon import of_daemon
from driftd.controller.options import CheckOptions
from driftd.controller.oracles import Consultation, admission_hash
from driftd.controller.orphans import orphan_conditions, orphaned_resources
from driftd.controller.places import with_places
from driftd.controller.shared import Claims
from driftd.controller.summary import drift_report
from driftd.controller.traced import with_values
from driftd.controller.tracking import marks_of
from driftd.controller.verdict import Look, Verdict, application_report
from driftd.controller.waiting import Awaited, explained, unjudged
from driftd.controller.workspace import Progress, Workspace
from driftd.diff import tables
from driftd.diff.mask import Sealer
from driftd.diff.schema import SchemaSet
from driftd.errors import ClusterError, ClusterReplaced, ConfigError, described
from driftd.model.condition import Condition
from driftd.model.report import (
    DRIFT_STATUSES,
    ApplicationReport,
    DriftReport,
    ResourceReport,
)
from driftd.model.resource import LiveObject, Manifest, ResourceKey
from driftd.policy.baseline import Seal
from driftd.policy.ignore_report import shared_conditions
from driftd.store.types import ApplicationMemory
from driftd.telemetry.tracing import span

_NOTHING = Observation(
    listings={}, live={}, schemas=SchemaSet(()), schema_hashes={}, schema_problems={}
)
_RENDERS = 4
"""Applications that are rendered at a time; the sandbox has fewer workers still."""


async def check(
    workspace: Workspace, options: CheckOptions, *, progress: Progress, clock: Clock
) -> DriftReport:
    """Look at every chosen application once and report.

    Raises DriftdError only where nothing at all can be looked at.
    """
    report, _ = await checked(workspace, options, progress=progress, clock=clock)
    return report


async def checked(
    workspace: Workspace, options: CheckOptions, *, progress: Progress, clock: Clock
) -> tuple[DriftReport, Mapping[str, Mapping[Seal, str]]]:
    """The report of `check`, and the seals of masked changes by application (namespace/name).

    There are seals only with a hash key: what writes baselines needs them, nothing else may.
    """
    daemon = of_daemon(options.config, progress)
    accepted = load_acceptance(options.baselines, options.suppressions, options.hash_key_file)
    state = open_state(options.state, progress)
    workspace = replace(workspace, memory=state) if state is not None else workspace
    declared = await declare(workspace, options, progress)
    refuse_unmatched(options, progress, declared)
    looks = await look(
        workspace, declared, options, progress=progress, clock=clock, sealer=accepted.sealer
    )
    now = clock.now()
    looks, audited = await attributed(looks, options, now=now.timestamp(), progress=progress)
    reports, told = accepted.applied(
        [(one.report, one.seals) for one in looks],
        now.date(),
        names=declared.names,
    )
    if daemon is not None:
        reports = [
            daemon.silenced(report, entry, now)
            for entry, report in zip(declared.entries, reports, strict=True)
        ]
    await note_newly_declared(workspace, declared, reports, progress)
    unused = shared_conditions(
        declared.customizations.ignore,
        reports,
        whole=not (options.applications or options.namespace),
    )
    saved = save_state(state, [(one.report, one.memory) for one in looks], now)
    empty = empty_clusters(
        zip(declared.entries, reports, strict=True), workspace.contexts, options.cluster_map
    )
    asked = workspace.hub is None and not options.applications
    if asked and looks_foreign(workspace, declared):
        empty += nothing_judged(
            [entry.application for entry in declared.entries],
            reports,
            unfit_contexts(workspace, declared),
        )
    orphans = {one.report.cluster: one.orphans for one in looks if one.orphans}
    lost = orphan_conditions(orphans, hub=workspace.hub.name if workspace.hub else "")
    report = drift_report(
        reports,
        (*empty, *declared.conditions, *lost, *unused, *told, *audited, *saved),
        generated_at=rfc3339(now),
        # Whoever names applications asks about these: what is wrong elsewhere is told, no more.
        named=bool(options.applications),
        orphaned=orphaned_resources(orphans),
    )
    return report, {f"{one.report.namespace}/{one.report.name}": one.seals for one in looks}


@dataclass(frozen=True, slots=True)
class Looked:
    """The verdict on one application, with what acting on it needs."""

    report: ApplicationReport
    desired: Desired
    view: ClusterView | None = None
    shared: Look | None = None
    """What the verdict was made from, if it was to be kept: it holds every live object."""
    seals: Mapping[Seal, str] = field(default_factory=dict, repr=False)
    """Keyed hashes of the values of masked changes; for baselines, never in a report."""
    live: Mapping[ResourceKey, LiveObject] = field(default_factory=dict, repr=False)
    """The live object of each key with changes."""
    deployers: frozenset[str] = frozenset()
    """The field managers that count as Git's hand, whether the objects name them or not."""
    memory: ApplicationMemory | None = field(default=None, repr=False)
    """What the next look is to know; None where nothing is remembered."""
    orphans: tuple[Marked, ...] = field(default=(), repr=False)
    """What its cluster has with the mark of applications that nothing declares."""


async def look(
    workspace: Workspace,
    declared: Declared,
    options: CheckOptions,
    *,
    progress: Progress,
    clock: Clock,
    keep: bool = False,
    sealer: Sealer | None = None,
) -> list[Looked]:
    """The verdict on every declared entry, clusters side by side, in the order of entries.

    `keep` keeps what the verdicts were made from, for explanations. `sealer` makes the hashes by
    which baselines recognise masked values.
    """
    by_target: dict[ClusterTarget | None, list[Entry]] = {}
    for entry in declared.entries:
        by_target.setdefault(entry.target, []).append(entry)

    async def one(target: ClusterTarget | None) -> list[Looked]:
        entries = by_target[target]
        work = ClusterLook(workspace, declared, options, progress, clock, keep, sealer)
        return await work.reports(target, entries)

    results = await gather_isolated(one, by_target, limit=len(by_target) or 1)
    looks: dict[int, Looked] = {}
    for entries, result in zip(by_target.values(), results, strict=True):
        for position, entry in enumerate(entries):
            if isinstance(result, Exception):
                # Nothing of this cluster came back; its applications say why.
                told = Condition("ComparisonError", described(result))
                blind = Desired(entry=entry)
                looks[id(entry)] = Looked(application_report(blind, (), (told,)), blind)
            else:
                looks[id(entry)] = result[position]
    for note in workspace.repositories.notes:
        progress(f"note: {note}")
    return [looks[id(entry)] for entry in declared.entries]


@dataclass(slots=True)
class ClusterLook:
    """The look at all applications of one cluster, or at some objects of one of them."""

    workspace: Workspace
    declared: Declared
    options: CheckOptions
    progress: Progress
    clock: Clock
    keep: bool
    sealer: Sealer | None
    consultation: Consultation | None = None
    claims: Claims = field(init=False)

    def __post_init__(self) -> None:
        self.claims = self.workspace.claims or Claims()

    async def reports(self, target: ClusterTarget | None, entries: Sequence[Entry]) -> list[Looked]:
        """The verdicts on whole applications of the cluster, in the order of `entries`."""
        view = await self._view(target) if target else None
        desired = await self._desired(entries, view)
        if target is None or view is None or view.discovery is None:
            if target is not None and self.workspace.claims is None:
                # A daemon keeps what it knew of the cluster: its kinds decide the keys.
                for one in desired:
                    self.claims.declare(target, one)
            return [Looked(self._blind(one, view), one, view) for one in desired]
        for one in desired:
            self.claims.declare(target, one)
        self.progress(f"reading {target.name}")
        with span("list", cluster=target.name):
            observation = await observe(
                view,
                (manifest for one in desired for manifest in one.manifests),
                applications=frozenset(
                    mark for one in desired for mark in marks_of(one.entry.application)
                ),
                limit=self.options.concurrency,
                target=target,
                memory=self.workspace.schemas,
                claimants=self._claimants(target, desired),
            )
        shared = self._shared(view, observation, desired)
        self.consultation = await self._consultation(target, shared)
        looks = [await self._isolated(one, shared) for one in desired]
        return [replace(one, orphans=observation.orphans) for one in looks]

    async def glance(self, desired: Desired, view: ClusterView, observation: Observation) -> Looked:
        """The verdict on those objects of an application that are in `desired`."""
        return await self._isolated(desired, self._shared(view, observation, [desired]))

    def _shared(
        self, view: ClusterView, observation: Observation, desired: Sequence[Desired]
    ) -> Look:
        known = self.declared.customizations.known_types
        if known:
            observation = replace(observation, schemas=observation.schemas.retyped(known))
        hub = self.workspace.hub
        return Look(
            view=view,
            observation=observation,
            observed_at=rfc3339(self.clock.now()),
            instance_label=hub.tracking.instance_label if hub else None,
            sealer=self.sealer,
            defined_by={
                kind: one.entry.application.name
                for one in desired
                for kind in definitions(one.manifests)
            },
        )

    def _claimants(self, target: ClusterTarget, desired: Sequence[Desired]) -> Claimants:
        """Whose leftovers are looked for: of those of which everything that Git declares is known.

        Flux leaves what Git dropped where it is not told to prune.
        """
        wanted = [
            one
            for one in desired
            if one.complete
            and (one.entry.application.flux is None or one.entry.application.flux.prune)
        ]
        # A rule of argocd-cm names clusters as Applications do.
        server = next((one.entry.destination.server for one in wanted), "") or target.server
        customizations = self.declared.customizations
        spaces = {m.key.namespace for one in wanted for m in one.manifests}
        spaces |= {one.entry.destination.namespace for one in wanted}
        return Claimants(
            declared=[(one.entry.application, one.keys) for one in wanted],
            namespaces=frozenset(spaces - {""}),
            marks=self.declared.marks,
            excluded=lambda group, kind: customizations.excludes(group, kind, server),
        )

    async def _consultation(self, target: ClusterTarget, shared: Look) -> Consultation | None:
        """Who asks the cluster by dry runs, if that is wanted."""
        opened, memory = self.workspace.open_oracle, self.workspace.oracles
        if opened is None or not self.options.oracle:
            return None
        return Consultation(
            opened(target),
            DryRun(self.options.oracle),
            target,
            shared,
            self.options.concurrency,
            memory,
            await admission_hash(shared) if memory is not None else "",
        )

    async def _view(self, target: ClusterTarget) -> ClusterView:
        self.progress(f"connecting to {target.name}")
        try:
            reader = self.workspace.clusters.open(target)
        except ConfigError as error:
            raise ClusterError(error.message) from error
        view = await view_cluster(reader)
        if told := tables.note(view.version):
            self.progress(f"note: {target.name}: {told}")
        return view

    async def _desired(self, entries: Sequence[Entry], view: ClusterView | None) -> list[Desired]:
        discovery = view.discovery if view else None
        version = view.version if view else ""

        async def render(entry: Entry) -> Desired:
            self.progress(f"rendering {entry.application.name}")
            name = entry.application.qualified_name
            with span("render", application=name, cluster=entry.cluster):
                return await desired_state(
                    self.workspace,
                    entry,
                    discovery,
                    urls=self.declared.urls,
                    kube_version=version,
                    customizations=self.declared.customizations,
                )

        # By project, since a worker of the sandbox is never shared between projects.
        order = sorted(entries, key=lambda entry: entry.application.spec.project)
        results = await gather_isolated(render, order, limit=_RENDERS)
        found = {
            id(entry): (
                Desired(
                    entry=entry,
                    conditions=(
                        *entry.conditions,
                        Condition("ComparisonError", described(result)),
                    ),
                )
                if isinstance(result, Exception)
                else result
            )
            for entry, result in zip(order, results, strict=True)
        }
        return [found[id(entry)] for entry in entries]

    def _blind(self, desired: Desired, view: ClusterView | None) -> ApplicationReport:
        """The report of an application whose cluster cannot be seen: Unknown, with the reason."""
        name = desired.entry.application.qualified_name
        shared_with = () if self.workspace.claims else self.claims.conditions(name)
        conditions = [*desired.conditions, *shared_with]
        if view is not None and view.problem is not None and not desired.entry.blocked:
            replaced = isinstance(view.problem, ClusterReplaced)
            kind = view.problem.reason if replaced else "ComparisonError"
            conditions.append(Condition(kind, view.problem.message))
        if view is None:
            return application_report(desired, (), conditions)
        moment = rfc3339(self.clock.now())
        shared = Look(view=view, observation=_NOTHING, observed_at=moment)
        return application_report(desired, Verdict(desired, shared).resources(), conditions)

    async def _isolated(self, desired: Desired, shared: Look) -> Looked:
        """The verdict on one application; whatever goes wrong with it stays with it."""
        kept = shared if self.keep else None
        try:
            entry = desired.entry
            name = entry.application.qualified_name
            with span("compare", application=name, cluster=entry.cluster):
                report, verdict, memory = await self._report(desired, shared)
        except Exception as error:  # noqa: BLE001 - even a defect must not blank the others
            told = Condition("ComparisonError", described(error))
            report = application_report(desired, (), (*desired.conditions, told))
            return Looked(report, desired, shared.view, kept)
        return Looked(
            report,
            desired,
            shared.view,
            kept,
            verdict.seals,
            verdict.live,
            verdict.context.deployers,
            memory,
        )

    async def _synced(
        self, entry: Entry, view: ClusterView, revisions: tuple[str, ...]
    ) -> Mapping[ResourceKey, Manifest] | None:
        """What Git declared at some revisions; None if they cannot be rendered any more."""
        return await synced_state(
            self.workspace,
            entry,
            view.discovery,
            urls=self.declared.urls,
            revisions=revisions,
            kube_version=view.version,
        )

    async def _placed(
        self, desired: Desired, shared: Look, verdict: Verdict, resources: list[ResourceReport]
    ) -> list[ResourceReport]:
        """The objects with the places in Git of what differs, and the values where asked for."""
        placed = await with_places(
            self.workspace, desired, resources, declared=self.declared, unserved=verdict.unserved
        )
        if not self.options.values:
            return placed
        return await with_values(self.workspace, desired, shared.view, placed, self.declared)

    async def _report(
        self, desired: Desired, shared: Look
    ) -> tuple[ApplicationReport, Verdict, ApplicationMemory | None]:
        application, target = desired.entry.application, desired.entry.target
        manifests = {manifest.key: manifest for manifest in desired.manifests}
        keys = manifests if desired.partial else None
        memory = self.workspace.memory
        # A look at single objects is short, and somebody waits for it.
        async with nullcontext() if desired.partial else self.workspace.comparing:
            past = await recalled(memory, target, application, keys) if target else None
            verdict = Verdict(desired, shared, past=past, unchanged=self.workspace.unchanged)
            comparisons = None if desired.partial else self.workspace.comparisons
            resources = await verdict.resources_with_pauses(comparisons)
        revisions = past.synced_revisions(application) if past else application.synced_revisions
        behind = revisions not in ((), desired.revisions)
        since = None
        if behind and any(resource.status in DRIFT_STATUSES for resource in resources):
            synced = await self._synced(desired.entry, shared.view, revisions)
            since = Since(manifests, synced)
            if synced is not None:
                verdict = Verdict(desired, shared, synced, past)
                resources = await verdict.resources_with_pauses()
        asked: list[Condition] = []
        if self.consultation is not None:
            resources, asked = await self.consultation.about(verdict, desired.manifests, resources)
        if past is not None:
            waited = Awaited(application, past.histories, self.options.pending_deadline)
            resources = waited.marked(resources, verdict.histories, manifests, shared.observed_at)
        resources, told = await judge(
            application,
            resources,
            manifests,
            verdict.live,
            self.workspace.sandbox,
            shared=self.declared.customizations.ignore,
            severities=self.workspace.severities,
            complete=desired.complete,
        )
        resources = await self._placed(desired, shared, verdict, explained(resources))
        # Other applications' verdicts must not wait for a long one.
        await asyncio.sleep(0)
        facts = unexplained(shared.observation.fact_problems, resources)
        blind = since is not None and since.synced is None
        facts += unjudged(application, resources, verdict.deployers, unrendered=blind)
        conditions = (
            *desired.conditions, *self.claims.conditions(application.qualified_name),
            *asked, *told, *facts, *(past.conditions if past else ()), *shared.view.conditions,
        )  # fmt: skip
        unseen = shared.observation.not_searched if desired.complete else ()
        report = application_report(
            desired, resources, conditions, verdict.deployers, not_searched=unseen
        )
        if past is None:
            return report, verdict, None
        # Some objects alone cannot say that nothing of the application waits for a sync.
        revisions = () if desired.partial else desired.revisions
        return report, verdict, left(past, verdict.histories, resources, revisions, since)


def quiet(_text: str) -> None:
    """The progress of a daemon's look, which reports through its log."""
