"""Resources that a Pod as a whole asks for, as the API server derives them from its containers.

Where a Pod limits its resources as a whole, the server completes what it requests as a whole
(KEP-2837): the effective requests of all containers, else the limit.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final, TypeAlias

from driftd.diff import scalars
from driftd.model.resource import Json

Amounts: TypeAlias = "dict[str, str]"
"""Quantities by the name of a resource."""

_HUGE: Final = "hugepages-"
_OVERCOMMITTED: Final = frozenset({"cpu", "memory"})


def completed(spec: dict[str, Any], live: Json) -> Json:
    """`resources` of a Pod's spec with the members of `live` that the server derives.

    What live lacks is not added, so that an older server, which derives nothing, agrees too.
    """
    declared = spec.get("resources")
    if not (isinstance(declared, dict) and isinstance(live, dict)):
        return declared
    limits, requests = _part(declared, "limits"), _part(declared, "requests")
    if not limits and not requests:
        return declared
    whole = _aggregated(spec, "limits")
    limits = {n: v for n, v in whole.items() if n.startswith(_HUGE) and n not in requests} | limits
    asked = {}
    if limits:
        whole = _aggregated(spec, "requests")
        asked = limits | {n: v for n, v in whole.items() if n in _OVERCOMMITTED}
    result = dict(declared)
    for part, derived, stated in (
        ("limits", limits, _part(declared, "limits")),
        ("requests", asked, requests),
    ):
        present = _part(live, part)
        added = {n: v for n, v in derived.items() if n in present and n not in stated}
        if added:
            result[part] = added | stated
    return result


def _part(resources: dict[str, Any], name: str) -> dict[str, Any]:
    part = resources.get(name)
    return part if isinstance(part, dict) else {}


def _aggregated(spec: dict[str, Any], part: str) -> Amounts:
    """What all containers need at the same time at most, sidecars among them."""
    total: dict[str, Decimal] = {}
    for container in spec.get("containers") or ():
        _add(total, _amounts(container, part))
    sidecars: dict[str, Decimal] = {}
    starting: dict[str, Decimal] = {}
    for container in spec.get("initContainers") or ():
        alone = _amounts(container, part)
        _add(alone, sidecars)
        if isinstance(container, dict) and container.get("restartPolicy") == "Always":
            _add(total, _amounts(container, part))
            sidecars = alone
        for name, amount in alone.items():
            starting[name] = max(starting.get(name, amount), amount)
    for name, amount in starting.items():
        total[name] = max(total.get(name, amount), amount)
    return {name: f"{amount:f}" for name, amount in total.items()}


def _amounts(container: Json, part: str) -> dict[str, Decimal]:
    """A container's limits or requests; what it only limits it requests as well."""
    if not isinstance(container, dict) or not isinstance(container.get("resources"), dict):
        return {}
    resources = container["resources"]
    named = _part(resources, part)
    if part == "requests":
        named = {**_part(resources, "limits"), **named}
    parsed = {name: scalars.quantity(str(value)) for name, value in named.items()}
    return {name: amount for name, amount in parsed.items() if amount is not None}


def _add(total: dict[str, Decimal], more: dict[str, Decimal]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, Decimal(0)) + amount
