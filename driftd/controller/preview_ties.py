"""What holds objects together by labels, ports and volumes rather than by an object's name. Pure.

Selectors and the Pods they take, ports that probes, Services, Ingresses and NetworkPolicies name,
mounts, containers that autoscalers and fields of containers name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import orjson

from driftd.controller.preview_names import (
    Body,
    Reference,
    Step,
    backends,
    pod_steps,
    references,
)
from driftd.model.resource import Manifest, ResourceKey

_PROBES: Final = (
    ("livenessProbe",),
    ("readinessProbe",),
    ("startupProbe",),
    ("lifecycle", "postStart"),
    ("lifecycle", "preStop"),
)
_SHAPES: Final = (KeyError, TypeError, AttributeError, ValueError, IndexError)
"""What reading an object raises that has not the shape of its kind."""
_INJECTED_PORTS: Final = ("linkerd-", "http-envoy-prom", "istio")
"""How the ports of containers begin that a mesh adds to Pods, whatever their template says."""
_INJECTED: Final = ("inject", "dapr.io/")
"""What is in the labels and annotations by which Pods ask for containers that are added."""


class Tie(NamedTuple):
    """A reference of an object by something else than another object's name."""

    steps: tuple[Step, ...]
    """From the object's root to the field that refers."""
    place: str
    """The field as messages write it."""
    named: str
    """What it names."""
    why: str = ""
    """Why it names nothing; empty where it does."""
    sure: bool = True
    """Whether nothing that Git does not declare can be what is named."""
    ends: tuple[ResourceKey, ...] = ()
    """What is at its other end: the workloads whose Pods a selector takes, a port's Service."""

    @property
    def slot(self) -> tuple[str, ...]:
        """The kind of place, whatever the items of its lists are called."""
        fields = (step for step in self.steps if isinstance(step, str))
        return tuple("containers" if one == "initContainers" else one for one in fields)


class Template(NamedTuple):
    """What a Pod of a workload has."""

    key: ResourceKey
    labels: Mapping[str, Any]
    ports: frozenset[str]
    """The names of its containers' ports."""
    containers: frozenset[str]
    """The names of its containers."""
    injected: bool
    """Whether it asks for containers that its template does not have."""


class Declaration:
    """The objects of one side, as references look for them."""

    def __init__(self, manifests: Iterable[Manifest]) -> None:
        self.manifests = {one.key: one for one in manifests}
        self.bodies = {key: orjson.loads(one.body) for key, one in self.manifests.items()}
        self.templates: dict[str, list[Template]] = defaultdict(list)
        for key, body in self.bodies.items():
            try:
                pod = _pod(body)
                if pod is not None:
                    self.templates[key.namespace].append(_template(key, pod))
            except _SHAPES:
                continue  # the comparison says what is wrong with it

    def ties(self) -> dict[ResourceKey, list[Tie]]:
        """What each object is tied to."""
        found: dict[ResourceKey, list[Tie]] = {}
        for key, body in self.bodies.items():
            for read in (*_READERS.get((key.group, key.kind), ()), _probes, _resources):
                try:
                    found.setdefault(key, []).extend(list(read(self, key, body)))
                except _SHAPES:
                    continue
        return found

    def names(self) -> dict[ResourceKey, list[Reference]]:
        """What each object names."""
        found: dict[ResourceKey, list[Reference]] = {}
        for key, body in self.bodies.items():
            try:
                found[key] = list(references(key, body))
            except _SHAPES:
                continue
        return found

    def selected(self, namespace: str, selector: Mapping[str, Any]) -> list[Template]:
        """The Pod templates that a selector of labels takes."""
        return [one for one in self.templates[namespace] if selector.items() <= one.labels.items()]


def _pod(body: Body) -> Mapping[str, Any] | None:
    """The Pod, or template of Pods, that an object is or has."""
    steps = pod_steps(body)
    if steps is None:
        return None
    pod = body
    for step in steps[:-1]:
        pod = pod[step]
    return pod


def _containers(body: Body) -> Iterator[tuple[tuple[Step, ...], str, Body]]:
    """Each container of an object's Pods, with its steps and how messages call it."""
    root = pod_steps(body)
    if root is None:
        return
    spec: Any = body
    for step in root:
        spec = spec[step]
    for field in ("initContainers", "containers"):
        for one in spec.get(field) or ():
            yield (*root, field, ("name", one["name"])), f"{field}[name={one['name']}]", one


def _template(key: ResourceKey, pod: Body) -> Template:
    spec, metadata = pod["spec"], pod.get("metadata") or {}
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    ports = [port for one in containers for port in one.get("ports") or ()]
    labels = metadata.get("labels") or {}
    marks = [*labels, *(metadata.get("annotations") or ())]
    return Template(
        key,
        labels,
        frozenset(str(port["name"]) for port in ports if "name" in port),
        frozenset(str(one["name"]) for one in containers),
        any(part in mark for mark in marks for part in _INJECTED),
    )


def _service(declared: Declaration, key: ResourceKey, body: Body) -> Iterator[Tie]:
    spec = body["spec"]
    selector = spec.get("selector")
    if not selector or spec.get("type") == "ExternalName":
        return
    pods = declared.selected(key.namespace, selector)
    yield _selector(pods, selector, ("spec", "selector"))
    named = frozenset(name for pod in pods for name in pod.ports)
    sure = not any(pod.injected for pod in pods)
    for at, port in enumerate(spec.get("ports") or ()):
        target = port.get("targetPort")
        if pods and isinstance(target, str) and not target.isdecimal():
            why = "" if target in named else f"{target} is no port of the Pods that it selects"
            yield Tie(
                ("spec", "ports", at, "targetPort"),
                f"spec.ports[port={port['port']}].targetPort",
                target,
                why,
                sure and not target.startswith(_INJECTED_PORTS),
            )


def _selector(
    pods: Iterable[Template],
    labels: Mapping[str, Any],
    steps: tuple[Step, ...],
    place: str = "spec.selector",
) -> Tie:
    ends = tuple(pod.key for pod in pods)
    told = ", ".join(f"{name}={value}" for name, value in sorted(labels.items()))
    why = "" if ends else f"{told} selects no Pods of the application"
    # Another application, or an operator, may make the Pods that are meant.
    return Tie(steps, place, told, why, sure=False, ends=ends)


def _budget(declared: Declaration, key: ResourceKey, body: Body) -> Iterator[Tie]:
    labels = (body["spec"].get("selector") or {}).get("matchLabels")
    if labels and not body["spec"]["selector"].get("matchExpressions"):
        pods = declared.selected(key.namespace, labels)
        yield _selector(pods, labels, ("spec", "selector", "matchLabels"))


def _policy(declared: Declaration, key: ResourceKey, body: Body) -> Iterator[Tie]:
    selector = body["spec"].get("podSelector") or {}
    labels = selector.get("matchLabels")
    if labels and not selector.get("matchExpressions"):
        pods = declared.selected(key.namespace, labels)
        yield _selector(pods, labels, ("spec", "podSelector", "matchLabels"), "spec.podSelector")
        yield from _opened(pods, body["spec"])


def _opened(pods: list[Template], spec: Body) -> Iterator[Tie]:
    """The ports by name that a NetworkPolicy opens of Pods that the application has."""
    named = frozenset(name for pod in pods for name in pod.ports)
    for number, rule in enumerate(spec.get("ingress") or ()):
        for at, one in enumerate(rule.get("ports") or ()):
            port = one.get("port")
            if pods and isinstance(port, str) and not port.isdecimal():
                yield Tie(
                    ("spec", "ingress", number, "ports", at, "port"),
                    f"spec.ingress[{number}].ports[{at}].port",
                    port,
                    "" if port in named else f"{port} is no port of the Pods that it selects",
                    # It may be open for Pods of other applications that have the labels too.
                    sure=False,
                )


def _scaler(declared: Declaration, key: ResourceKey, body: Body) -> Iterator[Tie]:
    """The containers whose resources an autoscaler's metrics are about."""
    target = body["spec"]["scaleTargetRef"]
    group = target["apiVersion"].rpartition("/")[0]
    scaled = ResourceKey(group, target["kind"], key.namespace, target["name"])
    pod = next((one for one in declared.templates[key.namespace] if one.key == scaled), None)
    for at, metric in enumerate(body["spec"].get("metrics") or ()):
        name = (metric.get("containerResource") or {}).get("container")
        if pod is not None and name:
            yield Tie(
                ("spec", "metrics", at, "containerResource", "container"),
                f"spec.metrics[{at}].containerResource.container",
                name,
                ""
                if name in pod.containers
                else f"{name} is no container of {scaled.kind} {scaled.name}",
                not pod.injected,
                (scaled,),
            )


def _ingress(declared: Declaration, key: ResourceKey, body: Body) -> Iterator[Tie]:
    for steps, place, service in backends(body["spec"]):
        name, port = service["name"], service.get("port") or {}
        service_key = ResourceKey("", "Service", key.namespace, name)
        behind = declared.bodies.get(service_key)
        field = "name" if port.get("name") else "number"
        wanted = port.get(field)
        if behind is None or wanted in (None, "use-annotation"):
            continue
        ports = behind["spec"].get("ports") or ()
        there = any(wanted in (one.get("name"), one["port"]) for one in ports)
        why = f"names port {wanted}, which Service {name} does not have"
        yield Tie(
            ("spec", *steps, "port", field),
            f"spec.{place}",
            str(wanted),
            "" if there else why,
            bool(ports),
            (service_key,),
        )


def _mounts(_: Declaration, key: ResourceKey, body: Body) -> Iterator[Tie]:
    """A StatefulSet's: of other kinds the API server refuses a mount without a volume."""
    template = body["spec"]["template"]
    claims = body["spec"].get("volumeClaimTemplates") or ()
    volumes = {one["name"] for one in template["spec"].get("volumes") or ()}
    volumes |= {one["metadata"]["name"] for one in claims}
    sure = not _template(key, template).injected
    for steps, place, container in _containers(body):
        for field, path in (("volumeMounts", "mountPath"), ("volumeDevices", "devicePath")):
            for at, mount in enumerate(container.get(field) or ()):
                name = mount["name"]
                why = f"names {name}, which is neither a volume nor a claim template"
                yield Tie(
                    (*steps, field, at, "name"),
                    f"{place}.{field}[{mount[path]}]",
                    name,
                    "" if name in volumes else why,
                    sure,
                )


def _probes(_: Declaration, __: ResourceKey, body: Body) -> Iterator[Tie]:
    """The ports of their own container that probes and hooks of its life name."""
    for steps, place, container in _containers(body):
        ports = {one.get("name") for one in container.get("ports") or ()}
        for probe in _PROBES:
            holder: Any = container
            for step in probe:
                holder = holder.get(step) or {}
            for how in ("httpGet", "tcpSocket"):
                port = (holder.get(how) or {}).get("port")
                if isinstance(port, str) and not port.isdecimal():
                    yield Tie(
                        (*steps, *probe, how, "port"),
                        f"{place}.{'.'.join(probe)}.{how}.port",
                        port,
                        "" if port in ports else f"{port} is no port of the container",
                    )


def _resources(_: Declaration, key: ResourceKey, body: Body) -> Iterator[Tie]:
    """The containers of their own Pod whose requests and limits variables and files take."""
    pod = _pod(body)
    if pod is None:
        return
    template = _template(key, pod)
    for steps, place, source in _sources(body, pod["spec"]):
        name = (source.get("resourceFieldRef") or {}).get("containerName")
        if name:
            yield Tie(
                (*steps, "resourceFieldRef", "containerName"),
                f"{place}.resourceFieldRef.containerName",
                name,
                "" if name in template.containers else f"{name} is no container of the Pod",
                not template.injected,
            )


def _sources(body: Body, spec: Body) -> Iterator[tuple[tuple[Step, ...], str, Body]]:
    """What variables and files of the downward API are taken from, with steps and place."""
    for steps, place, container in _containers(body):
        for one in container.get("env") or ():
            text = f"{place}.env[name={one['name']}].valueFrom"
            at = (*steps, "env", ("name", str(one["name"])), "valueFrom")
            yield at, text, one.get("valueFrom") or {}
    root = pod_steps(body) or ()
    for volume in spec.get("volumes") or ():
        name = f"volumes[name={volume['name']}]"
        held: list[tuple[tuple[Step, ...], Body]] = [((), volume)]
        projected = volume.get("projected") or {}
        for number, one in enumerate(projected.get("sources") or ()):
            held.append((("projected", "sources", number), one))
        for inner, holder in held:
            for index, item in enumerate((holder.get("downwardAPI") or {}).get("items") or ()):
                begin = (*root, "volumes", ("name", str(volume["name"])), *inner)
                steps = (*begin, "downwardAPI", "items", index)
                yield steps, f"{name}.downwardAPI.items[{item['path']}]", item


_READERS: Final = {
    ("autoscaling", "HorizontalPodAutoscaler"): (_scaler,),
    ("", "Service"): (_service,),
    ("networking.k8s.io", "Ingress"): (_ingress,),
    ("networking.k8s.io", "NetworkPolicy"): (_policy,),
    ("policy", "PodDisruptionBudget"): (_budget,),
    ("apps", "StatefulSet"): (_mounts,),
}
