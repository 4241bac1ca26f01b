"""A push to a real Git server, its webhook, and the verdict long before the next poll."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.reports import verdicts
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.unit.source.httpsserver import GitServer, RunningServer
from tests.unit.web.posts import SECRET, headers

pytestmark = pytest.mark.cluster
WINDOW = 3
FLOOD = 1000


@dataclass(frozen=True, slots=True)
class Pushed:
    """A daemon that reads two repositories of a Git server over https, polled once an hour."""

    cluster: ControlPlane
    namespace: str
    apps: GitRepo
    more: GitRepo
    git: GitServer
    daemon: Daemon
    store: Path

    def post(self, body: bytes, given: dict[str, str]) -> int:
        """Post to the endpoint of Gitea; the status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=30)
        try:
            connection.request("POST", "/hooks/gitea", body, given)
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()

    def tell(self, name: str, delivery: str = "", **more: Any) -> int:
        """Say that a repository of the server has moved."""
        body = json.dumps({"repository": {"clone_url": self.git.url(f"{name}.git")}, **more})
        return self.post(body.encode(), headers("gitea", body.encode(), delivery))

    def listings(self, name: str) -> int:
        """How often the refs of a repository were asked for."""
        return sum(f"/{name}/" in path and "info/refs" in path for path, _ in self.git.requests)

    def judged(self, name: str) -> tuple[list[str], list[str], list[Any]]:
        """The revisions an application was judged by, its objects' statuses, what Git wants."""
        report = verdicts(self.store)[name]
        return (
            list(report["revisions"]),
            [one["status"] for one in report["resources"]],
            [change.get("desired") for one in report["resources"] for change in one["changes"]],
        )


def _write(repo: GitRepo, name: str, colour: str) -> str:
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": {"colour": colour},
    }
    repo.write(f"{name}/config.json", json.dumps(config))
    return repo.commit(f"Paint {name} {colour}")


@pytest.fixture(scope="module")
def pushed(api_server: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pushed]:
    """Two repositories, an application of each, all as Git says."""
    folder = tmp_path_factory.mktemp("pushed")
    namespace = api_server.create_namespace("pushed")
    (folder / "tls").mkdir()
    (folder / "home").mkdir()
    (folder / "secret").write_text(SECRET)
    apps, more = GitRepo(folder / "git/apps"), GitRepo(folder / "git/more")
    with RunningServer(folder / "git", folder / "tls") as git:
        for name, repo in (("shop", apps), ("search", more)):
            document = {
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Application",
                "metadata": {"name": name, "namespace": "argocd"},
                "spec": {
                    "project": "default",
                    "source": {"repoURL": git.url(repo.path.name), "path": name},
                    "destination": {
                        "server": "https://kubernetes.default.svc",
                        "namespace": namespace,
                    },
                },
            }
            apps.write(f"argocd/{name}.json", json.dumps(document))
            _write(repo, name, "blue")
            api_server.kubectl(
                "apply", "--server-side", "--field-manager=argocd-controller",
                "-n", namespace, "-f", str(repo.path / name / "config.json"),
            )  # fmt: skip
        apps.commit("Declare both")
        url = git.url("apps")
        settings: dict[str, Any] = {
            "repositories": [{"url": url, "pollInterval": "1h"}],
            "repositoryAccess": [
                {"url": git.url(name), "caFile": str(git.ca_file)} for name in ("apps", "more")
            ],
            "sweep": {"interval": "1h"},
            "clusters": {"kubeconfig": str(api_server.kubeconfig("detector"))},
            "store": {"dsn": f"sqlite:///{folder / 'driftd.db'}"},
            "gitWebhooks": {"giteaSecretFile": str(folder / "secret"), "window": f"{WINDOW}s"},
        }
        with Daemon(folder, settings, folder / "home") as daemon:
            daemon.wait_ready()
            assert daemon.metric('driftd_applications{status="Synced"}') == 2, (
                daemon.log.read_text()
            )
            yield Pushed(api_server, namespace, apps, more, git, daemon, folder / "driftd.db")


def test_a_push_is_seen_long_before_the_poll(pushed: Pushed) -> None:
    """Push, webhook, verdict: of the repository that moved, and no other is asked."""
    before, others = pushed.listings("more"), pushed.listings("apps")
    head = _write(pushed.more, "search", "red")
    started = time.monotonic()
    assert pushed.tell("more") == 202
    pushed.daemon.wait(lambda: pushed.judged("search")[0] == [head], "the verdict")
    seconds = time.monotonic() - started
    print(f"verdict {seconds:.1f} s after the webhook")  # noqa: T201
    assert seconds < 30
    assert pushed.judged("search")[1:] == (["Pending"], ["red"])
    # To find that it has moved, by the fetch of the new commit, and by the fetch of what lies
    # between it and the old one, which tells that the branch was not rewritten.
    assert pushed.listings("more") == before + 3
    assert pushed.listings("apps") == others


def test_a_new_application_is_seen_long_before_the_poll(pushed: Pushed) -> None:
    """A push to the repository that declares applications is a new declaration, too."""
    document = json.loads((pushed.apps.path / "argocd/shop.json").read_text())
    document["metadata"]["name"] = "late"
    document["spec"]["source"]["path"] = "late"
    pushed.apps.write("argocd/late.json", json.dumps(document))
    _write(pushed.apps, "late", "blue")
    assert pushed.tell("apps") == 202
    pushed.daemon.wait(lambda: pushed.daemon.episodes("late"), "the verdict on the new application")


def test_s38_a_thousand_replays_are_one_fetch(pushed: Pushed) -> None:
    """S-38: a thousand posts of one delivery, and as many of other ids, ask the server rarely."""
    before, asked = pushed.listings("more"), pushed.daemon.metric("driftd_git_refreshes_total")
    started = time.monotonic()
    for number in range(FLOOD):
        assert pushed.tell("more", "same" if number % 2 else f"id-{number}") == 202
    seconds = time.monotonic() - started
    refreshes = pushed.daemon.metric("driftd_git_refreshes_total") - asked
    assert pushed.listings("more") - before <= refreshes <= seconds / WINDOW + 2
    repeated = 'driftd_git_webhooks_total{provider="gitea",result="repeated"}'
    assert pushed.daemon.metric(repeated) == FLOOD / 2 - 1


def test_s39_what_is_too_much_changes_nothing(pushed: Pushed) -> None:
    """S-39: bodies that are too long cost no memory and no readiness; pushes come through."""
    body = b"x" * (3 << 20)
    pushed.post(b"{}", headers("gitea", b"{}"))
    before = pushed.daemon.rss()
    for _ in range(20):
        try:
            assert pushed.post(body, headers("gitea", body)) == 413
        except ConnectionError:
            continue  # cut off while it still sent
    assert pushed.daemon.rss() - before < 5 << 20
    assert pushed.daemon.get("/readyz") == (200, "ok\n")
    assert pushed.tell("more") == 202


def test_s42_state_follows_the_server(pushed: Pushed) -> None:
    """S-42: a revision and a branch that a post claims and the server does not have change nothing.

    What the server has is seen, whatever the post said of it.
    """
    head = _write(pushed.apps, "shop", "green")
    assert pushed.tell("apps", ref="refs/heads/evil", before="e" * 40, after="f" * 40) == 202
    pushed.daemon.wait(lambda: pushed.judged("shop")[0] == [head], "the verdict")
    assert pushed.judged("shop")[1:] == (["Pending"], ["green"])
    assert "f" * 40 not in pushed.daemon.log.read_text()
    unknown = pushed.daemon.metric('driftd_applications{status="Unknown"}')
    assert unknown == 0
