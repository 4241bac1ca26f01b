"""How well a live object is, from what the API server says of it. Pure: no input or output."""

from driftd.health.assess import assess
from driftd.health.types import Health, HealthStatus

__all__ = ["Health", "HealthStatus", "assess"]
