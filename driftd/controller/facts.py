"""What explains the writes of controllers: autoscalers, Rollouts and Canaries of a cluster.

A kind is listed only if the cluster serves it and some declared object could be acted on by it.
What cannot be read explains nothing: the writes of that controller are told as drift.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import orjson
from msgspec import UNSET

from driftd.aio import gather_isolated
from driftd.cluster.reader import ApiResource, ClusterReader, Discovery, Listing
from driftd.diff.facts import Bounds, Facts
from driftd.errors import ClusterError
from driftd.model.condition import Condition, Severity
from driftd.model.report import ChangeClass, ResourceReport
from driftd.model.resource import GVK, LiveObject, ResourceKey

Place: TypeAlias = tuple[GVK, str, str]
"""Kind, namespace and name of a live object."""
_NO_SHAPE: Final = (KeyError, TypeError, AttributeError, ValueError)
"""What reading an object raises that has not the shape of its kind."""
UNSEEN: Final = "ControllersUnseen"
"""The condition of an application that has changes which something unreadable might explain."""

_REPLICAS: Final = "/spec/replicas"
_SCALERS: Final = frozenset({"keda", "kube-controller-manager"})
_APPS: Final = frozenset({("apps", kind) for kind in ("Deployment", "ReplicaSet", "StatefulSet")})
_SCALED: Final = _APPS | {("argoproj.io", "Rollout")}
_GATEWAY: Final = "gateway.networking.k8s.io"
_ISTIO: Final = "networking.istio.io"
_ROUTES: Final = frozenset(
    {(_GATEWAY, f"{protocol}Route") for protocol in ("HTTP", "GRPC", "TCP", "TLS")}
)
_TRAFFIC: Final = _ROUTES | {("", "Service"), ("apps", "Deployment"), (_ISTIO, "VirtualService")}


@dataclass(slots=True)
class _Known:
    """Facts under way."""

    autoscaled: dict[ResourceKey, Bounds] = field(default_factory=dict)
    event_scaled: dict[ResourceKey, Bounds] = field(default_factory=dict)
    named: dict[tuple[str, ResourceKey], tuple[str, ...]] = field(default_factory=dict)

    def name(self, role: str, key: ResourceKey, namer: str) -> None:
        """Note that something names an object."""
        self.named[role, key] = (*self.named.get((role, key), ()), namer)


@dataclass(frozen=True, slots=True)
class _Source:
    """A kind that explains what controllers write."""

    gvk: GVK
    explains: frozenset[tuple[str, str]]
    """Group and kind of the objects that are written."""
    managers: frozenset[str]
    read: Callable[[_Known, Mapping[str, Any], Collection[ResourceKey]], None]


async def read_facts(
    reader: ClusterReader,
    discovery: Discovery | None,
    wanted: Mapping[ApiResource, Collection[tuple[str, str]]],
    declared: Collection[ResourceKey],
    *,
    limit: int,
    explaining: dict[Place, LiveObject] | None = None,
) -> tuple[Facts, dict[str, ClusterError]]:
    """What explains the writes of controllers to some objects, and the kinds that were refused.

    `wanted` are the namespaces and names of the objects by kind, `declared` everything that the
    applications of this look declare. Into `explaining` go the live objects that explain any of
    the objects wanted, by kind, namespace and name: a change of one may change an explanation.
    """
    served = _served(discovery, {(resource.group, resource.kind) for resource in wanted})
    keys = {
        ResourceKey(resource.group, resource.kind, namespace, name)
        for resource, places in wanted.items()
        for namespace, name in places
    }

    async def read(one: tuple[_Source, ApiResource]) -> Listing:
        source, resource = one
        places = {
            namespace
            for other, keys in wanted.items()
            if (other.group, other.kind) in source.explains
            for namespace, _ in keys
        }
        return await reader.list(resource, places or None)

    listings = await gather_isolated(read, served, limit=limit, isolate=ClusterError)
    known = _Known()
    problems: dict[str, ClusterError] = {}
    for (source, resource), listing in zip(served, listings, strict=True):
        if isinstance(listing, Exception):
            problems[source.gvk.kind] = _error(listing)
            continue
        for refused in listing.errors.values():
            problems[source.gvk.kind] = refused
        for live in listing.objects:
            try:
                source.read(known, orjson.loads(live.body), declared)
            except _NO_SHAPE:
                continue  # a shape that the kind does not have explains nothing
            if explaining is not None and not keys.isdisjoint(explained(resource.gvk, live.body)):
                explaining[resource.gvk, live.key.namespace, live.key.name] = live
    return Facts(known.autoscaled, known.event_scaled, known.named), problems


def explaining_kinds(
    discovery: Discovery | None, kinds: Collection[tuple[str, str]]
) -> list[ApiResource]:
    """The served kinds whose objects may explain writes to objects of `kinds` (group and kind)."""
    return [resource for _, resource in _served(discovery, kinds)]


def explained(gvk: GVK, body: bytes) -> frozenset[ResourceKey]:
    """The objects to which an object of an explaining kind explains writes; none for others.

    So an object that has appeared or changed tells which looks it may concern, before and after.
    """
    known = _Known()
    for source in _SOURCES:
        if source.gvk == gvk:
            try:
                source.read(known, orjson.loads(body), ())
            except _NO_SHAPE:
                return frozenset()
    return frozenset((*known.autoscaled, *known.event_scaled, *(key for _, key in known.named)))


def _served(
    discovery: Discovery | None, kinds: Collection[tuple[str, str]]
) -> list[tuple[_Source, ApiResource]]:
    found: list[tuple[_Source, ApiResource]] = []
    for source in _SOURCES if discovery is not None else ():
        gvk = source.gvk
        resource = discovery and discovery.served(gvk.group, gvk.version, gvk.kind)
        if resource and not source.explains.isdisjoint(kinds):
            found.append((source, resource))
    return found


def unexplained(
    problems: Mapping[str, ClusterError], resources: Iterable[ResourceReport]
) -> list[Condition]:
    """What to tell of an application with drift that something unreadable might explain."""
    if not problems:
        return []
    writers: set[str] = set()
    for resource in resources:
        for change in resource.changes:
            if change.change_class not in (ChangeClass.DECLARED, ChangeClass.UNDECLARED):
                continue
            if change.manager is not UNSET:
                writers.add(change.manager)
            elif change.path == _REPLICAS:  # who writes through /scale may own nothing
                writers |= _SCALERS
    return [
        Condition(
            UNSEEN,
            f"{source.gvk.kind} objects cannot be read ({problems[source.gvk.kind].message}): what "
            "their controller writes is told as drift; let driftd list them",
            Severity.WARNING,
        )
        for source in _SOURCES
        if source.gvk.kind in problems and not source.managers.isdisjoint(writers)
    ]


def _error(problem: Exception) -> ClusterError:
    return problem if isinstance(problem, ClusterError) else ClusterError(str(problem))


# What each kind says.


def _autoscaler(known: _Known, body: Mapping[str, Any], declared: Collection[ResourceKey]) -> None:
    spec, metadata = body["spec"], body["metadata"]
    maker, maker_key = _maker(metadata)
    own = ResourceKey(
        "autoscaling", "HorizontalPodAutoscaler", metadata["namespace"], metadata["name"]
    )
    known.autoscaled[_target(spec["scaleTargetRef"], metadata)] = Bounds(
        minimum=spec.get("minReplicas", 1),
        maximum=spec.get("maxReplicas", 1),
        name=metadata["name"],
        declared=own in declared or maker_key in declared,
        made_by=maker,
    )


def _maker(metadata: Mapping[str, Any]) -> tuple[str, ResourceKey | None]:
    """What made an object, by its controlling owner reference."""
    for one in metadata.get("ownerReferences") or ():
        if one.get("controller"):
            group = GVK.parse(one["apiVersion"], one["kind"]).group
            key = ResourceKey(group, one["kind"], metadata["namespace"], one["name"])
            return f"{one['kind']} {one['name']}", key
    return "", None


def _scaled_object(
    known: _Known, body: Mapping[str, Any], declared: Collection[ResourceKey]
) -> None:
    spec, metadata = body["spec"], body["metadata"]
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", **spec["scaleTargetRef"]}
    annotations = metadata.get("annotations") or {}
    paused = str(annotations.get("autoscaling.keda.sh/paused-replicas", ""))
    exact = [spec.get("idleReplicaCount"), (spec.get("fallback") or {}).get("replicas")]
    exact.append(int(paused) if paused.isdecimal() else None)
    own = ResourceKey("keda.sh", "ScaledObject", metadata["namespace"], metadata["name"])
    known.event_scaled[_target(reference, metadata)] = Bounds(
        minimum=spec.get("minReplicaCount", 0),
        maximum=spec.get("maxReplicaCount", 100),
        name=metadata["name"],
        kind="ScaledObject",
        declared=own in declared,
        exact=tuple(one for one in exact if type(one) is int),
    )


def _vertical(known: _Known, body: Mapping[str, Any], _: Collection[ResourceKey]) -> None:
    mode = (body["spec"].get("updatePolicy") or {}).get("updateMode", "")
    if not mode.startswith("InPlace"):
        return  # it then evicts Pods, and writes none
    metadata = body["metadata"]
    namer = f"VerticalPodAutoscaler {metadata['name']}"
    known.name("vpa-target", _target(body["spec"]["targetRef"], metadata), namer)


def _rollout(known: _Known, body: Mapping[str, Any], _: Collection[ResourceKey]) -> None:
    spec, metadata = body["spec"], body["metadata"]
    namespace, namer = metadata["namespace"], f"Rollout {metadata['name']}"
    strategy = spec.get("strategy") or {}
    canary, blue = strategy.get("canary") or {}, strategy.get("blueGreen") or {}
    pings = canary.get("pingPong") or {}
    services = (
        blue.get("activeService"), blue.get("previewService"), canary.get("stableService"),
        canary.get("canaryService"), pings.get("pingService"), pings.get("pongService"),
    )  # fmt: skip
    for service in services:
        if service:
            known.name("rollout-service", ResourceKey("", "Service", namespace, service), namer)
    for role, key in _routed(canary.get("trafficRouting") or {}, namespace):
        known.name(role, key, namer)
    workload = spec.get("workloadRef") or {}
    if workload and str(workload.get("scaleDown", "never")).lower() != "never":
        known.name("rollout-workload", _target(workload, metadata), namer)


def _routed(routing: Mapping[str, Any], own: str) -> Iterator[tuple[str, ResourceKey]]:
    """What a Rollout routes traffic with."""
    istio, alb = routing.get("istio") or {}, routing.get("alb") or {}
    for one in [istio.get("virtualService"), *(istio.get("virtualServices") or ())]:
        if one:
            name, _, elsewhere = str(one["name"]).partition(".")  # NAME or NAME.NAMESPACE
            yield "rollout-route", ResourceKey(_ISTIO, "VirtualService", elsewhere or own, name)
    rule = istio.get("destinationRule")
    if rule:
        yield "rollout-route", ResourceKey(_ISTIO, "DestinationRule", own, rule["name"])
    for name in [alb.get("ingress"), *(alb.get("ingresses") or ())]:
        if name:
            yield "rollout-ingress", ResourceKey("networking.k8s.io", "Ingress", own, name)
    plugin = (routing.get("plugins") or {}).get("argoproj-labs/gatewayAPI") or {}
    namespace = plugin.get("namespace") or own
    for _, kind in sorted(_ROUTES):
        field_name = kind[:-5].lower() + "Route"
        listed = [one.get("name") for one in plugin.get(f"{field_name}s") or ()]
        for name in [plugin.get(field_name), *listed]:
            if name:
                yield "rollout-route", ResourceKey(_GATEWAY, kind, namespace, name)


def _canary(known: _Known, body: Mapping[str, Any], _: Collection[ResourceKey]) -> None:
    spec, metadata = body["spec"], body["metadata"]
    namespace, namer = metadata["namespace"], f"Canary {metadata['name']}"
    target = spec["targetRef"]
    known.name("canary-target", _target(target, metadata), namer)
    service = (spec.get("service") or {}).get("name") or target["name"]
    known.name("canary-service", ResourceKey("", "Service", namespace, service), namer)
    for group, kind in ((_ISTIO, "VirtualService"), (_GATEWAY, "HTTPRoute")):
        known.name("canary-route", ResourceKey(group, kind, namespace, service), namer)
    if spec.get("autoscalerRef"):
        known.name("canary-autoscaler", _target(spec["autoscalerRef"], metadata), namer)


def _target(reference: Mapping[str, Any], metadata: Mapping[str, Any]) -> ResourceKey:
    gvk = GVK.parse(reference.get("apiVersion", "apps/v1"), reference["kind"])
    return ResourceKey(gvk.group, gvk.kind, metadata["namespace"], reference["name"])


_SOURCES: Final[Sequence[_Source]] = (
    _Source(
        GVK("autoscaling", "v2", "HorizontalPodAutoscaler"),
        _SCALED,
        frozenset({"kube-controller-manager"}),
        _autoscaler,
    ),
    _Source(
        GVK("keda.sh", "v1alpha1", "ScaledObject"), _SCALED, frozenset({"keda"}), _scaled_object
    ),
    _Source(
        GVK("autoscaling.k8s.io", "v1", "VerticalPodAutoscaler"),
        frozenset({("", "Pod")}),
        frozenset({"updater", "vpa-updater"}),
        _vertical,
    ),
    _Source(
        GVK("argoproj.io", "v1alpha1", "Rollout"),
        _TRAFFIC | {(_ISTIO, "DestinationRule"), ("networking.k8s.io", "Ingress")},
        frozenset({"rollouts-controller", "gatewayAPI"}),
        _rollout,
    ),
    _Source(
        GVK("flagger.app", "v1beta1", "Canary"),
        _TRAFFIC | {("keda.sh", "ScaledObject")},
        frozenset({"flagger"}),
        _canary,
    ),
)
