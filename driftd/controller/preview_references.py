"""References between objects of one application that a change breaks. Pure.

Only what was whole at the base and names nothing afterwards is told, and of the fields that only
objects of the same namespace can satisfy: what another application declares is not known here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from driftd.model.condition import Condition, Severity
from driftd.model.resource import GVK, Manifest, ResourceKey

DANGLING: Final = "DanglingReference"
_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_SHAPES: Final = (KeyError, TypeError, AttributeError, ValueError)
"""What reading an object raises that has not the shape of its kind."""

Found = Iterator[tuple[str, str]]
"""The place of each reference of an object, and why it names nothing; empty where it does."""


class _Template(NamedTuple):
    """What a Pod of a workload has."""

    labels: Mapping[str, Any]
    ports: frozenset[str]
    """The names of its containers' ports."""


class _Declared:
    """The objects of one side, as references look for them."""

    def __init__(self, manifests: Iterable[Manifest]) -> None:
        self.bodies = {one.key: orjson.loads(one.body) for one in manifests}
        self.templates: dict[str, list[_Template]] = defaultdict(list)
        for key, body in self.bodies.items():
            try:
                pod = _pod(body)
                if pod is not None:
                    self.templates[key.namespace].append(_template(pod))
            except _SHAPES:
                continue  # the comparison says what is wrong with it

    def references(self) -> dict[tuple[ResourceKey, str], str]:
        """By object and place: why it names nothing, or an empty text."""
        found: dict[tuple[ResourceKey, str], str] = {}
        for key, body in self.bodies.items():
            for read in (*_READERS.get((key.group, key.kind), ()), _inside):
                try:
                    found |= {(key, place): why for place, why in read(self, key, body)}
                except _SHAPES:
                    continue
        return found

    def selected(self, namespace: str, selector: Mapping[str, Any]) -> list[_Template]:
        """The Pod templates that a selector of labels takes."""
        return [one for one in self.templates[namespace] if selector.items() <= one.labels.items()]


def broken_references(before: Sequence[Manifest], after: Sequence[Manifest]) -> Iterator[Condition]:
    """A warning for each reference that named something at the base and names nothing now.

    `before` and `after` are everything that one application declares on both sides.
    """
    old, new = _Declared(before).references(), _Declared(after).references()
    origins = {one.key: one.origin for one in after}
    for (key, place), why in sorted(new.items()):
        if why and old.get((key, place)) == "":
            origin = origins[key]
            line = f":{origin.line}" if origin.line else ""
            at = f"{origin.file}{line}: " if origin.file else ""
            text = f"{at}{key}: {place} {why}; at the base it was whole"
            yield Condition(DANGLING, text, Severity.WARNING)


def _pod(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The Pod, or template of Pods, that an object is or has."""
    if body["kind"] == "Pod":
        return body
    spec = body.get("spec")
    if not isinstance(spec, dict):
        return None
    job = spec.get("jobTemplate")
    template = (job["spec"] if isinstance(job, dict) else spec).get("template")
    return template if isinstance(template, dict) and "spec" in template else None


def _containers(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    spec = pod["spec"]
    return [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]


def _template(pod: Mapping[str, Any]) -> _Template:
    ports = [port for one in _containers(pod) for port in one.get("ports") or ()]
    labels = (pod.get("metadata") or {}).get("labels") or {}
    return _Template(labels, frozenset(str(port["name"]) for port in ports if "name" in port))


def _autoscaler(declared: _Declared, key: ResourceKey, body: Mapping[str, Any]) -> Found:
    target = body["spec"]["scaleTargetRef"]
    group = GVK.parse(target["apiVersion"], target["kind"]).group
    there = ResourceKey(group, target["kind"], key.namespace, target["name"]) in declared.bodies
    why = f"names {target['kind']} {target['name']}, which the application does not declare"
    yield "spec.scaleTargetRef", "" if there else why


def _service(declared: _Declared, key: ResourceKey, body: Mapping[str, Any]) -> Found:
    spec = body["spec"]
    selector = spec.get("selector")
    if not selector or spec.get("type") == "ExternalName":
        return
    pods = declared.selected(key.namespace, selector)
    told = ", ".join(f"{name}={value}" for name, value in sorted(selector.items()))
    yield "spec.selector", "" if pods else f"{told} selects no Pods of the application"
    named = frozenset(name for pod in pods for name in pod.ports)
    for port in spec.get("ports") or ():
        target = port.get("targetPort")
        if pods and isinstance(target, str) and not target.isdecimal():
            why = "" if target in named else f"{target} is no port of the Pods that it selects"
            yield f"spec.ports[port={port['port']}].targetPort", why


def _ingress(declared: _Declared, key: ResourceKey, body: Mapping[str, Any]) -> Found:
    spec = body["spec"]
    backends = {"spec.defaultBackend": spec.get("defaultBackend") or {}}
    for rule in spec.get("rules") or ():
        for path in (rule.get("http") or {}).get("paths") or ():
            place = f"spec.rules[host={rule.get('host', '*')}].paths[{path.get('path', '/')}]"
            backends[place] = path["backend"]
    for place, backend in backends.items():
        if service := backend.get("service"):
            yield f"{place}.service", _backend(declared, key.namespace, service)


def _backend(declared: _Declared, namespace: str, service: Mapping[str, Any]) -> str:
    name, port = service["name"], service.get("port") or {}
    body = declared.bodies.get(ResourceKey("", "Service", namespace, name))
    if body is None:
        return f"names Service {name}, which the application does not declare"
    wanted = port.get("name") or port.get("number")
    ports = body["spec"].get("ports") or ()
    if wanted is None or any(wanted in (one.get("name"), one["port"]) for one in ports):
        return ""
    return f"names port {wanted}, which Service {name} does not have"


def _mounts(_: _Declared, __: ResourceKey, body: Mapping[str, Any]) -> Found:
    """A StatefulSet's: of other kinds the API server refuses a mount without a volume."""
    pod = body["spec"]["template"]
    claims = body["spec"].get("volumeClaimTemplates") or ()
    volumes = {one["name"] for one in pod["spec"].get("volumes") or ()}
    volumes |= {one["metadata"]["name"] for one in claims}
    for container in _containers(pod):
        for mount in container.get("volumeMounts") or ():
            place = f"containers[name={container['name']}].volumeMounts[{mount['mountPath']}]"
            why = f"names {mount['name']}, which is neither a volume nor a claim template"
            yield place, "" if mount["name"] in volumes else why


def _inside(_: _Declared, __: ResourceKey, body: Mapping[str, Any]) -> Found:
    """The ports of their own container that probes name."""
    pod = _pod(body)
    for container in _containers(pod) if pod is not None else ():
        ports = {one.get("name") for one in container.get("ports") or ()}
        for probe in _PROBES:
            for how in ("httpGet", "tcpSocket"):
                port = ((container.get(probe) or {}).get(how) or {}).get("port")
                if isinstance(port, str) and not port.isdecimal():
                    why = "" if port in ports else f"{port} is no port of the container"
                    yield f"containers[name={container['name']}].{probe}.{how}.port", why


_READERS: Final = {
    ("autoscaling", "HorizontalPodAutoscaler"): (_autoscaler,),
    ("", "Service"): (_service,),
    ("networking.k8s.io", "Ingress"): (_ingress,),
    ("apps", "StatefulSet"): (_mounts,),
}
