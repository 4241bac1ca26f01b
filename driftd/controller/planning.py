"""The plan that puts an application back, from one look: for the heal and for who asks about it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from driftd.controller.check import Looked
from driftd.controller.engines import engines_at
from driftd.controller.foreseen import node_of
from driftd.model.application import Application
from driftd.model.resource import ResourceKey
from driftd.settings.healing import HealingRule, Rung
from driftd.sync.plan import SyncPlan, plan


def plan_of(
    application: Application,
    looked: Looked,
    rule: HealingRule,
    shared: Mapping[ResourceKey, str] | None = None,
    *,
    foreseen: bool = False,
    halted: str = "",
) -> SyncPlan:
    """The plan for an application from a look at it, as a rule opens it; see `sync.plan.plan`."""
    return plan(
        application,
        looked.report,
        looked.desired.manifests,
        rung=rule.rung,
        held=looked.desired.repeated,
        shared=shared,
        complete=looked.desired.complete,
        managers=() if rule.rung is Rung.OBSERVE else engines_at(looked),
        live=looked.live,
        node=partial(node_of, looked),
        undeclared=rule.undeclared,
        foreseen=foreseen,
        halted=halted,
    )
