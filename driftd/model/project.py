"""Argo CD's `AppProject`: what an Application may read from and write to."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from driftd.model.application import ArgoStruct, Destination


class GroupKind(ArgoStruct, frozen=True, kw_only=True):
    """An allow or deny entry; both fields are globs, `name` (cluster-scoped only) too."""

    group: str = ""
    kind: str = ""
    name: str = ""


class SignatureKey(ArgoStruct, frozen=True, kw_only=True):
    """One entry of `spec.signatureKeys`."""

    key_id: str = msgspec.field(name="keyID", default="")


class IntegrityRepo(ArgoStruct, frozen=True, kw_only=True):
    """Which repositories a policy is about: a glob, with a leading `!` those it is not about."""

    url: str = ""


class IntegrityGpg(ArgoStruct, frozen=True, kw_only=True):
    """How commits must be signed; `mode` is `none`, `head` or `strict`."""

    mode: str = ""
    keys: tuple[str, ...] = ()


class IntegrityPolicy(ArgoStruct, frozen=True, kw_only=True):
    """One entry of `spec.sourceIntegrity.git.policies`."""

    repos: tuple[IntegrityRepo, ...] = ()
    gpg: IntegrityGpg | None = None


class GitIntegrity(ArgoStruct, frozen=True, kw_only=True):
    """`spec.sourceIntegrity.git`."""

    policies: tuple[IntegrityPolicy, ...] = ()


class SourceIntegrity(ArgoStruct, frozen=True, kw_only=True):
    """`spec.sourceIntegrity`; where it is set, `signatureKeys` do not count."""

    git: GitIntegrity | None = None


class SignatureMode(StrEnum):
    """How much of a revision must be signed."""

    HEAD = "head"
    """Its commit, or its tag where it is an annotated tag."""
    STRICT = "strict"
    """That, and every commit back to the last that is sealed."""


class SignatureDemand(msgspec.Struct, frozen=True, kw_only=True):
    """What a project, or an operator, demands of the revisions of a repository."""

    project: str
    """Empty where the operator's settings demand it."""
    mode: SignatureMode
    keys: tuple[str, ...]
    """Key ids of 16 digits, fingerprints, `SHA256:…` of SSH keys; others match nothing."""


class SyncWindow(ArgoStruct, frozen=True, kw_only=True):
    """One entry of `spec.syncWindows`: when its applications may, or may not, be written to."""

    kind: str = ""
    """`allow` or `deny`."""
    schedule: str = ""
    """When it opens: five fields of cron, on the clocks of `timeZone`."""
    duration: str = ""
    """How long it stays open, as Go writes durations: `90m`, `1h30m`."""
    applications: tuple[str, ...] = ()
    """Globs of names, as those of `namespaces` and `clusters`; one that matches is enough."""
    namespaces: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    """Of names or of servers."""
    manual_sync: bool = False
    """A person may sync all the same."""
    time_zone: str = ""
    """IANA name; UTC if it is empty."""
    and_operator: bool = False
    """All of the three lists that are set have to match."""
    description: str = ""


class AppProjectSpec(ArgoStruct, frozen=True, kw_only=True):
    """`spec` of an AppProject; `None` lists differ from empty ones as in Argo CD."""

    description: str = ""
    source_repos: tuple[str, ...] = ()
    destinations: tuple[Destination, ...] = ()
    cluster_resource_whitelist: tuple[GroupKind, ...] | None = None
    cluster_resource_blacklist: tuple[GroupKind, ...] = ()
    namespace_resource_whitelist: tuple[GroupKind, ...] | None = None
    namespace_resource_blacklist: tuple[GroupKind, ...] = ()
    signature_keys: tuple[SignatureKey, ...] = ()
    source_integrity: SourceIntegrity | None = None
    sync_windows: tuple[SyncWindow, ...] = ()
    permit_only_project_scoped_clusters: bool = False
    """Of the clusters that `destinations` permit, only those whose Secret names the project."""


class AppProject(msgspec.Struct, frozen=True, kw_only=True):
    """An AppProject with where it was found."""

    name: str
    namespace: str = "argocd"
    spec: AppProjectSpec = AppProjectSpec()
    origin: str = ""
    annotations: dict[str, str] = {}


PERMISSIVE = AppProject(
    name="default",
    spec=AppProjectSpec(
        source_repos=("*",),
        destinations=(Destination(server="*", namespace="*"),),
        cluster_resource_whitelist=(GroupKind(group="*", kind="*"),),
    ),
)
"""What a repository without a `default` project gets: Argo CD's own permissive default."""
