"""Which questions are asked of a cluster, when an answer is used again, and what a refusal is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from driftd.cluster.oracle import DryRun
from driftd.cluster.reader import ApiResource
from driftd.controller.desired import Desired
from driftd.controller.oracles import Consultation, admission_hash
from driftd.controller.verdict import Verdict
from driftd.controller.workspace import OracleMemory
from driftd.errors import ClusterError, Forbidden
from driftd.model.condition import Condition
from driftd.model.report import ResourceReport
from tests.unit.controller.builders import TARGET, config_map, desired, looked
from tests.unit.controller.cluster import READ, SERVICES, MemoryCluster

HOOKS = ApiResource(
    "admissionregistration.k8s.io",
    "v1",
    "MutatingWebhookConfiguration",
    "mutatingwebhookconfigurations",
    False,
    READ,
)


class Oracle:
    """Answers with the body that it is asked about, and keeps the questions."""

    def __init__(self, **refusals: ClusterError) -> None:
        self.refusals = refusals
        self.asked: list[tuple[DryRun, str, Any]] = []

    async def ask(
        self,
        how: DryRun,
        resource: ApiResource,
        namespace: str,
        name: str,
        body: bytes,
        *,
        manager: str = "driftd",
    ) -> bytes:
        """See `driftd.cluster.oracle.Oracle`."""
        self.asked.append((how, name, json.loads(body)))
        if resource.plural in self.refusals:
            raise self.refusals[resource.plural]
        return json.dumps({**json.loads(body), "data": {"colour": "green"}}).encode()


async def consult(
    cluster: MemoryCluster,
    wanted: Desired,
    oracle: Oracle,
    how: DryRun = DryRun.POST,
    memory: OracleMemory | None = None,
) -> tuple[dict[str, ResourceReport], list[Condition]]:
    """The reports of an application by name, and the warnings, after one look with an oracle."""
    look = await looked(cluster, wanted)
    verdict = Verdict(wanted, look)
    work = Consultation(oracle, how, TARGET, look, 2, memory, await admission_hash(look))
    resources, told = await work.about(verdict, wanted.manifests, verdict.resources())
    return {one.name: one for one in resources}, told


def painted(**colours: str) -> MemoryCluster:
    """A cluster with ConfigMaps of these colours, painted by hand."""
    cluster = MemoryCluster()
    for name, colour in colours.items():
        body = config_map(name, colour=colour)
        cluster.put(body, manager="kubectl-edit", operation="Update")
    return cluster


WANTED = desired(config_map("a", colour="blue"), config_map("b", colour="blue"))


async def test_each_compared_object_is_asked_about_under_another_name() -> None:
    """A create asks with a name of its own and keeps the answer beside the change."""
    oracle = Oracle()
    found, told = await consult(painted(a="red", b="blue"), WANTED, oracle)
    assert told == []
    names = [name for _, name, _ in oracle.asked]
    assert [name[:2] for name in names] == ["a-", "b-"]
    assert all(body["metadata"]["name"] == name for _, name, body in oracle.asked)
    assert [change.expected for change in found["a"].changes] == ["green"]


async def test_a_replacement_names_the_version_that_it_replaces() -> None:
    """A PUT carries live's resourceVersion, so that the server compares with the same object."""
    oracle = Oracle()
    await consult(painted(a="red"), desired(config_map("a", colour="blue")), oracle, DryRun.PUT)
    ((_, name, body),) = oracle.asked
    assert name == "a"
    assert body["metadata"] == {"name": "a", "resourceVersion": "1"}


async def test_an_apply_is_asked_only_about_declared_changes() -> None:
    """Objects without one are not asked about, since an apply tells nothing of them."""
    oracle = Oracle()
    await consult(painted(a="red", b="blue"), WANTED, oracle, DryRun.APPLY)
    ((_, name, body),) = oracle.asked
    assert name == "a"
    assert body == config_map("a", colour="blue")


async def test_missing_objects_are_not_asked_about() -> None:
    """Nothing is compared where nothing is live."""
    oracle = Oracle()
    found, _ = await consult(painted(a="red"), WANTED, oracle)
    assert str(found["b"].status) == "Missing"
    assert len(oracle.asked) == 1


async def test_answers_are_used_again_until_something_changes() -> None:
    """A create's answer depends on Git, schema, server and admission, not on the live object."""
    cluster, memory, oracle = painted(a="red"), OracleMemory(), Oracle()
    cluster.resources.append(HOOKS)
    wanted = desired(config_map("a", colour="blue"))
    await consult(cluster, wanted, oracle, memory=memory)
    cluster.put(config_map("a", colour="grey"), manager="kubectl-edit", operation="Update")
    found, _ = await consult(cluster, wanted, oracle, memory=memory)
    assert len(oracle.asked) == 1
    assert [change.expected for change in found["a"].changes] == ["green"]
    await consult(cluster, desired(config_map("a", colour="black")), oracle, memory=memory)
    assert len(oracle.asked) == 2
    cluster.put({"apiVersion": "admissionregistration.k8s.io/v1",
                 "kind": "MutatingWebhookConfiguration", "metadata": {"name": "hook"}})  # fmt: skip
    await consult(cluster, wanted, oracle, memory=memory)
    assert len(oracle.asked) == 3
    cluster.release = "v1.36.4"
    await consult(cluster, wanted, oracle, memory=memory)
    assert len(oracle.asked) == 4
    await consult(cluster, wanted, oracle, DryRun.PUT, memory=memory)
    cluster.put(config_map("a", colour="white"), manager="kubectl-edit", operation="Update")
    await consult(cluster, wanted, oracle, DryRun.PUT, memory=memory)
    assert len(oracle.asked) == 6


async def test_nothing_is_remembered_where_admission_cannot_be_seen() -> None:
    """Without the right to list webhooks an answer may be of another admission."""
    cluster, memory, oracle = painted(a="red"), OracleMemory(), Oracle()
    cluster.resources.append(HOOKS)
    cluster.refused["MutatingWebhookConfiguration", ""] = Forbidden("may not")
    wanted = desired(config_map("a", colour="blue"))
    for _ in range(2):
        await consult(cluster, wanted, oracle, memory=memory)
    assert len(oracle.asked) == 2


async def test_memory_is_bounded() -> None:
    """The answers that were used last stay."""
    memory = OracleMemory(size=2)
    memory.keep("a", b"1")
    memory.keep("b", b"2")
    assert memory.get("a") == b"1"
    memory.keep("c", b"3")
    assert (memory.get("a"), memory.get("b"), memory.get("c")) == (b"1", None, b"3")


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (Forbidden("one: cannot create configmaps a-1: user driftd may not"), 1),
        (ClusterError("one: cannot create configmaps a-1: quota exceeded"), 2),
    ],
)
async def test_a_refusal_is_a_warning(error: ClusterError, asked: int) -> None:
    """Verdicts stay as they are; a missing right is not asked for again, an object's error is."""
    cluster, oracle = painted(a="red", b="blue"), Oracle(configmaps=error)
    wanted = desired(config_map("a", colour="blue"), config_map("b", colour="blue"))
    plain = {one.name: one for one in Verdict(wanted, await looked(cluster, wanted)).resources()}
    look = await looked(cluster, wanted)
    verdict = Verdict(wanted, look)
    work = Consultation(oracle, DryRun.POST, TARGET, look, 1)
    found, (told,) = await work.about(verdict, wanted.manifests, verdict.resources())
    assert {one.name: one.changes for one in found} == {n: one.changes for n, one in plain.items()}
    assert len(oracle.asked) == asked
    assert (told.type, str(told.severity)) == ("OracleWarning", "warning")
    assert "was not answered for 2 of 2 objects" in told.message
    assert error.message in told.message


async def test_a_service_is_asked_about_without_its_addresses() -> None:
    """The live Service holds them; another one can have none of them, but may be headless."""
    cluster, oracle = MemoryCluster(), Oracle()
    cluster.resources.append(SERVICES)
    ports = [{"port": 80, "nodePort": 30080}]
    bodies = [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": n, "namespace": "shop"},
         "spec": {"clusterIP": address, "ports": ports}}
        for n, address in (("fixed", "10.0.0.7"), ("headless", "None"))
    ]  # fmt: skip
    for body in bodies:
        cluster.put(body)
    await consult(cluster, desired(*bodies), oracle)
    assert [body["spec"] for _, _, body in oracle.asked] == [
        {"ports": [{"port": 80}]},
        {"clusterIP": "None", "ports": [{"port": 80}]},
    ]
