"""Compiled schemas of a real API server, for tests that compare without the daemon."""

from __future__ import annotations

from driftd.diff.schema import SchemaSet
from tests.testbed.cluster import ControlPlane


def schema_set(cluster: ControlPlane, *api_versions: str) -> SchemaSet:
    """The schemas of some group versions, as `driftd check` would read them."""
    return SchemaSet([cluster.call("GET", "/openapi/v3" + prefix(name)) for name in api_versions])


def prefix(api_version: str) -> str:
    """The URL prefix of a group version: `/api/v1`, `/apis/apps/v1`."""
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
