"""The stored schemas are those of a real API server."""

from __future__ import annotations

import pytest

from tests.cases.openapi import subset
from tests.testbed.cluster import ControlPlane
from tests.testbed.schemas import prefix

pytestmark = pytest.mark.cluster


def test_stored_schemas_are_the_servers(api_server: ControlPlane) -> None:
    """A Kubernetes release with other schemas shows up here first."""
    fresh = subset.subset(lambda name: api_server.call("GET", "/openapi/v3" + prefix(name)))
    assert subset.text(fresh) == subset.FILE.read_text("utf-8")
