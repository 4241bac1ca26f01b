"""Argo CD's repository Secrets: every field that concerns fetching."""

from __future__ import annotations

import base64
import json

import pytest

from driftd.cluster.reposecret import (
    host_certificates,
    host_keys,
    parse_repository_secret,
)
from driftd.errors import ConfigError
from driftd.model.repository import GitHubApp, RepositoryAccess


def parsed(*, template: bool = False, **fields: str) -> RepositoryAccess:
    """A Secret with these fields."""
    data = {key: base64.b64encode(text.encode()).decode() for key, text in fields.items()}
    body = {"metadata": {"name": "r", "namespace": "argocd"}, "data": data}
    return parse_repository_secret(json.dumps(body).encode(), template=template)


def test_every_field_of_a_git_repository() -> None:
    """Login, key, switches, proxy and scope of a Secret are read; git is the default type."""
    found = parsed(
        url=" https://git.example.com/a.git\n",
        project="p",
        username="bot",
        password="hunter2",
        bearerToken="t0ken",
        sshPrivateKey="KEY\n",
        insecure="true",
        enableLfs="true",
        tlsClientCertData="CERT",
        tlsClientCertKey="CERT KEY",
        proxy="http://proxy:3128",
        noProxy="internal",
    )
    assert found == RepositoryAccess(
        url="https://git.example.com/a.git",
        project="p",
        username="bot",
        password="hunter2",
        bearer_token="t0ken",
        ssh_private_key="KEY\n",
        insecure=True,
        lfs=True,
        client_certificate="CERT",
        client_key="CERT KEY",
        proxy="http://proxy:3128",
        no_proxy="internal",
        origin="repository Secret argocd/r",
    )


@pytest.mark.parametrize(
    ("fields", "kind", "oci"),
    [
        ({"type": "helm"}, "helm", False),
        ({"type": "helm", "enableOCI": "true"}, "helm", True),
        ({"type": "oci"}, "oci", True),
    ],
)
def test_helm_and_oci(fields: dict[str, str], kind: str, *, oci: bool) -> None:
    """A registry is type oci, or type helm with enableOCI; plain http must be asked for."""
    found = parsed(url="registry.example.com/charts", insecureOCIForceHttp="true", **fields)
    assert (found.type, found.oci, found.plain_http) == (kind, oci, True)


def test_a_github_app() -> None:
    """App, installation, key and the address of GitHub Enterprise belong together."""
    found = parsed(
        template=True,
        url="https://github.com/example",
        githubAppID="1",
        githubAppInstallationID="2",
        githubAppPrivateKey="PEM",
        githubAppEnterpriseBaseUrl="https://ghe.example.com/api/v3",
    )
    assert found.template
    assert found.github_app == GitHubApp(
        app_id="1",
        installation_id="2",
        private_key="PEM",
        base_url="https://ghe.example.com/api/v3",
    )
    with pytest.raises(ConfigError, match="go together"):
        parsed(url="https://github.com/example", githubAppID="1")


def test_ways_to_log_in_that_are_not_supported_are_kept_for_the_message() -> None:
    """Logins of clouds are named, so that the application says why it is Unknown."""
    found = parsed(
        url="https://x.example.com/r", gcpServiceAccountKey="{}", useAzureWorkloadIdentity="true"
    )
    assert found.unsupported == ("gcpServiceAccountKey", "Azure workload identity")
    assert parsed(url="https://x", useAzureWorkloadIdentity="false").unsupported == ()


@pytest.mark.parametrize(
    ("fields", "message"),
    [({}, "url is missing"), ({"url": "https://x", "type": "svn"}, "type 'svn' is none of")],
)
def test_bad_secrets_are_named(fields: dict[str, str], message: str) -> None:
    """The error names the Secret and the field, and no value that is secret."""
    with pytest.raises(ConfigError, match=message) as error:
        parsed(password="hunter2", **fields)
    assert str(error.value).startswith("repository Secret argocd/r: ")
    assert "hunter2" not in error.value.message


def test_printing_shows_no_secret() -> None:
    """Neither repr nor str of an entry or an app has its secrets."""
    found = parsed(url="https://x", password="hunter2", githubAppID="1", githubAppPrivateKey="PEM")
    assert "hunter2" not in f"{found!r} {found}"
    assert "PEM" not in f"{found!r} {found.github_app!r}"


def test_side_config_maps() -> None:
    """Host keys are one text; certificates are by host, and what is no PEM stays out."""
    assert host_keys({"ssh_known_hosts": "a b c"}) == "a b c"
    assert host_keys({}) == ""
    pem = "-----BEGIN CERTIFICATE-----\n"
    assert host_certificates({"Git.Example.com": pem, "README": "x"}) == {"git.example.com": pem}
