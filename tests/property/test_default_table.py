"""The shipped default table is what a real API server fills in.

`DRIFTD_TESTBED_KUBERNETES` chooses the minor; `make prove` asks each.
"""

from __future__ import annotations

from typing import Any

import pytest

from driftd.diff import defaults, tables
from driftd.diff.compare import Context, compare
from driftd.model.resource import GVK, ResourceKey
from tests.defaults.generate import corpus, created, observed, served
from tests.property.lab import holds
from tests.testbed import binaries
from tests.testbed.cluster import ControlPlane

pytestmark = pytest.mark.cluster


def test_table_is_the_servers(api_server: ControlPlane) -> None:
    """A Kubernetes release with other defaults shows up here, not as a false alarm."""
    version = api_server.call("GET", "/version")["gitVersion"]
    assert tables.note(version) == ""
    assert observed(api_server) == defaults.table(version)


def test_every_kind_of_the_server_was_asked(api_server: ControlPlane) -> None:
    """A Kubernetes release with a new kind shows up here; the corpus names none that is gone."""
    asked = {(body["apiVersion"], body["kind"]) for body in corpus()}
    own = set(served(api_server))
    assert own - asked == set()
    if api_server.kubernetes == binaries.NEWEST:
        assert asked - own == set()


def test_table_is_of_the_pinned_releases() -> None:
    """The stored table names the releases that the test bed builds, all of them."""
    assert dict(tables.releases()) == binaries.KUBERNETES_VERSIONS


def test_objects_of_the_corpus_are_clean_without_any_owner(api_server: ControlPlane) -> None:
    """With its table alone driftd knows all that a server makes of each shape: strict mode too.

    An older server drops fields that it does not have yet, and driftd says so.
    """
    older = api_server.kubernetes != binaries.NEWEST
    found: dict[str, Any] = {}
    for body, live, node in created(api_server):
        live["metadata"].pop("managedFields", None)
        gvk, metadata = GVK.parse(body["apiVersion"], body["kind"]), live["metadata"]
        key = ResourceKey(gvk.group, gvk.kind, metadata.get("namespace", ""), metadata["name"])
        changes = compare(key, body, live, node, Context(strict=True)).changes
        if older and gvk.kind != "Secret" and not holds(live, body):
            assert changes, key
        elif changes:
            found[f"{gvk.kind} {key.name}"] = [(c.path, str(c.kind), c.live) for c in changes]
    assert not found, "\n".join(f"{name}: {what}" for name, what in found.items())
