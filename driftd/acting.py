"""What may write to managed objects, put together with its guards and its journal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from driftd.clock import Clock

if TYPE_CHECKING:
    from datetime import datetime

    from driftd.cluster.destinations import ClusterTarget
    from driftd.cluster.kubeconfig import Kubeconfig
    from driftd.cluster.registry import ClusterRegistry
    from driftd.controller.asking import AskEngine
    from driftd.controller.declared import Entry
    from driftd.controller.heal_once import HealReport
    from driftd.controller.healing import Healing
    from driftd.controller.identity import Identities
    from driftd.controller.journal import JournalByHand
    from driftd.controller.options import CheckOptions
    from driftd.controller.restore import Restoring
    from driftd.controller.rewritings import Move
    from driftd.controller.workspace import Progress, Workspace
    from driftd.model.resource import ResourceKey
    from driftd.settings.healing import Healing as HealingSettings
    from driftd.settings.types import Settings
    from driftd.settings.types import Store as StoreSettings
    from driftd.store.backups import Backup
    from driftd.store.sql import SqlStore
    from driftd.sync.seams import Guards
    from driftd.telemetry.metrics import Metrics


def healing_of(
    settings: Settings,
    clusters: ClusterRegistry,
    identities: Identities,
    clock: Clock,
    can_record: Callable[[], bool],
    store: SqlStore,
    guards: Guards,
    metrics: Metrics,
) -> Healing:
    """What puts applications back, as far as the settings allow; every writer asks who it is at.

    What it does is written down in `store`.
    """
    from driftd.cluster.writer import KubeWriter
    from driftd.controller.afterwards import Afterwards
    from driftd.controller.journal import HealJournal
    from driftd.controller.looked_after import LookedAfter
    from driftd.settings.load import store_dsn
    from driftd.store import acts
    from driftd.store.envelope import envelope_of
    from driftd.store.ledger import Ledger

    ledger, dsn = Ledger(store), store_dsn(settings.store)
    journal = HealJournal(
        ledger=ledger,
        envelope=lambda: envelope_of(acts.key_of(settings.store.key_file, dsn), make=True),
        clock=clock,
    )
    return LookedAfter(
        settings=settings.healing,
        open_writer=lambda target: identities.guarded(
            target, KubeWriter(clusters.open(target).transport)
        ),
        clock=clock,
        can_record=can_record,
        journal=journal,
        ledger=ledger,
        afterwards=Afterwards(
            ledger=ledger,
            journal=journal,
            clock=clock,
            deadline=settings.healing.health_deadline,
            worse=metrics.made_worse,
        ),
        store=settings.store,
        acts=acts.folder_of(dsn),
        guards=guards,
    )


def guards_of(
    settings: Settings, store: SqlStore, metrics: Metrics, workspace: Workspace
) -> Guards:
    """The guards of a daemon's healing, over its store."""
    from driftd.controller.guarding import Guarding
    from driftd.controller.rewritings import by_git
    from driftd.settings.load import store_dsn
    from driftd.sync.standing_orders import StandingOrders, orders_path

    async def ancestors(url: str, revision: str, limit: int) -> Sequence[str]:
        repository = await workspace.repositories.repository(url, frozenset({url}))
        return await repository.ancestors(revision, limit)

    async def rewritten(move: Move) -> bool:
        return await by_git(lambda: workspace.repositories, lambda: frozenset({move.url}))(move)

    path = orders_path(settings.healing.orders_file, store_dsn(settings.store))
    return Guarding(
        policy=settings.healing,
        store=store,
        metrics=metrics,
        orders=StandingOrders(path) if path is not None else None,
        ancestors=ancestors,
        is_rewritten=rewritten,
    )


def engine_target(options: CheckOptions, entry: Entry) -> ClusterTarget | None:
    """The cluster with the object that an engine works by: the hub, or for Flux also the own one.

    None where it is not known. Raises ConfigError.
    """
    from driftd.app import hub_target, kubeconfig_of

    if options.hub:
        kubeconfig, _ = kubeconfig_of(options)
        return hub_target(kubeconfig.context(options.hub)) if kubeconfig else None
    return entry.target if entry.application.flux is not None else None


def engine_asker(
    settings: Settings, options: CheckOptions, clusters: ClusterRegistry, identities: Identities
) -> AskEngine:
    """What asks Argo CD (on the hub) or Flux (there, or where the application is) for a sync.

    Nothing is asked for during a freeze, or of a cluster that is not who it was, and nothing of
    Flux where that would roll out what somebody edited live.
    """
    from driftd.clock import rfc3339
    from driftd.cluster.engines import Engines
    from driftd.controller.guarding import ordered
    from driftd.controller.live_uses import with_live_edits
    from driftd.settings.load import store_dsn
    from driftd.sync.engine import before_asking_flux
    from driftd.sync.orders import FREEZE, in_force
    from driftd.sync.standing_orders import StandingOrders, orders_path

    path = orders_path(settings.healing.orders_file, store_dsn(settings.store))
    file = StandingOrders(path) if path is not None else None

    async def ask(entry: Entry, objects: Sequence[ResourceKey], now: datetime, stuck: bool) -> str:
        name = entry.application.qualified_name
        orders, stopped = ordered(settings.healing, file)
        if stopped or any(in_force(orders, FREEZE, name, entry.cluster, now)):
            return stopped or "healing is frozen"
        if not options.hub and entry.application.flux is None:
            return "Argo CD can be asked on a hub alone (clusters.hubContext)"
        target = engine_target(options, entry)
        if target is None:
            return "the cluster of the engine is not known"
        await identities.verify(target, strictly=True)
        reader = clusters.open(target)
        # What a checkout declares may have been edited live, since the sweep too.
        if first := before_asking_flux(await with_live_edits(reader, entry.application)):
            return first
        engines = Engines(reader.transport)
        return await engines.sync(entry.application, objects, rfc3339(now), stuck=stuck)

    return ask


async def heal(
    options: CheckOptions,
    rules: HealingSettings,
    *,
    opened: bool,
    progress: Progress,
    clock: Clock,
    store: StoreSettings | None = None,
    alone: bool = False,
) -> HealReport:
    """Put the application that `options` name back once; a preview unless `opened`.

    What is written goes on the record of `store`, if that is known; with `alone` no daemon has
    that one. Raises DriftdError.
    """
    from driftd.app import open_workspace
    from driftd.cluster.registry import ClusterRegistry
    from driftd.cluster.writer import KubeWriter
    from driftd.controller.guarding import ByHand
    from driftd.controller.heal_once import heal_once
    from driftd.controller.healing import Healing
    from driftd.sync.seams import Unrecorded
    from driftd.sync.standing_orders import StandingOrders

    async with open_workspace(options, progress) as workspace:
        clusters = workspace.clusters
        assert isinstance(clusters, ClusterRegistry)  # noqa: S101 - open_workspace makes it
        healing = Healing(
            settings=rules,
            open_writer=lambda target: KubeWriter(clusters.open(target).transport),
            clock=clock,
            journal=_journal_by_hand(store, clock) if store is not None else Unrecorded(),
            guards=ByHand(
                policy=rules,
                orders=StandingOrders(Path(rules.orders_file)) if rules.orders_file else None,
            ),
        )
        report = await heal_once(
            workspace,
            options,
            healing,
            opened=opened,
            progress=progress,
            clock=clock,
            by_rule=store is not None and not alone,
        )
    if store is None or not alone:
        return report
    return await _taken_in(report, store)


async def _taken_in(report: HealReport, store: StoreSettings) -> HealReport:
    """Bring what a heal has left into its store; the report says where that is."""
    import msgspec

    from driftd.errors import StoreError
    from driftd.settings.load import store_dsn
    from driftd.store import acts
    from driftd.store.ledger import take_in, writing

    dsn = store_dsn(store)
    folder = acts.folder_of(dsn)
    if folder is None or not acts.left(folder):
        return report
    # Another command may have it just now: the files stay, and the next heal takes them in.
    with suppress(StoreError):
        async with writing(dsn) as ledger:
            await take_in(ledger, folder)
    return msgspec.structs.replace(report, record=dsn)


def _journal_by_hand(store: StoreSettings, clock: Clock) -> JournalByHand:
    from driftd.controller.journal import JournalByHand
    from driftd.settings.load import store_dsn
    from driftd.store import acts
    from driftd.store.envelope import envelope_of

    dsn = store_dsn(store)
    return JournalByHand(
        dsn=dsn,
        envelope=lambda: envelope_of(acts.key_of(store.key_file, dsn), make=True),
        clock=clock,
        who=acts.person(),
    )


async def restoring(
    options: CheckOptions,
    backup: str,
    *,
    dsn: str,
    key_file: str,
    write: bool,
    confirm: Callable[[Restoring], None],
    clock: Clock,
) -> None:
    """Compare a backup with the live object, tell `confirm`, and put it back if `write`.

    Otherwise the API server is asked by a dry run. Raises DriftdError; what `confirm` raises ends
    it before anything is written.
    """
    from driftd.app import cluster_registry
    from driftd.cluster.kubeconfig import load_kubeconfig
    from driftd.cluster.restoring import KubeRestorer
    from driftd.controller.restore import prepare, restore
    from driftd.errors import ClusterError
    from driftd.store import acts, reading
    from driftd.store.envelope import envelope_of
    from driftd.store.ledger import acted

    kept, sealed = await reading.backup(dsn, backup)
    body = envelope_of(acts.key_of(key_file, dsn), make=False).open(kept.row, sealed)
    kubeconfig = load_kubeconfig(str(options.kubeconfig or ""))
    target = _target_of(kept, kubeconfig, options.context or "")
    async with cluster_registry(options) as clusters:
        cluster = clusters.open(target)
        work = await prepare(kept, body, target.name, cluster)
        confirm(work)
        restorer, who = KubeRestorer(cluster.transport), acts.person()
        await restore(work, restorer, dry_run=True)
        if not write:
            return
        # On the record first: what cannot be recorded is not done, and the daemon waits.
        await acted(dsn, work.record(clock, who, "restore", "intended"))
        outcome = "failed"
        try:
            await restore(work, restorer, dry_run=False)
            outcome = "restored"
        except ClusterError as error:
            outcome = f"failed: {error.reason}"
            raise
        finally:
            await acted(dsn, work.record(clock, who, "restore-result", outcome))


def _target_of(kept: Backup, kubeconfig: Kubeconfig, context: str) -> ClusterTarget:
    """The context that a backup's cluster is reached through. Raises ConfigError."""
    from driftd.cluster.destinations import ClusterTarget, TargetKind
    from driftd.errors import ConfigError

    known = {one.name: one for one in kubeconfig.contexts}
    if context:
        kubeconfig.context(context)
    names = [context, kept.cluster, *(n for n, c in known.items() if c.server == kept.server)]
    found = next((known[name] for name in names if name in known), None)
    if found is None:
        raise ConfigError(
            f"no context is called {kept.cluster!r} or has the server {kept.server}",
            hint="name one with --context: " + ", ".join(sorted(known)),
        )
    return ClusterTarget(TargetKind.CONTEXT, found.name, found.server)
