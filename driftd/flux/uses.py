"""What an application of Flux is made from beside its own object: sources, ConfigMaps. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from driftd.flux.specs import (
    KINDS,
    ChartSpec,
    FluxStruct,
    GitRepositorySpec,
    HelmReleaseSpec,
    InvalidSpec,
    KustomizationSpec,
    Reference,
    RemoteSpec,
    ValuesFrom,
    spec_of,
)
from driftd.model.flux import SOURCES, FluxObject
from driftd.model.resource import ResourceKey

_SPECS: Final[dict[str, type[FluxStruct]]] = {
    "GitRepository": GitRepositorySpec,
    "HelmChart": ChartSpec,
    "HelmRepository": RemoteSpec,
    "OCIRepository": RemoteSpec,
    "Bucket": RemoteSpec,
}
_FIELDS: Final = {
    kind: frozenset(field.encode_name for field in msgspec.structs.fields(spec))
    for kind, spec in _SPECS.items()
}
"""The fields of a source that decide which files an application is made of."""


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """An object that another one names as a part of what it is made from."""

    kind: str
    namespace: str
    name: str
    values_key: str = ""
    """The key of a ConfigMap that a HelmRelease reads; empty where every key counts."""
    is_document: bool = False
    """Whether that key holds a whole document of values rather than one value."""

    @property
    def key(self) -> ResourceKey:
        """The object's key."""
        return ResourceKey(KINDS.get(self.kind, ""), self.kind, self.namespace, self.name)

    @property
    def part(self) -> str:
        """The field of the object that holds what decides."""
        return "spec" if self.kind in SOURCES else "data"

    def counts(self, path: str) -> bool:
        """Whether what is at a path, such as `spec.ref.branch`, decides what is deployed."""
        name = path.removeprefix(f"{self.part}.")
        if self.kind in SOURCES:
            return name.partition(".")[0] in _FIELDS[self.kind]
        return not self.values_key or name == self.values_key


def uses_of(found: FluxObject) -> Iterator[Use]:
    """The sources and ConfigMaps that an object names; nothing where its spec is wrong.

    Of a HelmChart its own source. Secrets are left out: they are never read.
    """
    try:
        if found.kind == "Kustomization":
            spec = spec_of(found, KustomizationSpec)
            yield from _source(spec.source_ref, found)
            yield from _config_maps(spec.post_build.substitute_from, found)
        elif found.kind == "HelmRelease":
            release = spec_of(found, HelmReleaseSpec)
            chart = release.chart.spec if release.chart is not None else ChartSpec()
            yield from _source(release.chart_ref or chart.source_ref, found)
            yield from _config_maps(release.values_from, found, values=True)
        elif found.kind == "HelmChart":
            yield from _source(spec_of(found, ChartSpec).source_ref, found)
    except InvalidSpec:
        return


def decisive(found: FluxObject) -> dict[str, object] | None:
    """The fields of a source that decide, with every default; None where one is wrong."""
    kind = _SPECS[found.kind]
    try:
        spec: dict[str, object] = msgspec.json.decode(msgspec.json.encode(spec_of(found, kind)))
    except InvalidSpec:
        return None
    return spec


def _source(reference: Reference | None, by: FluxObject) -> Iterator[Use]:
    if reference is not None and reference.kind in SOURCES:
        namespace = reference.namespace or by.namespace
        yield Use(kind=reference.kind, namespace=namespace, name=reference.name)


def _config_maps(
    references: tuple[ValuesFrom, ...], by: FluxObject, *, values: bool = False
) -> Iterator[Use]:
    for one in references:
        if one.kind == "ConfigMap":
            yield Use(
                kind="ConfigMap",
                namespace=by.namespace,
                name=one.name,
                values_key=one.values_key if values else "",
                is_document=values and not one.target_path,
            )
