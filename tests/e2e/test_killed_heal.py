"""A heal killed with SIGKILL at every step: nothing is written wrongly, and nothing twice.

`HEAL_KILLS` sets how many times (2), `HEAL_KILL_SEED` the first seed: with the steps in turn.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.daemon import ROOT
from tests.e2e.failpoints import STEPS
from tests.e2e.site import URL, application, config_map
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo

pytestmark = pytest.mark.cluster

# Read here: tests run with an environment of their own later on.
KILLS = int(os.environ.get("HEAL_KILLS", "2"))
SEED = int(os.environ.get("HEAL_KILL_SEED", "4"))
SELF_HEAL = {"automated": {"selfHeal": True}}
OBJECTS = {"edited": {"colour": "blue"}, "extended": {"colour": "blue"}, "deleted": {"a": "b"}}
TRIES = 4
"""Runs in which what was killed has to be put back."""


class Victim:
    """A namespace with three objects that drift, one beside them, and driftd to be killed."""

    def __init__(self, cluster: ControlPlane, namespace: str, folder: Path, home: Path) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.settings = folder / "driftd.yaml"
        repository = GitRepo(folder / "repository")
        repository.set_remote(URL)
        repository.write("argocd/shop.yaml", application("shop", namespace, syncPolicy=SELF_HEAL))
        for name, data in OBJECTS.items():
            text = config_map(name, **data)
            repository.write(f"apps/shop/{name}.yaml", text)
            cluster.kubectl("apply", "--server-side", "-n", namespace, "-f", "-", input=text)
        repository.commit()
        cluster.call("POST", self.path(""), {"metadata": {"name": "bystander"}})
        self._write_settings(folder)
        self.log = folder / "log"
        self._out = self.log.open("wb")
        self._driftd = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.failpoints"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._out,
            text=True,
        )

    def _write_settings(self, folder: Path) -> None:
        severities = ("critical", "high", "medium", "low", "info")
        healing = {
            "rules": [{"applications": ["shop"], "rung": "fields", "undeclared": True}],
            "grace": dict.fromkeys(severities, "0s"),
            "budget": {"application": 100_000, "cluster": 100_000},
            "quarantine": {"heals": 100_000},
        }
        document = {
            "repositories": [{"path": str(folder / "repository")}],
            "clusters": {"kubeconfig": str(self.cluster.kubeconfig("admin"))},
            "store": {"dsn": f"sqlite:///{folder}/driftd.db"},
            "server": {"listen": "127.0.0.1:0"},
            "healing": healing,
        }
        self.settings.write_text(json.dumps(document))

    def path(self, name: str) -> str:
        """Where a ConfigMap lies."""
        base = f"/api/v1/namespaces/{self.namespace}/configmaps"
        return f"{base}/{name}" if name else base

    def run(self, step: str = "never", seed: int = 0) -> str:
        """One sweep; whether it was killed."""
        assert self._driftd.stdin is not None
        assert self._driftd.stdout is not None
        self._driftd.stdin.write(f"{self.settings}|{step}|{seed}\n")
        self._driftd.stdin.flush()
        answer = self._driftd.stdout.readline().strip()
        assert answer in ("killed", "0"), self.log.read_text()[-3000:]
        return answer

    def drift(self, number: int) -> None:
        """Somebody edits one object, adds to another and deletes the third."""
        merge = "application/merge-patch+json"
        for name, data in (
            ("edited", {"colour": f"red{number}"}),
            ("extended", {f"extra{number}": "x"}),
        ):
            where = f"{self.path(name)}?fieldManager=kubectl-edit"
            self.cluster.call("PATCH", where, {"data": data}, user="alice", content_type=merge)
        self.cluster.call("DELETE", self.path("deleted"))

    def data(self) -> dict[str, Any]:
        """What the objects of Git hold; None for one that is gone."""
        found = {}
        for name in OBJECTS:
            status, answer = self.cluster.request("GET", self.path(name))
            found[name] = answer["data"] if status == 200 else None
        return found

    def written(self, since: int) -> Counter[tuple[str, str]]:
        """Writes of driftd that the API server carried out, by object and kind of patch."""
        found: Counter[tuple[str, str]] = Counter()
        for event in self.cluster.audit_events(since):
            uri = event["requestURI"]
            about = event.get("objectRef") or {}
            if about.get("namespace") != self.namespace or "fieldManager=driftd" not in uri:
                continue
            done = event["stage"] == "ResponseComplete" and event["responseStatus"]["code"] < 300
            if done and "dryRun" not in uri:
                found[about["name"], "apply" if "force=" in uri else "patch"] += 1
        return found

    def close(self) -> None:
        """End what runs driftd."""
        self._driftd.kill()
        self._driftd.wait()
        for stream in (self._driftd.stdin, self._driftd.stdout, self._out):
            if stream is not None:
                stream.close()


@pytest.fixture
def victim(
    api_server: ControlPlane, namespace: str, tmp_path: Path, private_environment: Path
) -> Iterator[Victim]:
    """The namespace, with one clean look behind it."""
    made = Victim(api_server, namespace, tmp_path, private_environment)
    assert made.run() == "0"
    yield made
    made.close()


def test_a_heal_that_is_killed_writes_nothing_wrong_and_nothing_twice(victim: Victim) -> None:
    """Each drift ends as Git says, each object is written once at most, others never."""
    ends: Counter[str] = Counter()
    beside = victim.cluster.call("GET", victim.path("bystander"))
    for number in range(KILLS):
        step = STEPS[(SEED + number) % len(STEPS)]
        since = victim.cluster.audit_mark()
        victim.drift(number)
        ends[f"{step}: {victim.run(step, SEED + number)}"] += 1
        left = TRIES
        while victim.data() != OBJECTS and left:
            victim.run()
            left -= 1
        assert victim.data() == OBJECTS, (step, victim.log.read_text()[-3000:])
        written = victim.written(since)
        assert max(written.values()) == 1, (step, written)
        assert set(written) <= {
            ("edited", "apply"),
            ("extended", "patch"),
            ("extended", "apply"),
            ("deleted", "apply"),
        }
    assert victim.cluster.call("GET", victim.path("bystander")) == beside
    print(dict(ends))  # noqa: T201 - for whoever wants to see where it ended
    assert sum(n for end, n in ends.items() if end.endswith("killed")) >= KILLS // 2
