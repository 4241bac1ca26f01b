"""Live state that is older than what there is: nothing is written on the word of it.

The proxy answers reads as an API server does whose cache stands still; the audit log of the real
one says what was written.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from driftd.controller.heal_once import HealReport
from tests.property.healing import Bench
from tests.testbed.cluster import ControlPlane
from tests.testbed.stale_proxy import StaleProxy, reading_stale

pytestmark = pytest.mark.cluster

NAMES = ("edited", "mended", "extended", "deleted", "replaced", "created")


def declared(name: str) -> Any:
    """A ConfigMap as Git has it."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": {"colour": "blue", "size": "1"},
    }


class Stage:
    """An application that is read and healed through the proxy, and changed beside it."""

    def __init__(
        self, cluster: ControlPlane, namespace: str, proxy: StaleProxy, folder: Path
    ) -> None:
        self.cluster = cluster
        self.proxy = proxy
        self.bench = Bench(cluster, namespace, folder)
        access = {
            "clusters": [{"name": "stale", "cluster": {"server": proxy.server}}],
            "users": [{"name": "stale", "user": {"token": cluster.token()}}],
            "contexts": [{"name": "stale", "context": {"cluster": "stale", "user": "stale"}}],
            "current-context": "stale",
        }
        file = folder / "stale"
        file.write_text(json.dumps(access))
        self.bench.options = replace(self.bench.options, kubeconfig=file, state=None)

    def declare(self, *names: str) -> None:
        """Let Git declare these ConfigMaps."""
        for name in names:
            self.bench.repo.write(f"apps/healed/{name}.json", json.dumps(declared(name)))
        self.bench.repo.commit()

    def change(self, name: str, **data: str) -> None:
        """Somebody changes an object's data."""
        patch = [
            {"op": "add", "path": f"/data/{key}", "value": value} for key, value in data.items()
        ]
        self.bench.lab.patch(declared(name), patch, "alice")

    def delete(self, name: str) -> None:
        """Somebody deletes an object."""
        self.cluster.call("DELETE", f"{self.bench.lab.path(declared(name))}/{name}")

    def state(self) -> dict[str, tuple[str, Any]]:
        """Version and data of every object that there is."""
        found = self.cluster.call("GET", self.bench.lab.path(declared("any")))["items"]
        return {
            one["metadata"]["name"]: (one["metadata"]["resourceVersion"], one["data"])
            for one in found
            if one["metadata"]["name"] != "kube-root-ca.crt"
        }

    def writes(self, since: int) -> tuple[list[str], int, int]:
        """Names of the objects that driftd wrote, how often it was refused, and its dry runs."""
        done, refused, tried = [], 0, 0
        for event in self.cluster.audit_events(since):
            ours = "fieldManager=driftd" in event["requestURI"]
            if not ours or event["stage"] != "ResponseComplete":
                continue
            if "dryRun" in event["requestURI"]:
                tried += 1
            elif event["responseStatus"]["code"] < 300:
                done.append(str(event["objectRef"]["name"]))
            else:
                refused += 1
        return sorted(done), refused, tried


@pytest.fixture
def stage(api_server: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Stage]:
    """An application without objects, behind the proxy."""
    with reading_stale(api_server, namespace) as proxy:
        yield Stage(api_server, namespace, proxy, tmp_path)


def outcomes(report: HealReport) -> dict[str, str]:
    """What became of each object."""
    return {one.name: str(one.outcome) for one in report.objects}


def test_a_cache_that_stands_still_leads_to_no_write(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    """Six objects whose state moved on unseen: 0 writes and six conflicts; then what drifts now."""
    stage.declare(*NAMES)
    for name in NAMES:
        stage.bench.lab.deploy(declared(name), "client-side apply")
        stage.change(name, colour="red")
    stage.delete("created")
    stage.proxy.freeze()
    stage.change("edited", colour="green")
    stage.change("mended", colour="blue")
    stage.change("extended", extra="1")
    stage.delete("deleted")
    stage.delete("replaced")
    for name, colour in (("replaced", "pink"), ("created", "pink")):
        body = {**declared(name), "data": {"colour": colour, "size": "1"}}
        stage.bench.lab.create(body, "alice")
    before, mark = stage.state(), stage.cluster.audit_mark()
    stale = outcomes(stage.bench.heal())
    done, refused, tried = stage.writes(mark)
    assert stage.proxy.stale_answers
    assert done == []
    assert stage.state() == before
    assert stale == dict.fromkeys(NAMES, "conflict")
    assert tried >= len(NAMES)
    stage.proxy.thaw()
    mark = stage.cluster.audit_mark()
    assert set(outcomes(stage.bench.heal()).values()) == {"applied"}
    assert {data["colour"] for _, data in stage.state().values()} == {"blue"}
    assert "mended" not in stage.writes(mark)[0]
    with capsys.disabled():
        sys.stdout.write(
            f"\nstale cache: {len(NAMES)} objects, writes 0, refused {refused}, dry runs {tried}\n"
        )


def test_what_changes_between_plan_and_write_is_not_written(stage: Stage) -> None:
    """An edit, a mending and a deletion before the dry run and before the write: they stand.

    The reads behind them are stale: no conflict is settled by reading the same again.
    """
    changes = {"edited": "green", "mended": "blue", "deleted": None}
    moments = {f"{what}-{when}": when for what in changes for when in ("tried", "written")}
    for name in (*moments, "other"):
        stage.declare(name)
        stage.bench.lab.deploy(declared(name), "client-side apply")
        stage.change(name, colour="red")
    stage.proxy.freeze()
    begun: list[str] = []

    def meanwhile(name: str, dry_run: bool) -> None:
        if name in begun or moments.get(name) != ("tried" if dry_run else "written"):
            return
        begun.append(name)
        colour = changes[name.partition("-")[0]]
        if colour is None:
            stage.delete(name)
        else:
            stage.change(name, colour=colour)

    stage.proxy.meanwhile = meanwhile
    mark = stage.cluster.audit_mark()
    found = outcomes(stage.bench.heal())
    done, refused, tried = stage.writes(mark)
    assert sorted(begun) == sorted(moments)
    # `other` is healed by the first look; the next ones are stale and find it drifted still.
    assert done == ["other"]
    assert dict.fromkeys(moments, "conflict").items() <= found.items()
    assert (refused >= 3, tried >= len(moments)) == (True, True)
    live = {name: data["colour"] for name, (_, data) in stage.state().items()}
    assert live == {"other": "blue"} | {
        name: changes[name.partition("-")[0]] for name in moments if "deleted" not in name
    }
