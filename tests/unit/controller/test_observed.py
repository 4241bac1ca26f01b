"""What is read from a cluster, and what is remembered of what could not be read."""

from __future__ import annotations

import orjson
import pytest

from driftd.cluster.destinations import ClusterTarget, TargetKind
from driftd.controller.observed import view_cluster
from driftd.controller.workspace import SchemaMemory
from driftd.diff.schema import SchemaSet
from driftd.errors import Forbidden, Unauthorized
from tests.unit.controller.builders import config_map, desired, looked
from tests.unit.controller.cluster import (
    BUDGETS,
    CONFIG_MAPS,
    MemoryCluster,
)

MARK = "argocd.argoproj.io/tracking-id"


async def test_a_cluster_that_refuses_is_a_value() -> None:
    """A refused credential is the view's problem, not an exception."""
    cluster = MemoryCluster()
    cluster.down = Unauthorized("one: Unauthorized")
    view = await view_cluster(cluster)
    assert view.discovery is None
    assert view.problem is cluster.down


async def test_a_version_that_may_not_be_read_hides_nothing() -> None:
    """The cluster is judged, and its applications are told what is not known."""
    cluster = MemoryCluster()
    cluster.versionless = Forbidden("one: cannot read the server's version: user x may not")
    view = await view_cluster(cluster)
    assert (view.discovery is not None, view.problem, view.version) == (True, None, "")
    (told,) = view.conditions
    assert (told.type, told.severity) == ("VersionUnknown", "warning")
    assert "user x may not" in told.message
    assert "grant get of the URL /version" in told.message
    cluster.versionless = None
    assert (await view_cluster(cluster)).conditions == ()


async def test_only_declared_kinds_are_listed() -> None:
    """Kinds that nobody declares are never asked for."""
    cluster = MemoryCluster()
    cluster.put(config_map("settings"))
    look = await looked(cluster, desired(config_map("settings")))
    assert set(look.observation.listings) == {CONFIG_MAPS.gvk}
    assert cluster.asked["list"] == 1


async def test_only_wanted_objects_are_kept() -> None:
    """Declared keys and objects with the application's tracking mark are kept, others not."""
    cluster = MemoryCluster()
    cluster.put(config_map("settings"))
    cluster.put(config_map("somebody-elses"))
    tracked = config_map("tracked")
    tracked["metadata"]["annotations"] = {MARK: "shop:/ConfigMap:shop/tracked"}
    cluster.put(tracked)
    look = await looked(cluster, desired(config_map("settings")))
    names = {name for _, _, name in look.observation.live}
    assert names == {"settings", "tracked"}
    assert [one.live.key.name for one in look.observation.tracked["shop"]] == ["tracked"]


async def test_a_failed_list_touches_its_kind_alone() -> None:
    """One refused kind is remembered with its error; the other kinds are complete."""
    cluster = MemoryCluster()
    cluster.refused["ConfigMap", ""] = Forbidden("configmaps is forbidden")
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "budget", "namespace": "shop"},
    }
    look = await looked(cluster, desired(config_map("settings"), budget))
    listings = look.observation.listings
    assert not listings[CONFIG_MAPS.gvk].covers("shop")
    assert listings[BUDGETS.gvk].covers("shop")


@pytest.mark.parametrize("failing", ["without_schema", "garbled"])
async def test_a_schema_that_cannot_be_read_is_remembered(failing: str) -> None:
    """A schema's failure belongs to its group version; the others are there."""
    cluster = MemoryCluster()
    getattr(cluster, failing).add("policy/v1")
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "budget", "namespace": "shop"},
    }
    look = await looked(cluster, desired(config_map("settings"), budget))
    assert list(look.observation.schema_problems) == ["policy/v1"]
    assert look.observation.schemas.node(CONFIG_MAPS.gvk) is not None
    assert look.observation.schemas.node(BUDGETS.gvk) is None


async def test_a_known_schema_that_cannot_be_read_again_is_named() -> None:
    """The schema of an earlier look serves meanwhile, and the evidence says which one it is."""
    cluster, memory = MemoryCluster(), SchemaMemory()
    wanted = desired(config_map("settings"))
    before = (await looked(cluster, wanted, memory=memory)).observation
    cluster.without_schema.add("v1")
    found = (await looked(cluster, wanted, memory=memory)).observation
    assert found.schemas.node(CONFIG_MAPS.gvk) is not None
    assert list(found.schema_problems) == ["v1"]
    assert found.schema_hashes == before.schema_hashes


async def test_known_schemas_are_not_read_again() -> None:
    """A second look asks whether documents changed, and reads only those that are new."""
    cluster = MemoryCluster()
    memory = SchemaMemory()
    await looked(cluster, desired(config_map("settings")), memory=memory)
    again = await looked(cluster, desired(config_map("settings")), memory=memory)
    assert cluster.asked["openapi"] == 2
    assert cluster.asked["openapi body"] == 1
    assert again.observation.schemas.node(CONFIG_MAPS.gvk) is not None
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "budget", "namespace": "shop"},
    }
    await looked(cluster, desired(budget), memory=memory)
    third = await looked(cluster, desired(config_map("settings"), budget), memory=memory)
    assert cluster.asked["openapi body"] == 2
    assert third.observation.schemas.node(BUDGETS.gvk) is not None


async def test_clusters_with_the_same_documents_share_their_schemas() -> None:
    """What is compiled of equal bytes is kept once; of other bytes, whatever their hash, apart."""
    memory = SchemaMemory()
    document = {"components": {"schemas": {"Thing": {"type": "object"}}}}
    other = {"components": {"schemas": {"Thing": {"type": "string"}}}}
    kept = []
    for name, body in (("one", document), ("two", document), ("liar", other)):
        digest, parsed = memory.parsed(orjson.dumps(body), orjson.loads)
        compiled = SchemaSet([parsed], kubernetes="v1.36.3")
        target = ClusterTarget(TargetKind.CONTEXT, name)
        kept.append(memory.keep(target, {"v1": "same"}, compiled, {"v1": digest}))
        assert memory.known(target) is kept[-1]
    assert kept[0] is kept[1]
    assert kept[2] is not kept[0]


async def test_an_upgraded_server_is_judged_by_its_own_defaults() -> None:
    """The version is asked at each look: the schemas stay, the defaults are the new minor's."""
    cluster, memory = MemoryCluster(), SchemaMemory()
    wanted = desired(config_map("settings"))
    for release in ("v1.34.2", "v1.35.0", "v1.35.0"):
        cluster.release = release
        look = await looked(cluster, wanted, memory=memory)
        node = look.observation.schemas.node(CONFIG_MAPS.gvk)
        assert node is not None
        assert node.kubernetes == release
    assert cluster.asked["openapi body"] == 1
    assert look.observation.schemas.node(CONFIG_MAPS.gvk) is node


async def test_autoscalers_bound_what_they_scale() -> None:
    """A declared Deployment brings the autoscalers of its namespace, as bounds of their targets."""
    cluster = MemoryCluster()
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 2,
            "maxReplicas": 9,
        },
    }
    cluster.put(autoscaler)
    web = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"},
    }
    look = await looked(cluster, desired(web))
    ((key, bounds),) = look.observation.facts.autoscaled.items()
    assert str(key) == "Deployment.apps shop/web"
    assert (bounds.minimum, bounds.maximum, bounds.name) == (2, 9, "web")
