"""Why a place is a difference or none: the comparison's own evidence."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.diff.compare import Context, compare
from driftd.diff.explain import Inspection, parse
from driftd.diff.finding import ABSENT
from driftd.model.resource import ResourceKey
from tests.unit.diff.objects import deployment, node_of

KEY = ResourceKey("apps", "Deployment", "shop", "web")


def entry(manager: str, fields: dict[str, Any], operation: str = "Apply") -> dict[str, Any]:
    """One entry of managedFields."""
    return {"manager": manager, "operation": operation, "fieldsV1": fields}


def inspect(live: dict[str, Any], *owners: dict[str, Any]) -> Inspection:
    """The Deployment of Git against `live`."""
    live["metadata"]["managedFields"] = list(owners)
    wanted = deployment()
    return Inspection(KEY, wanted, live, node_of(wanted), Context())


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("spec.replicas", ("spec", "replicas")),
        ("/spec/a~1b/0", ("spec", "a/b", "0")),
        ("containers[name=app].image", ("containers", {"name": "app"}, "image")),
        ('metadata.labels["a.b/c"]', ("metadata", "labels", "a.b/c")),
        ("args[0]", ("args", "0")),
        ("ports[port=80,protocol=TCP]", ("ports", {"port": "80", "protocol": "TCP"})),
        ("a..b", ()),
    ],
)
def test_parse(text: str, tokens: tuple[Any, ...]) -> None:
    """Pointers and the readable form name the same steps; nonsense names none."""
    assert parse(text) == tokens


def test_readable_path_and_pointer_find_the_same_place() -> None:
    """The Pod template's prefix may be left out, and items go by keys or position."""
    inspection = inspect(deployment())
    found = [
        place
        for text in (
            "containers[name=web].image",
            "spec.template.spec.containers[0].image",
            "/spec/template/spec/containers/0/image",
        )
        for place in inspection.find(text)
    ]
    assert [place.path for place in found] == ["/spec/template/spec/containers/0/image"] * 3
    assert all(place.live == "registry.example/web:1" for place in found)
    assert all(place.evidence == ("live holds Git's value",) for place in found)


def test_difference_has_owners_and_no_excuse() -> None:
    """A changed field names its owner and nothing that would excuse it."""
    live = deployment()
    live["spec"]["replicas"] = 5
    fields = {"f:spec": {"f:replicas": {}}}
    (place,) = inspect(live, entry("alice", fields, "Update")).find("spec.replicas")
    assert place is not None
    assert (place.desired, place.live, place.evidence) == (2, 5, ())
    assert [(owner.manager, owner.deployer) for owner in place.owners] == [("alice", False)]


def test_default_is_excused() -> None:
    """An undeclared default says that the API server fills it in; the object lists it."""
    live = deployment()
    live["spec"]["revisionHistoryLimit"] = 10
    inspection = inspect(live, entry("argocd-controller", {"f:spec": {"f:replicas": {}}}))
    (place,) = inspection.find("/spec/revisionHistoryLimit")
    assert place is not None
    assert place.desired is ABSENT
    assert place.evidence == (
        "a default of the API server (default table, v1.DeploymentSpec.revisionHistoryLimit)",
    )
    assert list(inspection.excused) == ["f:spec/f:revisionHistoryLimit"]


def test_places_outside_the_comparison() -> None:
    """Status, system metadata and tools' marks say that they are never compared."""
    live = {**deployment(), "status": {"replicas": 3}}
    live["metadata"] |= {"generation": 4, "annotations": {"meta.helm.sh/release-name": "web"}}
    inspection = inspect(live)
    for path, words in (
        ("/status/replicas", "never compared"),
        ("metadata.generation", "by itself"),
        ('metadata.annotations["meta.helm.sh/release-name"]', "deployment tools"),
    ):
        (place,) = inspection.find(path)
        assert place is not None
        assert words in place.evidence[0]


def test_secret_values_stay_masked() -> None:
    """No value of a Secret and no last-applied record is shown, whatever place is asked for."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    record = "kubectl.kubernetes.io/last-applied-configuration"
    live = {
        **secret,
        "data": {"password": "aHVudGVyMg=="},
        "metadata": {"name": "s", "annotations": {record: "aHVudGVyMg=="}},
    }
    key = ResourceKey("", "Secret", "shop", "s")
    inspection = Inspection(
        key, {**secret, "data": {"password": "b3RoZXI="}}, live, node_of(secret), Context()
    )
    for path in ("data", "data.password", f'metadata.annotations["{record}"]', "metadata"):
        assert "aHVudGVyMg" not in repr(inspection.find(path))
        assert "b3RoZXI" not in repr(inspection.find(path))


def test_nothing_there() -> None:
    """A place that neither side has is None, and suggestions come from both sides."""
    inspection = inspect(deployment())
    assert inspection.find("spec.replica") == ()
    assert inspection.find("containers[name=other]") == ()
    assert "/spec/replicas" in inspection.pointers()


def test_item_whose_key_changed() -> None:
    """Each change shows its own item; a position that names two items shows both."""
    live, wanted = deployment(), deployment()
    for body, port in ((live, 8080), (wanted, 8081)):
        ports = [{"containerPort": port, "protocol": "TCP"}]
        body["spec"]["template"]["spec"]["containers"][0]["ports"] = ports
    inspection = Inspection(KEY, wanted, live, node_of(wanted), Context())
    changes = compare(KEY, wanted, live, node_of(wanted), Context()).changes
    at = 'f:spec/f:template/f:spec/f:containers/k:{"name":"web"}/f:ports'
    places = [place for change in changes if (place := inspection.of(change))]
    git, cluster = sorted(places, key=lambda place: place.live is not ABSENT)
    assert git.ssa_path == f'{at}/k:{{"containerPort":8081,"protocol":"TCP"}}'
    assert (git.desired, git.live) == ({"containerPort": 8081, "protocol": "TCP"}, ABSENT)
    assert cluster.ssa_path == f'{at}/k:{{"containerPort":8080,"protocol":"TCP"}}'
    assert (cluster.desired, cluster.live) == (ABSENT, {"containerPort": 8080, "protocol": "TCP"})
    found = inspection.find("/spec/template/spec/containers/0/ports/0")
    assert [place.ssa_path for place in found] == [cluster.ssa_path, git.ssa_path]
    (named,) = inspection.find("containers[name=web].ports[containerPort=8081]")
    assert named.ssa_path == git.ssa_path


def test_renamed_item() -> None:
    """An item of another name shows what Git calls it and what it is called in live."""
    live, wanted = deployment(), deployment()
    wanted["spec"]["template"]["spec"]["containers"][0]["env"][0]["name"] = "AA"
    inspection = Inspection(KEY, wanted, live, node_of(wanted), Context())
    (change,) = compare(KEY, wanted, live, node_of(wanted), Context()).changes
    place = inspection.of(change)
    assert place is not None
    assert (place.desired, place.live) == (
        {"name": "AA", "value": "1"},
        {"name": "A", "value": "1"},
    )
