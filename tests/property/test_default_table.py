"""The shipped default table is what a real API server fills in."""

from __future__ import annotations

import json

import pytest

from tests.defaults.generate import TABLE, Server, generate
from tests.testbed.cluster import ControlPlane

pytestmark = pytest.mark.cluster


def test_table_is_the_servers(api_server: ControlPlane) -> None:
    """A Kubernetes release with other defaults shows up here, not as a false alarm."""
    fresh = generate(Server(api_server.server, api_server.token()))
    shipped = json.loads(TABLE.read_text("utf-8"))
    assert fresh["components"] == shipped["components"]
