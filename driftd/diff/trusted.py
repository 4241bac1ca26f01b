"""Trusted controllers as data: writes that a healthy cluster makes to declared objects.

An entry names manager, operation, subresource, kind and path, never a manager alone
(a manager's name is chosen by the client), and may ask for a relation that must hold.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from typing import Any, Final, Protocol

import msgspec

from driftd.diff.owners import Entry
from driftd.model import places
from driftd.model.resource import ResourceKey

REPLICA_RELATION: Final = "autoscaled"
"""Live replicas lie within the bounds of an autoscaler that targets the object."""
AGGREGATED_RELATION: Final = "aggregated"
"""Git gives the role an aggregation rule, so its rules are computed."""
ACCOUNT_RELATION: Final = "account-token"
"""Git asks for a service account's token: a Secret of that type, which is filled for it."""
CA_REQUESTED_RELATION: Final = "ca-requested"
"""Git asks by an annotation that a certificate authority be filled in."""
CA_LEFT_OUT_RELATION: Final = "ca-left-out"
"""Every webhook in Git is a service of the cluster without a certificate authority."""
_CA_ANNOTATIONS: Final = frozenset(
    {
        "cert-manager.io/inject-apiserver-ca",
        "cert-manager.io/inject-ca-from",
        "cert-manager.io/inject-ca-from-secret",
        "service.beta.openshift.io/inject-cabundle",
    }
)

_NO_CA: Final = "Cg=="
"""An encoded line end: what generators write where a certificate authority will be."""


class Bounds(msgspec.Struct, frozen=True):
    """What a HorizontalPodAutoscaler allows for its target's replicas."""

    minimum: int
    maximum: int
    name: str


class Facts(msgspec.Struct, frozen=True):
    """What the comparison may know about the cluster beyond the two objects."""

    autoscaled: Mapping[ResourceKey, Bounds] = {}
    """Scale targets by key."""


class Trust(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One trusted write."""

    managers: tuple[str, ...]
    """None at all: the API server itself writes here, and nobody owns what it writes."""
    path: tuple[str, ...]
    """Names from the root, list steps as `*`; a last `**` matches everything below."""
    reason: str
    operation: str = "Update"
    subresource: str = ""
    group: str | None = None
    kind: str | None = None
    relation: str | None = None


@lru_cache(maxsize=1)
def rules() -> tuple[Trust, ...]:
    """The shipped table, `data/trusted.json`."""
    text = resources.files("driftd.diff").joinpath("data/trusted.json").read_text("utf-8")
    return tuple(msgspec.convert(rule, Trust) for rule in json.loads(text)["trusted"])


class Judged(Protocol):
    """The object under comparison, as far as trust depends on it."""

    @property
    def key(self) -> ResourceKey:
        """Its identity."""
        ...

    @property
    def desired(self) -> dict[str, Any]:
        """What Git declares."""
        ...

    @property
    def facts(self) -> Facts:
        """What else is known about the cluster."""
        ...


def trusted_write(entry: Entry, subject: Judged, path: Sequence[str], value: Any) -> str | None:
    """Why this write by `entry` is expected, or None if nothing says it is."""
    for rule in rules():
        if (
            entry.manager in rule.managers
            and entry.operation == rule.operation
            and entry.subresource == rule.subresource
            and rule.group in (None, subject.key.group)
            and rule.kind in (None, subject.key.kind)
            and _matches(rule.path, path)
            and _holds(rule.relation, subject, value)
        ):
            return rule.reason
    return None


def expected_value(
    subject: Judged, path: Sequence[str], value: Any, *, by_anybody: bool
) -> str | None:
    """Why a value that nobody can be named for is expected, or None if nothing says it is.

    The API server writes some places itself and owns none. With `by_anybody` the names of the
    managers are lost (`before-first-apply`, or no managedFields at all): then a rule holds
    whoever wrote, outside metadata only if it has a relation, and at a critical place never.
    """
    lost = by_anybody and not places.is_critical(subject.key.kind, path)
    for rule in rules():
        if (
            rule.group in (None, subject.key.group)
            and rule.kind in (None, subject.key.kind)
            and _matches(rule.path, path)
            and (not rule.managers or (lost and (rule.relation or path[0] == "metadata")))
            and _holds(rule.relation, subject, value)
        ):
            return rule.reason
    return None


def _matches(pattern: Sequence[str], path: Sequence[str]) -> bool:
    if pattern and pattern[-1] == "**":
        stem = pattern[:-1]
        return len(path) >= len(stem) and tuple(path[: len(stem)]) == tuple(stem)
    return tuple(pattern) == tuple(path)


def _holds(relation: str | None, subject: Judged, value: Any) -> bool:
    if relation is None:
        return True
    if relation == AGGREGATED_RELATION:
        return bool(subject.desired.get("aggregationRule"))
    if relation == ACCOUNT_RELATION:
        return subject.desired.get("type") == "kubernetes.io/service-account-token"
    if relation == CA_REQUESTED_RELATION:
        annotations = subject.desired.get("metadata", {}).get("annotations") or {}
        return not _CA_ANNOTATIONS.isdisjoint(annotations)
    if relation == CA_LEFT_OUT_RELATION:
        return _leaves_ca_out(subject.desired)
    if relation == REPLICA_RELATION:
        bounds = subject.facts.autoscaled.get(subject.key)
        return (
            bounds is not None and type(value) is int and bounds.minimum <= value <= bounds.maximum
        )
    return False


def _leaves_ca_out(desired: dict[str, Any]) -> bool:
    """Whether Git's webhooks are services that nobody could verify without a CA filled in."""
    hooks = desired.get("webhooks")
    clients = [
        hook.get("clientConfig") if isinstance(hook, dict) else None
        for hook in (hooks if isinstance(hooks, list) else ())
    ]
    return bool(clients) and all(
        isinstance(client, dict)
        and bool(client.get("service"))
        and client.get("caBundle") in (None, "", _NO_CA)
        for client in clients
    )
