"""Claims, Services, Ingresses, autoscalers, definitions and aggregated APIs; and all the rest."""

from __future__ import annotations

from driftd.health.reading import (
    Body,
    at,
    conditions,
    entries,
    number,
    text,
)
from driftd.health.types import (
    HEALTHY,
    Health,
    HealthStatus,
    degraded,
    healthy,
    progressing,
)

_NOT_SCALING = {
    ("AbleToScale", "FailedGetScale"),
    ("AbleToScale", "FailedUpdateScale"),
    ("ScalingActive", "FailedGetResourceMetric"),
    ("ScalingActive", "InvalidSelector"),
}
_SCALING = {
    ("AbleToScale", "SucceededRescale"),
    ("ScalingLimited", "DesiredWithinRange"),
    ("ScalingLimited", "TooFewReplicas"),
    ("ScalingLimited", "TooManyReplicas"),
}


def persistent_volume_claim(body: Body) -> Health:
    """Bound to a volume."""
    phase = text(body, "status", "phase")
    if phase == "Bound":
        return HEALTHY
    if phase == "Lost":
        return degraded("its volume is lost")
    if phase in ("", "Pending"):
        return progressing("no volume is bound yet")
    return Health(HealthStatus.UNKNOWN, f"its phase is {phase}")


def service(body: Body) -> Health:
    """A load balancer needs an address; any other Service is what it says."""
    if text(body, "spec", "type") != "LoadBalancer":
        return HEALTHY
    return _addressed(body)


def ingress(body: Body) -> Health:
    """An address tells that a controller serves it."""
    return _addressed(body)


def _addressed(body: Body) -> Health:
    if entries(body, "status", "loadBalancer", "ingress"):
        return HEALTHY
    return progressing("its load balancer has no address yet")


def horizontal_pod_autoscaler(body: Body) -> Health:
    """Degraded where it cannot read its metrics or its target."""
    found = conditions(body)
    for one in found.values():
        if (one.type, one.reason) in _NOT_SCALING:
            return degraded(one.message)
    for one in found.values():
        if (one.type, one.reason) in _SCALING:
            return healthy(one.message)
    return progressing("it has not scaled yet")


def custom_resource_definition(body: Body) -> Health:
    """Established under accepted names, with a structural schema."""
    found = conditions(body)
    if not found:
        return progressing("the API server has not looked at it yet")
    if "Terminating" in found and found["Terminating"].is_true:
        return progressing(found["Terminating"].message)
    names = found.get("NamesAccepted")
    if names is not None and names.is_false:
        return degraded(f"its names are not accepted: {names.message}")
    established = found.get("Established")
    if established is None or not established.is_true:
        # The API server serves it some seconds after it has accepted its names.
        if established is not None and established.reason == "Installing":
            return progressing("it is being installed")
        return degraded("it is not established")
    schema = found.get("NonStructuralSchema")
    if schema is not None and schema.is_true:
        return degraded(f"its schema is not structural: {schema.message}")
    return HEALTHY


def api_service(body: Body) -> Health:
    """The API behind it answers."""
    available = conditions(body).get("Available")
    if available is None:
        return progressing("the aggregator has not looked at it yet")
    said = ": ".join(filter(None, (available.reason, available.message)))
    return healthy(said) if available.is_true else progressing(said)


def by_convention(body: Body) -> Health:
    """Any other kind: the conventions that kstatus reads.

    `Stalled` means failed, `Reconciling` under way, and `Ready` decides where there is one; an
    object that says nothing of itself is as well as it can be.
    """
    observed = at(body, "status", "observedGeneration")
    if isinstance(observed, int) and observed < number(body, "metadata", "generation"):
        return progressing("its controller has not seen the last change yet")
    found = conditions(body)
    stalled, reconciling = found.get("Stalled"), found.get("Reconciling")
    if stalled is not None and stalled.is_true:
        return degraded(stalled.message or stalled.reason)
    if reconciling is not None and reconciling.is_true:
        return progressing(reconciling.message or reconciling.reason)
    ready = found.get("Ready")
    if ready is not None and not ready.is_true:
        return progressing(ready.message or ready.reason or "it is not ready")
    return HEALTHY
