"""What may write to managed objects, put together with its guards and its journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from driftd.clock import Clock

if TYPE_CHECKING:
    from driftd.cluster.registry import ClusterRegistry
    from driftd.controller.heal_once import HealReport
    from driftd.controller.healing import Healing
    from driftd.controller.identity import Identities
    from driftd.controller.options import CheckOptions
    from driftd.controller.workspace import Progress
    from driftd.settings.healing import Healing as HealingSettings
    from driftd.settings.types import Settings
    from driftd.store.sql import SqlStore


def healing_of(
    settings: Settings,
    clusters: ClusterRegistry,
    identities: Identities,
    clock: Clock,
    can_record: Callable[[], bool],
    store: SqlStore,
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
        afterwards=Afterwards(ledger=ledger, journal=journal, clock=clock),
        store=settings.store,
        acts=acts.folder_of(dsn),
    )


async def heal(
    options: CheckOptions,
    rules: HealingSettings,
    *,
    opened: bool,
    progress: Progress,
    clock: Clock,
) -> HealReport:
    """Put the application that `options` name back once; a preview unless `opened`.

    Raises DriftdError.
    """
    from driftd.app import open_workspace
    from driftd.cluster.registry import ClusterRegistry
    from driftd.cluster.writer import KubeWriter
    from driftd.controller.heal_once import heal_once
    from driftd.controller.healing import Healing

    async with open_workspace(options, progress) as workspace:
        clusters = workspace.clusters
        assert isinstance(clusters, ClusterRegistry)  # noqa: S101 - open_workspace makes it
        healing = Healing(
            settings=rules,
            open_writer=lambda target: KubeWriter(clusters.open(target).transport),
            clock=clock,
        )
        return await heal_once(
            workspace, options, healing, opened=opened, progress=progress, clock=clock
        )
