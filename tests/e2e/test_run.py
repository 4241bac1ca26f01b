"""The daemon as a process on three real clusters: told once, healed once, silent otherwise."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.daemon import AT_ONCE, DEADLINE, Daemon
from tests.e2e.receivers import SECRET, Receivers, receivers
from tests.e2e.site import URL, application, config_map
from tests.testbed.cluster import ControlPlane
from tests.testbed.gate import Gate
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import write_kubeconfig

pytestmark = [pytest.mark.cluster, pytest.mark.full]

DETECTOR = "system:serviceaccount:driftd:driftd-detect"
HEALER = "system:serviceaccount:driftd:driftd-heal"
HEAL_ROLE = Path(__file__).parents[2] / "deploy/components/heal/clusterrole-heal.yaml"
PLACES = {
    "shop": "production",
    "kept": "production",
    "preview": "staging",
    "lab": "development",
}
"""Each application has its own namespace; all ask for selfHeal, only `shop` is opened."""
DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "registry.example.com/web:1.0.0"}
"""
SELF_HEAL = {"automated": {"selfHeal": True}}
DESTINATION = {"name": "production", "namespace": "shop"}


@dataclass(slots=True)
class Fleet:
    """Three clusters with the applications deployed, and what the daemon needs to know."""

    clusters: dict[str, ControlPlane]
    repository: Path
    kubeconfig: Path
    folder: Path
    home: Path

    def cluster(self, app: str) -> ControlPlane:
        """The cluster of an application."""
        return self.clusters[PLACES[app]]

    def patch(self, app: str, path: str, body: Any) -> Any:
        """A change by hand to an object of an application, by Alice."""
        return self.cluster(app).call(
            "PATCH",
            f"{path}?fieldManager=kubectl-edit",
            body,
            user="alice",
            content_type="application/strategic-merge-patch+json",
        )

    def paint(self, app: str, colour: str) -> None:
        """Change the ConfigMap of an application by hand."""
        path = f"/api/v1/namespaces/{app}/configmaps/settings"
        self.patch(app, path, {"data": {"colour": colour}})

    def colour(self, app: str) -> str:
        """What the ConfigMap of an application holds now."""
        found = self.cluster(app).call("GET", f"/api/v1/namespaces/{app}/configmaps/settings")
        return str(found["data"]["colour"])

    def calls(self, marks: dict[str, int]) -> list[Any]:
        """What driftd's users asked of any cluster since the marks."""
        return [
            event
            for name, mark in marks.items()
            for event in self.clusters[name].audit_events(mark)
            if event["user"]["username"] in (DETECTOR, HEALER)
        ]

    def marks(self) -> dict[str, int]:
        """The present ends of the audit logs."""
        return {name: cluster.audit_mark() for name, cluster in self.clusters.items()}


@pytest.fixture(scope="module")
def fleet(
    three_clusters: dict[str, ControlPlane], tmp_path_factory: pytest.TempPathFactory
) -> Fleet:
    """The applications deployed with kubectl, and a credential that may write in `shop`, `kept`."""
    folder = tmp_path_factory.mktemp("fleet")
    repo = GitRepo(folder / "gitops")
    repo.set_remote(URL)
    for app, place in PLACES.items():
        cluster = three_clusters[place]
        settings = config_map("settings", colour="blue", size="small")
        repo.write(f"apps/{app}/settings.yaml", settings)
        repo.write(f"apps/{app}/web.yaml", DEPLOYMENT)
        destination = {"name": place, "namespace": app}
        text = application(app, app, destination=destination, syncPolicy=SELF_HEAL)
        repo.write(f"argocd/{app}.yaml", text)
        cluster.create_namespace(app)
        manifests = f"{settings}---\n{DEPLOYMENT}"
        cluster.kubectl("apply", "--server-side", "-n", app, "-f", "-", input=manifests)
        cluster.wait_for(
            f"/apis/apps/v1/namespaces/{app}/deployments/web",
            lambda found: found.get("status", {}).get("readyReplicas") == 2,
        )
    repo.commit()
    production = three_clusters["production"]
    let_heal(production, "shop", "kept")
    accesses = [
        cluster.access("healer" if cluster is production else "detector")
        for cluster in three_clusters.values()
    ]
    kubeconfig = write_kubeconfig(folder / "kubeconfig", accesses)
    return Fleet(three_clusters, repo.path, kubeconfig, folder, tmp_path_factory.mktemp("home"))


def let_heal(cluster: ControlPlane, *namespaces: str) -> None:
    """Create the user `healer`, with the shipped roles and no others."""
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    cluster.call("POST", f"{rbac}/clusterroles", yaml.safe_load(HEAL_ROLE.read_text()))
    account = {"metadata": {"name": "driftd-heal"}}
    cluster.call("POST", "/api/v1/namespaces/driftd/serviceaccounts", account)
    subject = {"kind": "ServiceAccount", "namespace": "driftd", "name": "driftd-heal"}

    def binding(name: str, role: str) -> Any:
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
        return {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]}

    cluster.call("POST", f"{rbac}/clusterrolebindings", binding("healer-reads", "driftd-detect"))
    for namespace in namespaces:
        path = f"{rbac}/namespaces/{namespace}/rolebindings"
        cluster.call("POST", path, binding("healer-writes", "driftd-heal"))
    cluster.add_user("healer", cluster.service_account_token("driftd", "driftd-heal"))


@pytest.fixture
def got() -> Iterator[Receivers]:
    """The receivers of one test."""
    with receivers() as listening:
        yield listening
        assert listening.refused == []


@pytest.fixture
def settings(fleet: Fleet, got: Receivers, tmp_path: Path) -> dict[str, Any]:
    """The settings of a daemon that sweeps every second and may heal `shop`."""
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "slack-url").write_text(f"{got.url}/slack/T0/B0/secret")
    return {
        "repositories": [{"path": str(fleet.repository)}],
        "clusters": {"kubeconfig": str(fleet.kubeconfig)},
        "sweep": {"interval": "1s", "jitter": "0s"},
        "store": {"dsn": f"sqlite:///{tmp_path / 'driftd.db'}"},
        "notifications": {
            "allowNetworks": ["127.0.0.0/8"],
            "storm": {"messages": 1000},
            "webhooks": [{"url": f"{got.url}/hook", "secretFile": str(tmp_path / "secret")}],
            "slack": [{"urlFile": str(tmp_path / "slack-url")}],
        },
        "healing": {"rules": [{"applications": ["shop"], "rung": "fields"}], **AT_ONCE},
    }


SWEEPS = 3 * len(PLACES)
"""Looks that several sweeps take together."""


def test_a_change_by_hand_is_told_once(
    fleet: Fleet, got: Receivers, settings: dict[str, Any], tmp_path: Path
) -> None:
    """Each receiver hears once of a change and once of its end, whatever sweeps follow."""
    with Daemon(tmp_path, settings, fleet.home) as daemon:
        daemon.wait_ready()
        assert got.webhook == []
        fleet.paint("preview", "red")
        daemon.wait(lambda: got.of("preview") and got.slack_of("preview"), "the messages")
        daemon.wait_looks(SWEEPS)
        (message,) = got.of("preview")
        assert (message["type"], message["cluster"]) == ("drifted", "staging")
        (drift,) = message["drifts"]
        told = {
            name: drift[name] for name in ("kind", "name", "path", "desired", "live", "manager")
        }
        assert told == {
            "kind": "ConfigMap",
            "name": "settings",
            "path": "/data/colour",
            "desired": "blue",
            "live": "red",
            "manager": "kubectl-edit",
        }
        assert got.slack_of("preview") == ["preview on staging: 1 field drifted from Git"]
        assert daemon.total("driftd_drift_open") == 1
        fleet.paint("preview", "blue")
        daemon.wait(lambda: len(got.slack_of("preview")) == 2, "the recovery")
        daemon.wait_looks(SWEEPS)
        assert [one["type"] for one in got.of("preview")] == ["drifted", "recovered"]
        assert got.slack_of("preview")[1] == "preview on staging: in sync with Git again"
        assert daemon.total("driftd_drift_open") == 0
        (episode,) = daemon.episodes("preview")
    assert len(got.webhook) == len(got.slack) == 2
    assert (episode["ended"], episode["endedBy"]) == ("reverted", "kubectl-edit")
    assert episode["change"]["path"] == "/data/colour"
    assert episode["cleanAt"] <= episode["firstSeen"] <= episode["closedAt"]
    assert episode["beganAt"] == episode["change"]["time"]


def test_a_change_is_seen_between_sweeps(
    fleet: Fleet, got: Receivers, settings: dict[str, Any], tmp_path: Path
) -> None:
    """Watches see an edit, its end, a deletion and a creation with an hour to the next sweep."""
    settings["sweep"] = {"interval": "1h", "jitter": "0s"}
    path = "/api/v1/namespaces/lab/configmaps/settings"
    with Daemon(tmp_path, settings, fleet.home) as daemon:
        daemon.wait_ready()
        running = 'driftd_watches{cluster="development",state="running"}'
        daemon.wait(
            lambda: daemon.metric(running) == 3,
            "watches of ConfigMaps, Deployments and autoscalers",
        )
        fleet.paint("lab", "red")
        daemon.wait(lambda: len(got.of("lab")) == 1, "the drift")
        fleet.paint("lab", "blue")
        daemon.wait(lambda: len(got.of("lab")) == 2, "the recovery")
        made = fleet.cluster("lab").call("GET", path)
        fleet.cluster("lab").call("DELETE", path, user="alice")
        daemon.wait(lambda: len(got.of("lab")) == 3, "the missing object")
        again = {key: made[key] for key in ("apiVersion", "kind", "data")}
        again["metadata"] = {"name": "settings"}
        fleet.cluster("lab").call("POST", path.rpartition("/")[0], again)
        daemon.wait(lambda: len(got.of("lab")) == 4, "the object that is there again")
        looks = daemon.metric("driftd_look_duration_seconds_count")
        assert daemon.metric('driftd_watches{cluster="development",state="failing"}') == 0
        assert daemon.metric("driftd_drift_detection_seconds_count") == 2
        assert daemon.metric("driftd_drift_detection_seconds_sum") < DEADLINE
        assert daemon.metric('driftd_cluster_up{cluster="development"}') == 1
    types = [one["type"] for one in got.of("lab")]
    assert types == ["drifted", "recovered", "drifted", "recovered"]
    assert looks <= 3 * len(PLACES) + 8


def test_a_restart_tells_nothing_again(
    fleet: Fleet, got: Receivers, settings: dict[str, Any], tmp_path: Path
) -> None:
    """What was told before the end is not told after it; SIGTERM ends the daemon with 0."""
    fleet.paint("preview", "red")
    try:
        for run in (1, 2):
            with Daemon(tmp_path, settings, fleet.home) as daemon:
                daemon.wait_ready()
                daemon.wait(lambda: len(got.slack) == 1, "one message")
                daemon.wait_looks(SWEEPS)
                code, seconds = daemon.stop()
                assert code == 0, f"run {run}: {daemon.log.read_text()[-3000:]}"
                assert seconds < 10
    finally:
        fleet.paint("preview", "blue")
    assert [one["type"] for one in got.webhook] == ["drifted"]
    assert len(got.slack) == 1


def test_the_opened_application_is_healed_once(
    fleet: Fleet, got: Receivers, settings: dict[str, Any], tmp_path: Path
) -> None:
    """One server-side apply by driftd puts the field back; applications not opened stay as is."""
    marks = fleet.marks()
    with Daemon(tmp_path, settings, fleet.home) as daemon:
        daemon.wait_ready()
        assert writes(fleet.calls(marks)) == []
        fleet.paint("kept", "red")
        fleet.paint("shop", "red")
        daemon.wait(lambda: got.of("shop", "healed") and got.of("kept"), "the recovery")
        daemon.wait_looks(SWEEPS)
        (healed,), (still_open,) = daemon.episodes("shop"), daemon.episodes("kept")
    assert (healed["ended"], healed["endedBy"]) == ("healed", "driftd")
    assert "closedAt" not in still_open
    assert fleet.colour("shop") == "blue"
    assert fleet.colour("kept") == "red"
    (written,) = writes(fleet.calls(marks))
    assert (written["verb"], written["user"]["username"]) == ("patch", HEALER)
    path, _, query = written["requestURI"].partition("?")
    assert path == "/api/v1/namespaces/shop/configmaps/settings"
    assert "fieldManager=driftd" in query
    assert [one["type"] for one in got.of("shop")] == ["drifted", "healed"]
    assert [one["type"] for one in got.of("kept")] == ["drifted"]
    live = fleet.cluster("shop").call("GET", path)
    managers = {(one["manager"], one["operation"]) for one in live["metadata"]["managedFields"]}
    assert ("driftd", "Apply") in managers
    fleet.paint("kept", "blue")


def test_a_missing_object_is_created(
    fleet: Fleet, got: Receivers, settings: dict[str, Any], tmp_path: Path
) -> None:
    """An object of the opened application that somebody deleted is created again, once."""
    path = "/apis/apps/v1/namespaces/shop/deployments/web"
    marks = fleet.marks()
    with Daemon(tmp_path, settings, fleet.home) as daemon:
        daemon.wait_ready()
        fleet.cluster("shop").call("DELETE", path, user="alice")
        daemon.wait(lambda: got.of("shop", "healed"), "the recovery")
        daemon.wait_looks(SWEEPS)
    (written,) = writes(fleet.calls(marks))
    assert written["objectRef"]["name"] == "web"
    assert fleet.cluster("shop").call("GET", path)["spec"]["replicas"] == 2


def test_an_object_of_two_applications_is_healed_by_none(
    fleet: Fleet, got: Receivers, settings: dict[str, Any], tmp_path: Path
) -> None:
    """With the rung open for both, the shared ConfigMap stays and the rest is put back."""
    repo = GitRepo(fleet.repository)
    twin = application("twin", "shop", destination=DESTINATION, syncPolicy=SELF_HEAL)
    repo.write("argocd/twin.yaml", twin)
    repo.write("apps/twin/settings.yaml", config_map("settings", colour="green", size="small"))
    repo.commit()
    settings["healing"]["rules"][0]["applications"] = ["shop", "twin"]
    path = "/apis/apps/v1/namespaces/shop/deployments/web"
    marks = fleet.marks()
    try:
        fleet.paint("shop", "red")
        fleet.patch("shop", path, {"spec": {"replicas": 1}})
        with Daemon(tmp_path, settings, fleet.home) as daemon:
            daemon.wait_ready()
            daemon.wait(lambda: got.of("shop") and got.of("twin"), "the drift of both")
            daemon.wait_looks(SWEEPS)
        assert fleet.colour("shop") == "red"
        assert [one["objectRef"]["name"] for one in writes(fleet.calls(marks))] == ["web"]
        assert fleet.cluster("shop").call("GET", path)["spec"]["replicas"] == 2
        for name in ("shop", "twin"):
            (told,) = got.of(name)[0]["conditions"]
            assert told["type"] == "SharedResourceWarning"
            for word in ("argocd/shop", "argocd/twin", "ConfigMap shop/settings"):
                assert word in told["message"]
            assert "(apps/shop/settings.yaml and apps/twin/settings.yaml)" in told["message"]
    finally:
        repo.remove("argocd/twin.yaml")
        repo.remove("apps/twin/settings.yaml")
        repo.commit()
        fleet.paint("shop", "blue")


def test_schemas_are_fetched_once(fleet: Fleet, settings: dict[str, Any], tmp_path: Path) -> None:
    """Further sweeps do not read schema documents again, only the list of their hashes."""
    with Daemon(tmp_path, settings, fleet.home) as daemon:
        daemon.wait_ready()
        daemon.wait_looks(SWEEPS)
        marks = fleet.marks()
        daemon.wait_looks(SWEEPS)
        again = Counter(event["requestURI"].partition("?")[0] for event in fleet.calls(marks))
    assert again["/openapi/v3"] > 0
    assert [path for path in again if path.startswith("/openapi/v3/")] == []


def test_an_oracle_is_asked_once(fleet: Fleet, settings: dict[str, Any], tmp_path: Path) -> None:
    """Sweeps use the answers of the ones before; only dry runs are sent, and nothing changes."""
    settings["clusters"]["oracle"] = "post"
    marks = fleet.marks()
    with Daemon(tmp_path, settings, fleet.home) as daemon:
        daemon.wait_ready()
        first = fleet.calls(marks)
        assert writes(first) == []
        asked = Counter(
            event["requestURI"].partition("?")[0]
            for event in first
            if event["user"]["username"] == HEALER and "dryRun=All" in event["requestURI"]
        )
        places = {f"/apis/apps/v1/namespaces/{app}/deployments" for app in ("shop", "kept")} | {
            f"/api/v1/namespaces/{app}/configmaps" for app in ("shop", "kept")
        }
        assert asked == dict.fromkeys(places, 1)
        marks = fleet.marks()
        daemon.wait_looks(SWEEPS)
        again = [
            event["requestURI"]
            for event in fleet.calls(marks)
            if event["user"]["username"] == HEALER and "dryRun=All" in event["requestURI"]
        ]
        assert again == []


def test_the_server_answers(fleet: Fleet, settings: dict[str, Any], tmp_path: Path) -> None:
    """Probes answer from the start and after the first sweep, metrics count what was seen."""
    with Daemon(tmp_path, settings, fleet.home) as daemon:
        daemon.wait(lambda: daemon.get("/healthz") == (200, "ok\n"), "the server")
        daemon.wait_ready()
        assert daemon.get("/readyz") == (200, "ok\n")
        assert daemon.metric('driftd_applications{status="Synced"}') == len(PLACES)
        assert daemon.metric('driftd_resources{status="Synced"}') == 2 * len(PLACES)
        assert daemon.get("/nonesuch")[0] == 404


@pytest.mark.parametrize("how", ["shut", "swallow"])
def test_a_dark_cluster_costs_the_others_nothing(
    fleet: Fleet, got: Receivers, settings: dict[str, Any], tmp_path: Path, how: str
) -> None:
    """With an hour to the next sweep: darkness and the return are told, others are seen as ever.

    One cluster refuses connections, or takes requests and never answers.
    """
    staging = fleet.cluster("preview")
    with Gate(int(staging.server.rpartition(":")[2])) as gate:
        document = json.loads(fleet.kubeconfig.read_text())
        for one in document["clusters"]:
            if one["cluster"]["server"] == staging.server:
                one["cluster"]["server"] = f"https://127.0.0.1:{gate.port}"
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(json.dumps(document))
        settings["clusters"] = {"kubeconfig": str(kubeconfig), "timeout": "2s"}
        settings["sweep"] = {"interval": "1h", "jitter": "0s", "workers": 1}
        with Daemon(tmp_path, settings, fleet.home, idle=10) as daemon:
            daemon.wait_ready()
            running = 'driftd_watches{cluster="staging",state="running"}'
            daemon.wait(lambda: daemon.metric(running) == 3, "the watches")
            getattr(gate, how)()
            # A watch that is swallowed is silent for as long as servers may be: here not 90 s.
            daemon.wait(partial(got.of, "preview", "unknown"), "the blindness")
            fleet.paint("kept", "red")
            daemon.wait(lambda: got.of("kept", "drifted"), "a drift elsewhere")
            fleet.paint("preview", "red")
            gate.open()
            daemon.wait(lambda: got.of("preview", "drifted"), "what happened in the dark")
            fleet.paint("preview", "blue")
            daemon.wait(lambda: got.of("preview", "recovered"), "the watch that runs again")
            fleet.paint("kept", "blue")
            daemon.wait(lambda: got.of("kept", "recovered"), "the end of the drift elsewhere")
    assert [one["type"] for one in got.of("preview")] == ["unknown", "drifted", "recovered"]
    assert "cluster does not answer" in daemon.log.read_text()


def test_a_stopped_cluster_is_told_and_closes_nothing(
    fleet: Fleet, got: Receivers, settings: dict[str, Any], tmp_path: Path
) -> None:
    """Cannot see is never gone: Unknown is told once, the open drift of that cluster stays."""
    fleet.paint("lab", "red")
    with Daemon(tmp_path, settings, fleet.home) as daemon:
        daemon.wait_ready()
        daemon.wait(lambda: got.of("lab", "drifted"), "the drift")
        fleet.cluster("lab").stop_api_server()
        daemon.wait(lambda: got.of("lab", "unknown"), "the blindness")
        fleet.paint("preview", "red")
        daemon.wait(lambda: got.of("preview", "drifted"), "a drift elsewhere")
        daemon.wait_looks(SWEEPS)
        assert daemon.total("driftd_drift_open") == 2
        assert daemon.metric('driftd_applications{status="Unknown"}') == 1
        assert daemon.metric('driftd_cluster_up{cluster="development"}') == 0
        assert daemon.metric('driftd_cluster_up{cluster="staging"}') == 1
        age = 'driftd_verdict_age_seconds{{cluster="{}"}}'.format
        assert daemon.metric(age("development")) > daemon.metric(age("staging")) > 0
    assert [one["type"] for one in got.of("lab")] == ["drifted", "unknown"]
    told = got.of("lab", "unknown")[0]
    assert (told["counts"]["open"], told["counts"]["closed"]) == (1, 0)
    assert "cluster development" in told["conditions"][0]["message"]
    assert got.slack_of("lab")[1] == "lab on development: cannot be judged"


def writes(events: list[Any]) -> list[Any]:
    """The calls that change something; dry runs do not."""
    return [
        event
        for event in events
        if event["verb"] not in ("get", "list", "watch") and "dryRun=All" not in event["requestURI"]
    ]
