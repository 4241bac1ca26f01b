"""Entries, manifests and observations for tests of the controller."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec

from driftd.cluster.destinations import ClusterTarget, TargetKind
from driftd.controller.check import Looked
from driftd.controller.declared import Entry
from driftd.controller.desired import Desired
from driftd.controller.leftovers import Claimants
from driftd.controller.observed import Observation, observe, view_cluster
from driftd.controller.tracking import marks_of
from driftd.controller.verdict import Look, Verdict, application_report
from driftd.controller.workspace import SchemaMemory
from driftd.model.application import Application, ApplicationSpec
from driftd.model.condition import Condition
from driftd.model.project import PERMISSIVE
from driftd.model.report import ResourceReport
from driftd.model.resource import GVK, Manifest, Origin, ResourceKey
from tests.unit.controller.cluster import MemoryCluster

TARGET = ClusterTarget(TargetKind.CONTEXT, "one", "https://one.example.com")
URL = "https://git.example.com/gitops.git"
REVISION = "1" * 40


def config_map(name: str, *, namespace: str = "shop", **data: str) -> dict[str, Any]:
    """A ConfigMap; `annotations` and the like are added by the test."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def manifest(body: dict[str, Any]) -> Manifest:
    """The manifest of an object that Git declares."""
    gvk = GVK.parse(body["apiVersion"], body["kind"])
    metadata = body["metadata"]
    key = ResourceKey(gvk.group, gvk.kind, metadata.get("namespace", ""), metadata["name"])
    return Manifest(key, gvk.version, json.dumps(body).encode(), Origin(0, "shop.yaml"))


def application(
    *,
    name: str = "shop",
    annotations: dict[str, str] | None = None,
    synced: tuple[str, ...] = (),
    **spec: Any,
) -> Application:
    """An Application of one source, into namespace `shop` of `one`."""
    document = {
        "source": {"repoURL": URL, "path": f"apps/{name}"},
        "destination": {"name": "one", "namespace": "shop"},
        **spec,
    }
    return Application(
        name=name,
        namespace="argocd",
        spec=msgspec.convert(document, ApplicationSpec),
        annotations=annotations or {},
        synced_revisions=synced,
    )


def desired(
    *bodies: dict[str, Any],
    app: Application | None = None,
    not_compared: Iterable[dict[str, Any]] = (),
    conditions: tuple[Condition, ...] = (),
) -> Desired:
    """What Git declares: these objects."""
    app = app or application()
    entry = Entry(
        application=app, project=PERMISSIVE, target=TARGET, destination=app.spec.destination
    )
    return Desired(
        entry=entry,
        manifests=tuple(manifest(body) for body in bodies),
        not_compared=tuple(manifest(body) for body in not_compared),
        revisions=(REVISION,),
        conditions=conditions,
    )


async def looked(
    cluster: MemoryCluster, *wanted: Desired, memory: SchemaMemory | None = None
) -> Look:
    """One look at a cluster for some applications."""
    view = await view_cluster(cluster)
    observation = Observation(
        listings={},
        live={},
        schemas=SchemaMemory().known(TARGET),
        schema_hashes={},
        schema_problems={},
    )
    if view.discovery is not None:
        observation = await observe(
            view,
            (one for each in wanted for one in each.manifests),
            applications=frozenset(
                mark for each in wanted for mark in marks_of(each.entry.application)
            ),
            limit=2,
            target=TARGET,
            memory=memory or SchemaMemory(),
            claimants=Claimants(
                declared=[(each.entry.application, each.keys) for each in wanted],
                namespaces=frozenset({"shop"}),
            ),
        )
    return Look(view=view, observation=observation, observed_at="2026-03-01T12:00:00Z")


async def judged(
    cluster: MemoryCluster,
    wanted: Desired,
    synced: Iterable[dict[str, Any]] | None = None,
) -> dict[str, ResourceReport]:
    """The verdicts on an application's objects, by name."""
    before = None
    if synced is not None:
        before = {one.key: one for one in (manifest(body) for body in synced)}
    verdict = Verdict(wanted, await looked(cluster, wanted), before)
    return {one.name: one for one in verdict.resources()}


async def looked_at(cluster: MemoryCluster, wanted: Desired) -> Looked:
    """The look at one application, with everything that acting on it needs."""
    shared = await looked(cluster, wanted)
    verdict = Verdict(wanted, shared)
    resources = verdict.resources()
    report = application_report(wanted, resources, (), verdict.deployers)
    return Looked(report, wanted, shared.view, shared, live=verdict.live)
