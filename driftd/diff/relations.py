"""Relations: what must hold between Git, live and the cluster before a write is trusted.

A relation looks at the value as well as at the place. Each says None where it does not hold, and
otherwise what it found, in words that follow the reason of the rule (may be empty).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from driftd.diff.facts import Bounds, Facts
from driftd.diff.finding import ABSENT
from driftd.model.resource import Json, ResourceKey

_CA_ANNOTATIONS: Final = frozenset(
    {
        "cert-manager.io/inject-apiserver-ca",
        "cert-manager.io/inject-ca-from",
        "cert-manager.io/inject-ca-from-secret",
        "service.beta.openshift.io/inject-cabundle",
    }
)
_NO_CA: Final = "Cg=="
"""An encoded line end: what generators write where a certificate authority will be."""
_HASH: Final = re.compile(r"[a-z0-9]{5,16}")
_WHOLE: Final = 100
"""What weights add up to where Git gives none: controllers write percentages."""

Same: TypeAlias = "Callable[[Json, Json], bool]"
"""Whether a live value is what the server makes of a declared one."""


class Judged(Protocol):
    """The object under comparison, as far as trust depends on it."""

    @property
    def key(self) -> ResourceKey:
        """Its identity."""
        ...

    @property
    def desired(self) -> dict[str, Any]:
        """What Git declares."""
        ...

    @property
    def facts(self) -> Facts:
        """What else is known about the cluster."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """The write that is judged."""

    subject: Judged
    live: Json
    desired: Json = ABSENT
    """What Git declares at the place, `ABSENT` where it is silent."""
    same: Same | None = None
    """Compares the rest of an atomic list; None at places of other kinds."""


class Except(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fields inside an atomic list that a controller writes while the rest is Git's."""

    path: tuple[str, ...]
    """Names from the list, list steps as `*`."""
    form: str
    """`weight`: whole numbers from 0 to 100, adding up to what Git's add up to; `hash`: the hash
    of a Pod template."""


def autoscaled(asked: Asked) -> str | None:
    """Live replicas lie within the bounds of an autoscaler that targets the object."""
    return _within(asked.subject.facts.autoscaled.get(asked.subject.key), asked.live)


def event_scaled(asked: Asked) -> str | None:
    """A ScaledObject targets the object and may have set the replicas."""
    return _within(asked.subject.facts.event_scaled.get(asked.subject.key), asked.live)


def _within(bounds: Bounds | None, count: Json) -> str | None:
    return str(bounds) if bounds is not None and bounds.allows(count) else None


def aggregated(asked: Asked) -> str | None:
    """Git gives the role an aggregation rule, so its rules are computed."""
    return "" if asked.subject.desired.get("aggregationRule") else None


def account_token(asked: Asked) -> str | None:
    """Git asks for a service account's token: a Secret of that type, which is filled for it."""
    wanted = asked.subject.desired.get("type") == "kubernetes.io/service-account-token"
    return "" if wanted else None


def ca_requested(asked: Asked) -> str | None:
    """Git asks by an annotation that a certificate authority be filled in."""
    asks = not _CA_ANNOTATIONS.isdisjoint(_annotations(asked.subject.desired))
    return "" if asks else None


def ca_left_out(asked: Asked) -> str | None:
    """Every webhook in Git, or the APIService, is a service without a certificate authority."""
    desired = asked.subject.desired
    if asked.subject.key.kind == "APIService":
        clients = [desired.get("spec")]
    else:
        hooks = desired.get("webhooks")
        clients = [
            hook.get("clientConfig") if isinstance(hook, dict) else None
            for hook in (hooks if isinstance(hooks, list) else ())
        ]
    left_out = bool(clients) and all(
        isinstance(client, dict)
        and bool(client.get("service"))
        and not client.get("insecureSkipTLSVerify")
        and client.get("caBundle") in (None, "", _NO_CA)
        for client in clients
    )
    return "" if left_out else None


def undeclared(asked: Asked) -> str | None:
    """Git is silent about the place."""
    return "" if asked.desired is ABSENT else None


def stricter(asked: Asked) -> str | None:
    """A webhook that Git lets fail open was made to fail closed."""
    return "" if (asked.desired, asked.live) == ("Ignore", "Fail") else None


def none_or_fewer(asked: Asked) -> str | None:
    """No replicas, or no more than Git declares."""
    declared = (asked.subject.desired.get("spec") or {}).get("replicas", 0)
    fewer = type(asked.live) is int and type(declared) is int and 0 <= asked.live <= declared
    return "" if fewer or asked.live == 0 else None


def primary(asked: Asked) -> str | None:
    """A selector points to the primary copy of what Git's selector points to."""
    points = isinstance(asked.desired, str) and asked.live == f"{asked.desired}-primary"
    return "" if points else None


def load_balancer(asked: Asked) -> str | None:
    """Git asks for a load balancer."""
    spec = asked.subject.desired.get("spec") or {}
    return "" if spec.get("type") == "LoadBalancer" else None


def own_pull_secrets(asked: Asked) -> str | None:
    """Git's list and, beside it, only the account's own `NAME-dockercfg-XXXXX` Secrets."""
    if isinstance(asked.live, dict):  # one item of a keyed list
        return "" if _is_own(asked, asked.live) else None
    if not isinstance(asked.live, list):
        return None
    others = [item for item in asked.live if not _is_own(asked, item)]
    if asked.desired is ABSENT:
        return None if others else ""
    return "" if others == asked.desired else None


def _is_own(asked: Asked, item: Json) -> bool:
    pattern = re.escape(asked.subject.key.name) + r"-dockercfg-[a-z0-9]{5}"
    return (
        isinstance(item, dict)
        and set(item) == {"name"}
        and re.fullmatch(pattern, str(item["name"])) is not None
    )


def service_ca_requested(asked: Asked) -> str | None:
    """Git asks the service CA for a serving certificate of the Service."""
    name = "service.beta.openshift.io/serving-cert-secret-name"
    return "" if name in _annotations(asked.subject.desired) else None


def _annotations(desired: Mapping[str, Any]) -> Mapping[str, Any]:
    return (desired.get("metadata") or {}).get("annotations") or {}


RELATIONS: Final[Mapping[str, Callable[[Asked], str | None]]] = {
    "account-token": account_token,
    "aggregated": aggregated,
    "autoscaled": autoscaled,
    "ca-left-out": ca_left_out,
    "ca-requested": ca_requested,
    "event-scaled": event_scaled,
    "load-balancer": load_balancer,
    "none-or-fewer": none_or_fewer,
    "own-pull-secrets": own_pull_secrets,
    "primary": primary,
    "service-ca-requested": service_ca_requested,
    "stricter": stricter,
    "undeclared": undeclared,
}
"""Every relation of `data/trusted.json`, by its name there."""


def equal_except(asked: Asked, fields: Sequence[Except]) -> bool:
    """Whether a live atomic list is Git's but for the excepted fields, which must be plausible.

    The controller's write makes it the owner of the whole list, so that another person's edit
    inside has left `managedFields`: only the comparison with Git can find it (row 80d).
    """
    if asked.same is None or not (isinstance(asked.desired, list) and isinstance(asked.live, list)):
        return False
    restored = deepcopy(asked.live)
    for field in fields:
        if not _restore(asked.desired, restored, field.path, field.form):
            return False
    return asked.same(asked.desired, restored)


def _restore(desired: Json, live: Json, path: Sequence[str], form: str) -> bool:
    """Put Git's values back at the end of a path; False if live's could not be a controller's."""
    step, rest = path[0], path[1:]
    if step == "*":
        if not isinstance(desired, list) or not isinstance(live, list):
            return desired is None and live is None
        if len(desired) != len(live):
            return False
        if len(rest) == 1 and form == "weight" and not _are_weights(desired, live, rest[0]):
            return False
        pairs = zip(desired, live, strict=True)
        return all(_restore(one, other, rest, form) for one, other in pairs)
    if not isinstance(desired, dict) or not isinstance(live, dict):
        return False
    if rest:
        if step not in desired and step not in live:
            return True
        return _restore(desired.get(step), live.get(step), rest, form)
    if form == "hash" and step in live and not _HASH.fullmatch(str(live[step])):
        return False
    if step in desired:
        live[step] = desired[step]
    else:
        live.pop(step, None)
    return True


def _are_weights(desired: Sequence[Json], live: Sequence[Json], name: str) -> bool:
    """Whether live's weights share out what Git's share out, in whole percents.

    A field that is absent is none where others have one; where nobody has, nothing was shifted.
    """
    found = _column(live, name)
    if found is None:
        return False
    if not found:
        return not _column(desired, name)
    declared = _column(desired, name)
    return declared is not None and sum(found) == (sum(declared) if declared else _WHOLE)


def _column(items: Sequence[Json], name: str) -> list[int] | None:
    """The weights of the items that have one; None if one is no whole number from 0 to 100."""
    weights = [item[name] for item in items if isinstance(item, dict) and name in item]
    fine = all(type(weight) is int and 0 <= weight <= _WHOLE for weight in weights)
    return weights if fine else None
