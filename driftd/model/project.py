"""Argo CD's `AppProject`: what an Application may read from and write to."""

from __future__ import annotations

import msgspec

from driftd.model.application import ArgoStruct, Destination


class GroupKind(ArgoStruct, frozen=True, kw_only=True):
    """An allow or deny entry; both fields are globs, `name` (cluster-scoped only) too."""

    group: str = ""
    kind: str = ""
    name: str = ""


class AppProjectSpec(ArgoStruct, frozen=True, kw_only=True):
    """`spec` of an AppProject; `None` lists differ from empty ones as in Argo CD."""

    description: str = ""
    source_repos: tuple[str, ...] = ()
    destinations: tuple[Destination, ...] = ()
    cluster_resource_whitelist: tuple[GroupKind, ...] | None = None
    cluster_resource_blacklist: tuple[GroupKind, ...] = ()
    namespace_resource_whitelist: tuple[GroupKind, ...] | None = None
    namespace_resource_blacklist: tuple[GroupKind, ...] = ()


class AppProject(msgspec.Struct, frozen=True, kw_only=True):
    """An AppProject with where it was found."""

    name: str
    namespace: str = "argocd"
    spec: AppProjectSpec = AppProjectSpec()
    origin: str = ""


PERMISSIVE = AppProject(
    name="default",
    spec=AppProjectSpec(
        source_repos=("*",),
        destinations=(Destination(server="*", namespace="*"),),
        cluster_resource_whitelist=(GroupKind(group="*", kind="*"),),
    ),
)
"""What a repository without a `default` project gets: Argo CD's own permissive default."""
