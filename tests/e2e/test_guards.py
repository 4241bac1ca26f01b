"""The guards of healing, on a real API server: what is not written, asserted in its audit log."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.daemon import AT_ONCE, DEADLINE, ROOT, Daemon
from tests.e2e.site import URL, application, config_map
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo

pytestmark = pytest.mark.cluster


@dataclass(slots=True, kw_only=True)
class Ground:
    """One application of ConfigMaps that may be healed, deployed, and the daemon's settings."""

    repo: GitRepo
    cluster: ControlPlane
    namespace: str
    folder: Path
    home: Path
    mark: Any
    settings: dict[str, Any] = field(default_factory=dict)

    def path(self, name: str = "settings") -> str:
        """Where a ConfigMap lies."""
        return f"/api/v1/namespaces/{self.namespace}/configmaps/{name}"

    def declare(self, message: str = "Declare", **colours: str) -> str:
        """Commit ConfigMaps of these names and colours; the commit."""
        for name, colour in colours.items():
            self.repo.write(f"apps/shop/{name}.yaml", config_map(name, colour=colour))
        return self.repo.commit(message)

    def deploy(self, **colours: str) -> None:
        """Apply them as a deployer does."""
        for name, colour in colours.items():
            self.cluster.kubectl(
                "apply", "--server-side", "--force-conflicts", "-n", self.namespace, "-f", "-",
                input=config_map(name, colour=colour),
            )  # fmt: skip

    def paint(self, colour: str, name: str = "settings", manager: str = "kubectl-edit") -> None:
        """Change a ConfigMap by hand, or as a controller does."""
        self.cluster.call(
            "PATCH",
            f"{self.path(name)}?fieldManager={manager}",
            {"data": {"colour": colour}},
            content_type="application/merge-patch+json",
        )

    def colour(self, name: str = "settings") -> str:
        """What is live."""
        found: str = self.cluster.call("GET", self.path(name))["data"]["colour"]
        return found

    def writes(self) -> list[str]:
        """What driftd wrote, dry runs aside, as the API server saw it."""
        return [
            event["objectRef"]["name"]
            for event in self.cluster.audit_events(self.mark)
            if event["verb"] not in ("get", "list", "watch")
            and event.get("userAgent", "").startswith("driftd/")
            and "dryRun=All" not in event["requestURI"]
        ]

    def daemon(self, *arguments: str) -> Daemon:
        """The daemon, on the store of the daemons before."""
        return Daemon(self.folder, self.settings, self.home, *arguments)

    def run(self, *arguments: str) -> str:
        """What a command of driftd prints."""
        done = subprocess.run(
            [sys.executable, "-m", "driftd.cli.main", *arguments],
            cwd=ROOT, capture_output=True, text=True, check=True, timeout=DEADLINE,
        )  # fmt: skip
        return done.stdout

    def held(self, daemon: Daemon, guard: str) -> bool:
        """Whether a guard holds an object back now."""
        return any(
            line.startswith("driftd_heals_held{") and f'guard="{guard}"' in line
            for line in daemon.get("/metrics")[1].splitlines()
        )

    def history(self) -> list[dict[str, Any]]:
        """What the guards held, newest first."""
        config = f"--config={self.folder / 'driftd.yaml'}"
        items = json.loads(self.run("history", "shop", config, "-o", "json"))["items"]
        return [one for one in items if one["kind"] == "guard"]


@pytest.fixture
def ground(
    api_server: ControlPlane,
    namespace: str,
    git_repo: GitRepo,
    tmp_path: Path,
    private_environment: Path,
) -> Ground:
    """A blue ConfigMap, declared and deployed; healing is open and has no grace period."""
    git_repo.set_remote(URL)
    automated = {"automated": {"selfHeal": True}}
    git_repo.write("argocd/shop.yaml", application("shop", namespace, syncPolicy=automated))
    found = Ground(
        repo=git_repo,
        cluster=api_server,
        namespace=namespace,
        folder=tmp_path,
        home=private_environment,
        mark=None,
    )
    found.declare(settings="blue")
    found.deploy(settings="blue")
    found.mark = api_server.audit_mark()
    found.settings = {
        "repositories": [{"path": str(git_repo.path)}],
        "clusters": {"kubeconfig": str(api_server.kubeconfig("admin"))},
        "sweep": {"interval": "1s", "jitter": "0s"},
        "store": {"dsn": f"sqlite:///{tmp_path / 'driftd.db'}"},
        "healing": {"rules": [{"applications": ["shop"], "rung": "fields"}], **AT_ONCE},
    }
    return found


@contextmanager
def opponent(ground: Ground) -> Iterator[None]:
    """Sets the colour to red whenever it is not, as a controller would."""
    stop = threading.Event()

    def fight() -> None:
        while not stop.wait(0.1):
            if ground.colour() != "red":
                ground.paint("red", manager="horizontal-painter")

    thread = threading.Thread(target=fight)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_fight_ends_after_three_writes(ground: Ground) -> None:
    """S-85: then quarantine, with the opponent's name and a rule; a restart does not forget it."""
    with opponent(ground):
        with ground.daemon() as daemon:
            daemon.wait_ready()
            daemon.wait(lambda: ground.held(daemon, "G-12"), "the quarantine")
            daemon.stop()
        writes = ground.writes()
        with ground.daemon() as daemon:
            daemon.wait_ready()
            daemon.wait(lambda: ground.held(daemon, "G-12"), "the quarantine again")
            daemon.wait_looks(4)
    assert 1 <= len(writes) <= 3
    assert ground.writes() == writes
    told = next(one for one in ground.history() if one["guard"] == "G-12")
    assert "/data/colour is changed by horizontal-painter" in told["reason"]
    assert "jsonPointers: [/data/colour]" in told["reason"]


def test_the_first_look_heals_nothing(ground: Ground) -> None:
    """G-23: what drifted before driftd came is put back by its second look, not by the first."""
    ground.paint("red")
    with ground.daemon("--once") as daemon:
        assert daemon.ended()[0] == 0
    assert (ground.writes(), ground.colour()) == ([], "red")
    assert [one["guard"] for one in ground.history()] == ["G-23"]
    with ground.daemon("--once") as daemon:
        assert daemon.ended()[0] == 0
    assert (ground.writes(), ground.colour()) == (["settings"], "blue")


def test_an_empty_render_heals_nothing(ground: Ground) -> None:
    """S-82: a commit that empties the folder is no word to write or to delete anything."""
    with ground.daemon() as daemon:
        daemon.wait_ready()
        ground.repo.write("apps/shop/settings.yaml", "# nothing\n")
        ground.repo.commit("Empty it")
        daemon.wait_looks(4)
        ground.paint("red")
        daemon.wait_looks(4)
    assert (ground.writes(), ground.colour()) == ([], "red")


def test_an_older_revision_is_not_applied(ground: Ground) -> None:
    """S-86: a branch that was set back does not undo what came after, until a person says so."""
    older = ground.repo.head
    with ground.daemon() as daemon:
        daemon.wait_ready()
        ground.declare("Paint it", settings="green")
        daemon.wait_looks(4)  # else it would put the deployer's green back to blue
        ground.deploy(settings="green")
        daemon.wait_looks(4)
        ground.repo.git("reset", "--hard", "-q", older)
        daemon.wait_looks(4)
        ground.paint("red")
        daemon.wait(lambda: ground.held(daemon, "G-15"), "the guard")
        daemon.wait_looks(4)
        assert (ground.writes(), ground.colour()) == ([], "red")
        config = f"--config={daemon.file}"
        ground.run("override", "shop", "G-15", "--for=1h", "--reason=rolled back", config)
        daemon.wait(lambda: ground.colour() == "blue", "the older revision")
    assert ground.writes() == ["settings"]


def test_a_live_annotation_protects_nothing(ground: Ground) -> None:
    """S-81: it is told as drift, and the object is healed; Git's own annotation protects it."""
    with ground.daemon() as daemon:
        daemon.wait_ready()
        ground.cluster.call(
            "PATCH",
            f"{ground.path()}?fieldManager=kubectl-edit",
            {"metadata": {"annotations": {"driftd.io/heal": "never"}}, "data": {"colour": "red"}},
            content_type="application/merge-patch+json",
        )
        daemon.wait(lambda: ground.colour() == "blue", "the colour")
        daemon.wait_looks(2)
        open_now = [one for one in daemon.episodes("shop") if "closedAt" not in one]
        paths = [one["change"]["path"] for one in open_now]
        assert paths == ["/metadata/annotations/driftd.io~1heal"]
        protected = config_map("settings", colour="blue").replace(
            "  name: settings\n", '  name: settings\n  annotations: {driftd.io/heal: "never"}\n'
        )
        ground.repo.write("apps/shop/settings.yaml", protected)
        ground.repo.commit("Protect it")
        daemon.wait(lambda: not [e for e in daemon.episodes("shop") if "closedAt" not in e], "it")
        before = ground.writes()
        ground.paint("red")
        daemon.wait_looks(4)
    assert (ground.writes(), ground.colour()) == (before, "red")


def test_a_freeze_holds_and_its_end_heals(ground: Ground) -> None:
    """G-19: by command and by file, while the daemon runs; each is taken back as it was given."""
    file = ground.folder / "freeze"
    ground.settings["healing"]["freezeFile"] = str(file)
    with ground.daemon() as daemon:
        daemon.wait_ready()
        config = f"--config={daemon.file}"
        ground.run("freeze", "shop", "--reason=INC-7", config)
        ground.paint("red")
        daemon.wait(lambda: ground.held(daemon, "G-19"), "the freeze")
        daemon.wait_looks(2)
        assert ground.writes() == []
        file.write_text("incident\n")
        ground.run("unfreeze", "shop", config)
        daemon.wait_looks(3)
        assert ground.writes() == []
        file.unlink()
        daemon.wait(lambda: ground.colour() == "blue", "the end of the freeze")
    assert ground.writes() == ["settings"]


def test_a_grace_period_is_waited_for_and_a_snooze_too(ground: Ground) -> None:
    """G-20: with an hour to the next sweep the end of the grace period itself wakes driftd."""
    ground.settings["sweep"] = {"interval": "1h", "jitter": "0s"}
    grace = dict.fromkeys(("critical", "high", "medium", "low", "info"), "2s")
    ground.settings["healing"]["grace"] = grace
    with ground.daemon() as daemon:
        daemon.wait_ready()
        daemon.wait(
            lambda: (
                daemon.metric('driftd_watches{cluster="in-cluster",state="running"}') > 0
                or daemon.total("driftd_watches") > 0
            ),
            "the watch",
        )
        ground.paint("red")
        daemon.wait(lambda: ground.colour() == "blue", "the end of the grace period")
        daemon.wait(lambda: "closedAt" in daemon.episodes("shop")[0], "the record of it")
        (episode,) = daemon.episodes("shop")
        ground.run("snooze", "shop", "--for=1h", "--reason=testing", f"--config={daemon.file}")
        ground.paint("green")
        daemon.wait(lambda: "snoozed by" in json.dumps(ground.history()), "the snooze")
    assert ground.colour() == "green"
    assert episode["ended"] == "healed"
    first = next(one for one in reversed(ground.history()) if one["guard"] == "G-20")
    assert "grace period: heals at" in first["reason"]
