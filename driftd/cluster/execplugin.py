"""Credential plugins (`exec` of a kubeconfig user), with a deadline.

The client library's own runner has no timeout, inherits stdin and blocks on a plugin
that writes much to stderr; so the process is run here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from datetime import datetime
from typing import Any

import msgspec

from driftd.cluster.access import ClusterAccess
from driftd.errors import ConfigError, Unauthorized

EXTENSION = "client.authentication.k8s.io/exec"


class ExecCredential(msgspec.Struct, frozen=True):
    """What a plugin answered; printing it shows no credential."""

    token: str = ""
    certificate: str = ""
    """PEM."""
    key: str = ""
    """PEM."""
    expires_at: datetime | None = None

    def __repr__(self) -> str:
        return f"ExecCredential(expires_at={self.expires_at})"


async def run_plugin(access: ClusterAccess, *, timeout: float) -> ExecCredential:  # noqa: ASYNC109
    """Run the plugin of `access.user` and read its ExecCredential.

    `timeout` in seconds; the plugin is killed when it passes. Raises ConfigError if the
    plugin is described wrongly or not installed, Unauthorized if it fails.
    """
    spec = access.user["exec"]
    command, api_version = spec.get("command"), spec.get("apiVersion")
    if not command or not api_version:
        raise ConfigError(
            f"{access.label}: exec plugin in {access.origin} needs command and apiVersion"
        )
    try:
        process = await asyncio.create_subprocess_exec(
            str(command),
            *(str(argument) for argument in spec.get("args") or ()),
            env=_environment(access, spec),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        hint = spec.get("installHint") or f"install {command!r} or put it on PATH"
        raise ConfigError(
            f"{access.label}: cannot start exec plugin {command!r}: {error.strerror}", hint=hint
        ) from error
    try:
        async with asyncio.timeout(timeout):
            stdout, stderr = await process.communicate()
    except TimeoutError as error:
        raise Unauthorized(
            f"{access.label}: exec plugin {command!r} gave no credential within {timeout:g} s",
            hint="run it by hand; it may be waiting for a login",
        ) from error
    finally:
        await _end(process)
    if process.returncode != 0:
        last = stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise Unauthorized(
            f"{access.label}: exec plugin {command!r} ended with code {process.returncode}"
            + (f": {last[0][:200]}" if last else ""),
            hint="log in again with that tool",
        )
    return _credential(access, str(command), str(api_version), stdout)


def _environment(access: ClusterAccess, spec: dict[str, Any]) -> dict[str, str]:
    info: dict[str, Any] = {"interactive": False}
    if spec.get("provideClusterInfo"):
        cluster = {"server": access.server}
        for name in ("certificate-authority-data", "tls-server-name", "proxy-url"):
            if access.cluster.get(name):
                cluster[name] = access.cluster[name]
        for extension in access.cluster.get("extensions") or ():
            if extension.get("name") == EXTENSION:
                cluster["config"] = extension.get("extension")
        info["cluster"] = cluster
    credential = {"apiVersion": spec["apiVersion"], "kind": "ExecCredential", "spec": info}
    extra = {str(item["name"]): str(item["value"]) for item in spec.get("env") or ()}
    return {**os.environ, **extra, "KUBERNETES_EXEC_INFO": json.dumps(credential)}


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        # With its children: one that lives on would keep the pipes open.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        # Drains the pipes too, so that no transport is left open.
        await process.communicate()


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: datetime | None = None


class _Answer(msgspec.Struct, frozen=True, rename="camel"):
    api_version: str
    kind: str
    status: _Status


def _credential(
    access: ClusterAccess, command: str, api_version: str, stdout: bytes
) -> ExecCredential:
    where = f"{access.label}: exec plugin {command!r}"
    try:
        answer = msgspec.json.decode(stdout, type=_Answer)
    except msgspec.MsgspecError as error:
        # The parser's text may quote the answer, which holds a credential.
        raise Unauthorized(
            f"{where} printed no valid ExecCredential", hint="run it by hand to see why"
        ) from error
    if answer.api_version != api_version:
        raise ConfigError(
            f"{where} answered {answer.api_version}, the kubeconfig asks for {api_version}",
            hint="write the plugin's apiVersion into the kubeconfig",
        )
    status = answer.status
    if not status.token and not (status.client_certificate_data and status.client_key_data):
        raise Unauthorized(f"{where} gave neither a token nor certificate and key")
    return ExecCredential(
        token=status.token,
        certificate=status.client_certificate_data,
        key=status.client_key_data,
        expires_at=status.expiration_timestamp,
    )
