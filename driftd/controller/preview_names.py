"""The objects that others name (a ConfigMap in `envFrom`, a Service in an Ingress). Pure.

A name that Git declares nowhere is no mistake as such: operators and people make objects too.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from driftd.model.resource import GVK, ResourceKey

Body = Mapping[str, Any]
Step = str | int | tuple[str, str]
"""A field, the position of a list's item, or an item's key and its value."""
_LIKENESS: Final = 0.85
"""How alike two names are (difflib's ratio) that one is taken for a slip of the other."""
_HASH: Final = re.compile(r"-[bcdfghkmt2456789]{10}$")
"""What Kustomize adds to the names of what it generates."""
_BUILT_IN: Final = frozenset({"", "apps", "batch", "autoscaling", "policy", "extensions"})
_RBAC: Final = "rbac.authorization.k8s.io"


class Reference(NamedTuple):
    """A place of an object that names another object."""

    steps: tuple[Step, ...]
    """From the object's root to what names it."""
    target: ResourceKey
    entry: str = ""
    """The key of its data that is asked for; empty where it is the object as a whole."""
    root: int = 0
    """How many of the first steps the text of the place leaves out."""
    written: str = ""
    """The place as messages write it, where its steps do not say it well."""

    @property
    def place(self) -> str:
        """As messages write it: `containers[name=web].envFrom[0].configMapRef.name`."""
        if self.written:
            return self.written
        text = ""
        for step in self.steps[self.root :]:
            if isinstance(step, str):
                text += f".{step}" if text else step
            else:
                text += f"[{step}]" if isinstance(step, int) else f"[{step[0]}={step[1]}]"
        return text

    @property
    def slot(self) -> tuple[Step, ...]:
        """The place without positions, which items of a list lose when others go."""
        return tuple(step for step in self.steps if not isinstance(step, int))

    @property
    def ssa_path(self) -> str:
        """The place as an `ssaPath`."""
        return ssa_path(self.steps)


def ssa_path(steps: Iterable[Step]) -> str:
    """A place as an `ssaPath`."""
    return "/".join(_ssa(step) for step in steps)


def _ssa(step: Step) -> str:
    if isinstance(step, str):
        return f"f:{step}"
    if isinstance(step, int):
        return f"i:{step}"
    value = step[1].replace("\\", "\\\\").replace('"', '\\"')
    return f'k:{{"{step[0]}":"{value}"}}'


def references(key: ResourceKey, body: Body) -> Iterator[Reference]:
    """What an object names in its own namespace and may not be absent.

    Raises KeyError, TypeError, AttributeError or ValueError where it has not its kind's shape.
    """
    read = _READERS.get((key.group, key.kind))
    if read is not None:
        yield from read(key.namespace, body)
    root = pod_steps(body)
    if root is not None:
        spec: Any = body
        for step in root:
            spec = spec[step]
        for steps, target, entry in _of_pod(key.namespace, spec):
            yield Reference((*root, *steps), target, entry, len(root))


def pod_steps(body: Body) -> tuple[str, ...] | None:
    """The fields that lead to the spec of the Pod, or template of Pods, that an object has."""
    if body["kind"] == "Pod":
        return ("spec",)
    spec = body.get("spec")
    if not isinstance(spec, dict):
        return None
    job = spec.get("jobTemplate")
    steps = ("spec", "jobTemplate", "spec") if isinstance(job, dict) else ("spec",)
    template = (job["spec"] if isinstance(job, dict) else spec).get("template")
    whole = isinstance(template, dict) and isinstance(template.get("spec"), dict)
    return (*steps, "template", "spec") if whole else None


Named = Iterator[tuple[tuple[Step, ...], ResourceKey, str]]


def _of_pod(namespace: str, spec: Body) -> Named:
    # `serviceAccount` is an alias that counts where the other is not given.
    named = "serviceAccountName" if spec.get("serviceAccountName") else "serviceAccount"
    account = spec.get(named)
    if account and account != "default":
        yield (named,), ResourceKey("", "ServiceAccount", namespace, account), ""
    if name := spec.get("priorityClassName"):
        key = ResourceKey("scheduling.k8s.io", "PriorityClass", "", name)
        yield ("priorityClassName",), key, ""
    for index, one in enumerate(spec.get("imagePullSecrets") or ()):
        yield ("imagePullSecrets", index), ResourceKey("", "Secret", namespace, one["name"]), ""
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(field) or ():
            root = (field, ("name", container["name"]))
            for steps, target, entry in _of_container(namespace, container):
                yield (*root, *steps), target, entry
    for volume in spec.get("volumes") or ():
        root = ("volumes", ("name", volume["name"]))
        for steps, target, entry in _of_volume(namespace, volume):
            yield (*root, *steps), target, entry


def _of_container(namespace: str, container: Body) -> Named:
    for index, one in enumerate(container.get("envFrom") or ()):
        for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            yield from _data(namespace, one, field, kind, ("envFrom", index))
    for one in container.get("env") or ():
        source, at = one.get("valueFrom") or {}, ("env", ("name", one["name"]), "valueFrom")
        for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
            yield from _data(namespace, source, field, kind, at)


def _of_volume(namespace: str, volume: Body) -> Named:
    yield from _data(namespace, volume, "configMap", "ConfigMap", ())
    yield from _data(namespace, volume, "secret", "Secret", (), name="secretName")
    if claim := volume.get("persistentVolumeClaim"):
        key = ResourceKey("", "PersistentVolumeClaim", namespace, claim["claimName"])
        yield ("persistentVolumeClaim", "claimName"), key, ""
    projected = volume.get("projected") or {}
    for index, one in enumerate(projected.get("sources") or ()):
        for field, kind in (("configMap", "ConfigMap"), ("secret", "Secret")):
            yield from _data(namespace, one, field, kind, ("projected", "sources", index))


def _data(
    namespace: str, holder: Body, field: str, kind: str, at: tuple[Step, ...], name: str = "name"
) -> Named:
    """A ConfigMap or Secret that is not optional, with each key of it that is asked for."""
    one = holder.get(field)
    if not one or one.get("optional") is True or not one.get(name):
        return
    key = ResourceKey("", kind, namespace, one[name])
    yield (*at, field, name), key, ""
    if one.get("key"):
        yield (*at, field, "key"), key, str(one["key"])
    for index, item in enumerate(one.get("items") or ()):
        yield (*at, field, "items", index, "key"), key, str(item["key"])


def _autoscaler(namespace: str, body: Body) -> Iterator[Reference]:
    target = body["spec"]["scaleTargetRef"]
    group = GVK.parse(target["apiVersion"], target["kind"]).group
    key = ResourceKey(group, target["kind"], namespace, target["name"])
    yield Reference(("spec", "scaleTargetRef", "name"), key)


def _ingress(namespace: str, body: Body) -> Iterator[Reference]:
    spec = body["spec"]
    for steps, place, service in backends(spec):
        key = ResourceKey("", "Service", namespace, service["name"])
        yield Reference(("spec", *steps, "name"), key, written=f"spec.{place}")
    for index, one in enumerate(spec.get("tls") or ()):
        if one.get("secretName"):
            key = ResourceKey("", "Secret", namespace, one["secretName"])
            yield Reference(("spec", "tls", index, "secretName"), key)


def backends(spec: Body) -> Iterator[tuple[tuple[Step, ...], str, Body]]:
    """The Services of an Ingress's spec: the steps and the text of the place, and what is there."""
    if service := (spec.get("defaultBackend") or {}).get("service"):
        yield ("defaultBackend", "service"), "defaultBackend.service", service
    for number, rule in enumerate(spec.get("rules") or ()):
        for index, path in enumerate((rule.get("http") or {}).get("paths") or ()):
            if service := path["backend"].get("service"):
                steps = ("rules", number, "http", "paths", index, "backend", "service")
                where = f"rules[host={rule.get('host', '*')}].paths[{path.get('path', '/')}]"
                yield steps, f"{where}.service", service


def _stateful(namespace: str, body: Body) -> Iterator[Reference]:
    if name := body["spec"].get("serviceName"):
        key = ResourceKey("", "Service", namespace, name)
        yield Reference(("spec", "serviceName"), key)


def _account(namespace: str, body: Body) -> Iterator[Reference]:
    for index, one in enumerate(body.get("imagePullSecrets") or ()):
        key = ResourceKey("", "Secret", namespace, one["name"])
        yield Reference(("imagePullSecrets", index, "name"), key)


def _binding(namespace: str, body: Body) -> Iterator[Reference]:
    role = body["roleRef"]
    where = namespace if role["kind"] == "Role" else ""
    yield Reference(("roleRef", "name"), ResourceKey(_RBAC, role["kind"], where, role["name"]))
    for index, one in enumerate(body.get("subjects") or ()):
        if one["kind"] == "ServiceAccount" and one["name"] != "default":
            where = one.get("namespace") or namespace
            key = ResourceKey("", "ServiceAccount", where, one["name"])
            yield Reference(("subjects", index, "name"), key)


_READERS: Final[dict[tuple[str, str], Callable[[str, Body], Iterator[Reference]]]] = {
    ("autoscaling", "HorizontalPodAutoscaler"): _autoscaler,
    ("networking.k8s.io", "Ingress"): _ingress,
    ("apps", "StatefulSet"): _stateful,
    ("", "ServiceAccount"): _account,
    (_RBAC, "RoleBinding"): _binding,
    (_RBAC, "ClusterRoleBinding"): _binding,
}


def may_make(target: ResourceKey, key: ResourceKey, body: bytes) -> bool:
    """Whether an operator may make the target from an object: a custom one that bears its name."""
    group = key.group
    if group in _BUILT_IN or group.endswith(".k8s.io") or key.namespace != target.namespace:
        return False
    return target.group == "" and f'"{target.name}"'.encode() in body


def slip_of(name: str, known: Iterable[str], *, sure: bool = False) -> str:
    """The known name that is nearly `name`, without what Kustomize adds to it; else empty.

    `sure` asks for more: names that differ in their digits alone are each right, and so is a name
    that has a word more, as `web-tls` beside `web`.
    """
    plain = {plain_name(one): one for one in known}
    cutoff = _LIKENESS if sure else 0.6
    near = difflib.get_close_matches(plain_name(name), list(plain), n=1, cutoff=cutoff)
    if not near or (sure and _are_both_right(near[0], plain_name(name))):
        return ""
    return near[0]


def _are_both_right(one: str, other: str) -> bool:
    if _letters(one) == _letters(other):
        return True
    few, many = sorted((one.split("-"), other.split("-")), key=len)
    return len(few) < len(many) and few in (many[: len(few)], many[-len(few) :])


def plain_name(name: str) -> str:
    """A name without what Kustomize adds to it for what it holds."""
    return _HASH.sub("", name)


def _letters(name: str) -> str:
    return re.sub(r"\d", "", name)


def keys_of(body: Body) -> set[str]:
    """The keys of a ConfigMap's or Secret's data."""
    return {key for field in ("data", "binaryData", "stringData") for key in body.get(field) or ()}
