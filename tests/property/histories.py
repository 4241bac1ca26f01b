"""How an object came to be as Git says, and how a change is made to it.

A history is a way in which an object reaches the cluster and becomes what Git declares: each
leaves other managedFields behind. A way is how somebody changes it afterwards, from a plain patch
to one whose author covers the traces.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

from tests.property.lab import Lab
from tests.property.mutations import Mutator
from tests.testbed.client import ApiError
from tests.testbed.jsonpatch import patched

Json = Any
History = Callable[[Lab, Json, random.Random], str]
"""Brings an object into the cluster; returns the deployer whose hand is last."""

ARGO = "argocd-controller"
_RELEASES = 12
"""Random contents that are tried for a former release."""


def _server_side(lab: Lab, body: Json, _: random.Random) -> str:
    lab.apply(body, ARGO)
    return ARGO


def _client_side(lab: Lab, body: Json, _: random.Random) -> str:
    lab.deploy(body, "client-side apply")
    return "kubectl-client-side-apply"


def _helm(lab: Lab, body: Json, _: random.Random) -> str:
    lab.deploy(body, "helm")
    return "helm"


def _adopted(lab: Lab, body: Json, _: random.Random) -> str:
    """Another tool had created it; Argo CD takes it over."""
    lab.create(body, "terraform")
    lab.apply(body, ARGO)
    return ARGO


def _recreated(lab: Lab, body: Json, _: random.Random) -> str:
    """`kubectl replace --force` leaves its own entry of everything; Argo CD applies again."""
    lab.create(body, "kubectl-replace")
    lab.apply(body, ARGO)
    lab.apply(body, ARGO)
    return ARGO


def _migrated(lab: Lab, body: Json, _: random.Random) -> str:
    """Client-side apply once, server-side apply now; the old entry stays."""
    lab.deploy(body, "client-side apply")
    lab.apply(body, ARGO)
    return ARGO


def _co_owned(lab: Lab, body: Json, _: random.Random) -> str:
    """A second tool applies the same."""
    lab.apply(body, ARGO)
    lab.apply(body, "fleet-agent")
    return ARGO


def _upgraded(lab: Lab, body: Json, _: random.Random) -> str:
    """Helm created it and wrote all of it once more."""
    lab.deploy(body, "helm")
    lab.put(merged(lab.live(body), body), "helm")
    return "helm"


def _released(lab: Lab, body: Json, rng: random.Random) -> str:
    """Two former releases of other content, each by server-side apply."""
    mutator = Mutator(lab.document(body["apiVersion"]), rng)
    releases = 0
    for mutation in itertools.islice(mutator.mutations(body), _RELEASES):
        try:
            lab.apply(patched(body, mutation.operations), ARGO)
        except (ApiError, LookupError, ValueError):
            continue
        releases += 1
        if releases == 2:
            break
    lab.apply(body, ARGO)
    return ARGO


def _wiped(lab: Lab, body: Json, _: random.Random) -> str:
    """Nobody is named any more: managedFields were emptied."""
    lab.apply(body, ARGO)
    lab.patch(body, [{"op": "replace", "path": "/metadata/managedFields", "value": [{}]}], "m")
    return ARGO


def merged(live: Json, body: Json) -> Json:
    """The live object with what `body` declares written over it, as an updating client sends it."""
    if isinstance(live, dict) and isinstance(body, dict):
        return {**live, **{name: merged(live.get(name), inner) for name, inner in body.items()}}
    if isinstance(live, list) and isinstance(body, list) and len(live) == len(body):
        return [merged(*pair) for pair in zip(live, body, strict=True)]
    return body


HISTORIES: dict[str, History] = {
    "server-side apply": _server_side,
    "client-side apply": _client_side,
    "helm": _helm,
    "adopted": _adopted,
    "recreated": _recreated,
    "migrated": _migrated,
    "co-owned": _co_owned,
    "upgraded": _upgraded,
    "released": _released,
    "wiped": _wiped,
}

Way = Callable[[Lab, Json, Json, list[Json], str], None]
"""Changes an object: lab, the object as declared, as it is live, JSON patch, manager."""


def _patch(lab: Lab, desired: Json, _: Json, operations: list[Json], manager: str) -> None:
    lab.patch(desired, operations, manager)


def _put(lab: Lab, _: Json, live: Json, operations: list[Json], manager: str) -> None:
    lab.replace(live, operations, manager)


def _covered(lab: Lab, desired: Json, _: Json, operations: list[Json], manager: str) -> None:
    """The author's managedFields entry is removed by a second patch."""
    lab.patch(desired, operations, manager)
    entries = lab.live(desired)["metadata"].get("managedFields", [])
    kept = [entry for entry in entries if entry["manager"] != manager]
    if len(kept) < len(entries):
        place = "/metadata/managedFields"
        lab.patch(desired, [{"op": "replace", "path": place, "value": kept or [{}]}], manager)


def _other_version(lab: Lab, desired: Json, _: Json, operations: list[Json], manager: str) -> None:
    """Through another version that the API server serves of the kind."""
    lab.patch(lab.at_other_version(desired), operations, manager)


WAYS: dict[str, Way] = {
    "patch": _patch,
    "put": _put,
    "forged": _patch,  # under the deployer's own name
    "covered": _covered,
    "other version": _other_version,
}
