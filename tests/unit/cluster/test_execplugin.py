"""Credential plugins, run for real."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from driftd.cluster.access import ClusterAccess
from driftd.cluster.execplugin import run_plugin
from driftd.errors import ConfigError, Unauthorized
from tests.testbed.processes import wait_until

VERSION = "client.authentication.k8s.io/v1"


def plugin(folder: Path, script: str, **spec: Any) -> ClusterAccess:
    """An access whose plugin is a shell script."""
    file = folder / "plugin"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o700)
    description = {"command": str(file), "apiVersion": VERSION, **spec}
    return ClusterAccess(
        name="cloud",
        server="https://c.example.com",
        cluster={
            "certificate-authority-data": "Q0E=",
            "extensions": [
                {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "x"}}
            ],
        },
        user={"exec": description},
        origin="F",
    )


def credential(**status: str) -> str:
    """What a plugin prints."""
    return json.dumps({"apiVersion": VERSION, "kind": "ExecCredential", "status": status})


async def test_token_and_expiry(tmp_path: Path) -> None:
    """The token and its end are read; printing the result shows no token."""
    text = credential(token="s3cret", expirationTimestamp="2026-11-25T12:00:00Z")
    result = await run_plugin(plugin(tmp_path, f"echo '{text}'"), timeout=10)
    assert result.token == "s3cret"
    assert result.expires_at == datetime(2026, 11, 25, 12, tzinfo=UTC)
    assert "s3cret" not in repr(result)


async def test_certificate_and_key(tmp_path: Path) -> None:
    """A plugin may answer with a certificate and its key instead."""
    text = credential(clientCertificateData="CERT", clientKeyData="KEY")
    result = await run_plugin(plugin(tmp_path, f"echo '{text}'"), timeout=10)
    assert (result.certificate, result.key, result.expires_at) == ("CERT", "KEY", None)


async def test_plugin_gets_arguments_environment_and_cluster(tmp_path: Path) -> None:
    """Arguments, variables and, if asked for, the cluster reach the plugin; stdin is empty."""
    seen = tmp_path / "seen"
    script = (
        f'printf "%s\\n" "$1" "$REGION" "$KUBERNETES_EXEC_INFO" "$(cat)" > {seen}\n'
        f"echo '{credential(token='t')}'"
    )
    access = plugin(
        tmp_path,
        script,
        args=["get-token"],
        env=[{"name": "REGION", "value": "eu"}],
        provideClusterInfo=True,
    )
    await run_plugin(access, timeout=10)
    argument, region, info, stdin = seen.read_text().splitlines()
    assert (argument, region, stdin) == ("get-token", "eu", "")
    assert json.loads(info) == {
        "apiVersion": VERSION,
        "kind": "ExecCredential",
        "spec": {
            "interactive": False,
            "cluster": {
                "server": "https://c.example.com",
                "certificate-authority-data": "Q0E=",
                "config": {"audience": "x"},
            },
        },
    }


async def test_plugin_that_hangs_is_killed(tmp_path: Path) -> None:
    """After the time limit the plugin and its child are gone and the error names it."""
    pid_file = tmp_path / "pid"
    access = plugin(tmp_path, f"sleep 600 & echo $! > {pid_file}; wait")
    with pytest.raises(Unauthorized, match=r"gave no credential within 1 s"):
        await run_plugin(access, timeout=1)
    child = Path("/proc") / pid_file.read_text().strip() / "stat"

    def gone() -> bool:
        try:
            return child.read_text().rpartition(")")[2].split()[0] == "Z"
        except (FileNotFoundError, ProcessLookupError):
            return True

    # It was sent SIGKILL: a busy machine may take a moment to let it die.
    wait_until(gone, what="the end of the plugin's child", timeout=30)


async def test_chatty_plugin_does_not_block(tmp_path: Path) -> None:
    """A plugin that writes more to stderr than a pipe holds still answers."""
    script = f"head -c 300000 /dev/zero >&2; echo '{credential(token='t')}'"
    assert (await run_plugin(plugin(tmp_path, script), timeout=10)).token == "t"


async def test_failing_plugin_tells_its_last_line(tmp_path: Path) -> None:
    """The exit code and the last line of stderr are in the error, with a remedy."""
    access = plugin(tmp_path, "echo first >&2; echo session expired >&2; exit 3")
    with pytest.raises(Unauthorized, match="ended with code 3: session expired") as caught:
        await run_plugin(access, timeout=10)
    assert "log in again" in caught.value.hint


@pytest.mark.parametrize(
    ("printed", "error", "message"),
    [
        ("not json s3cret", Unauthorized, "no valid ExecCredential"),
        (credential(), Unauthorized, "neither a token nor certificate"),
        (credential(clientCertificateData="s3cret"), Unauthorized, "neither a token"),
        (
            credential(token="s3cret").replace("/v1", "/v1beta1"),
            ConfigError,
            "the kubeconfig asks for client.authentication.k8s.io/v1",
        ),
    ],
)
async def test_useless_answers(
    tmp_path: Path, printed: str, error: type[Exception], message: str
) -> None:
    """An answer that is no credential is an error that does not quote it."""
    with pytest.raises(error, match=message) as caught:
        await run_plugin(plugin(tmp_path, f"echo '{printed}'"), timeout=10)
    assert "s3cret" not in str(caught.value)


async def test_plugin_that_is_not_installed(tmp_path: Path) -> None:
    """A missing program is named, with the install hint of the kubeconfig."""
    access = plugin(tmp_path, "", command="no-such-login", installHint="get it there")
    with pytest.raises(ConfigError, match="cannot start exec plugin 'no-such-login'") as caught:
        await run_plugin(access, timeout=10)
    assert caught.value.hint == "get it there"


async def test_plugin_without_command(tmp_path: Path) -> None:
    """Command and apiVersion are required."""
    with pytest.raises(ConfigError, match="needs command and apiVersion"):
        await run_plugin(plugin(tmp_path, "", command=""), timeout=10)
