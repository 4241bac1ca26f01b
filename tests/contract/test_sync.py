"""Plans carried out on a real API server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from driftd.cluster.kube import KubeCluster
from driftd.cluster.kubeconfig import load_kubeconfig
from driftd.cluster.reader import ApiResource
from driftd.cluster.transport import Transport
from driftd.cluster.writer import KubeWriter
from driftd.model.report import ApplicationReport, Evidence, ResourceStatus
from driftd.settings.healing import Rung
from driftd.sync.outcome import Outcome, TaskResult
from driftd.sync.plan import SyncPlan, plan
from driftd.sync.run import run
from tests.testbed.cluster import ControlPlane
from tests.unit.reports import change, report, resource
from tests.unit.sync.builders import application, manifest

pytestmark = pytest.mark.cluster

CONFIG_MAPS = ApiResource("", "v1", "ConfigMap", "configmaps", namespaced=True)
DECLARED = {"color": "blue", "size": "1"}


@pytest.fixture
async def admin(api_server: ControlPlane) -> AsyncIterator[KubeCluster]:
    """The API server as a user with all rights sees it."""
    access = load_kubeconfig(str(api_server.kubeconfig("admin"))).access()
    async with KubeCluster(Transport(access)) as cluster:
        yield cluster


def path(namespace: str) -> str:
    """Where the test's ConfigMap lies."""
    return f"/api/v1/namespaces/{namespace}/configmaps/settings"


def deploy(api_server: ControlPlane, namespace: str) -> Any:
    """The declared ConfigMap, applied by kubectl's field manager."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}
    return api_server.call(
        "PATCH",
        f"{path(namespace)}?fieldManager=kubectl&force=true",
        {**body, "data": DECLARED},
        content_type="application/apply-patch+yaml",
    )


def edit(api_server: ControlPlane, namespace: str, data: dict[str, str]) -> Any:
    """A change by hand."""
    return api_server.call(
        "PATCH",
        f"{path(namespace)}?fieldManager=kubectl-edit",
        {"data": data},
        content_type="application/merge-patch+json",
    )


def look(namespace: str, live: Any, rung: Rung = Rung.FIELDS) -> SyncPlan:
    """The plan of a look that found `color` drifted on the object `live` (None: missing)."""
    found = resource("settings", change("/data/color"), kind="ConfigMap", group="")
    fields = {name: getattr(found, name) for name in found.__struct_fields__}
    fields["namespace"] = namespace
    if live is None:
        fields |= {"status": ResourceStatus.MISSING, "changes": (), "evidence": Evidence()}
    else:
        metadata = live["metadata"]
        fields["evidence"] = Evidence(
            uid=metadata["uid"], resource_version=metadata["resourceVersion"]
        )
    seen: ApplicationReport = report(type(found)(**fields))
    declared = manifest(
        "settings", kind="ConfigMap", api_version="v1", namespace=namespace, data=DECLARED
    )
    return plan(application(), seen, [declared], rung=rung)


async def carry_out(found: SyncPlan, cluster: KubeCluster) -> TaskResult:
    """The result of a plan's only task."""
    writer = KubeWriter(cluster.transport)
    [result] = (await run(found, writer, lambda _gvk: CONFIG_MAPS)).results
    return result


async def test_drift_is_put_back_and_foreign_additions_stay(api_server, namespace, admin):
    """The declared value is forced, a field of somebody else stays, driftd owns what it set."""
    deploy(api_server, namespace)
    drifted = edit(api_server, namespace, {"color": "red", "extra": "x"})
    result = await carry_out(look(namespace, drifted), admin)
    assert (result.outcome, result.message) == (Outcome.APPLIED, "")
    live = api_server.call("GET", path(namespace))
    assert live["data"] == {**DECLARED, "extra": "x"}
    owners = {(e["manager"], e["operation"]) for e in live["metadata"]["managedFields"]}
    assert ("driftd", "Apply") in owners


async def test_a_second_heal_writes_nothing(api_server, namespace, admin):
    """Applying what is already so leaves the resourceVersion as it is."""
    deploy(api_server, namespace)
    drifted = edit(api_server, namespace, {"color": "red"})
    await carry_out(look(namespace, drifted), admin)
    healed = api_server.call("GET", path(namespace))
    result = await carry_out(look(namespace, healed), admin)
    assert result.outcome is Outcome.UNCHANGED
    assert api_server.call("GET", path(namespace)) == healed


async def test_an_object_that_changed_after_the_look_is_not_written(api_server, namespace, admin):
    """A newer resourceVersion is a conflict: the verdict no longer fits (invariants 4 and 5)."""
    deploy(api_server, namespace)
    drifted = edit(api_server, namespace, {"color": "red"})
    newer = edit(api_server, namespace, {"color": "green"})
    result = await carry_out(look(namespace, drifted), admin)
    assert result.outcome is Outcome.CONFLICT
    assert api_server.call("GET", path(namespace)) == newer


async def test_an_object_that_was_replaced_after_the_look_is_not_written(
    api_server, namespace, admin
):
    """Another uid, and an object that is gone, are conflicts: nothing is created anew."""
    deploy(api_server, namespace)
    drifted = edit(api_server, namespace, {"color": "red"})
    api_server.call("DELETE", path(namespace))
    assert (await carry_out(look(namespace, drifted), admin)).outcome is Outcome.CONFLICT
    assert api_server.request("GET", path(namespace))[0] == 404
    again = deploy(api_server, namespace)
    assert (await carry_out(look(namespace, drifted), admin)).outcome is Outcome.CONFLICT
    assert api_server.call("GET", path(namespace)) == again


async def test_a_missing_object_is_created_but_never_taken_over(api_server, namespace, admin):
    """Creation works; when somebody was faster with other values, theirs stay."""
    api_server.call(
        "POST",
        f"/api/v1/namespaces/{namespace}/configmaps?fieldManager=somebody",
        {"metadata": {"name": "settings"}, "data": {"color": "theirs"}},
    )
    assert (await carry_out(look(namespace, None), admin)).outcome is Outcome.CONFLICT
    assert api_server.call("GET", path(namespace))["data"] == {"color": "theirs"}
    api_server.call("DELETE", path(namespace))
    assert (await carry_out(look(namespace, None), admin)).outcome is Outcome.APPLIED
    assert api_server.call("GET", path(namespace))["data"] == DECLARED


async def test_a_dry_run_leaves_the_object_as_it_is(api_server, namespace, admin):
    """The rung `dry-run` changes nothing on the server."""
    deploy(api_server, namespace)
    drifted = edit(api_server, namespace, {"color": "red"})
    result = await carry_out(look(namespace, drifted, Rung.DRY_RUN), admin)
    assert result.outcome is Outcome.DRY_RUN
    live = api_server.call("GET", path(namespace))
    assert json.dumps(live, sort_keys=True) == json.dumps(drifted, sort_keys=True)
