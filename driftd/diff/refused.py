"""Objects that their schema allows and the API server refuses all the same, for certain.

The rules are of the validation in the API server: what one field asks of another (a selector of its
own template's labels, a mount of a volume), what a name may look like, what may not be there twice.
A rule is here only if the API server enforces it at each write; admission is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import UNSET

from driftd.diff.finding import ABSENT, Finding
from driftd.diff.paths import escape, pointer
from driftd.diff.refused_counts import of_counts
from driftd.diff.refused_kinds import of_kind
from driftd.diff.refused_pods import of_pod
from driftd.diff.refused_rules import NAME_HINT, Place, Refusal, is_name, items, mapping, metadata
from driftd.model.report import DRIFT_CLASSES, ChangeClass, ChangeKind, Invalid
from driftd.model.resource import ResourceKey

_TEMPLATED = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"})
_MARKED = frozenset({ChangeKind.MISSING, ChangeKind.MODIFIED, ChangeKind.RENAMED})
_DNS_NAMES = {
    "": {
        "ConfigMap", "LimitRange", "PersistentVolume", "PersistentVolumeClaim", "Pod",
        "ResourceQuota", "Secret", "ServiceAccount",
    },
    "apps": _TEMPLATED,
    "autoscaling": {"HorizontalPodAutoscaler"},
    "batch": {"CronJob", "Job"},
    "networking.k8s.io": {"Ingress", "NetworkPolicy"},
    "policy": {"PodDisruptionBudget"},
    "scheduling.k8s.io": {"PriorityClass"},
    "storage.k8s.io": {"StorageClass"},
}  # fmt: skip
"""Kinds whose names are DNS names, by group."""
_LABEL_NAMES = frozenset({"Namespace", "Service"})
"""Core kinds whose names are one label of a DNS name."""


def first(body: Mapping[str, Any], key: ResourceKey) -> Invalid | None:
    """Why the API server refuses a declared object, the first reason; None if none is known."""
    found = next(_refusals(body, key), None)
    return None if found is None else _published(found, found.place)


def mark(
    findings: Sequence[Finding], desired: Mapping[str, Any], other: Mapping[str, Any],
    key: ResourceKey,
) -> Invalid | None:  # fmt: skip
    """Why the API server refuses what Git declares, told of the differences that have caused it.

    What holds of the `other` side too, which is stored, is no reason: so old a server took it.
    """
    if not any(one.change_class in DRIFT_CLASSES for one in findings):
        return None
    known = {(found.place, found.text) for found in _refusals(other, key)}
    first_found = None
    for found in _refusals(desired, key):
        if (found.place, found.text) in known:
            continue
        at, blamed = _blamed(found, findings)
        told = _published(found, at)
        first_found = first_found or told
        if blamed is None or blamed.invalid is not None:
            continue
        blamed.invalid, blamed.reason = told, told.message
        blamed.writer = blamed.between = None
        if blamed.change_class is ChangeClass.REVIEW:
            blamed.change_class = ChangeClass.DECLARED
    return first_found


def _blamed(found: Refusal, findings: Sequence[Finding]) -> tuple[Place, Finding | None]:
    """The difference at a place that takes part, and that place; the first place without one."""
    for place in (found.place, *found.others):
        here = _pointer(place)
        for finding in findings:
            at = pointer(finding.renamed_from or finding.path, live=False)
            if finding.kind not in _MARKED or finding.desired is ABSENT or at is None:
                continue
            if f"{here}/".startswith(f"{at}/") or f"{at}/".startswith(f"{here}/"):
                return place, finding
    return found.place, None


def _published(found: Refusal, place: Place) -> Invalid:
    return Invalid(
        cause="ValidationFailed",
        path=_pointer(place),
        message=f"the API server refuses the object: {found.text}",
        meant=UNSET,
    )


def _pointer(place: Place) -> str:
    return "".join(f"/{escape(str(step))}" for step in place)


def _refusals(body: Mapping[str, Any], key: ResourceKey) -> Iterator[Refusal]:
    spec = mapping(body.get("spec"))
    yield from _name(key)
    yield from metadata(mapping(body.get("metadata")), ("metadata",))
    yield from _selector(spec, key)
    yield from of_kind(body, key)
    yield from of_counts(spec, key)
    for place, template in _templates(spec, key):
        yield from metadata(mapping(template.get("metadata")), (*place, "metadata"))
        if key.kind != "StatefulSet":  # which is not validated below the template's metadata
            yield from of_pod(mapping(template.get("spec")), (*place, "spec"), _restarts(key))
    if key.group == "" and key.kind == "Pod":
        yield from of_pod(spec, ("spec",), _restarts(key))


def _templates(
    spec: Mapping[str, Any], key: ResourceKey
) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    if (key.group == "apps" and key.kind in _TEMPLATED) or (key.group, key.kind) in {
        ("batch", "Job"),
        ("", "ReplicationController"),
    }:
        yield ("spec", "template"), mapping(spec.get("template"))
    if (key.group, key.kind) == ("batch", "CronJob"):
        job = mapping(mapping(spec.get("jobTemplate")).get("spec"))
        yield ("spec", "jobTemplate", "spec", "template"), mapping(job.get("template"))


def _restarts(key: ResourceKey) -> tuple[str, ...]:
    """The restart policies of the Pods of a kind; empty for all."""
    if key.kind in ("Job", "CronJob"):
        return ("OnFailure", "Never")
    return () if key.kind == "Pod" else ("Always",)


def _name(key: ResourceKey) -> Iterator[Refusal]:
    one_label = key.group == "" and key.kind in _LABEL_NAMES
    if not one_label and key.kind not in _DNS_NAMES.get(key.group, ()):
        return
    if not is_name(key.name, dots=not one_label):
        text = f"its name is none for the kind: {NAME_HINT}"
        yield Refusal(("metadata", "name"), text if one_label else f"{text} and .")


def _selector(spec: Mapping[str, Any], key: ResourceKey) -> Iterator[Refusal]:
    """A selector that the labels of its own template do not match."""
    manual = (key.group, key.kind) == ("batch", "Job") and spec.get("manualSelector") is True
    if not manual and not (key.group == "apps" and key.kind in _TEMPLATED):
        return
    selector = mapping(spec.get("selector"))
    labels_place: Place = ("spec", "template", "metadata", "labels")
    labels = mapping(mapping(mapping(spec.get("template")).get("metadata")).get("labels"))
    wanted = mapping(selector.get("matchLabels"))
    expressions = items(selector.get("matchExpressions"))
    if not wanted and not expressions:
        if "spec.selector" not in spec and not spec.get("template"):
            return
        yield Refusal(("spec",), "spec.selector is required, with the labels of spec.template")
        return
    wrong: list[tuple[Place, str]] = [
        (("matchLabels", name), name) for name, value in wanted.items() if labels.get(name) != value
    ]
    for index, one in enumerate(expressions):
        name = str(one.get("key"))
        if not _matches(one, labels):
            wrong.append((("matchExpressions", index), name))
    for below, name in wrong:
        other = "template.metadata.labels"
        text = (
            f"spec.selector does not match the labels of its own template ({name}): "
            f"make spec.selector and spec.{other} the same"
        )
        yield Refusal(("spec", "selector", *below), text, ((*labels_place, name), labels_place))


def _matches(requirement: Mapping[str, Any], labels: Mapping[str, Any]) -> bool:
    """Whether labels fulfil an expression; one that is not understood is taken as fulfilled."""
    name, values = str(requirement.get("key")), requirement.get("values")
    chosen = values if isinstance(values, list) else []
    match requirement.get("operator"):
        case "In":
            return name in labels and labels[name] in chosen
        case "NotIn":
            return name not in labels or labels[name] not in chosen
        case "Exists":
            return name in labels
        case "DoesNotExist":
            return name not in labels
    return True
