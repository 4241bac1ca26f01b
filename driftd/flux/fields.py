"""Fields that Flux's kinds do not have, told without a schema. Pure.

A cluster's definitions may keep unknown fields, and a preview may go without a cluster. The names
are those of Flux's API reference, of all versions that are served; a later Flux may have more,
which the cluster's definitions tell.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

import msgspec

from driftd.flux.specs import KINDS

_LIKENESS: Final = 0.8
"""How alike two names are (difflib's ratio) that one is taken for a slip of the other."""
_REFERENCE: Final = "apiVersion kind name namespace"
_FROM: Final = "kind literal name optional targetPath valuesKey"
_SOURCE: Final = "interval provider secretRef suspend timeout url"
_ACTION: Final = (
    "crds createNamespace disableHooks disableOpenAPIValidation disableSchemaValidation "
    "disableTakeOwnership disableWait disableWaitForJobs remediation replace serverSideApply "
    "skipCRDs strategy timeout"
)
_HELM_CHART: Final = (
    "chart ignoreMissingValuesFiles interval reconcileStrategy sourceRef valuesFile valuesFiles "
    "verify version"
)
_FIELDS: Final[dict[str, dict[str, str]]] = {
    "Kustomization": {
        "spec": "buildMetadata commonMetadata components decryption deletionPolicy dependsOn force "
        "healthCheckExprs healthChecks ignore ignoreMissingComponents images interval kubeConfig "
        "namePrefix nameSuffix patches patchesJson6902 patchesStrategicMerge path postBuild prune "
        "retryInterval serviceAccountName sourceRef suspend targetNamespace timeout validation "
        "wait",
        "spec.postBuild": "strategy substitute substituteFrom",
        "spec.decryption": "provider secretRef serviceAccountName",
        "spec.sourceRef": _REFERENCE,
    },
    "HelmRelease": {
        "spec": "chart chartRef commonMetadata dependsOn driftDetection healthCheckExprs install "
        "interval kubeConfig maxHistory persistentClient postRenderers releaseName rollback "
        "serviceAccountName storageNamespace suspend targetNamespace test timeout uninstall "
        "upgrade values valuesFrom waitStrategy",
        "spec.chart": "metadata spec",
        "spec.chart.spec": _HELM_CHART,
        "spec.chart.spec.sourceRef": _REFERENCE,
        "spec.chartRef": _REFERENCE,
        "spec.driftDetection": "ignore mode",
        "spec.install": _ACTION,
        "spec.install.remediation": "ignoreTestFailures remediateLastFailure retries",
        "spec.upgrade": f"{_ACTION} cleanupOnFail force preserveValues",
        "spec.upgrade.remediation": "ignoreTestFailures remediateLastFailure retries strategy",
        "spec.valuesFrom": _FROM,
    },
    "HelmChart": {
        "spec": f"{_HELM_CHART} accessFrom suspend",
        "spec.sourceRef": _REFERENCE,
    },
    "GitRepository": {
        "spec": f"{_SOURCE} accessFrom gitImplementation ignore include proxySecretRef "
        "recurseSubmodules ref serviceAccountName sparseCheckout verify",
        "spec.ref": "branch commit name semver tag",
    },
    "HelmRepository": {
        "spec": f"{_SOURCE} accessFrom certSecretRef insecure passCredentials type",
    },
    "OCIRepository": {
        "spec": f"{_SOURCE} certSecretRef ignore insecure layerSelector proxySecretRef ref "
        "serviceAccountName verify",
        "spec.ref": "digest semver semverFilter tag",
    },
    "Bucket": {
        "spec": f"{_SOURCE} accessFrom bucketName certSecretRef endpoint ignore insecure prefix "
        "proxySecretRef region serviceAccountName sts",
    },
}
"""The fields of each kind, by the place that has them; items of a list have those of its place."""
_KNOWN: Final = {
    kind: {place: frozenset(names.split()) for place, names in places.items()}
    for kind, places in _FIELDS.items()
}


_REQUIRED: Final = {
    "Kustomization": ("interval", "prune", "sourceRef"),
    "HelmRelease": ("interval",),
    "HelmChart": ("chart", "interval", "sourceRef"),
    "GitRepository": ("interval", "url"),
    "HelmRepository": ("url",),
    "OCIRepository": ("interval", "url"),
    "Bucket": ("bucketName", "endpoint", "interval"),
}
"""The fields of `spec` that every version requires."""


class Misspelt(msgspec.Struct, frozen=True):
    """A field that Flux does not know, with the one that was probably meant."""

    path: tuple[str, ...]
    """Names, and positions of list items, from the object's root."""
    meant: str
    """Empty where it resembles none."""


def misspelt(body: Mapping[str, Any]) -> Misspelt | None:
    """The first field of one of Flux's objects whose name is a slip; None for other kinds."""
    for path, known in _strange(body):
        near = get_close_matches(path[-1], sorted(known), n=1, cutoff=_LIKENESS)
        if near:
            return Misspelt(path, near[0])
    return None


def unknown(
    body: Mapping[str, Any], served: Callable[[tuple[str, ...]], Collection[str]]
) -> Misspelt | None:
    """The first field of one of Flux's objects that no version of Flux known here has.

    `served` are the fields that the cluster's definition has at a place: a later Flux's.
    """
    for path, _ in _strange(body):
        if path[-1] not in served(path[:-1]):
            return Misspelt(path, "")
    return None


def lacking(body: Mapping[str, Any]) -> str:
    """The first field of `spec` that one of Flux's objects must have and lacks; else empty."""
    kind, spec = str(body.get("kind", "")), body.get("spec")
    group = str(body.get("apiVersion", "")).rpartition("/")[0]
    if KINDS.get(kind) != group or not isinstance(spec, Mapping):
        return ""
    return next((name for name in _REQUIRED[kind] if name not in spec), "")


def _strange(body: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], frozenset[str]]]:
    """The fields that are not known, each with those that its place has."""
    kind = str(body.get("kind", ""))
    group = str(body.get("apiVersion", "")).rpartition("/")[0]
    if KINDS.get(kind) != group:
        return
    for place, known in _KNOWN[kind].items():
        for path, one in _at(body, tuple(place.split("."))):
            yield from (
                ((*path, name), known)
                for name in one
                if isinstance(name, str) and name not in known
            )


def _at(body: Any, place: tuple[str, ...]) -> list[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """The maps at a place, each with its path."""
    value = body
    for step in place:
        if not isinstance(value, Mapping):
            return []
        value = value.get(step)
    if isinstance(value, Mapping):
        return [(place, value)]
    items = enumerate(value) if isinstance(value, list) else ()
    return [((*place, str(n)), one) for n, one in items if isinstance(one, Mapping)]
