"""What an application has that is a Flux object: a `Kustomization` or a `HelmRelease`."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import msgspec

from driftd.model.condition import Condition

FluxKind: TypeAlias = Literal["Kustomization", "HelmRelease"]

GROUPS: dict[str, str] = {
    "Kustomization": "kustomize.toolkit.fluxcd.io",
    "HelmRelease": "helm.toolkit.fluxcd.io",
}
"""The API group of each kind; its name also begins the labels that mark owned objects."""

SOURCES: Final = frozenset(
    {"GitRepository", "HelmRepository", "HelmChart", "OCIRepository", "Bucket"}
)
"""The kinds that say where the files of an application come from."""

CONTROLLERS: dict[str, str] = {
    "Kustomization": "kustomize-controller",
    "HelmRelease": "helm-controller",
}
"""The controller, and field manager, that applies the objects of each kind."""


class FluxObject(msgspec.Struct, frozen=True, kw_only=True):
    """One object that Flux works with, as Git or a cluster has it."""

    kind: str
    namespace: str
    name: str
    body: dict[str, Any]
    origin: str
    """The file in the repository, or `hub CONTEXT`."""
    applied_by: str = ""
    """`NAMESPACE/NAME` of the Kustomization whose rendering holds it; empty if none is known."""

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class LiveEdit(msgspec.Struct, frozen=True, kw_only=True):
    """A live object that says something else than Git, and decides what an application is."""

    kind: str
    namespace: str
    name: str
    how: str
    """How it came to be, as far as is known, such as `was edited beside Git`."""
    applied_by: str = ""
    """`NAMESPACE/NAME` of the Kustomization that it comes from; empty if none is known."""


class FluxSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What Flux says about an application beyond source and destination."""

    kind: FluxKind
    object_name: str
    """`metadata.name`; an application's own name may also say which cluster it is of."""
    render: dict[str, Any]
    """What the sandbox has to know of the spec, as it takes it."""
    api_version: str = ""
    """`apiVersion` of the object."""
    context: str = ""
    """The context that the root of the application was found to be; empty if none was."""
    prune: bool = True
    """Whether the controller deletes what Git has no more, so that it may be told as Extra."""
    force: bool = False
    """Whether a Kustomization deletes and creates anew what cannot be changed in place
    (`spec.force`)."""
    values: tuple[str, ...] = ()
    """Where a HelmRelease's values are, the strongest first; `spec.values` for its own."""
    applied_by: str = ""
    """`NAMESPACE/NAME` of the Kustomization that the object comes from, if that is known."""
    crds_once: bool = False
    """Whether a chart's `crds/` are created at the first install and never changed again."""
    creates_namespace: bool = False
    """Whether a HelmRelease has Helm create its namespace (`spec.install.createNamespace`)."""
    corrects_drift: bool = True
    """Whether the controller puts drift back by itself: of a HelmRelease only if
    `spec.driftDetection.mode` says so, else only an upgrade that is forced does."""
    edited: tuple[LiveEdit, ...] = ()
    """The live objects that say something else than Git, as far as is known: its own, the sources
    and the ConfigMaps that it uses."""
    unplaced: str = ""
    """Why it is not known which cluster the root is of, where one could not be asked."""
    unread: str = ""
    """Why not all that a Kustomization declares is known; empty where it is."""
    conditions: tuple[Condition, ...] = ()
    """What is to be known about the application; an error means that it cannot be judged."""

    @property
    def ignore_field(self) -> str:
        """The field of the spec that holds its ignore rules."""
        return "spec.ignore" if self.kind == "Kustomization" else "spec.driftDetection.ignore"


_MARKS: Final = tuple((kind, f"{one}/name", f"{one}/namespace") for kind, one in GROUPS.items())
"""The labels that name an owner of each kind: asked for of every object of a cluster."""


def owner_mark(kind: str, namespace: str, name: str) -> str:
    """How an owned object names its owner, in one text."""
    return f"{kind}/{namespace}/{name}"


def mark_of(labels: dict[str, str]) -> str:
    """The owner that an object's labels name; empty if they name none."""
    for kind, named, spaced in _MARKS if labels else ():
        name, namespace = labels.get(named), labels.get(spaced)
        if isinstance(name, str) and isinstance(namespace, str):
            return owner_mark(kind, namespace, name)
    return ""
