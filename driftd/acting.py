"""What may write to managed objects, put together with its guards and its journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from driftd.clock import Clock

if TYPE_CHECKING:
    from driftd.cluster.registry import ClusterRegistry
    from driftd.controller.healing import Healing
    from driftd.controller.identity import Identities
    from driftd.settings.types import Settings


def healing_of(
    settings: Settings,
    clusters: ClusterRegistry,
    identities: Identities,
    clock: Clock,
    can_record: Callable[[], bool],
) -> Healing:
    """What puts applications back, as far as the settings allow; every writer asks who it is at."""
    from driftd.cluster.writer import KubeWriter
    from driftd.controller.healing import Healing

    return Healing(
        settings=settings.healing,
        open_writer=lambda target: identities.guarded(
            target, KubeWriter(clusters.open(target).transport)
        ),
        clock=clock,
        can_record=can_record,
    )
