"""Whether the engine of an application works on it right now, as its own object says."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from driftd.cluster.hub import APPLICATIONS
from driftd.cluster.reader import ApiResource, ClusterReader
from driftd.errors import NotServed
from driftd.model.application import Application
from driftd.model.flux import GROUPS, FluxSpec
from driftd.model.resource import LiveObject

ARGO_SYNCS: Final = "Argo CD syncs the application"
FLUX_RECONCILES: Final = "Flux reconciles the application"
_AT_WORK: Final = frozenset({"Running", "Terminating"})
_RESOLUTION: Final = timedelta(seconds=1)
"""Of the times in objects: they are cut to the second."""
_FAILED_BEFORE: Final = "ProgressingWithRetry"
"""The reason with which Flux keeps the condition between attempts that fail."""
FLUX: Final = {
    kind: tuple(
        ApiResource(GROUPS[kind], version, kind, f"{kind.lower()}s", True, ("get",))
        for version in versions
    )
    for kind, versions in (
        ("Kustomization", ("v1", "v1beta2")),
        ("HelmRelease", ("v2", "v2beta2", "v2beta1")),
    )
}


class _OperationState(msgspec.Struct, frozen=True, rename="camel"):
    phase: str | None = ""
    finished_at: str | None = ""


class _Condition(msgspec.Struct, frozen=True):
    type: str = ""
    status: str = ""
    reason: str | None = ""


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    operation_state: _OperationState | None = None
    conditions: tuple[_Condition, ...] | None = ()


class _Object(msgspec.Struct, frozen=True):
    operation: Any = None
    status: _Status | None = None


class _Spec(msgspec.Struct, frozen=True):
    suspend: bool | None = None


class _Suspendable(msgspec.Struct, frozen=True):
    spec: _Spec | None = None


_object = msgspec.json.Decoder(_Object)
_suspendable = msgspec.json.Decoder(_Suspendable)


async def operation(reader: ClusterReader, application: Application, since: datetime) -> str:
    """What its engine does with an application, in words; empty if it is left alone.

    `reader` is of the cluster that holds the Application, or Flux's object. An operation that
    has ended after `since` counts too: what was read before may be from its midst. An object
    that is not there, or is no such object, is left alone. Raises ClusterError.
    """
    if application.flux is None:
        live = await reader.get(APPLICATIONS, application.namespace, application.name)
        return "" if live is None else of_argo_cd(live.body, since)
    live = await flux_object(reader, application.flux, application.namespace)
    return "" if live is None else of_flux(live.body)


async def is_suspended(reader: ClusterReader, application: Application) -> bool:
    """Whether the live object of an application of Flux says `spec.suspend`.

    `reader` is as for `operation`. What is not there, or no such object, is not suspended; an
    application of Argo CD is not either. Raises ClusterError.
    """
    if application.flux is None:
        return False
    live = await flux_object(reader, application.flux, application.namespace)
    try:
        found = None if live is None else _suspendable.decode(live.body)
    except msgspec.MsgspecError:
        return False
    return found is not None and found.spec is not None and found.spec.suspend is True


async def flux_object(reader: ClusterReader, flux: FluxSpec, namespace: str) -> LiveObject | None:
    """Flux's own object of an application; None where it is not there. Raises ClusterError."""
    for resource in FLUX[flux.kind]:
        try:
            return await reader.get(resource, namespace, flux.object_name)
        except NotServed:
            continue
    return None


def of_argo_cd(body: bytes, since: datetime) -> str:
    """What Argo CD does with the Application of `body`."""
    try:
        found = _object.decode(body)
    except msgspec.MsgspecError:
        return ""
    # Asked for, and not begun yet.
    asked = bool(found.operation)
    state = found.status.operation_state if found.status else None
    if asked or (state is not None and state.phase in _AT_WORK):
        return ARGO_SYNCS
    if state is None or not state.finished_at:
        return ""
    try:
        ended = datetime.fromisoformat(state.finished_at)
    except ValueError:
        return ""
    return ARGO_SYNCS if ended.tzinfo and ended + _RESOLUTION > since else ""


def of_flux(body: bytes) -> str:
    """What Flux does with the Kustomization or HelmRelease of `body`.

    One that fails again and again stays `Reconciling` in between: it is left alone.
    """
    try:
        found = _object.decode(body)
    except msgspec.MsgspecError:
        return ""
    conditions: Iterable[_Condition] = (found.status.conditions if found.status else None) or ()
    at_work = any(
        one.type == "Reconciling" and one.status == "True" and one.reason != _FAILED_BEFORE
        for one in conditions
    )
    return FLUX_RECONCILES if at_work else ""
