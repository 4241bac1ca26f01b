"""Whether an engine works on an application."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import structs

from driftd.cluster.operations import (
    ARGO_SYNCS,
    FLUX,
    FLUX_RECONCILES,
    is_suspended,
    of_argo_cd,
    of_flux,
)
from driftd.model.flux import FluxSpec
from tests.unit.controller.builders import application as of_argo
from tests.unit.controller.cluster import MemoryCluster

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def application(**parts: Any) -> bytes:
    """A live Application with these parts."""
    return json.dumps({"kind": "Application", "metadata": {"name": "shop"}, **parts}).encode()


def state(**fields: Any) -> bytes:
    """An Application whose operation is in this state."""
    return application(status={"operationState": fields})


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (state(phase="Running", startedAt="2026-03-01T11:00:00Z"), ARGO_SYNCS),
        (state(phase="Terminating"), ARGO_SYNCS),
        (application(operation={"sync": {"revision": "HEAD"}}), ARGO_SYNCS),
        # What was read after noon may be from the midst of an operation that ended at noon.
        (state(phase="Succeeded", finishedAt="2026-03-01T12:00:00Z"), ARGO_SYNCS),
        (state(phase="Failed", finishedAt="2026-03-01T11:59:59Z"), ""),
        (state(phase="Succeeded", finishedAt=None), ""),
        (state(phase="Succeeded", finishedAt="yesterday"), ""),
        (state(phase="Succeeded", finishedAt="2026-03-01T12:00:00"), ""),
        (application(operation=None, status={"operationState": None}), ""),
        (application(status=None), ""),
        (application(), ""),
        (application(status="none"), ""),
        (b"no JSON", ""),
    ],
)
def test_argo_cd(body: bytes, expected: str) -> None:
    """An operation is at work from its request to its end; what makes no sense is none."""
    assert of_argo_cd(body, NOON) == expected


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (
            [{"type": "Ready", "status": "Unknown"}, {"type": "Reconciling", "status": "True"}],
            FLUX_RECONCILES,
        ),
        ([{"type": "Reconciling", "status": "True", "reason": "Progressing"}], FLUX_RECONCILES),
        ([{"type": "Reconciling", "status": "True", "reason": "ProgressingWithRetry"}], ""),
        ([{"type": "Reconciling", "status": "False"}], ""),
        ([{"type": "Ready", "status": "True", "reason": "ReconciliationSucceeded"}], ""),
        ([], ""),
        (None, ""),
        ("all", ""),
    ],
)
def test_flux(conditions: Any, expected: str) -> None:
    """Flux is at work while it reconciles, not between attempts that fail again and again."""
    assert of_flux(application(status={"conditions": conditions})) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"spec": {"suspend": True}}, True),
        ({"spec": {"suspend": False}}, False),
        ({"spec": None}, False),
        ({"spec": {"suspend": "yes"}}, False),
        ({}, False),
        (None, False),
    ],
)
async def test_suspension(body: dict[str, Any] | None, expected: bool) -> None:
    """Only spec.suspend of the live object, in a version that is served, suspends it."""
    cluster, kind = MemoryCluster(), FLUX["HelmRelease"][1]
    cluster.resources.append(kind)
    if body is not None:
        metadata = {"name": "shop", "namespace": "flux-system"}
        gvk = {"apiVersion": f"{kind.group}/{kind.version}", "kind": kind.kind}
        cluster.put({**gvk, "metadata": metadata, **body})
    flux = FluxSpec(kind="HelmRelease", object_name="shop", render={})
    release = structs.replace(of_argo(), namespace="flux-system", flux=flux)
    assert await is_suspended(cluster, release) is expected
    assert not await is_suspended(cluster, of_argo())
