"""The specs of Flux's kinds, as far as driftd reads them. Pure.

Field names and defaults are Flux's (kustomize.toolkit.fluxcd.io, helm.toolkit.fluxcd.io and
source.toolkit.fluxcd.io); all served versions have them alike. Other fields are not an error.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from driftd.model.application import without_nulls
from driftd.model.flux import FluxObject
from driftd.model.mistyped import plain

SOURCE_GROUP = "source.toolkit.fluxcd.io"
KINDS: dict[str, str] = {
    "Kustomization": "kustomize.toolkit.fluxcd.io",
    "HelmRelease": "helm.toolkit.fluxcd.io",
    "GitRepository": SOURCE_GROUP,
    "HelmRepository": SOURCE_GROUP,
    "HelmChart": SOURCE_GROUP,
    "OCIRepository": SOURCE_GROUP,
    "Bucket": SOURCE_GROUP,
}
"""The kinds that are read, with their group."""
_FREE_FORM = frozenset({"values", "patches", "patchesStrategicMerge", "patchesJson6902"})

T = TypeVar("T")


class InvalidSpec(Exception):
    """A spec that is not what Flux defines; says which field and what to do, not where."""

    def __init__(self, text: str, field: str = "", of: FluxObject | None = None) -> None:
        """`field` is the name of the field in the document, empty if no line is to blame.

        `of` is the object that has the spec, where that may be another one than is asked for.
        """
        super().__init__(text)
        self.field = field
        self.of = of


class FluxStruct(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base: camelCase on the wire, unknown fields ignored."""


class Reference(FluxStruct, frozen=True, kw_only=True):
    """An object by kind and name; in the namespace of the one that refers to it by default."""

    name: str
    kind: str = ""
    namespace: str = ""


class NamedReference(FluxStruct, frozen=True, kw_only=True):
    """A Secret or ConfigMap by name."""

    name: str = ""


class KubeConfig(FluxStruct, frozen=True, kw_only=True):
    """`spec.kubeConfig`: the cluster that objects are applied to, if it is another one."""

    secret_ref: NamedReference | None = None
    config_map_ref: NamedReference | None = None

    @property
    def name(self) -> str:
        """The name of the Secret or ConfigMap that describes the cluster."""
        found = self.secret_ref or self.config_map_ref
        return found.name if found else ""


class CommonMetadata(FluxStruct, frozen=True, kw_only=True):
    """`spec.commonMetadata`."""

    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class ValuesFrom(FluxStruct, frozen=True, kw_only=True):
    """An entry of `spec.postBuild.substituteFrom` or `spec.valuesFrom`."""

    kind: str
    name: str
    optional: bool = False
    values_key: str = "values.yaml"
    target_path: str = ""
    literal: bool = False


class PostBuild(FluxStruct, frozen=True, kw_only=True):
    """`spec.postBuild`."""

    substitute: dict[str, str] = {}
    substitute_from: tuple[ValuesFrom, ...] = ()


class Selector(FluxStruct, frozen=True, kw_only=True):
    """The objects that an ignore rule speaks of; empty fields match everything."""

    group: str = ""
    version: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""
    label_selector: str = ""
    annotation_selector: str = ""


class IgnoreRule(FluxStruct, frozen=True, kw_only=True):
    """An entry of `spec.ignore` or `spec.driftDetection.ignore`: JSON pointers."""

    paths: tuple[str, ...] = ()
    target: Selector | None = None


class KustomizationSpec(FluxStruct, frozen=True, kw_only=True):
    """`spec` of a Kustomization."""

    source_ref: Reference
    path: str = ""
    prune: bool = False
    force: bool = False
    suspend: bool = False
    target_namespace: str = ""
    name_prefix: str = ""
    name_suffix: str = ""
    patches: tuple[Any, ...] = ()
    patches_strategic_merge: tuple[Any, ...] = ()
    patches_json6902: tuple[Any, ...] = msgspec.field(name="patchesJson6902", default=())
    images: tuple[dict[str, Any], ...] = ()
    components: tuple[str, ...] = ()
    ignore_missing_components: bool = False
    build_metadata: tuple[str, ...] = ()
    common_metadata: CommonMetadata = CommonMetadata()
    post_build: PostBuild = PostBuild()
    kube_config: KubeConfig | None = None
    ignore: tuple[IgnoreRule, ...] = ()


class ChartSpec(FluxStruct, frozen=True, kw_only=True):
    """`spec.chart.spec` of a HelmRelease, `spec` of a HelmChart."""

    chart: str = ""
    version: str = ""
    source_ref: Reference | None = None
    values_files: tuple[str, ...] = ()
    ignore_missing_values_files: bool = False
    url: str = ""


class ChartTemplate(FluxStruct, frozen=True, kw_only=True):
    """`spec.chart`."""

    kind: str = "HelmChart"
    spec: ChartSpec = ChartSpec()


class PostRenderer(FluxStruct, frozen=True, kw_only=True):
    """An entry of `spec.postRenderers`."""

    kustomize: dict[str, Any] | None = None


class HelmAction(FluxStruct, frozen=True, kw_only=True):
    """`spec.install` and `spec.upgrade`, as far as they decide what a release holds."""

    crds: str = ""
    create_namespace: bool = False
    disable_schema_validation: bool = False


class DriftDetection(FluxStruct, frozen=True, kw_only=True):
    """`spec.driftDetection`."""

    mode: str = ""
    ignore: tuple[IgnoreRule, ...] = ()


class HelmReleaseSpec(FluxStruct, frozen=True, kw_only=True):
    """`spec` of a HelmRelease."""

    chart: ChartTemplate | None = None
    chart_ref: Reference | None = None
    release_name: str = ""
    target_namespace: str = ""
    suspend: bool = False
    values: dict[str, Any] | None = None
    values_from: tuple[ValuesFrom, ...] = ()
    post_renderers: tuple[PostRenderer, ...] = ()
    common_metadata: CommonMetadata = CommonMetadata()
    install: HelmAction = HelmAction()
    upgrade: HelmAction = HelmAction()
    drift_detection: DriftDetection = DriftDetection()
    kube_config: KubeConfig | None = None


class GitRef(FluxStruct, frozen=True, kw_only=True):
    """`spec.ref` of a GitRepository; the first of commit, name, semver, tag, branch counts."""

    branch: str = ""
    tag: str = ""
    semver: str = ""
    name: str = ""
    commit: str = ""


class GitRepositorySpec(FluxStruct, frozen=True, kw_only=True):
    """`spec` of a GitRepository."""

    url: str
    ref: GitRef = GitRef()
    ignore: str | None = None
    include: tuple[Any, ...] = ()


class OciRef(FluxStruct, frozen=True, kw_only=True):
    """`spec.ref` of an OCIRepository; the first that is set counts."""

    digest: str = ""
    semver: str = ""
    tag: str = "latest"


class RemoteSpec(FluxStruct, frozen=True, kw_only=True):
    """`spec` of the sources that are no Git repository."""

    url: str = ""
    ref: OciRef = OciRef()
    endpoint: str = ""
    bucket_name: str = ""


def spec_of(found: FluxObject, wanted: type[T]) -> T:
    """The typed spec of an object. Raises InvalidSpec naming the field."""
    written = found.body.get("spec")
    if not isinstance(written, dict):
        raise InvalidSpec(f"{found}: spec is missing; add it in Git", of=found)
    try:
        return msgspec.convert(without_nulls(written, _FREE_FORM), wanted)
    except msgspec.ValidationError as error:
        text, _, where = str(error).partition(" - at `")
        path = "spec" + where.removesuffix("`").removeprefix("$")
        name = re.sub(r"\[[^]]*\]", "", path).rpartition(".")[2]
        raise InvalidSpec(
            f"{found}: {plain(path, text) or f'{path}: {text}'}; correct it in Git", name, found
        ) from None


def flux_object(body: Any, origin: str, namespace: str = "") -> FluxObject | None:
    """The object of a document if it is one that is read; None for any other.

    `namespace` is what a document without one gets.
    """
    if not isinstance(body, dict):
        return None
    kind, version = body.get("kind"), body.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(version, str):
        return None
    core = version == "v1" and kind in ("ConfigMap", "Secret")
    if not core and KINDS.get(kind) != version.rpartition("/")[0]:
        return None
    metadata = body.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not isinstance(name, str) or not name:
        return None
    written = metadata.get("namespace")
    return FluxObject(
        kind=kind,
        namespace=written if isinstance(written, str) and written else namespace,
        name=name,
        body=body,
        origin=origin,
    )
