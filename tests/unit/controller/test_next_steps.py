"""When self-healing is remarked, and which line puts an object back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from driftd.controller.next_steps import next_steps
from driftd.model.application import AutomatedSync, SyncPolicy
from driftd.model.report import (
    ApplicationReport,
    ApplicationStatus,
    Change,
    ChangeClass,
    ChangeKind,
    ReportDestination,
    ResourceReport,
    ResourceStatus,
)
from tests.unit.controller.builders import application

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


def steps(minutes: int, *, heal: bool = True, kind: ChangeClass = ChangeClass.DECLARED) -> str:
    """The steps for a change of that age, as one text."""
    app = application()
    policy = SyncPolicy(automated=AutomatedSync(self_heal=heal))
    app = msgspec.structs.replace(
        app, name="shop", namespace="argocd",
        spec=msgspec.structs.replace(app.spec, sync_policy=policy),
    )  # fmt: skip
    change = Change(
        kind=ChangeKind.MODIFIED, change_class=kind, path="/spec/replicas", manager="kubectl",
        time=(NOW - timedelta(minutes=minutes)).isoformat(),
    )  # fmt: skip
    resource = ResourceReport(
        group="apps", version="v1", kind="Deployment", namespace="web", name="web",
        status=ResourceStatus.OUT_OF_SYNC, changes=(change,),
    )  # fmt: skip
    report = ApplicationReport(
        name="shop", namespace="argocd", project="default", cluster="one",
        destination=ReportDestination(server="https://one.example.com", namespace="web"),
        revisions=(), deployers=("argocd-controller",), status=ApplicationStatus.OUT_OF_SYNC,
        conditions=(), resources=(resource,),
    )  # fmt: skip
    return "\n".join(next_steps(app, report, resource, NOW))


@pytest.mark.parametrize(("minutes", "heal", "told"), [(13, True, True), (1, True, False), (13, False, False)])  # fmt: skip  # noqa: E501
def test_self_healing_that_did_not_happen(minutes: int, heal: bool, told: bool) -> None:
    """Only an old change below selfHeal is remarked, with the command that says why."""
    text = steps(minutes, heal=heal)
    assert ("selfHeal is on, and the change is 13 min old" in text) is told
    assert ("argocd app get shop" in text) is told


def test_what_git_is_silent_about_is_not_put_back_by_a_sync() -> None:
    """A declared field has a sync of its object; an undeclared one has to be removed by hand."""
    assert "put it back: argocd app sync shop --resource apps:Deployment:web/web" in steps(1)
    silent = steps(13, kind=ChangeClass.UNDECLARED)
    assert "argocd" not in silent
    assert "kubectl edit deployment.v1.apps/web -n web --context one" in silent
