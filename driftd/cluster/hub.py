"""One look at a hub: the cluster that Argo CD runs in, and everything it knows.

Argo CD has already expanded every generator there, so the live Applications cover
ApplicationSets of all kinds. Each part that cannot be read is a condition; the rest counts.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

import msgspec

from driftd.cluster.clustersecret import LABEL, HubCluster, parse_cluster_secret
from driftd.cluster.edited import edited
from driftd.cluster.fluxobjects import read_flux
from driftd.cluster.reader import ApiResource, ClusterReader, Listing, ObjectMeta
from driftd.cluster.reposecret import (
    REPOSITORY,
    TEMPLATE,
    host_certificates,
    host_keys,
    parse_repository_secret,
)
from driftd.errors import ClusterError, ConfigError, Forbidden
from driftd.model.application import Application, ApplicationSource, ApplicationSpec, without_nulls
from driftd.model.condition import Condition, Severity
from driftd.model.flux import FluxObject
from driftd.model.project import AppProject, AppProjectSpec
from driftd.model.repository import AccessTable, RepositoryAccess
from driftd.model.resource import LiveObject

DEFAULT_NAMESPACE = "argocd"
DEFAULT_INSTANCE_LABEL = "app.kubernetes.io/instance"
TRACKING_METHODS = ("annotation", "annotation+label", "label")
APPLICATIONS = ApiResource(
    "argoproj.io", "v1alpha1", "Application", "applications", True, ("get", "list")
)
PROJECTS = ApiResource(
    "argoproj.io", "v1alpha1", "AppProject", "appprojects", True, ("get", "list")
)
SECRETS = ApiResource("", "v1", "Secret", "secrets", True, ("get", "list"))
CONFIG_MAPS = ApiResource("", "v1", "ConfigMap", "configmaps", True, ("get", "list"))
GPG_KEYS = "argocd-gpg-keys-cm"
"""The ConfigMap that holds the public keys that Argo CD trusts."""

_COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_VERSION = re.compile(r"v?\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?")
_SECRETS = ("cluster", REPOSITORY, TEMPLATE)

Parsed = TypeVar("Parsed")


class Tracking(msgspec.Struct, frozen=True):
    """How the hub's Argo CD marks objects as its own (`argocd-cm`)."""

    method: str = TRACKING_METHODS[0]
    instance_label: str = DEFAULT_INSTANCE_LABEL
    settings: dict[str, str] = {}
    """The `resource.*` and `kustomize.*` keys as they are written by users."""


class Hub(msgspec.Struct, frozen=True):
    """What a hub knows."""

    name: str
    """The context it was read from."""
    applications: tuple[Application, ...] = ()
    applications_known: bool = False
    """Whether these are all Applications of the hub, each of them readable."""
    projects: tuple[AppProject, ...] = ()
    projects_problem: str = ""
    """Why AppProjects may be missing among these; empty if all are known."""
    clusters: tuple[HubCluster, ...] = ()
    clusters_known: bool = True
    """False if the cluster Secrets could not be listed: there may be any."""
    tracking: Tracking = Tracking()
    conditions: tuple[Condition, ...] = ()
    """What could not be read, one condition for each part or document."""
    access: AccessTable = AccessTable()
    """How Argo CD reaches repositories: its repository Secrets, host keys and certificates."""
    gpg_keys: dict[str, str] = {}
    """`argocd-gpg-keys-cm`: key id to armoured public key; read only where a project asks."""
    gpg_problem: str = ""
    """Why these keys are not known."""
    flux: tuple[FluxObject, ...] = ()
    """What the cluster's Flux works with: Kustomizations, HelmReleases and their sources."""


async def read_hub(
    reader: ClusterReader,
    name: str,
    *,
    namespace: str = DEFAULT_NAMESPACE,
    application_namespaces: Collection[str] | None = None,
    allow_exec: bool = False,
) -> Hub:
    """Read a hub once.

    `namespace` is Argo CD's own. `application_namespaces` limits where Applications are
    looked for (default: everywhere). `allow_exec` lets credential plugins of cluster
    Secrets run on this machine. Never raises ClusterError.
    """
    wanted = None if application_namespaces is None else frozenset(application_namespaces)

    def in_namespaces(meta: ObjectMeta) -> bool:
        return wanted is None or meta.namespace in wanted

    tracking, trust, applications, projects, secrets, flux = await asyncio.gather(
        _tracking(reader, namespace),
        _trust(reader, namespace),
        reader.list(APPLICATIONS, application_namespaces, in_namespaces),
        reader.list(PROJECTS, [namespace]),
        reader.list(SECRETS, [namespace], label_selector=f"{LABEL} in ({', '.join(_SECRETS)})"),
        read_flux(reader, name),
    )
    conditions = [*tracking[1], *trust[1]]
    origin = f"hub {name}"
    if flux.objects and not flux.beside_argo_cd:
        return Hub(name=name, flux=flux.objects, conditions=flux.conditions)
    conditions += flux.conditions
    before = len(conditions)
    apps = _parse_all(
        applications,
        "Applications",
        lambda live: parse_application(live.body, origin=origin, tracking=tracking[0].method),
        conditions,
    )
    apps_known = wanted is None and len(conditions) == before
    known = _parse_all(
        projects, "AppProjects", lambda live: parse_project(live.body, origin), conditions
    )
    found = _parse_all(
        secrets,
        "repository and cluster Secrets",
        lambda live: _parse_secret(live, allow_exec=allow_exec),
        conditions,
    )
    entries = tuple(one for one in found if isinstance(one, RepositoryAccess))
    gpg_keys, gpg_problem = await _gpg_keys(reader, namespace, known)
    return Hub(
        name=name,
        applications=apps,
        applications_known=apps_known and applications.complete,
        projects=known,
        projects_problem=_projects_problem(projects, namespace),
        clusters=tuple(one for one in found if isinstance(one, HubCluster)),
        clusters_known=secrets.complete,
        access=msgspec.structs.replace(trust[0], entries=entries),
        tracking=tracking[0],
        conditions=tuple(conditions),
        gpg_keys=gpg_keys,
        gpg_problem=gpg_problem,
        flux=flux.objects,
    )


def _projects_problem(listing: Listing, namespace: str) -> str:
    """Why AppProjects are not known, with the rule that would let them be read."""
    for error in listing.errors.values():
        rule = (
            f"; grant get and list of appprojects.argoproj.io in namespace {namespace}"
            if isinstance(error, Forbidden)
            else ""
        )
        return f"{error.message}{rule}"
    return ""


def _parse_secret(live: LiveObject, *, allow_exec: bool) -> HubCluster | RepositoryAccess:
    kind = msgspec.json.decode(live.body, type=_Labelled).metadata.labels.get(LABEL, "")
    if kind in {REPOSITORY, TEMPLATE}:
        return parse_repository_secret(live.body, template=kind == TEMPLATE)
    return parse_cluster_secret(live.body, allow_exec=allow_exec)


async def _trust(
    reader: ClusterReader, namespace: str
) -> tuple[AccessTable, tuple[Condition, ...]]:
    """Host keys and certificates that Argo CD trusts; both ConfigMaps may be absent."""
    found: list[dict[str, str]] = []
    conditions: list[Condition] = []
    for name in ("argocd-ssh-known-hosts-cm", "argocd-tls-certs-cm"):
        data: dict[str, str] = {}
        try:
            live = await reader.get(CONFIG_MAPS, namespace, name)
            if live is not None:
                document = without_nulls(msgspec.json.decode(live.body))
                data = msgspec.convert(document, _ConfigMap).data
        except (ClusterError, msgspec.MsgspecError) as error:
            why = error.message if isinstance(error, ClusterError) else str(error)
            text = f"the hub's {name} is not known, repositories are verified without it: {why}"
            conditions.append(Condition("HubReadError", text, Severity.WARNING))
        found.append(data)
    keys, certificates = found
    table = AccessTable(known_hosts=host_keys(keys), certificates=host_certificates(certificates))
    return table, tuple(conditions)


def _parse_all(
    listing: Listing,
    what: str,
    parse: Callable[[LiveObject], Parsed],
    conditions: list[Condition],
) -> tuple[Parsed, ...]:
    """Parse each object on its own: a bad one becomes a condition and stops no other."""
    conditions.extend(
        Condition("HubReadError", f"the hub's {what} are not known: {error.message}")
        for error in listing.errors.values()
    )
    parsed: list[Parsed] = []
    for live in listing.objects:
        try:
            parsed.append(parse(live))
        except ConfigError as error:
            conditions.append(Condition("HubReadError", error.message))
        except msgspec.MsgspecError as error:
            # Only Secrets hold secret values, and their parser's text names no value.
            text = "it is not what Argo CD defines" if live.key.kind == "Secret" else str(error)
            conditions.append(Condition("InvalidSpecError", f"{live.key} on the hub: {text}"))
    return tuple(parsed)


async def _tracking(
    reader: ClusterReader, namespace: str
) -> tuple[Tracking, tuple[Condition, ...]]:
    try:
        live = await reader.get(CONFIG_MAPS, namespace, "argocd-cm")
    except ClusterError as error:
        severity = Severity.WARNING
        text = f"the hub's argocd-cm is not known, defaults are assumed: {error.message}"
        return Tracking(), (Condition("HubReadError", text, severity),)
    if live is None:
        text = f"there is no ConfigMap {namespace}/argocd-cm on the hub, defaults are assumed"
        return Tracking(), (Condition("HubDefaultsAssumed", text, Severity.WARNING),)
    try:
        data = msgspec.convert(without_nulls(msgspec.json.decode(live.body)), _ConfigMap).data
    except msgspec.MsgspecError as error:
        return Tracking(), (Condition("HubReadError", f"{live.key} on the hub: {error}"),)
    method = data.get("application.resourceTrackingMethod") or TRACKING_METHODS[0]
    label = data.get("application.instanceLabelKey") or DEFAULT_INSTANCE_LABEL
    if method not in TRACKING_METHODS:
        text = f"argocd-cm: unknown application.resourceTrackingMethod {method!r}"
        return Tracking(instance_label=label), (Condition("HubReadError", text),)
    prefixes = ("resource.", "kustomize.")
    settings = {key: text for key, text in data.items() if key.startswith(prefixes)}
    return Tracking(method, label, settings), ()


async def _gpg_keys(
    reader: ClusterReader, namespace: str, projects: Collection[AppProject]
) -> tuple[dict[str, str], str]:
    """Argo CD's GPG keys, if a project demands signatures, or why they are not known."""
    specs = [project.spec for project in projects]
    if not any(spec.source_integrity or spec.signature_keys for spec in specs):
        return {}, ""
    try:
        live = await reader.get(CONFIG_MAPS, namespace, GPG_KEYS)
        if live is None:
            return {}, f"there is no ConfigMap {namespace}/{GPG_KEYS} on the hub"
        found = msgspec.convert(without_nulls(msgspec.json.decode(live.body)), _ConfigMap)
    except ClusterError as error:
        return {}, f"the hub's {GPG_KEYS} is not known: {error.message}"
    except msgspec.MsgspecError as error:
        return {}, f"{GPG_KEYS} on the hub: {error}"
    return found.data, ""


class _ConfigMap(msgspec.Struct, frozen=True):
    data: dict[str, str] = {}


class _Labels(msgspec.Struct, frozen=True):
    labels: dict[str, str] = {}


class _Labelled(msgspec.Struct, frozen=True):
    metadata: _Labels = _Labels()


class _Revisions(msgspec.Struct, frozen=True):
    """Revisions in any of the places where Argo CD's status has them."""

    revision: str = ""
    revisions: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        return self.revisions or ((self.revision,) if self.revision else ())


class _SyncStatus(_Revisions, frozen=True):
    status: str = ""


class _SyncOperation(msgspec.Struct, frozen=True, rename="camel"):
    dry_run: bool = False
    resources: tuple[Any, ...] = ()


class _Operation(msgspec.Struct, frozen=True):
    sync: _SyncOperation = _SyncOperation()


class _OperationState(msgspec.Struct, frozen=True, rename="camel"):
    phase: str = ""
    operation: _Operation = _Operation()
    sync_result: _Revisions = _Revisions()

    @property
    def revisions(self) -> tuple[str, ...]:
        """What the operation brought the whole application to; empty if it did not.

        A dry run brings nothing anywhere, a sync of chosen resources only those.
        """
        sync = self.operation.sync
        whole = self.phase == "Succeeded" and not sync.dry_run and not sync.resources
        return self.sync_result.all if whole else ()


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    sync: _SyncStatus = _SyncStatus()
    operation_state: _OperationState = _OperationState()
    history: tuple[_Revisions, ...] = ()


class _Meta(msgspec.Struct, frozen=True):
    name: str
    namespace: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class _Application(msgspec.Struct, frozen=True):
    metadata: _Meta
    spec: ApplicationSpec
    status: _Status = _Status()


class _Project(msgspec.Struct, frozen=True):
    metadata: _Meta
    spec: AppProjectSpec = AppProjectSpec()


def parse_application(body: bytes, *, origin: str, tracking: str) -> Application:
    """A live Application with the revisions that its objects were last synced to.

    Raises msgspec.ValidationError naming the field if it is not what Argo CD defines.
    """
    raw = msgspec.json.decode(body, type=dict[str, Any])
    parsed = msgspec.convert(without_nulls(raw), _Application)
    return Application(
        name=parsed.metadata.name,
        namespace=parsed.metadata.namespace,
        spec=parsed.spec,
        annotations=parsed.metadata.annotations,
        labels=parsed.metadata.labels,
        origin=origin,
        synced_revisions=_synced_revisions(parsed.status, parsed.spec.all_sources),
        tracking=tracking,
        raw=raw,
        conditions=edited(raw),
    )


def parse_project(body: bytes, origin: str) -> AppProject:
    """A live AppProject; raises msgspec.ValidationError naming the field."""
    raw = msgspec.json.decode(body, type=dict[str, Any])
    parsed = msgspec.convert(without_nulls(raw), _Project)
    return AppProject(
        name=parsed.metadata.name,
        namespace=parsed.metadata.namespace,
        spec=parsed.spec,
        origin=origin,
        annotations=parsed.metadata.annotations,
    )


def _synced_revisions(status: _Status, sources: Sequence[ApplicationSource]) -> tuple[str, ...]:
    """What the cluster was last brought to, one revision for each source as far as is known.

    `status.sync.revision` alone is what Argo CD last *compared* with, so it counts only
    while the application is Synced.
    """
    last = status.history[-1].all if status.history else ()
    if status.sync.status == "Synced" and status.sync.all:
        named = status.sync.all
    else:
        named = status.operation_state.revisions or last
    if len(named) == 1 < len(sources):
        if len(last) == len(sources) and named[0] in last:
            return last
        return _of_each(named[0], sources) or named
    return named


def _of_each(revision: str, sources: Sequence[ApplicationSource]) -> tuple[str, ...]:
    """The revision of each source where one commit was named for all; empty if it may be either's.

    It is that of every Git source if these follow one revision of one repository; a chart's is
    its version, if that is pinned.
    """
    charts = [bool(one.chart) or one.repo_url.startswith("oci://") for one in sources]
    followed = {
        (one.repo_url.rstrip("/").removesuffix(".git"), one.target_revision or "HEAD")
        for one, chart in zip(sources, charts, strict=True)
        if not chart
    }
    pinned = all(
        _VERSION.fullmatch(one.target_revision)
        for one, chart in zip(sources, charts, strict=True)
        if chart
    )
    if len(followed) != 1 or not pinned or not _COMMIT.fullmatch(revision):
        return ()
    return tuple(
        one.target_revision if chart else revision
        for one, chart in zip(sources, charts, strict=True)
    )
