"""What server-side apply records of a Secret's `stringData`, on a real API server."""

from __future__ import annotations

import itertools
from copy import deepcopy
from typing import Any

import pytest

from driftd.diff.compare import Context
from driftd.model.report import UNSET, Change
from tests.property.lab import Lab
from tests.testbed.cluster import ControlPlane

pytestmark = pytest.mark.cluster

_numbers = itertools.count()


@pytest.fixture(scope="module")
def lab(api_server: ControlPlane) -> Lab:
    """A namespace for all objects of this file."""
    return Lab(api_server, api_server.create_namespace("secretdata"))


def applied(lab: Lab) -> Any:
    """A Secret of two `stringData` keys and a `data` key, applied by Argo CD, clean."""
    desired = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"s{next(_numbers)}"},
        "data": {"plain": "YQ=="},
        "stringData": {"user": "ledger", "password": "hunter2"},
    }
    lab.apply(desired, "argocd-controller")
    assert lab.look(desired).changes == ()
    return desired


def only(lab: Lab, desired: Any) -> Change:
    """The one change."""
    (change,) = lab.look(desired).changes
    return change


def test_key_removed_from_git(lab: Lab) -> None:
    """A key of `stringData` that Git no longer has is formerly declared, by who applied it."""
    desired = deepcopy(applied(lab))
    del desired["stringData"]["password"]
    change = only(lab, desired)
    assert (change.kind, change.change_class, change.path) == (
        "formerly-declared",
        "declared",
        "/data/password",
    )
    assert (change.manager, change.operation, change.confidence) == (
        "argocd-controller",
        "Apply",
        "exact",
    )
    assert change.live == {"masked": True}


def test_key_changed_by_somebody(lab: Lab) -> None:
    """Somebody's new value is his, not that of the deployer whose record names `stringData`."""
    desired = applied(lab)
    change = [{"op": "replace", "path": "/data/password", "value": "b3RoZXI="}]
    lab.patch(desired, change, "alice")
    found = only(lab, desired)
    assert (found.kind, found.change_class, found.path) == (
        "modified",
        "declared",
        "/data/password",
    )
    assert (found.manager, found.confidence) == ("alice", "exact")


def test_key_changed_by_somebody_who_hides(lab: Lab) -> None:
    """Without the changer's entry nobody is named, and the change is no rewriting by admission."""
    desired = applied(lab)
    change = [{"op": "replace", "path": "/data/password", "value": "b3RoZXI="}]
    lab.patch(desired, change, "alice")
    own = [
        entry
        for entry in lab.live(desired)["metadata"]["managedFields"]
        if entry["manager"] != "alice"
    ]
    wiped = [{"op": "replace", "path": "/metadata/managedFields", "value": own}]
    lab.patch(desired, wiped, "alice")
    (found,) = lab.look(desired, Context(synced_here=True)).changes
    assert (found.change_class, found.path, found.manager) == ("declared", "/data/password", UNSET)


def test_key_added_by_somebody(lab: Lab) -> None:
    """An added key is its writer's, through `stringData` too."""
    desired = applied(lab)
    lab.patch(desired, [{"op": "add", "path": "/stringData", "value": {"new": "x"}}], "alice")
    found = only(lab, desired)
    assert (found.kind, found.change_class, found.path, found.manager) == (
        "added",
        "undeclared",
        "/data/new",
        "alice",
    )


def test_key_removed_by_somebody(lab: Lab) -> None:
    """A removed key of `stringData` is missing; a removal names nobody."""
    desired = applied(lab)
    lab.patch(desired, [{"op": "remove", "path": "/data/user"}], "alice")
    found = only(lab, desired)
    assert (found.kind, found.change_class, found.manager) == ("missing", "declared", UNSET)
