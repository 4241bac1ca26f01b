"""Argo CD's `Application` as far as driftd reads it (`argoproj.io/v1alpha1`).

Field names and defaults are Argo CD's. Unknown fields are not an error: the whole
document stays available as `Application.raw`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from driftd.model.condition import Condition
from driftd.model.flux import FluxSpec


class ArgoStruct(msgspec.Struct, frozen=True, rename="camel"):
    """Base of the Argo CD types: camelCase on the wire, unknown fields ignored here."""


class HelmParameter(ArgoStruct, frozen=True, kw_only=True):
    """`--set name=value`, or `--set-string` if `force_string`."""

    name: str
    value: str = ""
    force_string: bool = False


class HelmFileParameter(ArgoStruct, frozen=True, kw_only=True):
    """`--set-file name=path`."""

    name: str
    path: str


class HelmSource(ArgoStruct, frozen=True, kw_only=True):
    """`spec.source.helm`."""

    release_name: str = ""
    value_files: tuple[str, ...] = ()
    ignore_missing_value_files: bool = False
    values: str = ""
    values_object: dict[str, Any] | None = None
    parameters: tuple[HelmParameter, ...] = ()
    file_parameters: tuple[HelmFileParameter, ...] = ()
    version: str = ""
    pass_credentials: bool = False
    skip_crds: bool = False
    skip_schema_validation: bool = False
    skip_tests: bool = False
    namespace: str = ""
    kube_version: str = ""
    api_versions: tuple[str, ...] = ()


class KustomizeReplicas(ArgoStruct, frozen=True, kw_only=True):
    """One entry of `spec.source.kustomize.replicas`."""

    name: str
    count: int | str


class KustomizeSource(ArgoStruct, frozen=True, kw_only=True):
    """`spec.source.kustomize`."""

    name_prefix: str = ""
    name_suffix: str = ""
    images: tuple[str, ...] = ()
    replicas: tuple[KustomizeReplicas, ...] = ()
    common_labels: dict[str, str] = {}
    label_without_selector: bool = False
    label_include_templates: bool = False
    force_common_labels: bool = False
    common_annotations: dict[str, str] = {}
    common_annotations_envsubst: bool = False
    force_common_annotations: bool = False
    namespace: str = ""
    patches: tuple[dict[str, Any], ...] = ()
    components: tuple[str, ...] = ()
    ignore_missing_components: bool = False
    version: str = ""
    kube_version: str = ""
    api_versions: tuple[str, ...] = ()


class JsonnetVar(ArgoStruct, frozen=True, kw_only=True):
    """A top-level argument or external variable; `code` means Jsonnet code, else a string."""

    name: str
    value: str = ""
    code: bool = False


class JsonnetOptions(ArgoStruct, frozen=True, kw_only=True):
    """`spec.source.directory.jsonnet`."""

    ext_vars: tuple[JsonnetVar, ...] = ()
    tlas: tuple[JsonnetVar, ...] = ()
    libs: tuple[str, ...] = ()


class DirectorySource(ArgoStruct, frozen=True, kw_only=True):
    """`spec.source.directory`."""

    recurse: bool = False
    include: str = ""
    exclude: str = ""
    jsonnet: JsonnetOptions = JsonnetOptions()
    disable_extension_filter: bool = False
    """Take files of any name for manifests."""


class ApplicationSource(ArgoStruct, frozen=True, kw_only=True):
    """One `spec.source` or entry of `spec.sources`."""

    repo_url: str = msgspec.field(name="repoURL", default="")
    target_revision: str = ""
    tag_prefix: str = ""
    """Only tags that begin so count for a range of versions, which is compared without it."""
    path: str = ""
    chart: str = ""
    ref: str = ""
    name: str = ""
    helm: HelmSource | None = None
    kustomize: KustomizeSource | None = None
    directory: DirectorySource | None = None
    plugin: dict[str, Any] | None = None


class Destination(ArgoStruct, frozen=True, kw_only=True):
    """`spec.destination`: a cluster by server URL or by name, and the default namespace."""

    server: str = ""
    name: str = ""
    namespace: str = ""


class AutomatedSync(ArgoStruct, frozen=True, kw_only=True):
    """`spec.syncPolicy.automated`; its presence means on unless `enabled` is false."""

    enabled: bool | None = None
    prune: bool = False
    self_heal: bool = False
    allow_empty: bool = False


class SyncPolicy(ArgoStruct, frozen=True, kw_only=True):
    """`spec.syncPolicy`."""

    automated: AutomatedSync | None = None
    sync_options: tuple[str, ...] = ()


class IgnoreDifference(ArgoStruct, frozen=True, kw_only=True):
    """One entry of `spec.ignoreDifferences`; `group`, `kind` are globs."""

    kind: str
    group: str = ""
    name: str = ""
    namespace: str = ""
    json_pointers: tuple[str, ...] = ()
    jq_path_expressions: tuple[str, ...] = ()
    managed_fields_managers: tuple[str, ...] = ()


class KnownTypeField(ArgoStruct, frozen=True, kw_only=True):
    """One entry of `resource.customizations.knownTypeFields.<group>_<kind>` of `argocd-cm`."""

    kind: str
    group: str = ""
    field: str
    """Names with dots between them; lists are stepped through."""
    type: str
    """`core/v1/PodSpec`, `core/Quantity`, `meta/v1/Duration` …"""


class ApplicationSpec(ArgoStruct, frozen=True, kw_only=True):
    """`spec` of an Application."""

    project: str = "default"
    source: ApplicationSource | None = None
    sources: tuple[ApplicationSource, ...] = ()
    destination: Destination = Destination()
    sync_policy: SyncPolicy = SyncPolicy()
    ignore_differences: tuple[IgnoreDifference, ...] = ()

    @property
    def all_sources(self) -> tuple[ApplicationSource, ...]:
        """The sources that count: `sources` if it is set, else `source` (Argo CD's rule)."""
        if self.sources:
            return self.sources
        return (self.source,) if self.source is not None else ()


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """An Application with where it was found."""

    name: str
    namespace: str
    spec: ApplicationSpec
    annotations: dict[str, str] = {}
    labels: dict[str, str] = {}
    origin: str = ""
    """`file` in the repository, `ApplicationSet NAME`, or `hub CONTEXT`."""
    synced_revisions: tuple[str, ...] = ()
    """Revisions that Argo CD's status says were synced last, in the order of the sources."""
    argocd_namespace: str = "argocd"
    """Where the Argo CD runs that the Application belongs to."""
    tracking: str = "annotation"
    """Argo CD's tracking method: `annotation`, `annotation+label` or `label`."""
    raw: dict[str, Any] = {}
    build_options: dict[str, str] = {}
    """`kustomize.buildOptions` of Argo CD, by the version that they are for; mostly under ``."""
    flux: FluxSpec | None = None
    """Set for the Kustomizations and HelmReleases of Flux; None for Argo CD's Applications."""
    lines: dict[str, int] = {}
    """The lines in the file of `origin` of some fields of the spec, where they are certain."""
    file: str = ""
    """Of a generated one the file of its ApplicationSet, to which `lines` belong then."""
    conditions: tuple[Condition, ...] = ()
    """What is odd about the document itself."""
    incomplete: bool = False
    """Whether its ApplicationSet left fields of the spec open; `conditions` say which."""

    @property
    def created_namespace(self) -> str:
        """The namespace that a sync creates where it is not there; empty if it creates none."""
        options = self.spec.sync_policy.sync_options
        creates = self.flux.creates_namespace if self.flux else "CreateNamespace=true" in options
        return self.spec.destination.namespace if creates else ""

    @property
    def qualified_name(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    def lead(self, *fields: str) -> str:
        """Where the first known of some fields of the spec stands, before a message."""
        origin, line = (
            self.origin,
            next((self.lines[one] for one in fields if one in self.lines), 0),
        )
        if self.file:
            return f"{origin} ({self.file}:{line}): " if line else f"{origin} ({self.file}): "
        if not origin or not line:
            return f"{origin}: " if origin else ""
        inside = origin.endswith(")")  # `Application ROOT (FILE)`
        return f"{origin[:-1]}:{line}): " if inside else f"{origin}:{line}: "

    @property
    def instance_name(self) -> str:
        """What Argo CD calls it among all: `namespace_name` outside of Argo CD's namespace."""
        if self.namespace in ("", self.argocd_namespace):
            return self.name
        return f"{self.namespace}_{self.name}"


def without_nulls(value: Any, free_form: frozenset[str] = frozenset({"valuesObject"})) -> Any:
    """A decoded document as Go reads it: a null field is an absent one.

    What the fields of `free_form` hold stays as it is: in Helm's values a null removes a default.
    """
    if isinstance(value, dict):
        return {
            key: item if key in free_form else without_nulls(item, free_form)
            for key, item in value.items()
            if item is not None
        }
    if isinstance(value, list):
        return [without_nulls(item, free_form) for item in value]
    return value
