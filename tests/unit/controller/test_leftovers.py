"""Which kinds are scanned for what Git dropped, and what of it is read."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.cluster.reader import ApiResource
from driftd.controller import leftovers as module
from driftd.controller.leftovers import Claimants, Search, leftovers, search, unsearched
from driftd.errors import ClusterError, Forbidden
from driftd.model.application import Application
from driftd.model.flux import FluxSpec
from driftd.model.resource import ResourceKey
from tests.unit.controller.builders import application, config_map, desired, judged, looked
from tests.unit.controller.cluster import (
    AUTOSCALERS,
    BUDGETS,
    CONFIG_MAPS,
    DEPLOYMENTS,
    NAMESPACES,
    READ,
    SECRETS,
    SERVICES,
    MemoryCluster,
)

MARK = "argocd.argoproj.io/tracking-id"
PODS = ApiResource("", "v1", "Pod", "pods", True, READ)
ROLES = ApiResource("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", False, READ)
FORBIDDEN = Forbidden("user x may not")


def marked(kind: str, name: str, *, namespace: str = "shop", owner: str = "shop") -> dict[str, Any]:
    """An object of the core group with Argo CD's mark of itself."""
    metadata = {
        "name": name,
        "namespace": namespace,
        "annotations": {MARK: f"{owner}:/{kind}:{namespace}/{name}"},
    }
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata}


def claims(*declared: ResourceKey, app: Application | None = None, **more: Any) -> Claimants:
    """What the application `shop` claims."""
    return Claimants(declared=[(app or application(), frozenset(declared))], **more)


@pytest.fixture
def cluster() -> MemoryCluster:
    """A cluster that serves Services too."""
    made = MemoryCluster()
    made.resources.append(SERVICES)
    return made


async def searched(cluster: MemoryCluster, wanted: Claimants, *listed: ApiResource) -> Search:
    """One search; `listed` are kinds with declared objects in five namespaces."""
    places = {one: {(f"n{number}", "x") for number in range(5)} for one in listed}
    return await search(cluster, await cluster.discover(), places, wanted, limit=2)


async def test_kinds_of_whole_lists_are_not_scanned(cluster: MemoryCluster) -> None:
    """A kind whose list shows the whole cluster is not read twice; all others are scanned once."""
    await searched(cluster, claims(), CONFIG_MAPS, NAMESPACES)
    assert cluster.asked["scan"] == len(cluster.resources) - 2


async def test_a_declared_kind_elsewhere(cluster: MemoryCluster) -> None:
    """A declared kind is scanned where it is listed in few namespaces alone."""
    cluster.put(config_map("settings"))
    cluster.put(marked("ConfigMap", "left", namespace="nobodys"))
    look = await looked(cluster, desired(config_map("settings")))
    assert [one.live.key.name for one in look.observation.tracked["shop"]] == ["left"]


async def test_nothing_is_scanned_for_nobody(cluster: MemoryCluster) -> None:
    """Where no application wants its leftovers, nothing is asked."""
    assert await searched(cluster, Claimants()) == Search()
    assert cluster.asked["scan"] == 0


async def test_excluded_kinds_are_not_scanned(cluster: MemoryCluster) -> None:
    """What Argo CD leaves alone is not searched, nor what no deployer applies."""
    cluster.resources.append(ApiResource("", "v1", "Event", "events", True, READ))
    cluster.resources.append(ApiResource("", "v1", "Binding", "bindings", True, ("create",)))
    cluster.refused["Service", ""] = FORBIDDEN
    found = await searched(cluster, claims(excluded=lambda _, kind: kind == "Service"))
    assert found.unseen == {}
    assert cluster.asked["scan"] == len(cluster.resources) - 3


async def test_a_refused_kind_hides_no_other(cluster: MemoryCluster) -> None:
    """One kind that may not be listed is named; what others show is found, and nothing fails."""
    cluster.put(config_map("settings"))
    cluster.put(marked("Service", "left"))
    cluster.refused["Secret", ""] = FORBIDDEN
    cluster.refused["PodDisruptionBudget", ""] = ClusterError("the API server has a problem")
    look = await looked(cluster, desired(config_map("settings")))
    assert [one.live.key.name for one in look.observation.tracked["shop"]] == ["left"]
    assert look.observation.not_searched == ("PodDisruptionBudget.policy", "Secret")
    assert all(listing.complete for listing in look.observation.listings.values())


async def test_most_kinds_are_refused(cluster: MemoryCluster) -> None:
    """Whoever may read single namespaces alone has the known ones scanned."""
    cluster.put(marked("Service", "left"))
    cluster.put(marked("Service", "elsewhere", namespace="nobodys"))
    for one in cluster.resources:
        if one.namespaced:
            cluster.denied[one.kind] = FORBIDDEN
    found = await searched(cluster, claims(namespaces=frozenset({"shop"})))
    assert [one.name for one in found.marked] == ["left"]
    assert found.unseen == {}
    many = frozenset(f"n{number}" for number in range(module.NAMESPACES + 1))
    found = await searched(cluster, claims(namespaces=many))
    assert set(found.unseen) == {one for one in cluster.resources if one.namespaced}


async def test_a_single_refusal_is_not_asked_again(cluster: MemoryCluster) -> None:
    """Who may read most kinds everywhere is not asked about the others by namespace."""
    cluster.refused["Secret", ""] = FORBIDDEN
    await searched(cluster, claims(namespaces=frozenset({"shop"})))
    assert cluster.asked["scan"] == len(cluster.resources)


async def test_what_is_read_in_full(cluster: MemoryCluster) -> None:
    """Only unknown objects are got that no claim declares and whose mark is a claim's."""
    for name in ("declared", "listed", "left", "gone"):
        cluster.put(marked("Service", name))
    cluster.put(marked("Service", "of-others", owner="billing"))
    live = await cluster.get(SERVICES, "shop", "listed")
    assert live is not None
    wanted = claims(ResourceKey("", "Service", "shop", "declared"))
    found = await searched(cluster, wanted)
    assert {one.name for one in found.marked} == {
        "declared", "listed", "left", "gone", "of-others",
    }  # fmt: skip
    cluster.delete("Service", "shop", "gone")
    cluster.asked.clear()
    objects, unread = await leftovers(cluster, found, wanted, [live], limit=2)
    assert [(gvk, one.key.name) for gvk, one in objects] == [(SERVICES.gvk, "left")]
    assert (unread, cluster.asked["get"]) == ({}, 2)


async def test_one_object_of_two_groups_is_read_once(cluster: MemoryCluster) -> None:
    """An object that two groups serve has one uid, and is found once."""
    twin = ApiResource("example.com", "v1", "Service", "services", True, READ)
    cluster.resources.append(twin)
    labels = {f"kustomize.toolkit.fluxcd.io/{one}": "shop" for one in ("name", "namespace")}
    metadata = {"name": "left", "namespace": "shop", "uid": "same", "labels": labels}
    for version in ("v1", "example.com/v1"):
        cluster.put({"apiVersion": version, "kind": "Service", "metadata": metadata})
    flux = FluxSpec(kind="Kustomization", object_name="shop", render={})
    wanted = claims(app=flux_application(flux))
    objects, _ = await leftovers(cluster, await searched(cluster, wanted), wanted, [], limit=2)
    assert [gvk for gvk, _ in objects] == [SERVICES.gvk]


def flux_application(flux: FluxSpec) -> Application:
    """A Kustomization `shop/shop`."""
    made = application()
    return Application(name=made.name, namespace="shop", spec=made.spec, flux=flux)


async def test_objects_that_cannot_be_got(cluster: MemoryCluster) -> None:
    """Who may list but not get has the object from a list; what fails is named by its kind."""
    cluster.put(marked("Service", "left"))
    found = await searched(cluster, claims())
    cluster.ungettable = FORBIDDEN
    objects, unread = await leftovers(cluster, found, claims(), [], limit=2)
    assert ([one.key.name for _, one in objects], unread) == (["left"], {})
    cluster.refused["Service", ""] = FORBIDDEN
    assert await leftovers(cluster, found, claims(), [], limit=2) == ([], {SERVICES: FORBIDDEN})


async def test_controlled_pods_are_not_asked_for(cluster: MemoryCluster) -> None:
    """The server leaves out Pods that carry their controller's label."""
    cluster.resources.append(PODS)
    bare, made = marked("Pod", "bare"), marked("Pod", "made")
    made["metadata"]["labels"] = {"pod-template-hash": "5d"}
    for body in (bare, made):
        cluster.put(body)
    assert [one.name for one in (await searched(cluster, claims())).marked] == ["bare"]


async def test_flux_selects_by_label(cluster: MemoryCluster) -> None:
    """Where all applications are Flux's, the server is asked for labelled objects alone."""
    cluster.put(marked("Service", "of-argo"))
    labelled = marked("Service", "of-flux")
    del labelled["metadata"]["annotations"]
    labelled["metadata"]["labels"] = {
        "kustomize.toolkit.fluxcd.io/name": "shop",
        "kustomize.toolkit.fluxcd.io/namespace": "shop",
    }
    cluster.put(labelled)
    flux = flux_application(FluxSpec(kind="Kustomization", object_name="shop", render={}))
    found = await searched(cluster, claims(app=flux))
    assert [(one.owner, one.name) for one in found.marked] == [
        ("Kustomization/shop/shop", "of-flux")
    ]
    both = Claimants(declared=[(flux, frozenset()), (application(), frozenset())])
    assert {one.name for one in (await searched(cluster, both)).marked} == {"of-argo", "of-flux"}


@pytest.mark.parametrize(
    "change",
    [
        {"annotations": {MARK: "shop:/Service:shop/other"}},
        {"annotations": {MARK: "shop:apps/Service:shop/left"}},
        {"annotations": {MARK: "shop:/Service:shop/left", "argocd.argoproj.io/hook": "Sync"}},
        {"annotations": {MARK: "shop:/Service:shop/left", "helm.sh/hook": "pre-install"}},
        {"ownerReferences": [{"kind": "Deployment", "name": "web", "uid": "1"}]},
        {"annotations": {}},
    ],
)
async def test_what_no_scan_keeps(cluster: MemoryCluster, change: dict[str, Any]) -> None:
    """Copies, hooks, owned and unmarked objects are not even read."""
    body = marked("Service", "left")
    body["metadata"] |= change
    cluster.put(body)
    assert (await searched(cluster, claims())).marked == []


async def test_cluster_scoped_objects(cluster: MemoryCluster) -> None:
    """Argo CD's mark of a cluster-scoped object has the namespace of its destination."""
    cluster.resources.append(ROLES)
    mark = "shop:rbac.authorization.k8s.io/ClusterRole:shop/reader"
    metadata = {"name": "reader", "annotations": {MARK: mark}}
    version = "rbac.authorization.k8s.io/v1"
    cluster.put({"apiVersion": version, "kind": "ClusterRole", "metadata": metadata})
    (found,) = (await searched(cluster, claims())).marked
    assert found.key == ResourceKey("rbac.authorization.k8s.io", "ClusterRole", "", "reader")


async def test_an_api_that_hangs(cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind that does not answer in time is named, and holds up nothing."""
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    cluster.hanging.add("Service")
    cluster.put(marked("ConfigMap", "left"))
    found = await searched(cluster, claims())
    assert [one.name for one in found.marked] == ["left"]
    assert [str(one) for one in found.unseen.values()] == ["no whole answer within 0.01 s"]


async def test_groups_that_do_not_answer_are_named(cluster: MemoryCluster) -> None:
    """The kinds of a group that discovery could not see are not known: the group is named."""
    cluster.failed_groups = {"example.com/v1": "timeout", "metrics.k8s.io/v1beta1": "timeout"}
    assert unsearched(await cluster.discover(), [SECRETS, BUDGETS]) == (
        "*.example.com",
        "PodDisruptionBudget.policy",
        "Secret",
    )


async def test_each_kind_at_its_preferred_version(cluster: MemoryCluster) -> None:
    """Of a kind that is served at several versions the first is scanned."""
    old = ApiResource("apps", "v1beta1", "Deployment", "deployments", True, READ)
    cluster.resources.append(old)
    kinds = module.searchable(await cluster.discover(), lambda _group, _kind: False)
    assert DEPLOYMENTS in kinds
    assert AUTOSCALERS in kinds
    assert old not in kinds


async def test_the_namespace_that_argo_cd_creates(cluster: MemoryCluster) -> None:
    """The sync option CreateNamespace declares the destination's namespace, and no other."""
    cluster.put(config_map("settings"))
    for name in ("shop", "shop-old"):
        metadata = {"name": name, "annotations": {MARK: f"shop:/Namespace:shop/{name}"}}
        cluster.put({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    options = {"syncOptions": ["CreateNamespace=true"]}
    created = desired(config_map("settings"), app=application(syncPolicy=options))
    found = {one.name: str(one.status) for one in (await judged(cluster, created)).values()}
    assert found == {"settings": "Synced", "shop-old": "Extra"}
    found = {name: str(one.status) for name, one in (await judged(cluster, desired())).items()}
    assert found == {"shop": "Extra", "shop-old": "Extra"}
