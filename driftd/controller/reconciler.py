"""The sentence of the product: look at an application, act where allowed, record, tell."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from driftd.clock import Clock
from driftd.cluster.auditstream import AuditStreams
from driftd.cluster.destinations import ClusterTarget
from driftd.cluster.hub import Hub
from driftd.controller.acceptance import StandingAcceptance
from driftd.controller.asking import AskEngine, Asking
from driftd.controller.check import Looked, look, quiet
from driftd.controller.counting import DriftCount
from driftd.controller.declared import Declared, Entry, declare
from driftd.controller.desired import Desired
from driftd.controller.endings import endings
from driftd.controller.engines import written
from driftd.controller.glance import Standings, glance
from driftd.controller.healing import Healed, Healing
from driftd.controller.holding import Holding, ReadOperation
from driftd.controller.identity import Identities
from driftd.controller.ignoring import SharedRules
from driftd.controller.looklog import log_look
from driftd.controller.observed import refused_lists
from driftd.controller.options import CheckOptions
from driftd.controller.rendered import RenderMemory
from driftd.controller.rewritings import Rewritings, by_git
from driftd.controller.severities import StandingSeverities
from driftd.controller.shared import Claims
from driftd.controller.silencing import Silencing
from driftd.controller.standing_audit import StandingAudit
from driftd.controller.sweep import SweepClusters
from driftd.controller.telling import notices_of, subject_of
from driftd.controller.unchanged import Unchanged
from driftd.controller.verdict import application_report
from driftd.controller.watching import Touched, Watching
from driftd.controller.workspace import Workspace
from driftd.errors import DriftdError
from driftd.model.condition import Condition, Severity
from driftd.model.silence import Silence
from driftd.notify.message import Subject
from driftd.settings.healing import Rung
from driftd.settings.rules import selected
from driftd.settings.types import Settings
from driftd.store.protocol import Compose, Store
from driftd.store.types import HistoryEntry, StateChange, Transition
from driftd.sync.outcome import SyncResult
from driftd.telemetry.logs import get_logger
from driftd.telemetry.metrics import Metrics
from driftd.telemetry.tracing import STATUS, span

ReadHub = Callable[[], Awaitable[Hub]]


def _nobody() -> None:
    """Nobody is told."""


@dataclass(slots=True, kw_only=True)
class Reconciler:
    """Reconciles one application at a time, by name."""

    workspace: Workspace
    options: CheckOptions
    settings: Settings
    store: Store
    compose: Callable[[Subject], Compose]
    """Composes the messages about one application."""
    healing: Healing
    """Puts back what may be put back; it holds the only writer of managed objects."""
    metrics: Metrics
    clock: Clock
    read_hub: ReadHub | None = None
    """Reads the hub anew at each sweep; None without one."""
    read_operation: ReadOperation | None = None
    """Says what an engine does with an application right now; None where none can be asked."""
    audit_streams: AuditStreams | None = None
    """What API servers post; None where they do not."""
    watching: Watching | None = None
    """Learns what each look saw, to ask for the next one as soon as that changes."""
    identities: Identities | None = None
    """Holds clusters to who they were at first contact; None trusts their addresses."""
    news: Callable[[], None] = _nobody
    """Called when there may be messages to deliver."""
    writes: Counter[str] = field(default_factory=Counter)
    """Objects that healing tried to write since the start, by outcome."""
    silences: Callable[[], tuple[Silence, ...]] = tuple
    """What people have silenced beside the annotations in Git."""
    ask_engine: AskEngine | None = None
    """Asks Argo CD or Flux for a sync; None where neither can be reached."""
    holding: Holding = field(init=False)
    asking: Asking = field(init=False)
    silencing: Silencing = field(init=False)
    rewritings: Rewritings = field(init=False)
    _clusters: SweepClusters = field(init=False)
    drifts: DriftCount = field(init=False)
    _acceptance: StandingAcceptance = field(init=False)
    _severities: StandingSeverities = field(init=False)
    _audit: StandingAudit = field(init=False)
    _shared_rules: SharedRules = field(default_factory=SharedRules)
    _claims: Claims = field(default_factory=Claims)
    _declared: Declared | None = None
    _read: tuple[str, ...] = ()
    _entries: Mapping[str, Entry] = field(default_factory=dict)
    standings: Standings = field(default_factory=Standings)
    _revisions_seen: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Of the last look at each application."""

    def __post_init__(self) -> None:
        """Let the looks share what does not change from one to the next."""
        self._clusters = SweepClusters(self.workspace.clusters, self.identities)
        self.drifts = DriftCount(self.store, self.metrics)
        self._acceptance = StandingAcceptance.of(self.settings)
        own = self.settings.severity
        self._severities = StandingSeverities(Path(own) if own else None)
        self._audit = StandingAudit(self.settings, self.audit_streams)
        self.holding = Holding(
            limit=timedelta(seconds=self.settings.notifications.hold.seconds),
            wait=timedelta(seconds=self.settings.audit_webhook.wait.seconds),
            expected=self._audit.expected,
            read=self.read_operation,
        )
        self.asking = Asking(
            settings=self.settings.healing,
            store=self.store,
            metrics=self.metrics,
            ask=self.ask_engine,
        )
        self.rewritings = Rewritings(by_git(lambda: self.workspace.repositories, self.urls))
        self.silencing = Silencing(
            settings=self.settings.silences, metrics=self.metrics, current=self.silences
        )
        self.workspace = replace(
            self.workspace,
            memory=self.store,
            unchanged=Unchanged(),
            clusters=self._clusters,
            rendered=RenderMemory(),
            claims=self._claims,
            severities=self._severities.rules,
        )

    async def declared_names(self, only: Callable[[str], bool] | None = None) -> list[str]:
        """Read anew what Git declares; the names (`namespace/name`) of the chosen applications.

        With `only`, repositories whose URL it names are asked, and neither others nor the hub.

        Applications that are declared no longer are forgotten, but only when everything could
        be read: what could not may declare them, so they stay as they were declared last.
        Raises DriftdError when nothing can be read; then everything stays as it was.
        """
        log = get_logger("driftd.controller")
        if only is not None:
            self.workspace.repositories.forget_some(only, self.urls())
        else:
            self.workspace.repositories.forget()
            if self.read_hub is not None:
                self.workspace = replace(self.workspace, hub=await self.read_hub())
            self._clusters.forget()
        declared = await declare(self.workspace, self.options, lambda text: log.debug(text))
        for condition in declared.conditions:
            log.warning("declaration", type=condition.type, problem=condition.message)
        self._declared = declared
        self._read = await self._revisions()
        found = {
            entry.application.qualified_name: entry
            for entry in declared.entries
            if selected(
                self.settings.applications, entry.application.namespace, entry.application.name
            )
        }
        blind = any(one.severity is Severity.ERROR for one in declared.conditions)
        every = frozenset(one.application.qualified_name for one in declared.entries)
        self._claims.outdated(None if blind else every)
        if blind:
            self._entries = {**self._entries, **found}
        else:
            self._entries = found
            await self._forget_others()
        self.metrics.known({name: entry.cluster for name, entry in self._entries.items()})
        await self.drifts.count()
        self.standings.only(self._entries)
        self._revisions_seen = {
            name: seen for name, seen in self._revisions_seen.items() if name in self._entries
        }
        self.rewritings.only(self._entries)
        self.holding.only(self._entries)
        self.silencing.only(self._entries)
        self.asking.only(self._entries)
        self._audit.only(self._entries)
        if self.watching is not None:
            self.watching.only(self._entries)
        self._read_accepted(declared.names)
        self._read_severities()
        for condition in self._shared_rules.useless(
            declared.customizations.ignore, () if blind else found
        ):
            log.info("ignore rule", type=condition.type, problem=condition.message)
        return self.known_names()

    def _read_accepted(self, names: frozenset[str] | None) -> None:
        """Read baseline and suppression files anew; what is wrong with them is logged once."""
        today = self.clock.now().date()
        log = get_logger("driftd.controller")
        for condition in self._acceptance.reread(self._entries, today, names=names):
            log.warning("accepted findings", type=condition.type, problem=condition.message)

    def _read_severities(self) -> None:
        """Read the operator's severity rules anew; what is wrong with them is logged once."""
        log = get_logger("driftd.controller")
        rules = self._severities.reread(lambda text: log.warning("severity rules", problem=text))
        self.workspace = replace(self.workspace, severities=rules)

    @property
    def entries(self) -> Mapping[str, Entry]:
        """The applications at the last reading that succeeded, by name."""
        return self._entries

    def urls(self) -> frozenset[str]:
        """Every URL that something is read from."""
        declared = self._declared.urls if self._declared is not None else ()
        return self.workspace.repositories.urls(declared)

    def known_names(self) -> list[str]:
        """The names at the last reading that succeeded."""
        return sorted(self._entries)

    def target(self, name: str) -> ClusterTarget | None:
        """The cluster of an application; None if it is not known."""
        entry = self._entries.get(name)
        return None if entry is None else entry.target

    def rediscover(self, target: ClusterTarget) -> None:
        """Discover a cluster anew with the next look."""
        self._clusters.forget(target)

    async def _forget_others(self) -> None:
        """Drop what the store knows of applications that are declared no longer."""
        for stored in await self.store.applications():
            name = f"{stored.report.namespace}/{stored.report.name}"
            if name not in self._entries:
                await self.store.forget(name, self.clock.now())
        await self.healing.only(self._entries)

    async def moved(self) -> bool:
        """Whether a repository of Applications has another revision than at the last reading.

        Raises DriftdError.
        """
        self.workspace.repositories.forget()
        return await self._revisions() != self._read

    async def _revisions(self) -> tuple[str, ...]:
        if self.workspace.hub is not None:
            return ()
        readings, _ = await self.workspace.repositories.homes()
        return tuple(one.revision for one in readings)

    async def reconcile(self, name: str, *, whole: bool = True) -> bool:
        """Look, act if the operator has opened it, record, and leave the telling to the outbox.

        Without `whole`, objects that a watch has seen change are enough, where that is possible.
        Whether something was written, so that another look is due. Raises StoreError.
        """
        entry = self._entries.get(name)
        if entry is None or self._declared is None:
            return False
        with span("reconcile", application=name, cluster=entry.cluster) as told:
            touched = self.watching.touched(name) if self.watching is not None else None
            noticed = self.watching.noticed(name) if self.watching is not None else None
            enough = not whole and touched is not None
            if enough and (not touched or await self._glanced(entry, touched, noticed, told)):
                return False
            return await self._whole(name, entry, noticed, told)

    async def _whole(
        self, name: str, entry: Entry, noticed: float | None, told: dict[str, str]
    ) -> bool:
        """Look at everything of an application; what the span is to say goes to `told`."""
        assert self._declared is not None  # noqa: S101 - reconcile has checked it
        started, began = time.monotonic(), self.clock.now()
        with span("look", application=name, cluster=entry.cluster):
            looked = await self._look(entry, began)
        told[STATUS] = str(looked.report.status)
        if self.watching is not None:
            self.watching.looked(name, looked)
        self._shared_rules.looked(looked.report)
        healed = await self.healing.heal(
            entry,
            looked,
            workspace=self.workspace,
            declared=self._declared,
            claims=self._claims,
        )
        looked, result = healed.looked, healed.result
        change = await self._record(
            entry,
            looked,
            began,
            noticed,
            written(name, self.clock.now(), result),
            healed=healed,
        )
        self._measure(looked, result, time.monotonic() - started)
        await self._log(change, result)
        wrote = result is not None and result.wrote
        if wrote:
            # It may have been a CustomResourceDefinition.
            self._clusters.forget(entry.target)
        return wrote

    async def ended(self, name: str, error: DriftdError) -> None:
        """Record that a look was ended before it had judged anything: Unknown, and why.

        Raises StoreError.
        """
        entry = self._entries.get(name)
        if entry is None:
            return
        desired = Desired(entry=entry, revisions=self._revisions_seen.get(name, ()))
        report = application_report(desired, (), [Condition(error.reason, error.message)])
        self.standings.forget(name)
        compose = self.compose(subject_of(entry, self.settings.notifications))
        change = await self.store.record(report, self.clock.now(), compose)
        self.metrics.look(report, self.settings.sweep.timeout.seconds)
        await self._log(change, None)

    async def _glanced(
        self,
        entry: Entry,
        touched: frozenset[Touched],
        noticed: float | None,
        told: dict[str, str],
    ) -> bool:
        """Look at some objects alone and record that; whether it was possible. Raises StoreError.

        What may be healed is looked at as a whole: other objects decide on that, too.
        """
        application = entry.application
        name = application.qualified_name
        standing, declared = self.standings.of(name), self._declared
        if self.healing.rung(entry) is not Rung.OBSERVE or standing is None or declared is None:
            return False
        began = self.clock.now()
        watched = self.watching.objects(entry.target, touched) if self.watching is not None else {}
        with span("glance", application=name, cluster=entry.cluster):
            found = await glance(
                self.workspace,
                replace(declared, entries=(entry,), conditions=(), marks=None),
                self.options,
                entry,
                standing,
                touched,
                clock=self.clock,
                sealer=self._acceptance.sealer,
                told=watched,
            )
        if found is None or (
            entry.target is not None
            and await self._clusters.doubted(entry.target, watched=bool(watched))
        ):
            return False
        looked = self._acceptance.applied(found.looked, self.clock.now().date())
        looked = await self._attributed(looked)
        self._shared_rules.looked(looked.report)
        change = await self._record(entry, looked, began, noticed, (), clean_at=standing.began)
        # Only what is recorded was seen: after a failure the next event asks again.
        self.standings.keep(name, standing.after(found.looked))
        if self.watching is not None and entry.target is not None:
            self.watching.glanced(name, entry.target, found.seen)
        self.metrics.glance(looked.report)
        told[STATUS] = str(looked.report.status)
        await self._log(change, None)
        return True

    async def _record(
        self,
        entry: Entry,
        looked: Looked,
        began: datetime,
        noticed: float | None,
        events: Sequence[HistoryEntry],
        *,
        clean_at: datetime | None = None,
        healed: Healed | None = None,
    ) -> StateChange:
        """Record a look that began to read at `began`.

        `healed` is what healing made of it; None for a look at single objects.
        `clean_at` is the moment until which everything was seen to be without a new drift, if
        that was earlier.
        """
        report, name = looked.report, entry.application.qualified_name
        hold = await self.holding.judged(entry, report, began)
        hold = self.silencing.judged(entry, hold, self.clock.now())
        now, notices = self.clock.now(), notices_of(report, healed)
        asked, notices = await self.asking.after(entry, report, now, notices)
        heals = self.healing.rung(entry) is Rung.FIELDS
        paused, notices = await self.silencing.pauses(entry, self.store, now, notices, heals=heals)
        with span("record", application=name, cluster=entry.cluster):
            change = await self.store.record(
                report,
                self.clock.now(),
                self.compose(subject_of(entry, self.settings.notifications, healed)),
                events=[*events, *asked, *paused],
                memory=looked.memory,
                began=clean_at or began,
                ending=endings(looked, self._revisions_seen.get(name)),
                hold=hold,
                notices=notices,
            )
        self.holding.recorded(change)
        self.silencing.recorded(change)
        self._revisions_seen[name] = report.revisions
        if noticed is not None and change.opened:
            self.metrics.detection(time.monotonic() - noticed)
        return change

    async def _look(self, entry: Entry, began: datetime) -> Looked:
        """Desired, observed, compared, judged.

        Discovery may be as old as the sweep. Where objects cannot be read with it, the cluster
        has changed or gone since: a second look discovers anew, and so says what is wrong.
        """
        looked = await self._look_once(entry)
        if entry.target is not None and (
            (looked.shared is not None and refused_lists(looked.shared.observation))
            or await self._clusters.doubted(entry.target)
        ):
            self._clusters.forget(entry.target)
            looked = await self._look_once(entry)
        looked = await self.rewritings.judged(looked)
        if self.watching is not None:  # nobody else asks for glances
            self.standings.looked(entry.application.qualified_name, looked, began)
        looked = self._acceptance.applied(looked, self.clock.now().date())
        return await self._attributed(looked)

    async def _attributed(self, looked: Looked) -> Looked:
        return await self._audit.attributed(
            looked,
            (one.cluster for one in self._entries.values()),
            now=self.clock.now().timestamp(),
            tell=lambda text: get_logger("driftd.controller").warning("audit log", problem=text),
        )

    async def _look_once(self, entry: Entry) -> Looked:
        assert self._declared is not None  # noqa: S101 - reconcile has checked it
        alone = replace(self._declared, entries=(entry,), conditions=(), marks=None)
        looks = await look(
            self.workspace,
            alone,
            self.options,
            progress=quiet,
            clock=self.clock,
            keep=True,  # the plan reads which engines have written to the live objects
            sealer=self._acceptance.sealer,
        )
        return looks[0]

    async def no_longer_held(self) -> list[str]:
        """Applications whose drifts are told with the next look, if they are still there.

        Those of which a look may name an author now are among them, and those of which healing
        has something to look after.
        """
        now = self.clock.now()
        due = [*self._audit.due(), *await self.healing.upkeep(), *self.healing.guards.due(now)]
        due += [*self.silencing.due(self._entries, now), *self.asking.due(now)]
        named = [name for name in due if name in self._entries]
        return [*named, *await self.holding.due(self._entries, now)]

    def outdated(self) -> list[str]:
        """Applications that others' declarations have changed the verdict on; each once."""
        return [name for name in self._claims.changed() if name in self._entries]

    def _measure(self, looked: Looked, result: SyncResult | None, seconds: float) -> None:
        self.metrics.look(looked.report, seconds)
        target, view = looked.desired.entry.target, looked.view
        if target is not None and view is not None:
            verified = not self.workspace.unverified(target)
            self.metrics.cluster(target.name, up=view.problem is None, verified=verified)
        if not looked.report.complete:
            reasons = {c.type for c in looked.report.conditions} or {"Unknown"}
            for reason in reasons:
                self.metrics.look_error(reason)
        for one in result.results if result else ():
            self.metrics.heal(str(one.outcome))
            self.writes[str(one.outcome)] += 1

    async def _log(self, change: StateChange, result: SyncResult | None) -> None:
        log_look(change, result)
        if change.transition is not Transition.NONE:
            self.news()
        if change.opened or change.closed:
            await self.drifts.changed()
