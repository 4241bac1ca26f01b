"""What a comparison may know about the cluster beyond the two objects: who acts on which object.

Facts are evidence: an autoscaler that targets the object, a Rollout that names a Service. They
are read from the cluster by `controller.facts`; without one, no relation that asks for it holds.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from driftd.model.resource import ResourceKey


class Bounds(msgspec.Struct, frozen=True):
    """What an autoscaler allows for its target's replicas."""

    minimum: int
    maximum: int
    name: str
    kind: str = "HorizontalPodAutoscaler"
    declared: bool = True
    """Whether an application that was looked at declares the autoscaler, or what made it."""
    made_by: str = ""
    """What made the autoscaler, `ScaledObject orders`; empty for one that somebody wrote."""
    exact: tuple[int, ...] = ()
    """Further counts that it may set: none while idle, a paused or a fallback count."""

    def allows(self, count: object) -> bool:
        """Whether it may have set this count."""
        if type(count) is not int:
            return False
        return self.minimum <= count <= self.maximum or count in self.exact

    def __str__(self) -> str:
        made = f", made by {self.made_by}," if self.made_by else ""
        unknown = "" if self.declared else ", which no application looked at declares,"
        also = f" or {', '.join(map(str, self.exact))}" if self.exact else ""
        text = f"{self.kind} {self.name}{made}{unknown}"
        return f"{text} scales the object between {self.minimum} and {self.maximum}{also}"


class Facts(msgspec.Struct, frozen=True):
    """What is known about the objects of one cluster."""

    autoscaled: Mapping[ResourceKey, Bounds] = {}
    """Targets of HorizontalPodAutoscalers."""
    event_scaled: Mapping[ResourceKey, Bounds] = {}
    """Targets of KEDA's ScaledObjects."""
    named: Mapping[tuple[str, ResourceKey], tuple[str, ...]] = {}
    """By role and object, who names the object in that role: `rollout-service` of a Service is
    `("Rollout web",)`. Roles are those of `data/trusted.json`."""

    def scaler(self, key: ResourceKey, count: object) -> Bounds | None:
        """The autoscaler that may have set a count."""
        for bounds in (self.autoscaled.get(key), self.event_scaled.get(key)):
            if bounds is not None and bounds.allows(count):
                return bounds
        return None
