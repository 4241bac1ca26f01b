"""What two declared objects differ in, with a cluster's schema and without any."""

from __future__ import annotations

from copy import deepcopy

import pytest

from driftd.diff.between import between, overlap, pointer_of
from driftd.diff.wellknown import wellknown_schemas
from driftd.model.resource import GVK, ResourceKey
from tests.cases.openapi import subset
from tests.unit.diff.objects import deployment

KEY = ResourceKey("apps", "Deployment", "shop", "web")
GVK_ = GVK("apps", "v1", "Deployment")


@pytest.fixture(params=["cluster", "wellknown"])
def node(request):
    """The schema of a Deployment: as a cluster publishes it, and as it is known without one."""
    found = subset.schemas() if request.param == "cluster" else wellknown_schemas()
    return found.node(GVK_)


def told(old, new, node, key=KEY):
    """Kind, place, old and new value of each difference."""
    return [(str(c.kind), pointer_of(c), c.live, c.desired) for c in between(key, old, new, node)]


def container(body):
    """The only container."""
    return body["spec"]["template"]["spec"]["containers"][0]


def test_items_by_their_keys(node):
    """A new image, another value of a variable and one more are three places, not one list."""
    old, new = deployment(), deployment()
    container(new)["image"] = "registry.example/web:2"
    container(new)["env"] = [{"name": "B", "value": "3"}, {"name": "A", "value": "1"}]
    container(new)["env"].append({"name": "C", "value": "4"})
    places = {(kind, place.rpartition("containers/0/")[2]) for kind, place, _, _ in
              told(old, new, node)}  # fmt: skip
    assert ("modified", "image") in places
    assert ("missing", "env/2") in places
    assert any(place.startswith("env/0/value") for _, place in places)


def test_spellings_and_written_defaults_are_no_change(node):
    """Another spelling of a quantity, and defaults written down or taken out, differ in nothing."""
    old, new = deployment(), deployment()
    container(new)["resources"]["requests"]["cpu"] = 0.1
    container(new)["imagePullPolicy"] = "IfNotPresent"
    new["spec"]["template"]["spec"]["restartPolicy"] = "Always"
    assert told(old, new, node) == []
    assert told(new, old, node) == []


@pytest.mark.parametrize(
    ("at", "name", "value"),
    [
        ("pod", "priorityClassName", ""),
        ("pod", "hostNetwork", False),
        ("pod", "nodeSelector", {}),
        ("pod", "tolerations", []),
        ("pod", "securityContext", {}),
        ("container", "envFrom", []),
        ("container", "workingDir", ""),
        ("container", "resources", {"limits": {}}),
        ("labels", "", None),
    ],
)
def test_empty_values_that_kubernetes_drops_are_no_change(node, at, name, value):
    """An empty value that the API server does not keep differs in nothing from none, both ways."""
    old, new = deployment(), deployment()
    for side in (old, new):
        container(side).pop("resources", None)
    spec = new["spec"]["template"]["spec"]
    place = {"pod": spec, "container": container(new), "labels": new["metadata"]}[at]
    if name:
        place[name] = value
    else:
        place["annotations"] = {}
    assert told(old, new, node) == []
    assert told(new, old, node) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("automountServiceAccountToken", False), ("terminationGracePeriodSeconds", 0)],
)
def test_empty_values_that_kubernetes_keeps_are_changes(node, name, value):
    """A zero behind a pointer says something, whether it comes or goes."""
    old, new = deployment(), deployment()
    new["spec"]["template"]["spec"][name] = value
    assert len(told(old, new, node)) == 1
    assert len(told(new, old, node)) == 1


def test_values_beside_the_default_are_told_both_ways(node):
    """A value that the server would not fill in is a change when it comes and when it goes."""
    old, new = deployment(), deployment()
    container(new)["imagePullPolicy"] = "Always"
    place = "/spec/template/spec/containers/0/imagePullPolicy"
    assert [(kind, where) for kind, where, _, _ in told(old, new, node)] == [("missing", place)]
    assert [(kind, where) for kind, where, _, _ in told(new, old, node)] == [("added", place)]


@pytest.mark.parametrize("schemas", [subset.schemas, wellknown_schemas])
def test_allocated_fields_count_in_git(schemas):
    """A node port or a cluster address that Git no longer gives is told, though none is drift."""
    old = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"clusterIP": "None", "ports": [{"port": 80, "nodePort": 30080}]},
    }
    new = deepcopy(old)
    del new["spec"]["clusterIP"], new["spec"]["ports"][0]["nodePort"]
    key = ResourceKey("", "Service", "shop", "web")
    found = told(old, new, schemas().node(GVK("", "v1", "Service")), key)
    assert {place for _, place, _, _ in found} == {"/spec/clusterIP", "/spec/ports/0/nodePort"}


def test_secrets_are_masked():
    """No value of a Secret leaves the comparison."""
    old = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "b2xk"}}
    new = {**old, "data": {"a": "bmV3"}}
    (change,) = between(ResourceKey("", "Secret", "shop", "s"), old, new, None)
    assert (change.live, change.desired) == ({"masked": True}, {"masked": True})


def test_overlap_is_of_whole_segments():
    """A place overlaps what is inside it, and not what merely begins alike."""
    assert overlap("f:spec/f:a", "f:spec")
    assert not overlap("f:spec/f:a", "f:spec/f:ab")


@pytest.mark.parametrize("rest", [{}, {"syncOptions": ["Prune=false"]}])
def test_an_empty_mapping_of_a_custom_kind(rest):
    """What only is there or not says something to a custom kind: `automated: {}`."""
    key = ResourceKey("argoproj.io", "Application", "argocd", "web")
    old = {"metadata": {"name": "web", "labels": {}}, "spec": {"syncPolicy": {**rest}}}
    new = deepcopy(old)
    old["spec"]["syncPolicy"]["automated"] = {}
    assert [one[:3] for one in told(old, new, None, key)] == [
        ("added", "/spec/syncPolicy/automated", {})
    ]
    assert [one[:2] for one in told(new, old, None, key)] == [
        ("missing", "/spec/syncPolicy/automated")
    ]
    del new["spec"]["syncPolicy"], new["metadata"]["labels"]
    assert [one[1] for one in told(old, new, None, key)][:1] == ["/spec/syncPolicy"]
