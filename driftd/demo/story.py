"""What happens to the three clusters: done on real API servers when the clusters were recorded."""

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

APPLICATIONS = 18
"""How many the example repository declares."""
DEPLOYED = timedelta(days=3)
"""How long ago everything was applied."""
INJECTED = ("production", "ledger", {"options": [{"name": "ndots", "value": "2"}]})
"""Cluster and namespace where a webhook injects a dnsConfig into Deployments, and its value."""
AUTOSCALER = "horizontal-pod-autoscaler"
OPERATOR = "ledger-operator"
HEALED = "staging-app3"
"""The application that driftd may heal: no GitOps engine is at work there, `CI` applied it."""
CI = "kubectl"
"""The field manager that applied `HEALED`."""


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
    """One thing that a person or a controller does, and what driftd has to say about it."""

    at: Target
    who: str
    why: str
    command: tuple[str, ...] = ()
    """Arguments of kubectl; empty for a controller, which writes through the API."""
    drift: frozenset[str] = field(default_factory=frozenset)
    """Paths of the changes that are drift; empty where the object is missing or not OutOfSync."""
    missing: bool = False
    harmless: bool = False
    """Whether the demonstration accepts this drift with a baseline."""
    healed: bool = False
    """Whether driftd puts it back."""
    wait: bool = False
    """Whether the next step waits until every drift so far was told."""

    @property
    def told(self) -> bool:
        """Whether driftd has to tell somebody."""
        return self.missing or bool(self.drift)


def _on(cluster: str, kind: str, namespace: str, name: str, app: str) -> Target:
    """`app` is the application without its environment."""
    return Target(cluster, kind, namespace, name, f"{cluster}-{app}")


STEPS = (
    Step(
        at=_on(
            "production",
            "Deployment",
            "ingress-nginx",
            "ingress-nginx-controller",
            "infrastructure",
        ),
        who="alice",
        why="the load balancer is slow: go around it",
        command=(
            *("patch", "deployment", "ingress-nginx-controller", "-n", "ingress-nginx"),
            *("-p", '{"spec":{"template":{"spec":{"hostNetwork":true}}}}'),
        ),
        drift=frozenset({"/spec/template/spec/hostNetwork"}),
        wait=True,
    ),
    Step(
        at=_on("production", "Deployment", "ledger", "ledger-api", app="ledger"),
        who=AUTOSCALER,
        why="scales ledger-api to 5, in its bounds",
    ),
    Step(
        at=_on("production", "RetentionPolicy", "ledger", "bookings", app="ledger"),
        who=OPERATOR,
        why="sets a finalizer and the status of bookings",
    ),
    Step(
        at=_on("development", "Deployment", "development-app3", "development-app3", app="app3"),
        who="alice",
        why="a restart, which changes nothing that Git declares",
        command=("rollout", "restart", "deployment/development-app3", "-n", "development-app3"),
    ),
    Step(
        at=_on("production", "Deployment", "production-app3", "production-app3", app="app3"),
        who="alice",
        why="more of app3 for the morning",
        command=("scale", "deployment/production-app3", "--replicas=8", "-n", "production-app3"),
        drift=frozenset({"/spec/replicas"}),
        harmless=True,
    ),
    Step(
        at=_on("production", "RoleBinding", "ledger", "ledger", app="ledger"),
        who="bob",
        why="let alice see the books",
        command=("set", "subject", "rolebinding/ledger", "--user=alice", "-n", "ledger"),
        drift=frozenset({"/subjects"}),
    ),
    Step(
        at=_on(
            "production", "PodDisruptionBudget", "production-app2", "production-app2", app="apps"
        ),
        who="alice",
        why="a node does not drain: the disruption budget has to go",
        command=("delete", "poddisruptionbudget", "production-app2", "-n", "production-app2"),
        missing=True,
    ),
    Step(
        at=_on("staging", "ConfigMap", "staging-app3", "staging-app3-config", app="app3"),
        who="alice",
        why="more workers for a load test",
        command=(
            *("patch", "configmap", "staging-app3-config", "-n", "staging-app3"),
            *("-p", '{"data":{"WORKERS":"64"}}'),
        ),
        drift=frozenset({"/data/WORKERS"}),
        healed=True,
        wait=True,
    ),
)
"""The steps in order."""

HEALING = len(STEPS)
"""The number of what driftd's own write changes, after the steps of others."""
