"""How drifts ended."""

from __future__ import annotations

import json
from typing import Any

import pytest

from driftd.controller.endings import Endings
from driftd.model.report import ChangeClass, ChangeKind, ResourceReport, ResourceStatus
from driftd.model.resource import LiveObject, Manifest, Origin, ResourceKey
from driftd.store.types import Drift, DriftKey, Ending, Recovery
from tests.unit.reports import after, change, resource

WEB = ResourceKey("apps", "Deployment", "shop", "web")
PATH = "f:spec/f:replicas"


def drift(kind: str = "modified", path: str = PATH, **fields: Any) -> Drift:
    """A drift that was first seen half a second after noon."""
    values = {"desired": 3, "live": 5, "manager": "kubectl-edit", **fields}
    change_ = change("/spec/replicas", kind=ChangeKind(kind), ssa_path=path, **values)
    return Drift(DriftKey(WEB, path, kind), after(0.5), after(0.5), change_)


def whole(kind: str) -> Drift:
    """An object that was Missing or Extra."""
    return Drift(DriftKey(WEB, "", kind), after(0.5), after(0.5))


def endings(
    reported: ResourceReport | None = None,
    *,
    declared: dict[str, Any] | None = None,
    writers: tuple[tuple[str, str], ...] = (),
    git_moved: bool = False,
) -> Endings:
    """What a later look found: the report, Git's object, and who wrote to the live one."""
    entries = [{"manager": manager, "time": time} for manager, time in writers]
    body = json.dumps({"metadata": {"managedFields": entries}}).encode()
    manifest = Manifest(WEB, "v1", json.dumps(declared or {}).encode(), Origin(0, "web.yaml"))
    return Endings(
        resources={WEB: reported} if reported is not None else {},
        manifests={WEB: manifest} if declared is not None else {},
        live={WEB: LiveObject(WEB, "v1", "u", "1", body)},
        deployers=frozenset({"argocd-controller", "driftd"}),
        git_moved=git_moved,
    )


BEFORE, SAME, LATER = "2026-03-01T11:00:00Z", "2026-03-01T12:00:00Z", "2026-03-01T12:00:09Z"


@pytest.mark.parametrize(
    ("writers", "ending"),
    [
        ((("driftd", LATER), ("kubectl-edit", SAME)), Ending(Recovery.HEALED, "driftd")),
        (
            (("argocd-controller", SAME), ("kubectl-edit", SAME)),
            Ending(Recovery.SYNCED, "argocd-controller"),
        ),
        (
            (("argocd-controller", BEFORE), ("kubectl-edit", LATER)),
            Ending(Recovery.REVERTED, "kubectl-edit"),
        ),
        (
            (("kubectl-scale", LATER), ("kubectl-edit", SAME)),
            Ending(Recovery.REVERTED, "kubectl-scale"),
        ),
        ((("argocd-controller", BEFORE),), Ending(Recovery.REVERTED)),
        ((("one", LATER), ("two", LATER)), Ending(Recovery.REVERTED)),
        ((("broken", "soon"),), Ending(Recovery.REVERTED)),
    ],
)
def test_whoever_wrote_since_put_it_back(writers, ending):
    """A deployer before others, the drift's author last; of several nobody is named."""
    assert endings(resource("web"), writers=writers)(drift()) == ending


def test_git_caught_up():
    """Git moved and says something else now at the place; where it says the same, it did not."""
    new, old = {"spec": {"replicas": 5}}, {"spec": {"replicas": 3}}
    assert endings(resource("web"), declared=new, git_moved=True)(drift()).how is Recovery.GIT
    assert endings(resource("web"), declared=new)(drift()).how is Recovery.REVERTED
    found = endings(resource("web"), declared=old, git_moved=True)(drift())
    assert found.how is Recovery.REVERTED


def test_git_took_over_what_somebody_had_added():
    """An added item that Git declares now, found by its key and not by its position."""
    path = 'f:spec/f:ports/k:{"port":80,"protocol":"TCP"}'
    found = change("/spec/ports/1", kind=ChangeKind.ADDED, live={"port": 80})
    added = Drift(DriftKey(WEB, path, "added"), after(0.5), after(0.5), found)
    both = {"spec": {"ports": [{"port": 443}, {"port": 80}]}}
    one = {"spec": {"ports": [{"port": 443}]}}
    assert endings(resource("web"), declared=both, git_moved=True)(added).how is Recovery.GIT
    assert endings(resource("web"), declared=one, git_moved=True)(added).how is Recovery.REVERTED


def test_a_masked_value_is_not_compared_with_git():
    """What is masked tells nothing about Git; somebody wrote."""
    masked = drift(desired={"masked": True}, live={"masked": True})
    found = endings(resource("web"), declared={"spec": {"replicas": 5}}, git_moved=True)(masked)
    assert found.how is Recovery.REVERTED


@pytest.mark.parametrize(
    ("fields", "how"),
    [
        ({"ignored_by": "baseline b#1"}, Recovery.ACCEPTED),
        ({"change_class": ChangeClass.PENDING}, Recovery.RECLASSIFIED),
    ],
)
def test_what_differs_still_counts_no_longer(fields, how):
    """A baseline covers it, or its class is another one."""
    still = resource("web", change("/spec/replicas", ssa_path=PATH, **fields))
    assert endings(still)(drift()).how is how


def test_an_object_that_is_gone_ends_its_fields():
    """No longer declared, or missing as a whole."""
    assert endings()(drift()).how is Recovery.GONE
    gone = resource("web", status=ResourceStatus.MISSING)
    assert endings(gone)(drift()).how is Recovery.RECLASSIFIED


def test_whole_objects_end():
    """Created again and by whom, deleted, declared by Git, accepted, no longer declared."""
    made = (("argocd-controller", LATER), ("kube-controller-manager", "2026-03-01T12:00:10Z"))
    back = endings(resource("web"), writers=made)(whole("Missing"))
    assert back == Ending(Recovery.SYNCED, "argocd-controller")
    assert endings()(whole("Missing")).how is Recovery.GONE
    assert endings()(whole("Extra")).how is Recovery.REVERTED
    assert endings(resource("web"))(whole("Extra")).how is Recovery.GIT
    accepted = resource("web", status=ResourceStatus.EXTRA)
    assert endings(accepted)(whole("Extra")).how is Recovery.ACCEPTED
