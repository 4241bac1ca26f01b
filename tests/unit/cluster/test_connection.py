"""How a description becomes an authenticated session."""

from __future__ import annotations

import base64
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from kubernetes_asyncio.client import Configuration

from driftd.cluster.access import ClusterAccess
from driftd.cluster.connection import accept_encoding, connect
from driftd.errors import ConfigError


def access(
    cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None, **more: str
) -> ClusterAccess:
    """A description."""
    fields = {"name": "c", "server": "https://127.0.0.1:6443", "origin": "F", **more}
    return ClusterAccess(cluster=cluster or {}, user=user or {}, **fields)


async def test_nothing_is_left_on_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, api_certificate: str
) -> None:
    """Inline certificates are on disk only while the TLS context is built."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    data = base64.b64encode(api_certificate.encode()).decode()
    connection = await connect(
        access({"certificate-authority-data": data}), pool_size=1, exec_timeout=1
    )
    await connection.retire()
    assert os.listdir(tmp_path) == []


async def test_default_configuration_is_untouched(api_certificate: str) -> None:
    """Another cluster's credentials never become the process-wide default."""
    before = vars(Configuration.get_default_copy()).get("_base_path")
    connection = await connect(access(user={"token": "t"}), pool_size=1, exec_timeout=1)
    await connection.retire()
    after = Configuration.get_default_copy()
    assert after._base_path == before
    assert after.api_key == {}


@pytest.mark.parametrize(
    ("cluster", "user", "message"),
    [
        ({"certificate-authority-data": "s3cret!"}, {}, "certificate-authority-data is not valid"),
        ({"certificate-authority-data": "czNjcmV0"}, {}, "do not load"),
        ({"certificate-authority": "/no/such/ca.crt"}, {}, "names /no/such/ca.crt"),
        ({}, {"tokenFile": "/no/such/token"}, "cannot read token file /no/such/token"),
        ({}, {"auth-provider": {"name": "oidc"}}, "cannot use the credentials in F"),
        ({}, {"as": "x", "as-groups": ["a", "b"]}, "several as-groups"),
    ],
)
async def test_descriptions_that_cannot_work(
    cluster: dict[str, Any], user: dict[str, Any], message: str
) -> None:
    """Each broken field is an error that says which one, without its content."""
    with pytest.raises(ConfigError, match=message) as caught:
        await connect(access(cluster, user), pool_size=1, exec_timeout=1)
    assert "s3cret" not in caught.value.message


async def test_basic_authentication_and_impersonation() -> None:
    """User name and password are sent, and an impersonated identity is never dropped."""
    user = {"username": "u", "password": "p", "as": "viewer", "as-groups": ["readers"]}
    connection = await connect(access(user=user), pool_size=3, exec_timeout=1)
    try:
        async with connection as api:
            expected = "Basic " + base64.b64encode(b"u:p").decode()
            assert api.configuration.api_key["BearerToken"] == expected
            assert api.default_headers["Impersonate-User"] == "viewer"
            assert api.default_headers["Impersonate-Group"] == "readers"
            assert api.rest_client.pool_manager.connector.limit == 3
    finally:
        await connection.retire()


async def test_retired_connection_closes_after_its_last_request() -> None:
    """A session that was replaced still serves the request that is using it."""
    connection = await connect(access(), pool_size=1, exec_timeout=1)
    async with connection as api:
        await connection.retire()
        assert not api.rest_client.pool_manager.closed
    assert api.rest_client.pool_manager.closed


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        (access(server="https://127.0.0.1:1"), "identity"),
        (access(server="https://[::1]:1"), "identity"),
        (access(server="https://localhost:1"), "identity"),
        (access(server="https://10.0.0.1", name="in-cluster"), "identity"),
        (access({"disable-compression": True}, server="https://prod.example.com"), "identity"),
        (access(server="https://prod.example.com"), "gzip"),
        (access(server="https://10.0.0.1"), "gzip"),
    ],
)
def test_compression_only_where_it_pays(described: ClusterAccess, expected: str) -> None:
    """Near servers and those that ask for it are read uncompressed."""
    assert accept_encoding(described) == expected
