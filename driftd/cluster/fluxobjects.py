"""What the Flux of a cluster works with, read live."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from driftd.cluster.reader import ClusterReader
from driftd.errors import ClusterError
from driftd.model.condition import Condition
from driftd.model.flux import FluxObject, mark_of

_SOURCES = "source.toolkit.fluxcd.io"
_KINDS = (
    ("kustomize.toolkit.fluxcd.io", "Kustomization"),
    ("helm.toolkit.fluxcd.io", "HelmRelease"),
    (_SOURCES, "GitRepository"),
    (_SOURCES, "HelmRepository"),
    (_SOURCES, "HelmChart"),
    (_SOURCES, "OCIRepository"),
    (_SOURCES, "Bucket"),
)


class LiveFlux(msgspec.Struct, frozen=True):
    """The Flux objects of a cluster; none where no Flux is installed."""

    objects: tuple[FluxObject, ...] = ()
    conditions: tuple[Condition, ...] = ()
    """What could not be read."""
    beside_argo_cd: bool = True
    """Whether the cluster serves Argo CD's kinds too, as far as is known."""


async def read_flux(reader: ClusterReader, context: str) -> LiveFlux:
    """Every Flux object of a cluster, of the versions that it prefers. Never raises ClusterError.

    A cluster that cannot be discovered says so elsewhere.
    """
    try:
        discovery = await reader.discover()
    except ClusterError:
        return LiveFlux()
    resources = [
        resource for group, kind in _KINDS if (resource := discovery.preferred(group, kind))
    ]
    listings = await asyncio.gather(*(reader.list(resource) for resource in resources))
    objects: list[FluxObject] = []
    conditions: list[Condition] = []
    for resource, listing in zip(resources, listings, strict=True):
        conditions.extend(
            Condition("HubReadError", f"the hub's {resource.plural} are not known: {error.message}")
            for error in listing.errors.values()
        )
        objects += [
            FluxObject(
                kind=resource.kind,
                namespace=live.key.namespace,
                name=live.key.name,
                body=(body := msgspec.json.decode(live.body, type=dict)),
                origin=f"hub {context}",
                applied_by=applied_by(body),
            )
            for live in listing.objects
        ]
    return LiveFlux(
        tuple(objects),
        tuple(conditions),
        discovery.preferred("argoproj.io", "Application") is not None
        or bool(discovery.failure("argoproj.io")),
    )


def applied_by(body: dict[str, Any]) -> str:
    """`NAMESPACE/NAME` of the Kustomization that a live object's labels name; empty without."""
    kind, _, place = mark_of((body.get("metadata") or {}).get("labels") or {}).partition("/")
    return place if kind == "Kustomization" else ""
