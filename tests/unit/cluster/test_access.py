"""Descriptions of clusters."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftd.cluster.access import ClusterAccess, decode_base64, in_cluster_access
from driftd.errors import ConfigError

POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}


def test_service_account_of_a_pod(tmp_path: Path) -> None:
    """Inside a Pod the mounted service account gives server, authority and token file."""
    (tmp_path / "token").write_text("t")
    access = in_cluster_access(POD, tmp_path)
    assert access is not None
    assert access.server == "https://10.0.0.1:443"
    assert access.cluster["certificate-authority"] == str(tmp_path / "ca.crt")
    assert access.user == {"tokenFile": str(tmp_path / "token")}


def test_ipv6_service_address(tmp_path: Path) -> None:
    """An IPv6 address stands in brackets."""
    (tmp_path / "token").write_text("t")
    access = in_cluster_access({**POD, "KUBERNETES_SERVICE_HOST": "fd00::1"}, tmp_path)
    assert access is not None
    assert access.server == "https://[fd00::1]:443"


def test_outside_a_pod(tmp_path: Path) -> None:
    """Without the variables or the token there is no own cluster."""
    assert in_cluster_access(POD, tmp_path) is None
    (tmp_path / "token").write_text("t")
    assert in_cluster_access({}, tmp_path) is None


@pytest.mark.parametrize(
    ("user", "hint"),
    [
        ({"exec": {"command": "aws"}}, "log in again with the credential plugin 'aws'"),
        ({"tokenFile": "/t"}, "renew the token file /t"),
        ({"token": "s3cret"}, "the token in F is wrong or has expired"),
        ({"client-certificate-data": "s3cret"}, "the client certificate in F"),
        ({}, "no usable credential in F"),
    ],
)
def test_hint_says_which_credential_to_renew(user: dict[str, object], hint: str) -> None:
    """Each kind of credential has its own remedy, without its value."""
    access = ClusterAccess(name="c", server="https://c", user=user, origin="F")
    assert hint in access.credential_hint
    assert "s3cret" not in access.credential_hint


def test_base64() -> None:
    """White space is allowed in base64, anything else is an error that names the field."""
    assert decode_base64("YWJj\n", "ca", "F") == b"abc"
    with pytest.raises(ConfigError, match="F: ca is not valid base64") as caught:
        decode_base64("s3cret!", "ca", "F")
    assert "s3cret" not in caught.value.message
