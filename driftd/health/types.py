"""The words for how an object is."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class HealthStatus(StrEnum):
    """Argo CD's statuses."""

    HEALTHY = "Healthy"
    PROGRESSING = "Progressing"
    """Not healthy yet, but it may become so by itself."""
    DEGRADED = "Degraded"
    """It failed, or did not become healthy in time."""
    SUSPENDED = "Suspended"
    """Somebody paused it."""
    MISSING = "Missing"
    """It is not in the cluster."""
    UNKNOWN = "Unknown"
    """It could not be assessed."""

    @property
    def rank(self) -> int:
        """The place in Argo CD's order, from 0 for the best on."""
        return _ORDER.index(self)


_ORDER = (
    HealthStatus.HEALTHY,
    HealthStatus.SUSPENDED,
    HealthStatus.PROGRESSING,
    HealthStatus.MISSING,
    HealthStatus.DEGRADED,
    HealthStatus.UNKNOWN,
)


class Health(msgspec.Struct, frozen=True):
    """How an object is, and in whose words."""

    status: HealthStatus
    message: str = ""
    """Why; may quote the object's own conditions, so it is scrubbed before it is shown."""


HEALTHY = Health(HealthStatus.HEALTHY)


def progressing(message: str) -> Health:
    """On the way."""
    return Health(HealthStatus.PROGRESSING, message)


def degraded(message: str) -> Health:
    """Failed."""
    return Health(HealthStatus.DEGRADED, message)


def healthy(message: str = "") -> Health:
    """All right."""
    return Health(HealthStatus.HEALTHY, message)
