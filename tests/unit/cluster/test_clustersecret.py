"""Argo CD's cluster Secrets."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from driftd.cluster.clustersecret import parse_cluster_secret
from driftd.errors import ConfigError


def secret(config: Any = None, **fields: str) -> bytes:
    """A cluster Secret as the API server serves it."""
    fields.setdefault("server", "https://prod.example.com")
    if config is not None:
        fields["config"] = config if isinstance(config, str) else json.dumps(config)
    data = {name: base64.b64encode(value.encode()).decode() for name, value in fields.items()}
    return json.dumps({"metadata": {"name": "prod", "namespace": "argocd"}, "data": data}).encode()


def test_token_and_certificate_authority() -> None:
    """Bearer token, TLS settings and proxy become what a kubeconfig calls them."""
    cluster = parse_cluster_secret(
        secret(
            {
                "bearerToken": "s3cret",
                "tlsClientConfig": {"caData": "Q0E=", "serverName": "sni"},
                "proxyUrl": "http://proxy:3128",
                "disableCompression": True,
            },
            name="production",
        )
    )
    assert cluster.name == "production"
    assert cluster.access.user == {"token": "s3cret"}
    assert cluster.access.cluster == {
        "server": "https://prod.example.com",
        "certificate-authority-data": "Q0E=",
        "tls-server-name": "sni",
        "proxy-url": "http://proxy:3128",
        "disable-compression": True,
    }
    assert "s3cret" not in repr(cluster)


def test_certificate_and_password() -> None:
    """Client certificates, user name and password, and insecure TLS are carried over."""
    tls = {"insecure": True, "certData": "QQ==", "keyData": "Qg=="}
    access = parse_cluster_secret(
        secret({"username": "u", "password": "p", "tlsClientConfig": tls})
    ).access
    assert access.user == {
        "username": "u",
        "password": "p",
        "client-certificate-data": "QQ==",
        "client-key-data": "Qg==",
    }
    assert access.cluster["insecure-skip-tls-verify"] is True


def test_name_and_limits() -> None:
    """Without a name the server is its name; namespaces, scope and project are read."""
    cluster = parse_cluster_secret(
        secret(namespaces="a, b,", clusterResources="true", project="shop")
    )
    assert cluster.name == cluster.server == "https://prod.example.com"
    assert cluster.namespaces == ("a", "b")
    assert cluster.cluster_resources
    assert cluster.project == "shop"
    assert cluster.secret == "argocd/prod"


def test_plugin_runs_only_if_allowed() -> None:
    """A Secret's plugin is not run on this machine unless that is allowed."""
    config = {
        "execProviderConfig": {
            "command": "aws",
            "args": ["token"],
            "env": {"A": "b"},
            "apiVersion": "v1",
        }
    }
    with pytest.raises(ConfigError, match="would run 'aws' on this machine") as caught:
        parse_cluster_secret(secret(config))
    assert "--cluster https://prod.example.com=CONTEXT" in caught.value.hint
    allowed = parse_cluster_secret(secret(config), allow_exec=True)
    assert allowed.access.user["exec"] == {
        "command": "aws",
        "args": ["token"],
        "env": [{"name": "A", "value": "b"}],
        "apiVersion": "v1",
        "installHint": "",
    }


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (secret({"awsAuthConfig": {"clusterName": "x"}}), "awsAuthConfig is not supported"),
        (secret(server=""), "server is missing"),
        (secret('{"bearerToken": s3cret}'), "config is not the JSON"),
        (secret({"bearerToken": ["s3cret"]}), "config is not the JSON"),
        (
            json.dumps({"metadata": {"name": "p"}, "data": {"server": "s3cret!"}}).encode(),
            "server is not valid base64",
        ),
    ],
)
def test_unusable_secrets_are_named_without_their_content(body: bytes, message: str) -> None:
    """Each error names the Secret and the field, and quotes nothing of it."""
    with pytest.raises(ConfigError, match=message) as caught:
        parse_cluster_secret(body)
    assert "cluster Secret" in str(caught.value)
    assert "s3cret" not in caught.value.message
