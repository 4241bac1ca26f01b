"""Objects that nobody has touched are clean, however they were deployed."""

from __future__ import annotations

import json

import pytest

from tests.property.lab import MODES, Lab, Mode, named, objects
from tests.testbed.cluster import ControlPlane

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def lab(api_server: ControlPlane) -> Lab:
    """A namespace for all objects of this file."""
    made = Lab(api_server, api_server.create_namespace("untouched"))
    made.install_widgets()
    return made


def test_enough_kinds() -> None:
    """The base objects are of more than the 24 kinds that the promise names."""
    assert len({(body["apiVersion"], body["kind"]) for body in objects()}) >= 24


@pytest.mark.parametrize("mode", MODES)
def test_untouched_objects_are_clean(lab: Lab, mode: Mode) -> None:
    """Defaults, allocations and admission are no finding of any class; the deployer is named."""
    bodies = [named(body, f"u{MODES.index(mode)}n{n}") for n, body in enumerate(objects())]
    if mode == "client-side apply":
        listed = {"apiVersion": "v1", "kind": "List", "items": bodies}
        # Another test's API group may be down, which keeps kubectl from validating by itself.
        apply = ("apply", "--validate=false", "-n", lab.namespace, "-f", "-")
        lab.cluster.kubectl(*apply, input=json.dumps(listed))
    else:
        for body in bodies:
            lab.deploy(body, mode)
    looks = {body["kind"] + " " + body["metadata"]["name"]: lab.look(body) for body in bodies}
    assert {name: look.changes for name, look in looks.items() if look.changes} == {}
    assert frozenset().union(*(look.deployers for look in looks.values())) == {
        {"server-side apply": "argocd-controller", "client-side apply":
         "kubectl-client-side-apply", "helm": "helm"}[mode]
    }  # fmt: skip


def test_second_apply_is_clean(lab: Lab) -> None:
    """Applying again, and applying to what somebody else created, leaves no finding."""
    for number, body in enumerate(objects()):
        desired = named(body, f"again{number}")
        lab.cluster.call("POST", f"{lab.path(desired)}?fieldManager=terraform", desired)
        lab.apply(desired, "argocd-controller")
        lab.apply(desired, "argocd-controller")
        found = lab.look(desired).changes
        assert found == (), desired["kind"]
