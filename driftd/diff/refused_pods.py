"""What the API server refuses of Pods, and of the templates of Pods."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from typing import Any

from driftd.diff.refused_counts import of_probe
from driftd.diff.refused_rules import (
    NAME_HINT,
    Place,
    Refusal,
    is_name,
    is_port,
    items,
    mapping,
    port_name,
)
from driftd.diff.scalars import quantity

_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def of_pod(spec: Mapping[str, Any], place: Place, restarts: tuple[str, ...]) -> Iterator[Refusal]:
    """What is wrong with a Pod's spec; `restarts` are the restart policies that it may have."""
    if not spec:
        return
    policy = spec.get("restartPolicy")
    if restarts and (policy or "Always") not in restarts:
        said = f"restartPolicy is {' or '.join(restarts)} here"
        at = (*place, "restartPolicy") if policy else place
        yield Refusal(at, f"{said}: {'write it so' if policy else 'write one of them'}")
    if not spec.get("containers"):
        yield Refusal((*place, "containers"), "a Pod has at least one container")
    volumes = yield from _volumes(spec, place)
    seen: set[str] = set()
    for name in ("initContainers", "containers"):
        for index, one in enumerate(items(spec.get(name))):
            here = (*place, name, index)
            yield from _name(one, here, seen, "container")
            yield from _container(one, here, volumes, first=name == "initContainers")


def _name(
    one: Mapping[str, Any], here: Place, seen: set[str], noun: str
) -> Iterator[Refusal]:  # fmt: skip
    """A name that is lacking, none, or there twice."""
    name = one.get("name")
    if not name:
        yield Refusal(here, f"a {noun} has a name: write name")
    elif isinstance(name, str):
        if not is_name(name, dots=False):
            text = f"{name} is no name of a {noun}: {NAME_HINT}"
            yield Refusal((*here, "name"), text)
        if name in seen:
            yield Refusal((*here, "name"), f"another {noun} has the name {name} too: rename one")
        seen.add(name)


def _volumes(spec: Mapping[str, Any], place: Place) -> Generator[Refusal, None, set[str]]:
    """Volumes that are wrong; returns the names of all of them."""
    seen: set[str] = set()
    for index, one in enumerate(items(spec.get("volumes"))):
        here = (*place, "volumes", index)
        yield from _name(one, here, seen, "volume")
        kinds = sorted(name for name, value in one.items() if name != "name" and value is not None)
        if len(kinds) > 1:
            yield Refusal(here, f"a volume is of one type: choose one of {', '.join(kinds)}")
    return seen


def _container(
    one: Mapping[str, Any], here: Place, volumes: set[str], *, first: bool
) -> Iterator[Refusal]:
    if not one.get("image"):
        yield Refusal(here, f"container {one.get('name')} has no image: write image")
    yield from _ports(one, here)
    yield from _mounts(one, here, volumes)
    for index, variable in enumerate(items(one.get("env"))):
        if not variable.get("name"):
            yield Refusal((*here, "env", index), "a variable has a name: write name")
        if variable.get("value") and variable.get("valueFrom"):
            text = f"{variable.get('name')} has value and valueFrom: choose one of them"
            yield Refusal((*here, "env", index, "value"), text)
    yield from _resources(one, here)
    for name in _PROBES:
        probe = one.get(name)
        if probe is None:
            continue
        if first and one.get("restartPolicy") != "Always":
            text = f"an init container has no {name} unless its restartPolicy is Always: remove it"
            yield Refusal((*here, name), text)
        given = [kind for kind in _HANDLERS if mapping(probe).get(kind) is not None]
        if len(given) != 1:
            told = f"choose one of {', '.join(given or _HANDLERS)}"
            yield Refusal((*here, name), f"a probe asks in one way: {told}")
        yield from of_probe(mapping(probe), (*here, name), once=name != "readinessProbe")


def _ports(one: Mapping[str, Any], here: Place) -> Iterator[Refusal]:
    seen: set[str] = set()
    for index, port in enumerate(items(one.get("ports"))):
        at = (*here, "ports", index)
        name = port.get("name")
        if isinstance(name, str) and name:
            wrong = port_name(name)
            if wrong:
                yield Refusal((*at, "name"), f"{name}: {wrong}")
            if name in seen:
                text = f"another port of the container has the name {name} too: rename one"
                yield Refusal((*at, "name"), text)
            seen.add(name)
        number = port.get("containerPort")
        if not number or not is_port(number):
            text = "containerPort is a number from 1 to 65535"
            yield Refusal((*at, "containerPort") if number is not None else at, text)


def _mounts(one: Mapping[str, Any], here: Place, volumes: set[str]) -> Iterator[Refusal]:
    paths: set[str] = set()
    for index, mount in enumerate(items(one.get("volumeMounts"))):
        at = (*here, "volumeMounts", index)
        name, path = mount.get("name"), mount.get("mountPath")
        if isinstance(name, str) and name and name not in volumes:
            known = f"volumes has {', '.join(sorted(volumes))}" if volumes else "there is no volume"
            text = f"volumeMounts names {name}, which is no volume of the Pod: {known}"
            yield Refusal((*at, "name"), text)
        if not path:
            yield Refusal(at, "a mount has a path: write mountPath")
        elif isinstance(path, str):
            if path in paths:
                text = f"two mounts of the container are at {path}: mount each elsewhere"
                yield Refusal((*at, "mountPath"), text)
            paths.add(path)


def _resources(one: Mapping[str, Any], here: Place) -> Iterator[Refusal]:
    """Requests above their limit."""
    resources = mapping(one.get("resources"))
    limits = mapping(resources.get("limits"))
    for kind in ("requests", "limits"):
        for name, value in mapping(resources.get(kind)).items():
            amount = quantity(str(value))
            if amount is not None and amount < 0:
                yield Refusal((*here, "resources", kind, name), f"{name} is 0 or more")
    for name, value in mapping(resources.get("requests")).items():
        if name in limits:
            least, most = quantity(str(value)), quantity(str(limits[name]))
            if least is not None and most is not None and least > most:
                yield Refusal(
                    (*here, "resources", "requests", name),
                    f"the request of {name} is above its limit: lower it, or raise the limit",
                    ((*here, "resources", "limits", name),),
                )
