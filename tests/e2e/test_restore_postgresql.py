"""`driftd heal` and `driftd restore` with a store on PostgreSQL, on a real API server."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from driftd.store.ledger import writing
from tests.e2e.daemon import ROOT
from tests.e2e.site import CONTEXT, URL, application, config_map
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.testbed.postgresql import empty_database, postgresql

pytestmark = pytest.mark.cluster

NAMESPACE = "restored-pg"


async def kept_record(dsn: str) -> tuple[Mapping[str, str], list[str]]:
    """The applications whose healing waits for a person, and what is on the unbroken record."""
    async with writing(dsn) as ledger:
        assert (await ledger.verify()).broken is None
        entries = [json.loads(row.entry) for row in await ledger.entries()]
        told = [f"{one['kind']} {one.get('outcome', '')}".strip() for one in entries]
        return await ledger.halted(), told


def test_what_was_written_over_comes_back(
    api_server: ControlPlane, git_repo: GitRepo, tmp_path: Path
) -> None:
    """Healed, listed, compared without a write, restored once; on record, and healing waits."""
    git_repo.set_remote(URL)
    git_repo.write("apps/restored/settings.yaml", config_map("settings", colour="blue"))
    policy = {"automated": {"selfHeal": True}}
    git_repo.write("argocd/restored.yaml", application("restored", NAMESPACE, syncPolicy=policy))
    git_repo.commit()
    api_server.create_namespace(NAMESPACE)
    api_server.kubectl(
        *("apply", "--server-side", "-n", NAMESPACE, "-f", "-"),
        input=config_map("settings", colour="red"),
    )
    kubeconfig = str(api_server.kubeconfig())
    file, home = tmp_path / "driftd.yaml", tmp_path / "home"
    home.mkdir()

    def driftd(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "driftd.cli.main", *words, f"--config={file}"],
            cwd=git_repo.path,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "HOME": str(home),
                "KUBECONFIG": kubeconfig,
                "DRIFTD_QUIET": "yes",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def colour() -> Any:
        live = api_server.call("GET", f"/api/v1/namespaces/{NAMESPACE}/configmaps/settings")
        return live["data"]["colour"]

    with postgresql() as server:
        dsn = asyncio.run(empty_database(server))
        settings: dict[str, Any] = {
            "repositories": [{"path": str(git_repo.path)}],
            "clusters": {"destinations": {"https://kubernetes.default.svc": CONTEXT}},
            "store": {"dsn": dsn},
            "healing": {"rules": [{"applications": ["restored"], "rung": "fields"}]},
        }
        file.write_text(yaml.safe_dump(settings))
        keyless = driftd("heal", "restored")
        assert (keyless.returncode, colour()) == (2, "red"), keyless.stdout + keyless.stderr
        assert "store.keyFile" in keyless.stdout + keyless.stderr
        settings["store"]["keyFile"] = str(tmp_path / "key")
        file.write_text(yaml.safe_dump(settings))
        healed = driftd("heal", "restored")
        assert (healed.returncode, colour()) == (0, "blue"), healed.stdout + healed.stderr
        assert not (home / ".local").exists()  # the record is nowhere else
        listed = driftd("restore", "-o", "json")
        (kept,) = json.loads(listed.stdout)["items"]
        assert (kept["application"], kept["name"]) == ("argocd/restored", "settings")
        mark = api_server.audit_mark()
        compared = driftd("restore", kept["id"][:8])
        assert compared.returncode == 0, compared.stdout + compared.stderr
        assert "/data/colour: blue -> red" in compared.stdout
        assert (colour(), asyncio.run(kept_record(dsn))[0]) == ("blue", {})
        restored = driftd("restore", kept["id"][:8], "--yes")
        assert (restored.returncode, colour()) == (0, "red"), restored.stdout + restored.stderr
        writes = [
            "dryRun" in event["requestURI"]
            for event in api_server.audit_events(mark)
            if event["verb"] == "update" and event["objectRef"].get("namespace") == NAMESPACE
        ]
        assert writes == [True, True, False]
        halts, told = asyncio.run(kept_record(dsn))
        assert list(halts) == ["argocd/restored"]
        assert told == [
            *("intent", "result failed"),  # without a key
            *("intent", "result applied", "restore intended", "restore-result restored"),
        ]
