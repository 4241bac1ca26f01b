"""References between the objects of a cluster that a change breaks. Pure.

Only what was whole at the base and names nothing afterwards is told, and names that are slips of
declared ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from driftd.controller.preview_moves import moves
from driftd.controller.preview_names import (
    Reference,
    backends,
    keys_of,
    may_make,
    pod_steps,
    references,
    slip_of,
)
from driftd.model.condition import Condition, Severity
from driftd.model.resource import Manifest, ResourceKey

DANGLING: Final = "DanglingReference"
_EVERYWHERE: Final = frozenset({"default", "kube-root-ca.crt"})
"""Names that Kubernetes gives to an object in each namespace."""
_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_SHAPES: Final = (KeyError, TypeError, AttributeError, ValueError)
"""What reading an object raises that has not the shape of its kind."""

Found = Iterator[tuple[str, str]]
"""The place of each reference of an object, and why it names nothing; empty where it does."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What the other applications of the cluster declare on both sides, as far as it is known."""

    before: frozenset[ResourceKey] = frozenset()
    after: frozenset[ResourceKey] = frozenset()
    gone: tuple[Manifest, ...] = ()
    """What one of them declares at the base and none with the change."""
    moved: Mapping[ResourceKey, ResourceKey] = field(default_factory=dict)
    """The key at the base of what goes to another namespace, also of another application."""


class Broken(NamedTuple):
    """A reference that a change breaks."""

    manifest: Manifest
    """The object with the reference, as the change has it."""
    told: str
    """The object, the place and why, without file and line."""
    ssa_path: str = ""
    """The field, where one alone holds it."""
    looked_in: frozenset[str] = frozenset()
    """The namespaces in which what is named may be declared."""
    type: str = DANGLING

    def condition(self, at: str = "") -> Condition:
        """The warning; `at` is `FILE:LINE`, if it is known better than the object's own."""
        origin = self.manifest.origin
        line = f":{origin.line}" if origin.line else ""
        at = at or (f"{origin.file}{line}" if origin.file else "")
        return Condition(self.type, f"{at}: {self.told}" if at else self.told, Severity.WARNING)


class _Template(NamedTuple):
    """What a Pod of a workload has."""

    labels: Mapping[str, Any]
    ports: frozenset[str]
    """The names of its containers' ports."""


class _Declared:
    """The objects of one side, as references look for them."""

    def __init__(self, manifests: Iterable[Manifest]) -> None:
        self.manifests = {one.key: one for one in manifests}
        self.bodies = {key: orjson.loads(one.body) for key, one in self.manifests.items()}
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

    def names(self) -> dict[ResourceKey, list[Reference]]:
        """What each object names."""
        found: dict[ResourceKey, list[Reference]] = {}
        for key, body in self.bodies.items():
            try:
                found[key] = list(references(key, body))
            except _SHAPES:
                continue
        return found

    def selected(self, namespace: str, selector: Mapping[str, Any]) -> list[_Template]:
        """The Pod templates that a selector of labels takes."""
        return [one for one in self.templates[namespace] if selector.items() <= one.labels.items()]


def broken_references(
    before: Sequence[Manifest], after: Sequence[Manifest], elsewhere: Elsewhere | None = None
) -> Iterator[Broken]:
    """Each reference that named something at the base and names nothing now, and slips in names.

    `before` and `after` are everything that one application declares on both sides.
    """
    elsewhere = elsewhere or Elsewhere()
    old, new = _Declared([*elsewhere.gone, *before]), _Declared(after)
    own = moves([one.key for one in before], new.manifests)
    moved = {**elsewhere.moved, **own}
    known = old.references()
    for (key, place), why in sorted(new.references().items()):
        if why and known.get((moved.get(key, key), place)) == "":
            told = f"{key}: {place} {why}; at the base it was whole"
            yield Broken(new.manifests[key], told, looked_in=frozenset({key.namespace}))
    yield from _Names(old, new, moved, elsewhere).broken()


class _Object(NamedTuple):
    """An object that names others."""

    namespace: str
    was_in: str
    """Its namespace at the base."""
    known: list[Reference]
    """What it named at the base; of what has moved with it, where that is now."""
    now: list[Reference]

    def name(self, key: ResourceKey) -> str:
        """Another object, with its namespace where that is another one."""
        place = f"{key.namespace}/" if key.namespace not in ("", self.namespace) else ""
        return f"{key.kind} {place}{key.name}"


class _Names:
    """The names of both sides that objects call one another by."""

    def __init__(
        self,
        old: _Declared,
        new: _Declared,
        moved: Mapping[ResourceKey, ResourceKey],
        elsewhere: Elsewhere,
    ) -> None:
        self.old, self.new, self.moved = old, new, moved
        self.goes = {was: key for key, was in moved.items()}
        self.before = old.bodies.keys() | elsewhere.before
        self.after = new.bodies.keys() | elsewhere.after

    def broken(self) -> Iterator[Broken]:
        """A warning for each name that the change takes away or gets wrong."""
        named = self.old.names()
        for key, found in sorted(self.new.names().items()):
            was = self.moved.get(key, key)
            known = [self._carried(one) for one in named.get(was, [])]
            of = _Object(key.namespace, was.namespace, known, found)
            for one in found:
                why = self._why(one, of)
                if why:
                    told = f"{key}: {one.place} names {why}"
                    spaces = frozenset({of.namespace, of.was_in, one.target.namespace})
                    yield Broken(self.new.manifests[key], told, one.ssa_path, spaces)

    def _carried(self, one: Reference) -> Reference:
        """A reference of the base, as it is where its target has moved too."""
        return one._replace(target=self.goes.get(one.target, one.target))

    def _why(self, one: Reference, of: _Object) -> str:
        """Why a reference of an object names nothing; empty where it does, or may."""
        target = one.target
        if target in self.after:
            return self._entry(one, of) if one.entry else ""
        if one.entry:
            return ""  # of the whole object it is said already
        if target in self.before:
            return "" if self._is_made(target, changed=True) else self._gone(one, of)
        left = ResourceKey(target.group, target.kind, of.was_in, target.name)
        if left != target and any(each.target == left for each in of.known):
            return "" if self._is_made(target) else self._left(one, left)
        if any(each.target == target for each in of.known) or self._is_made(target):
            return ""
        return self._slip(one, of)

    def _left(self, one: Reference, left: ResourceKey) -> str:
        """Of a name that an object has taken along to a namespace without such an object."""
        name = _name(left)
        if left in self.after:
            return f"{name}, which stays in namespace {left.namespace}"
        if left in self.before:
            return f"{name} of namespace {left.namespace}, which the change takes away"
        if not one.root or one.target.name in _EVERYWHERE:
            return ""  # such as the Secret that cert-manager makes for each Ingress
        return (
            f"{name}, which no application declares in namespace {one.target.namespace}: what the "
            f"Pods used in namespace {left.namespace} does not move with them"
        )

    def _gone(self, one: Reference, of: _Object) -> str:
        target = one.target
        if (goes := self.goes.get(target)) is not None:
            return f"{of.name(target)}, which the change moves to namespace {goes.namespace}"
        whole = any(each.target == target for each in of.known)
        near = self._near(target, self.after - self.before, only=True)
        end = "; at the base it was whole" if whole else ""
        return f"{of.name(target)}, which the change takes away{end}{_meant(near)}"

    def _slip(self, one: Reference, of: _Object) -> str:
        """Of a name that neither side declares: what is probably meant by it."""
        target, named = one.target, {each.target for each in of.now}
        here = {each.target for each in of.now if each.slot == one.slot}
        lost = [
            each.target for each in of.known if each.slot == one.slot and each.target not in here
        ]
        was = next((each for each in lost if each in self.before), None)
        lead = f"{of.name(target)}, which no application declares"
        if was is not None:
            near = self._near(target, self.after)
            return f"{lead}; at the base it was {of.name(was)}{_meant(near)}"
        near = self._near(target, self.after - named, sure=True)
        return f"{lead}{_meant(near)}" if near else ""

    def _entry(self, one: Reference, of: _Object) -> str:
        """Why a key of a ConfigMap or Secret is not there, where there was one at the base."""
        was = self.moved.get(one.target, one.target)
        old, new = self.old.bodies.get(was), self.new.bodies.get(one.target)
        if old is None or new is None or one.entry in keys_of(new):
            return ""
        if one.entry in keys_of(old):
            return f"key {one.entry}, which {_name(one.target)} no longer has"
        asked = {
            each.entry for each in of.known if (each.slot, each.target) == (one.slot, one.target)
        }
        if one.entry in asked or not asked & keys_of(old):
            return ""
        near = _meant(slip_of(one.entry, keys_of(new)))
        return f"key {one.entry}, which {_name(one.target)} does not have{near}"

    def _near(
        self,
        target: ResourceKey,
        known: Iterable[ResourceKey],
        *,
        sure: bool = False,
        only: bool = False,
    ) -> str:
        """The name that was probably meant; if `only`, any where there is but one."""
        alike = [
            each.name
            for each in known
            if (each.group, each.kind, each.namespace)
            == (target.group, target.kind, target.namespace)
        ]
        return alike[0] if only and len(alike) == 1 else slip_of(target.name, alike, sure=sure)

    def _is_made(self, target: ResourceKey, *, changed: bool = False) -> bool:
        """Whether a custom object may make the target; if `changed`, one that the change brings."""
        return any(
            may_make(target, key, one.body)
            for key, one in self.new.manifests.items()
            if not (changed and key in self.old.manifests)
            or self.old.manifests[key].body != one.body
        )


def _name(key: ResourceKey) -> str:
    return f"{key.kind} {key.name}"


def _meant(near: str) -> str:
    return f"; did you mean {near}?" if near else ""


def _pod(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The Pod, or template of Pods, that an object is or has."""
    steps = pod_steps(body)
    if steps is None:
        return None
    pod = body
    for step in steps[:-1]:
        pod = pod[step]
    return pod


def _containers(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    spec = pod["spec"]
    return [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]


def _template(pod: Mapping[str, Any]) -> _Template:
    ports = [port for one in _containers(pod) for port in one.get("ports") or ()]
    labels = (pod.get("metadata") or {}).get("labels") or {}
    return _Template(labels, frozenset(str(port["name"]) for port in ports if "name" in port))


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


def _budget(declared: _Declared, key: ResourceKey, body: Mapping[str, Any]) -> Found:
    labels = (body["spec"].get("selector") or {}).get("matchLabels")
    if labels and not body["spec"]["selector"].get("matchExpressions"):
        told = ", ".join(f"{name}={value}" for name, value in sorted(labels.items()))
        why = f"{told} selects no Pods of the application"
        yield "spec.selector", "" if declared.selected(key.namespace, labels) else why


def _ingress(declared: _Declared, key: ResourceKey, body: Mapping[str, Any]) -> Found:
    for _, place, service in backends(body["spec"]):
        name, port = service["name"], service.get("port") or {}
        behind = declared.bodies.get(ResourceKey("", "Service", key.namespace, name))
        wanted = port.get("name") or port.get("number")
        if behind is not None and wanted is not None:
            ports = behind["spec"].get("ports") or ()
            there = any(wanted in (one.get("name"), one["port"]) for one in ports)
            why = f"names port {wanted}, which Service {name} does not have"
            yield f"spec.{place}", "" if there else why


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
    ("", "Service"): (_service,),
    ("networking.k8s.io", "Ingress"): (_ingress,),
    ("policy", "PodDisruptionBudget"): (_budget,),
    ("apps", "StatefulSet"): (_mounts,),
}
