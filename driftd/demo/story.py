"""What happened to the three clusters: done by `kubectl` when the clusters were recorded."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

CLUSTERS = ("production", "staging", "development")
DESTINATIONS = {
    "https://kubernetes.default.svc": "production",
    "https://staging-cluster-api.example.com": "staging",
    "https://dev-cluster-api.example.com": "development",
}
"""The servers that the example repository's Applications name, and the contexts for them."""

DEPLOYED = timedelta(days=3)
"""How long ago everything was applied."""


@dataclass(frozen=True, slots=True)
class Target:
    """The object that a step concerns."""

    cluster: str
    kind: str
    namespace: str
    name: str
    application: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that somebody did, and what `driftd check` has to say about it."""

    at: Target
    ago: timedelta
    who: str
    why: str
    command: tuple[str, ...]
    """Arguments of kubectl."""
    editor: str = ""
    """KUBE_EDITOR for `kubectl edit`."""
    drift: frozenset[str] = field(default_factory=frozenset)
    """Paths of the changes that are drift; empty where the object is missing or not OutOfSync."""
    missing: bool = False


def _on(cluster: str, kind: str, namespace: str, name: str, app: str) -> Target:
    """`app` is the application without its environment."""
    return Target(cluster, kind, namespace, name, f"{cluster}-{app}")


STEPS = (
    Step(
        at=_on(
            "production", "PodDisruptionBudget", "production-app2", "production-app2", app="apps"
        ),
        ago=timedelta(hours=8, minutes=5),
        who="alice",
        why="a node does not drain: the disruption budget has to go",
        command=("delete", "poddisruptionbudget", "production-app2", "-n", "production-app2"),
        missing=True,
    ),
    Step(
        at=_on("production", "Deployment", "production-app1", "production-app1", app="apps"),
        ago=timedelta(hours=7, minutes=40),
        who="alice",
        why="checkout is down: an image built on a laptop",
        command=(
            *("set", "image", "deployment/production-app1"),
            *("app1=docker.io/alice/app1:hotfix", "-n", "production-app1"),
        ),
        drift=frozenset({"/spec/template/spec/containers/0/image"}),
    ),
    Step(
        at=_on("staging", "ConfigMap", "ledger", "ledger-config", app="ledger"),
        ago=timedelta(hours=6, minutes=50),
        who="alice",
        why="look closer: LOG_LEVEL becomes debug",
        command=("edit", "configmap", "ledger-config", "-n", "ledger"),
        editor='sed -i "s/LOG_LEVEL: .*/LOG_LEVEL: debug/"',
        drift=frozenset({"/data/LOG_LEVEL"}),
    ),
    Step(
        at=_on("staging", "Deployment", "staging-app1", "staging-app1", app="apps"),
        ago=timedelta(hours=6, minutes=30),
        who="alice",
        why="try the old way of payment",
        command=(
            *("set", "env", "deployment/staging-app1"),
            *("PAYMENTS_FALLBACK=on", "-n", "staging-app1"),
        ),
        drift=frozenset({"/spec/template/spec/containers/0/env/3"}),
    ),
    Step(
        at=_on(
            "production",
            "Deployment",
            "ingress-nginx",
            "ingress-nginx-controller",
            "infrastructure",
        ),
        ago=timedelta(hours=5, minutes=20),
        who="alice",
        why="the load balancer is slow: go around it",
        command=(
            *("patch", "deployment", "ingress-nginx-controller", "-n", "ingress-nginx"),
            *("-p", '{"spec":{"template":{"spec":{"hostNetwork":true}}}}'),
        ),
        drift=frozenset({"/spec/template/spec/hostNetwork"}),
    ),
    Step(
        at=_on("staging", "NetworkPolicy", "ledger", "ledger-database", app="ledger"),
        ago=timedelta(hours=4, minutes=45),
        who="alice",
        why="reach the database from anywhere",
        command=(
            *("patch", "networkpolicy", "ledger-database", "-n", "ledger", "--type=json"),
            *("-p", '[{"op":"add","path":"/spec/ingress/-","value":{}}]'),
        ),
        drift=frozenset({"/spec/ingress"}),
    ),
    Step(
        at=_on("staging", "Service", "staging-app2", "staging-app2", app="apps"),
        ago=timedelta(hours=4, minutes=10),
        who="alice",
        why="open app2 on every node",
        command=(
            *("patch", "service", "staging-app2", "-n", "staging-app2"),
            *("-p", '{"spec":{"type":"NodePort"}}'),
        ),
        drift=frozenset({"/spec/type"}),
    ),
    Step(
        at=_on("production", "Deployment", "production-app3", "production-app3", app="app3"),
        ago=timedelta(hours=3, minutes=15),
        who="alice",
        why="more of app3 for the morning",
        command=("scale", "deployment/production-app3", "--replicas=8", "-n", "production-app3"),
        drift=frozenset({"/spec/replicas"}),
    ),
    Step(
        at=_on("production", "RoleBinding", "ledger", "ledger", app="ledger"),
        ago=timedelta(hours=2, minutes=30),
        who="bob",
        why="let alice see the books",
        command=("set", "subject", "rolebinding/ledger", "--user=alice", "-n", "ledger"),
        drift=frozenset({"/subjects"}),
    ),
    Step(
        at=_on("development", "Deployment", "development-app1", "development-app1", app="apps"),
        ago=timedelta(minutes=100),
        who="alice",
        why="reproduce the crash with more memory",
        command=(
            *("set", "resources", "deployment/development-app1"),
            *("--limits=memory=2Gi", "-n", "development-app1"),
        ),
        drift=frozenset({"/spec/template/spec/containers/0/resources/limits/memory"}),
    ),
    Step(
        at=_on("development", "CronJob", "ledger", "close-of-day", app="ledger"),
        ago=timedelta(minutes=75),
        who="alice",
        why="no close of day while testing",
        command=(
            *("patch", "cronjob", "close-of-day", "-n", "ledger"),
            *("-p", '{"spec":{"suspend":true}}'),
        ),
        drift=frozenset({"/spec/suspend"}),
    ),
    Step(
        at=_on("development", "Deployment", "development-app3", "development-app3", app="app3"),
        ago=timedelta(minutes=40),
        who="alice",
        why="a restart, which changes nothing that Git declares",
        command=("rollout", "restart", "deployment/development-app3", "-n", "development-app3"),
    ),
)
"""The night, the oldest step first."""
