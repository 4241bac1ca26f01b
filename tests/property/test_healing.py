"""Random drifts of one application on a real cluster with controllers, put back by one heal.

`HEALED_DRIFTS` sets how many objects drift (12), `HEALED_SEED` the first seed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.property.healing import Bench, healed
from tests.testbed.cluster import ControlPlane
from tests.testbed.processes import wait_until

# Read here: tests run with an environment of their own later on.
DRIFTS = int(os.environ.get("HEALED_DRIFTS", "12"))
SEED = int(os.environ.get("HEALED_SEED", "1"))

pytestmark = pytest.mark.cluster


def test_one_heal_puts_random_drifts_back(full_cluster: ControlPlane, tmp_path: Path) -> None:
    """At least 95 % are clean, the rest is not healable with a reason; then nothing is written."""
    bench = Bench(full_cluster, full_cluster.create_namespace("healed"), tmp_path)
    score = healed(bench, DRIFTS, SEED)
    print(score)  # noqa: T201 - for whoever wants to see a drift again
    assert len(score.drifts) > DRIFTS // 3
    assert score.wrong == [], str(score)


def test_computed_rules_are_left_to_their_controller(
    full_cluster: ControlPlane, tmp_path: Path
) -> None:
    """A heal beside the rules of an aggregated ClusterRole: nobody writes to it again."""
    bench = Bench(full_cluster, full_cluster.create_namespace("aggregated"), tmp_path)
    name, path = bench.lab.namespace, "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    computed = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    part = _role(f"{name}-part", {"aggregate-to": name}, rules=computed)
    selector = {"clusterRoleSelectors": [{"matchLabels": {"aggregate-to": name}}]}
    seed = [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}]
    role = _role(name, {"tier": "front"}, aggregationRule=selector, rules=seed)
    for body in (part, role):
        bench.repo.write(f"apps/healed/{body['metadata']['name']}.json", json.dumps(body))
    bench.repo.commit()

    def as_computed() -> bool:
        return bool(bench.lab.live(role)["rules"] == computed)

    try:
        for body in (part, role):
            bench.lab.deploy(body, "client-side apply")
        wait_until(as_computed, what="the controller", timeout=60, interval=0.05)
        assert not any(one.is_drift for one in bench.look().applications[0].resources)
        mark = full_cluster.audit_mark()
        every = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
        bench.lab.patch(role, [{"op": "replace", "path": "/rules", "value": every}], "alice")
        wait_until(as_computed, what="the controller", timeout=60, interval=0.05)
        label = {"op": "replace", "path": "/metadata/labels/tier", "value": "back"}
        bench.lab.patch(role, [label], "alice")
        assert [(one.name, one.outcome) for one in bench.heal().objects] == [(name, "applied")]
        assert bench.heal().objects == ()
        live = bench.lab.live(role)
        assert (live["metadata"]["labels"], live["rules"]) == ({"tier": "front"}, computed)
        writers = [
            str(event["user"]["username"]).rpartition(":")[2]
            for event in full_cluster.audit_events(mark)
            if event["stage"] == "ResponseComplete"
            and event["verb"] in ("update", "patch")
            and "dryRun" not in event["requestURI"]
            and (event.get("objectRef") or {}).get("name") == name
        ]
        # Alice twice, and the controller for her rules; driftd is `admin`, as she is.
        assert writers == ["admin", "clusterrole-aggregation-controller", "admin", "admin"]
    finally:
        for body in (part, role):
            full_cluster.request("DELETE", f"{path}/{body['metadata']['name']}")


def _role(name: str, labels: dict[str, str], **content: Any) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name, "labels": labels},
        **content,
    }
