"""What the API server refuses of single kinds that are often written by hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from driftd.diff.refused_cron import schedule
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
from driftd.model.resource import ResourceKey

_DATA_KEY: Final = re.compile(r"[-._a-zA-Z0-9]+\Z")
_LONGEST_DATA_KEY: Final = 253
_RBAC: Final = "rbac.authorization.k8s.io"
_ROLES: Final = ("Role", "ClusterRole")
_NOTHING: Final = (0, "0%")
_INNER: Final = frozenset({"ClusterIP", None})


def of_kind(body: Mapping[str, Any], key: ResourceKey) -> Iterator[Refusal]:
    """What is wrong with an object of a kind that there are rules for."""
    rules = _RULES.get((key.group, key.kind))
    if rules is not None:
        yield from rules(body)


def _service(body: Mapping[str, Any]) -> Iterator[Refusal]:
    spec = mapping(body.get("spec"))
    ports = items(spec.get("ports"))
    kind = spec.get("type")
    if kind == "ExternalName":
        if not spec.get("externalName"):
            yield Refusal(("spec",), "a Service of type ExternalName has an externalName")
        return
    if not ports and spec.get("clusterIP") != "None":
        place: Place = ("spec", "ports") if "ports" in spec else ("spec",)
        text = "a Service has at least one port, unless clusterIP is None: write ports"
        yield Refusal(place, text)
    yield from _service_names(ports)
    numbers: set[tuple[str, int]] = set()
    for index, port in enumerate(ports):
        at = ("spec", "ports", index)
        number = port.get("port")
        if not number or not is_port(number):
            yield Refusal((*at, "port") if number else at, "port is a number from 1 to 65535")
        protocol = port.get("protocol") or "TCP"
        if isinstance(number, int) and isinstance(protocol, str):
            if (protocol, number) in numbers:
                text = f"another port of the Service is {number}/{protocol} too: remove one"
                yield Refusal((*at, "port"), text)
            numbers.add((protocol, number))
        yield from _target(port.get("targetPort"), (*at, "targetPort"))
        if port.get("nodePort") and kind in _INNER:
            text = "a Service of type ClusterIP has no nodePort: remove it, or change the type"
            yield Refusal((*at, "nodePort"), text)


def _service_names(ports: list[Mapping[str, Any]]) -> Iterator[Refusal]:
    names: set[str] = set()
    for index, port in enumerate(ports):
        at, name = ("spec", "ports", index), port.get("name")
        if not name and len(ports) > 1:
            yield Refusal(at, "each port of a Service with several has a name: write name")
        if isinstance(name, str) and name:
            if not is_name(name, dots=False):
                yield Refusal((*at, "name"), f"{name} is no name of a port: {NAME_HINT}")
            if name in names:
                text = f"another port of the Service has the name {name} too: rename one"
                yield Refusal((*at, "name"), text)
            names.add(name)


def _target(value: Any, at: Place) -> Iterator[Refusal]:
    if isinstance(value, str) and value:
        wrong = port_name(value)
        if wrong:
            yield Refusal(at, f"{value}: {wrong}")
    elif isinstance(value, int) and value and not is_port(value):
        yield Refusal(at, "targetPort is a number from 1 to 65535, or the name of a port")


def _deployment(body: Mapping[str, Any]) -> Iterator[Refusal]:
    strategy = mapping(mapping(body.get("spec")).get("strategy"))
    if strategy.get("type") == "Recreate" and strategy.get("rollingUpdate") is not None:
        text = "strategy Recreate has no rollingUpdate: remove it, or change the type"
        yield Refusal(("spec", "strategy", "rollingUpdate"), text)
    rolling = mapping(strategy.get("rollingUpdate"))
    if all(rolling.get(name) in _NOTHING for name in ("maxSurge", "maxUnavailable")):
        here = ("spec", "strategy", "rollingUpdate")
        text = "maxSurge and maxUnavailable are both 0: raise one of them"
        yield Refusal((*here, "maxUnavailable"), text, ((*here, "maxSurge"),))


def _cronjob(body: Mapping[str, Any]) -> Iterator[Refusal]:
    wrong = schedule(mapping(body.get("spec")).get("schedule"))
    if wrong:
        yield Refusal(("spec", "schedule"), wrong)


def _autoscaler(body: Mapping[str, Any]) -> Iterator[Refusal]:
    spec = mapping(body.get("spec"))
    least, most = spec.get("minReplicas"), spec.get("maxReplicas")
    if isinstance(least, int) and isinstance(most, int) and least > most:
        text = "minReplicas is above maxReplicas: lower it, or raise maxReplicas"
        yield Refusal(("spec", "minReplicas"), text, (("spec", "maxReplicas"),))


def _budget(body: Mapping[str, Any]) -> Iterator[Refusal]:
    spec = mapping(body.get("spec"))
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        text = "minAvailable and maxUnavailable are both set: choose one of them"
        yield Refusal(("spec", "maxUnavailable"), text, (("spec", "minAvailable"),))


def _claim(body: Mapping[str, Any]) -> Iterator[Refusal]:
    spec = mapping(body.get("spec"))
    if not spec.get("accessModes"):
        yield Refusal(("spec",), "a claim has an access mode: write accessModes")
    if "storage" not in mapping(mapping(spec.get("resources")).get("requests")):
        yield Refusal(("spec",), "a claim has a size: write resources.requests.storage")


def _ingress(body: Mapping[str, Any]) -> Iterator[Refusal]:
    spec = mapping(body.get("spec"))
    if not spec.get("rules") and not spec.get("defaultBackend"):
        yield Refusal(("spec",), "an Ingress has rules or a defaultBackend: write one of them")
    for index, rule in enumerate(items(spec.get("rules"))):
        host = rule.get("host")
        if isinstance(host, str) and not is_name(host.removeprefix("*."), dots=True):
            text = "this is no name of a host: write it with a-z, 0-9, - and . only"
            yield Refusal(("spec", "rules", index, "host"), text)
        for number, path in enumerate(items(mapping(rule.get("http")).get("paths"))):
            at = ("spec", "rules", index, "http", "paths", number)
            if not path.get("pathType"):
                text = "each path has a pathType: Prefix, Exact or ImplementationSpecific"
                yield Refusal(at, text)
            url = path.get("path")
            if path.get("pathType") in ("Prefix", "Exact") and not str(url or "").startswith("/"):
                yield Refusal((*at, "path") if url else at, "a path begins with /")
            service = mapping(mapping(path.get("backend")).get("service"))
            port = mapping(service.get("port"))
            if service and bool(port.get("name")) == bool(port.get("number")):
                told = "the port of a backend has a name or a number: write one of them"
                yield Refusal((*at, "backend", "service"), told)


def _data(body: Mapping[str, Any]) -> Iterator[Refusal]:
    for field in ("data", "binaryData", "stringData"):
        for name in mapping(body.get(field)):
            if len(name) > _LONGEST_DATA_KEY or not _DATA_KEY.match(name) or name in (".", ".."):
                text = f"a name in {field} has only a-z A-Z 0-9 - _ .: rename it"
                yield Refusal((field, name), text)


def _rules(body: Mapping[str, Any]) -> Iterator[Refusal]:
    for index, rule in enumerate(items(body.get("rules"))):
        if not rule.get("verbs"):
            yield Refusal(("rules", index), "a rule has at least one verb: write verbs")


def _binding(body: Mapping[str, Any]) -> Iterator[Refusal]:
    kind = mapping(body.get("roleRef")).get("kind")
    if isinstance(kind, str) and kind not in _ROLES:
        yield Refusal(("roleRef", "kind"), f"a role is of kind {' or '.join(_ROLES)}: write it")
    yield from _subjects(body)


def _subjects(body: Mapping[str, Any]) -> Iterator[Refusal]:
    for index, subject in enumerate(items(body.get("subjects"))):
        if subject.get("kind") == "ServiceAccount" and not subject.get("namespace"):
            text = "a subject of kind ServiceAccount has a namespace: write it"
            yield Refusal(("subjects", index), text)


_RULES: Final[dict[tuple[str, str], Callable[[Mapping[str, Any]], Iterator[Refusal]]]] = {
    ("", "Service"): _service,
    ("", "ConfigMap"): _data,
    ("", "Secret"): _data,
    ("", "PersistentVolumeClaim"): _claim,
    ("apps", "Deployment"): _deployment,
    ("autoscaling", "HorizontalPodAutoscaler"): _autoscaler,
    ("policy", "PodDisruptionBudget"): _budget,
    ("networking.k8s.io", "Ingress"): _ingress,
    (_RBAC, "Role"): _rules,
    (_RBAC, "ClusterRole"): _rules,
    (_RBAC, "ClusterRoleBinding"): _binding,
    (_RBAC, "RoleBinding"): _binding,
    ("batch", "CronJob"): _cronjob,
}
