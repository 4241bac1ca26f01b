"""From a Kustomization or HelmRelease of Flux to the application that driftd judges."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from driftd.flux.objects import FluxObjects, Reader, References
from driftd.flux.specs import (
    ChartSpec,
    CommonMetadata,
    GitRepositorySpec,
    HelmReleaseSpec,
    IgnoreRule,
    InvalidSpec,
    KubeConfig,
    KustomizationSpec,
    Reference,
    RemoteSpec,
    spec_of,
)
from driftd.flux.written import place_of
from driftd.model.application import (
    Application,
    ApplicationSource,
    ApplicationSpec,
    Destination,
    IgnoreDifference,
)
from driftd.model.choices import listed, nearest
from driftd.model.condition import Condition, Severity
from driftd.model.flux import FluxObject, FluxSpec

_APPLIED_REVISION = re.compile(r"(?:[@/:]|sha1:|sha256:)([0-9a-f]{40}|[0-9a-f]{64})\Z")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9.-]*\Z")
_MAX_RELEASE_NAME = 53


class _Unusable(Exception):
    """The application cannot be judged; says why."""


class _NotDeclared(_Unusable):
    """A source that nothing declares."""

    def __init__(self, text: str, by: FluxObject, name: str) -> None:
        super().__init__(text)
        self.by = by
        self.name = name


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The cluster that a set of Flux objects lives in."""

    destination: Destination
    prefix: str = ""
    """Begins the names of its applications, where several clusters have a Flux of their own."""
    context: str = ""
    """The context of the cluster, if it has been found."""
    problem: str = ""
    """Why it is not known which cluster this is, where one could not be asked."""


@dataclass(frozen=True, slots=True)
class _Source:
    source: ApplicationSource
    ignore: str | None = None
    """`spec.ignore` of the GitRepository."""


async def to_application(found: FluxObject, reader: Reader, place: Place) -> Application:
    """The application of one object. What is wrong with it is a condition of its own."""
    try:
        if found.kind == "Kustomization":
            return await _kustomization(found, spec_of(found, KustomizationSpec), reader, place)
        return await _release(found, spec_of(found, HelmReleaseSpec), reader, place)
    except InvalidSpec as error:
        at = place_of(error.of or found, reader.home, error.field)
        return _application(found, place, conditions=[_error(f"{at}: {error}")])
    except _NotDeclared as error:
        at = place_of(error.by, reader.home, "name", error.name)
        return _application(found, place, conditions=[_error(f"{at}: {error}")])
    except _Unusable as error:
        return _application(found, place, conditions=[_error(str(error))])


async def _kustomization(
    found: FluxObject, spec: KustomizationSpec, reader: Reader, place: Place
) -> Application:
    source = _source(reader.objects, spec.source_ref, found)
    references = await reader.read(
        spec.post_build.substitute_from, found, "spec.postBuild.substituteFrom"
    )
    edits: dict[str, Any] = {
        "targetNamespace": spec.target_namespace,
        "namePrefix": spec.name_prefix,
        "nameSuffix": spec.name_suffix,
        "patches": spec.patches,
        "patchesStrategicMerge": spec.patches_strategic_merge,
        "patchesJson6902": spec.patches_json6902,
        "images": spec.images,
        "components": spec.components,
        "ignoreMissingComponents": spec.ignore_missing_components,
        "buildMetadata": spec.build_metadata,
        "ignore": source.ignore,
        "substitute": _substitutions(spec, references),
    }
    path = spec.path.lstrip("/") or "."
    rules, untold = _ignore_rules(spec.ignore)
    return _application(
        found,
        place,
        source=msgspec.structs.replace(source.source, path=path),
        render=_rendering("kustomization", edits, spec.common_metadata),
        namespace=spec.target_namespace,
        kube_config=spec.kube_config,
        conditions=[*_suspension(spec.suspend), *references.conditions, *untold],
        ignore=rules,
        prune=spec.prune,
        force=spec.force,
        synced=_applied_revision(found),
    )


def _substitutions(spec: KustomizationSpec, references: References) -> dict[str, Any] | None:
    """The variables that are certain, and which ones a Secret may set; None if nothing is."""
    if not spec.post_build.substitute and not spec.post_build.substitute_from:
        return None
    certain: dict[str, str] = {}
    unknown: set[str] | None = set()
    unread: list[str] = []
    for layer in references.layers:
        if layer.data is not None:
            certain |= layer.data
            unknown = unknown - layer.data.keys() if unknown is not None else None
            continue
        unread.append(layer.reference.name)
        if layer.keys is None:
            # Whatever came before may be overwritten by what cannot be read.
            certain, unknown = {}, None
        else:
            certain = {k: v for k, v in certain.items() if k not in layer.keys}
            unknown = unknown | set(layer.keys) if unknown is not None else None
    certain |= spec.post_build.substitute
    names, perhaps = ", ".join(unread), ", ".join(references.taken_absent)
    return {
        "vars": {name: value.replace("\n", "") for name, value in certain.items()},
        "unread": f"Secret {names} of spec.postBuild.substituteFrom is not read" if unread else "",
        "unknown": None if unknown is None else sorted(unknown - spec.post_build.substitute.keys()),
        "perhaps": f"the optional Secret {perhaps} may set it, which is not read"
        if perhaps
        else "",
    }


async def _release(
    found: FluxObject, spec: HelmReleaseSpec, reader: Reader, place: Place
) -> Application:
    chart, source = _chart(reader.objects, spec, found)
    references = await reader.read(spec.values_from, found, "spec.valuesFrom")
    conditions = [*_suspension(spec.suspend), *references.conditions]
    namespace = spec.target_namespace or found.namespace
    render: dict[str, Any] = {
        "releaseName": release_name(spec, found.name),
        "namespace": namespace,
        "skipCrds": spec.install.crds == "Skip" and spec.upgrade.crds in ("", "Skip"),
        "skipSchema": spec.install.disable_schema_validation,
        "valuesFiles": chart.values_files,
        "ignoreMissingValuesFiles": chart.ignore_missing_values_files,
        "values": _values(spec, references, conditions),
        "postRenderers": [one.kustomize for one in spec.post_renderers if one.kustomize],
    }
    rules, untold = _ignore_rules(spec.drift_detection.ignore)
    return _application(
        found,
        place,
        source=source,
        render=_rendering("helmRelease", render, spec.common_metadata),
        namespace=namespace,
        kube_config=spec.kube_config,
        conditions=[*conditions, *untold],
        ignore=rules,
        values=_value_places(spec, references, found.namespace),
        crds_once=spec.upgrade.crds not in ("Create", "CreateReplace"),
        creates_namespace=spec.install.create_namespace,
        corrects_drift=spec.drift_detection.mode == "enabled",
    )


def release_name(spec: HelmReleaseSpec, name: str) -> str:
    """The name of the Helm release, shortened as helm-controller does."""
    if spec.release_name:
        return spec.release_name
    full = f"{spec.target_namespace}-{name}" if spec.target_namespace else name
    if len(full) <= _MAX_RELEASE_NAME:
        return full
    return f"{full[:40]}-{hashlib.sha256(full.encode()).hexdigest()[:12]}"


def _values(
    spec: HelmReleaseSpec, references: References, conditions: list[Condition]
) -> list[dict[str, Any]]:
    """The layers of values, weakest first: references, inline values, single values at a path."""
    merged: list[dict[str, Any]] = []
    placed: list[dict[str, Any]] = []
    for layer in references.layers:
        reference = layer.reference
        name = f"{reference.kind} {reference.name}"
        if layer.data is None:
            conditions.append(
                _error(f"spec.valuesFrom: {name} is not read, so the release's values are unknown")
            )
        elif reference.values_key not in layer.data:
            where = f" ({layer.origin})" if layer.origin else ""
            known = listed(sorted(layer.data), reference.values_key) or "none"
            text = f"{name}{where} has no key {reference.values_key}; its keys: {known}"
            conditions.append(_error(f"spec.valuesFrom: {text}"))
        else:
            text = layer.data[reference.values_key]
            place = placed if reference.target_path else merged
            place.append(
                {
                    "from": f"spec.valuesFrom {name}",
                    "document": text,
                    "targetPath": reference.target_path,
                    "literal": reference.literal,
                    "file": "" if layer.origin.startswith("hub ") else layer.origin,
                    "name": reference.name,
                    "key": reference.values_key,
                }
            )
    if spec.values:
        merged.append({"from": "spec.values", "object": spec.values})
    return [*merged, *placed]


def _value_places(spec: HelmReleaseSpec, references: References, namespace: str) -> tuple[str, ...]:
    """Where the layers of `_values` are, the strongest first."""
    merged: list[str] = []
    placed: list[str] = []
    for layer in references.layers:
        reference = layer.reference
        if layer.data is None or reference.values_key not in layer.data:
            continue
        what = f"{reference.kind} {namespace}/{reference.name}"
        key = f"key {reference.values_key}"
        live = not layer.origin or layer.origin.startswith("hub ")
        told = f"the live {what} ({key})" if live else f"{layer.place} ({what}, {key})"
        if reference.target_path:
            placed.append(f"{told} for {reference.target_path}")
        else:
            merged.append(told)
    if spec.values:
        merged.append("spec.values")
    return tuple(reversed([*merged, *placed]))


def _chart(
    objects: FluxObjects, spec: HelmReleaseSpec, found: FluxObject
) -> tuple[ChartSpec, ApplicationSource]:
    """The chart of a release and where it lies. Raises _Unusable or InvalidSpec."""
    holder = found
    if spec.chart_ref is not None:
        if spec.chart_ref.kind != "HelmChart":
            return ChartSpec(), _artifact(objects, spec.chart_ref, found)
        holder = _referred(objects, spec.chart_ref, found)
        chart = spec_of(holder, ChartSpec)
    elif spec.chart is None:
        raise InvalidSpec(f"{found}: spec has neither chart nor chartRef; add one in Git")
    else:
        chart = spec.chart.spec
        if spec.chart.kind == "OCIRepository":
            return ChartSpec(), ApplicationSource(repo_url=chart.url, path=".")
    reference = chart.source_ref
    if reference is None:
        raise InvalidSpec(f"{holder}: the chart has no sourceRef; add it in Git")
    if reference.kind == "GitRepository":
        source = _source(objects, reference, holder).source
        return chart, msgspec.structs.replace(source, path=chart.chart.lstrip("/") or ".")
    remote = _remote(objects, reference, holder)
    if reference.kind != "HelmRepository":
        raise _Unusable(f"{holder}: charts of a {reference.kind} ({remote}) are not read yet")
    return chart, ApplicationSource(
        repo_url=remote, chart=chart.chart, target_revision=chart.version
    )


def _artifact(objects: FluxObjects, reference: Reference, by: FluxObject) -> ApplicationSource:
    """The chart that an OCIRepository names. Raises _Unusable, InvalidSpec."""
    found = _referred(objects, reference, by)
    if found.kind != "OCIRepository":
        raise _Unusable(f"{by}: charts of a {found.kind} are not read yet")
    spec = spec_of(found, RemoteSpec)
    revision = spec.ref.digest or spec.ref.semver or spec.ref.tag
    return ApplicationSource(repo_url=spec.url, path=".", target_revision=revision)


def _remote(objects: FluxObjects, reference: Reference, by: FluxObject) -> str:
    """The URL of a source that is no Git repository."""
    spec = spec_of(_referred(objects, reference, by), RemoteSpec)
    return spec.url or f"{spec.endpoint}/{spec.bucket_name}"


def _referred(objects: FluxObjects, reference: Reference, by: FluxObject) -> FluxObject:
    namespace = reference.namespace or by.namespace
    found = objects.find(reference.kind, namespace, reference.name)
    if found is None:
        remedy = (
            nearest(objects.names(reference.kind, namespace), reference.name).strip()
            or f"correct the name in Git, or add the {reference.kind} to what the cluster's "
            "Kustomizations apply"
        )
        raise _NotDeclared(
            f"{by}: its source {reference.kind} {namespace}/{reference.name} is not declared; "
            f"{remedy}",
            by,
            reference.name,
        )
    return found


def _source(objects: FluxObjects, reference: Reference, by: FluxObject) -> _Source:
    """The Git repository and revision that a reference means. Raises _Unusable, InvalidSpec."""
    found = _referred(objects, reference, by)
    if found.kind != "GitRepository":
        url = _remote(objects, reference, by)
        raise _Unusable(
            f"{by}: its source is the {found.kind} {found.name} ({url}); artifacts of registries "
            "and buckets are not read yet"
        )
    spec = spec_of(found, GitRepositorySpec)
    if spec.include:
        raise _Unusable(f"{found}: spec.include (files of other repositories) is not read yet")
    ref = spec.ref
    if ref.semver and not ref.commit and not ref.name:
        raise _Unusable(f"{found}: spec.ref.semver {ref.semver!r} is not resolved yet; pin a tag")
    name = ref.name.removeprefix("refs/heads/").removeprefix("refs/tags/")
    revision = ref.commit or name or ref.tag or ref.branch or "master"
    return _Source(ApplicationSource(repo_url=spec.url, target_revision=revision), spec.ignore)


def _ignore_rules(
    rules: Iterable[IgnoreRule],
) -> tuple[tuple[IgnoreDifference, ...], list[Condition]]:
    """Flux's rules as driftd's; a condition for each that speaks in selectors not read here."""
    found: list[IgnoreDifference] = []
    untold: list[Condition] = []
    for number, rule in enumerate(rules):
        target = rule.target
        difference = IgnoreDifference(group="*", kind="*", json_pointers=rule.paths)
        if target is not None:
            difference = IgnoreDifference(
                group=target.group or "*",
                kind=target.kind or "*",
                name=target.name,
                namespace=target.namespace,
                json_pointers=rule.paths,
            )
            selects = target.label_selector or target.annotation_selector
            names = (target.group, target.kind, target.name, target.namespace)
            if selects or not all(_PLAIN_NAME.match(name) for name in names):
                text = (
                    f"ignore rule {number} selects by label, annotation or pattern: it is not "
                    "applied, its differences are told"
                )
                untold.append(Condition("IgnoreRuleFailed", text, Severity.WARNING))
                difference = msgspec.structs.replace(difference, json_pointers=())
        found.append(difference)
    return tuple(found), untold


def _rendering(tool: str, fields: dict[str, Any], common: CommonMetadata) -> dict[str, Any]:
    return {tool: fields, "commonMetadata": msgspec.to_builtins(common)}


def _applied_revision(found: FluxObject) -> tuple[str, ...]:
    """The commit that the controller has applied last, of a live object."""
    status = found.body.get("status")
    text = status.get("lastAppliedRevision") if isinstance(status, dict) else None
    match = _APPLIED_REVISION.search(text) if isinstance(text, str) else None
    return (match[1],) if match else ()


def _suspension(suspended: bool) -> list[Condition]:
    if not suspended:
        return []
    text = "spec.suspend is true: Flux applies nothing and puts nothing back meanwhile"
    return [Condition("Suspended", text, Severity.INFO)]


def _application(
    found: FluxObject,
    place: Place,
    *,
    source: ApplicationSource | None = None,
    render: dict[str, Any] | None = None,
    namespace: str = "",
    kube_config: KubeConfig | None = None,
    conditions: Sequence[Condition] = (),
    ignore: tuple[IgnoreDifference, ...] = (),
    prune: bool = True,
    force: bool = False,
    values: tuple[str, ...] = (),
    crds_once: bool = False,
    creates_namespace: bool = False,
    corrects_drift: bool = True,
    synced: tuple[str, ...] = (),
) -> Application:
    destination = place.destination
    if kube_config is not None:
        destination = Destination(name=kube_config.name)
    return Application(
        name=f"{place.prefix}{found.name}",
        namespace=found.namespace,
        spec=ApplicationSpec(
            source=source,
            destination=msgspec.structs.replace(destination, namespace=namespace),
            ignore_differences=ignore,
        ),
        annotations=_annotations(found),
        origin=found.origin,
        synced_revisions=synced,
        flux=FluxSpec(
            kind="Kustomization" if found.kind == "Kustomization" else "HelmRelease",
            object_name=found.name,
            render=render or {},
            api_version=str(found.body.get("apiVersion") or ""),
            context="" if kube_config is not None else place.context,
            unplaced="" if kube_config is not None else place.problem,
            prune=prune,
            force=force,
            values=values,
            applied_by=found.applied_by,
            crds_once=crds_once,
            creates_namespace=creates_namespace,
            corrects_drift=corrects_drift,
            conditions=tuple(conditions),
        ),
    )


def _annotations(found: FluxObject) -> dict[str, str]:
    metadata = found.body.get("metadata")
    given = metadata.get("annotations") if isinstance(metadata, dict) else None
    if not isinstance(given, dict):
        return {}
    return {str(name): value for name, value in given.items() if isinstance(value, str)}


def _error(text: str) -> Condition:
    return Condition("ComparisonError", text)


def told_apart(
    applications: Iterable[Application], taken: Iterable[str] = ()
) -> tuple[Application, ...]:
    """The applications, those whose qualified name is taken named `helmrelease/NAME` and so on."""
    known = set(taken)
    found: list[Application] = []
    for one in applications:
        if one.qualified_name in known and one.flux is not None:
            name = f"{one.flux.kind.lower()}/{one.name}"
            one = msgspec.structs.replace(one, name=name)
        known.add(one.qualified_name)
        found.append(one)
    return tuple(found)
