"""Putting an application back: plan, guards, journal, writes; all of it behind consents."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from driftd.clock import Clock
from driftd.cluster.destinations import ClusterTarget
from driftd.cluster.reader import ApiResource
from driftd.cluster.writer import ClusterWriter
from driftd.controller.check import Looked
from driftd.controller.declared import Declared, Entry
from driftd.controller.elsewhere import declared_elsewhere
from driftd.controller.foreseen import Foreseen
from driftd.controller.planning import plan_of
from driftd.controller.shared import Claims
from driftd.controller.workspace import Workspace
from driftd.errors import StoreError
from driftd.model.resource import GVK, LiveObject, ResourceKey
from driftd.settings.healing import Healing as HealingSettings
from driftd.settings.healing import Rung
from driftd.settings.rules import rule_of, rung_of
from driftd.sync.again import again
from driftd.sync.outcome import SyncResult
from driftd.sync.plan import SyncPlan, SyncTask
from driftd.sync.run import run
from driftd.sync.seams import Facts, Guards, Journal, Unguarded, Unrecorded
from driftd.telemetry.logs import get_logger

OpenWriter = Callable[[ClusterTarget], ClusterWriter]
"""Makes the one thing that can change managed objects; called only for an open rung."""


@dataclass(frozen=True, slots=True)
class Healed:
    """What became of the attempt to put an application back."""

    looked: Looked
    """The look, with what was learned about others' declarations on the way."""
    plan: SyncPlan
    """After the guards."""
    result: SyncResult | None = None
    """None if nothing was tried."""
    halted: str = ""
    """Why healing of the application waits for a person; empty if it does not."""


@dataclass(slots=True, kw_only=True)
class Healing:
    """Plans and carries out what puts one application at a time back."""

    settings: HealingSettings
    open_writer: OpenWriter
    clock: Clock
    can_record: Callable[[], bool] = lambda: True
    """Whether what is written to a cluster could be recorded now; else nothing is."""
    guards: Guards = field(default_factory=Unguarded)
    journal: Journal = field(default_factory=Unrecorded)

    def rung(self, entry: Entry) -> Rung:
        """What the operator has opened for an application."""
        application = entry.application
        return rung_of(self.settings, application.namespace, application.name)

    async def heal(
        self,
        entry: Entry,
        looked: Looked,
        *,
        workspace: Workspace,
        declared: Declared,
        claims: Claims,
        send: bool = True,
        foreseen: bool = False,
        halted: str = "",
    ) -> Healed:
        """Plan from the look, ask the guards, and write what is left. Never raises StoreError.

        Without `send` nothing is asked of the cluster: the plan is all. `foreseen` has it tell
        what it would take where nothing may be written, too; `halted` says why the engine that
        manages the application does nothing, if it does not.
        """
        planned = self._plan(entry, looked, foreseen=foreseen, halted=halted)
        if planned.tasks:
            looked, shared = await declared_elsewhere(workspace, declared, claims, entry, looked)
            planned = self._plan(entry, looked, shared, foreseen=foreseen, halted=halted)
        if planned.refusal:
            await self._left_alone(planned, entry, looked)
        if planned.refusal or not self.can_record():
            return Healed(looked, planned)
        try:
            facts = facts_of(entry, looked)
            planned = await self.guards.admit(planned, facts, self.clock.now())
            if planned.refusal or not planned.tasks or not send:
                return Healed(looked, planned)
            if planned.rung is not Rung.DRY_RUN:
                await self.journal.intend(planned, facts)
        except StoreError as error:
            # What cannot be written down beforehand is not done.
            get_logger("driftd.controller").warning(
                "nothing is healed", application=planned.application, problem=error.message
            )
            return Healed(looked, planned)
        return Healed(looked, planned, await self._act(planned, looked))

    async def _left_alone(self, planned: SyncPlan, entry: Entry, looked: Looked) -> None:
        """Let the guards forget what they held of an application that is left alone as a whole."""
        if not self.can_record():
            return
        try:
            await self.guards.refused(planned, facts_of(entry, looked), self.clock.now())
        except StoreError as error:
            get_logger("driftd.controller").warning(
                "what guards held is not up to date", problem=error.message
            )

    def concerns(self, live: LiveObject) -> bool:
        """Whether a change of this object matters although it changes no verdict."""
        return False

    async def upkeep(self) -> list[str]:
        """What is to be done every now and then; the applications to look at because of it."""
        return []

    async def only(self, applications: Collection[str]) -> None:
        """Forget what was under way of applications other than these. Never raises StoreError."""

    def _plan(
        self,
        entry: Entry,
        looked: Looked,
        shared: Mapping[ResourceKey, str] | None = None,
        *,
        foreseen: bool = False,
        halted: str = "",
    ) -> SyncPlan:
        """The writes that would put the application back, as data."""
        application = entry.application
        rule = rule_of(self.settings, application.namespace, application.name)
        return plan_of(application, looked, rule, shared, foreseen=foreseen, halted=halted)

    async def _act(self, planned: SyncPlan, looked: Looked) -> SyncResult | None:
        """Carry the plan out; without tasks no writer is ever made."""
        target = looked.desired.entry.target
        if target is None or looked.view is None:
            return None
        discovery = looked.view.discovery
        if discovery is None:
            return None

        def served(gvk: GVK) -> ApiResource | None:
            return discovery.served(gvk.group, gvk.version, gvk.kind)

        reader = looked.view.reader

        async def reread(task: SyncTask, resource: ApiResource) -> SyncTask | None:
            before = looked.live.get(task.key)
            now = await reader.get(resource, task.key.namespace, task.key.name)
            return again(task, before, now) if before is not None and now is not None else None

        return await run(
            planned,
            self.open_writer(target),
            served,
            journal=self.journal,
            live=looked.live,
            judge=Foreseen(looked),
            reread=reread,
        )


def facts_of(entry: Entry, looked: Looked) -> Facts:
    """What guards know of a look beside the plan."""
    return Facts(
        application=entry.application,
        project=entry.project,
        cluster=entry.cluster,
        server=entry.destination.server,
        target_server=entry.target.server if entry.target is not None else "",
        report=looked.report,
        declared=len(looked.desired.manifests),
        live=looked.live,
    )
