"""Situations for tests of guards: everything permits a write unless a test says otherwise."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from driftd.model.application import (
    Application,
    ApplicationSource,
    ApplicationSpec,
    AutomatedSync,
    Destination,
    SyncPolicy,
)
from driftd.model.report import ApplicationReport, ResourceReport, ResourceStatus
from driftd.settings.healing import Healing, Rung
from driftd.store.types import DriftKey
from driftd.sync.fights import places
from driftd.sync.guards import Admission, admit
from driftd.sync.orders import Order
from driftd.sync.plan import SyncPlan, SyncTask, plan
from driftd.sync.seams import Facts
from driftd.sync.situation import GuardState, Situation
from tests.unit.reports import START, report
from tests.unit.sync.builders import manifest

NOW = START
LONG_AGO = NOW - timedelta(days=1)
REVISION = "0123456789abcdef0123456789abcdef01234567"
IDENTITY = "production|uid-1"
SOURCE = ApplicationSource(repo_url="https://git.example.com/shop", path="shop")
SOURCE_NAME = "https://git.example.com/shop|||shop"
POLICY = Healing()


def application(**fields: Any) -> Application:
    """An Application that asks for self-healing, with one source."""
    spec = ApplicationSpec(
        sync_policy=SyncPolicy(automated=AutomatedSync(self_heal=True)),
        source=SOURCE,
        destination=Destination(name="production", namespace="shop"),
    )
    return Application(name="shop", namespace="argocd", spec=spec, **fields)


def order(kind: str, **fields: Any) -> Order:
    """An order of a person, given an hour ago."""
    given = {"id": "1", "at": NOW - timedelta(hours=1), "by": "ann", "reason": "INC-7", **fields}
    return Order(kind=kind, **given)  # type: ignore[arg-type]


def situation(
    *resources: ResourceReport,
    onset: datetime = LONG_AGO,
    declared: int = 20,
    state: dict[str, Any] | None = None,
    facts: dict[str, Any] | None = None,
    looked: ApplicationReport | None = None,
    **fields: Any,
) -> Situation:
    """An application that was seen before, and has drifted since `onset`."""
    known = {
        "identity": IDENTITY,
        "first_look": LONG_AGO,
        "declared": declared,
        "revisions": {SOURCE_NAME: (REVISION,)},
        **(state or {}),
    }
    seen = {
        "application": application(),
        "project": None,
        "cluster": "production",
        "server": "https://production.example.com",
        "report": looked or report(*resources),
        "declared": declared,
        "live": {},
        **(facts or {}),
    }
    onsets = {
        DriftKey(one.key, place, str(change.kind) if change else str(one.status)): onset
        for one in resources
        for place, change in places(one).items()
    }
    return Situation(
        facts=Facts(**seen),
        identity=IDENTITY,
        state=GuardState(**known),
        **{"onsets": onsets, **fields},
    )


def planned(it: Situation, *, rung: Rung = Rung.FIELDS, **bodies: dict[str, Any]) -> SyncPlan:
    """What the plan makes of every object of a situation; `bodies` are the manifests' contents."""
    manifests = [
        manifest(one.name, kind=one.kind, **bodies.get(one.name, {"spec": {}}))
        for one in it.facts.report.resources
    ]
    return plan(it.facts.application, it.facts.report, manifests, rung=rung)


def task(resource: ResourceReport, **body: Any) -> SyncTask:
    """A write for an object, whatever a plan says of it."""
    one = manifest(resource.name, kind=resource.kind)
    content = {"apiVersion": "apps/v1", "kind": resource.kind, "metadata": {}, **body}
    return SyncTask(
        key=resource.key,
        gvk=one.gvk,
        body=msgspec.json.encode(content),
        wave=0,
        create=resource.status is ResourceStatus.MISSING,
    )


def guarded(
    it: Situation,
    policy: Healing = POLICY,
    now: datetime = NOW,
    *,
    rung: Rung = Rung.FIELDS,
    tasks: tuple[SyncTask, ...] | None = None,
) -> Admission:
    """What the guards make of the plan for a situation, or of these tasks."""
    made = planned(it, rung=rung)
    if tasks is not None:
        made = SyncPlan(application=it.name, rung=rung, tasks=tasks)
    return admit(made, it, policy, now)


def holds(found: Admission) -> dict[str, tuple[str, str, datetime | None]]:
    """Guard, reason and moment, by the names of what is held back."""
    return {s.key.name: (s.guard, s.reason, s.until) for s in found.plan.skipped}


def written(found: Admission) -> list[str]:
    """The names of what may be written."""
    return [one.key.name for one in found.plan.tasks]
