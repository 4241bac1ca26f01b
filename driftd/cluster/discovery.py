"""What discovery documents say, aggregated or one group at a time. Pure."""

from __future__ import annotations

import msgspec

from driftd.cluster.reader import ApiResource
from driftd.model.resource import GVK

AGGREGATED = "APIGroupDiscoveryList"
ACCEPT = ",".join(
    f"application/json;g=apidiscovery.k8s.io;v={version};as={AGGREGATED}"
    for version in ("v2", "v2beta1")
)
"""Asks for aggregated discovery, newest form first, else for what the server has."""
ACCEPT_ANY = f"{ACCEPT},application/json"


class ResponseKind(msgspec.Struct, frozen=True):
    """The kind that a resource's endpoint speaks."""

    kind: str = ""


class DiscoveredResource(msgspec.Struct, frozen=True, rename="camel"):
    """One resource of aggregated discovery."""

    resource: str
    response_kind: ResponseKind | None = None
    scope: str = ""
    verbs: tuple[str, ...] = ()
    short_names: tuple[str, ...] = ()


class DiscoveredVersion(msgspec.Struct, frozen=True):
    """One version of a group; `freshness` is `Stale` if its server does not answer."""

    version: str
    resources: tuple[DiscoveredResource, ...] = ()
    freshness: str = ""


class GroupMeta(msgspec.Struct, frozen=True):
    """`metadata` of a group; the name of the core group is empty."""

    name: str = ""


class DiscoveredGroup(msgspec.Struct, frozen=True):
    """One group, its versions in the server's order of preference."""

    metadata: GroupMeta = GroupMeta()
    versions: tuple[DiscoveredVersion, ...] = ()


class GroupDiscoveryList(msgspec.Struct, frozen=True):
    """`APIGroupDiscoveryList`."""

    items: tuple[DiscoveredGroup, ...] = ()


class GroupVersion(msgspec.Struct, frozen=True, rename="camel"):
    """One version in `APIGroupList`."""

    group_version: str


class Group(msgspec.Struct, frozen=True, rename="camel"):
    """One group in `APIGroupList`."""

    versions: tuple[GroupVersion, ...] = ()
    preferred_version: GroupVersion | None = None


class GroupList(msgspec.Struct, frozen=True):
    """`APIGroupList`, the answer of `/apis` without aggregation."""

    groups: tuple[Group, ...] = ()


class CoreVersions(msgspec.Struct, frozen=True):
    """`APIVersions`, the answer of `/api` without aggregation."""

    versions: tuple[str, ...] = ()


class ListedResource(msgspec.Struct, frozen=True, rename="camel"):
    """One entry of `APIResourceList`; subresources have a `/` in their name."""

    name: str
    kind: str
    namespaced: bool = False
    verbs: tuple[str, ...] = ()
    short_names: tuple[str, ...] = ()


class ResourceList(msgspec.Struct, frozen=True):
    """`APIResourceList`, the answer of `/apis/GROUP/VERSION`."""

    resources: tuple[ListedResource, ...] = ()


def aggregated_resources(document: bytes) -> tuple[list[ApiResource], dict[str, str]]:
    """Resources in order of preference, and stale group versions with the reason.

    Raises msgspec.MsgspecError if the document is not what it claims to be.
    """
    resources: list[ApiResource] = []
    failed: dict[str, str] = {}
    for group in msgspec.json.decode(document, type=GroupDiscoveryList).items:
        for version in group.versions:
            group_version = GVK(group.metadata.name, version.version, "").api_version
            if version.freshness == "Stale":
                failed[group_version] = "the server behind this API group does not answer"
                continue
            resources.extend(
                ApiResource(
                    group.metadata.name,
                    version.version,
                    found.response_kind.kind,
                    found.resource,
                    found.scope == "Namespaced",
                    found.verbs,
                    found.short_names,
                )
                for found in version.resources
                if found.response_kind is not None and found.response_kind.kind
            )
    return resources, failed


def group_versions(document: bytes) -> list[str]:
    """The group versions of `/apis` without aggregation, a group's preferred one first."""
    names: list[str] = []
    for group in msgspec.json.decode(document, type=GroupList).groups:
        versions = [version.group_version for version in group.versions]
        if group.preferred_version is not None:
            versions.insert(0, group.preferred_version.group_version)
        names.extend(dict.fromkeys(versions))
    return names


def core_versions(document: bytes) -> list[str]:
    """The versions of the core group, from `/api` without aggregation."""
    return list(msgspec.json.decode(document, type=CoreVersions).versions)


def listed_resources(group_version: str, document: bytes) -> list[ApiResource]:
    """The resources of one group version, without subresources."""
    gvk = GVK.parse(group_version, "")
    return [
        ApiResource(
            gvk.group,
            gvk.version,
            found.kind,
            found.name,
            found.namespaced,
            found.verbs,
            found.short_names,
        )
        for found in msgspec.json.decode(document, type=ResourceList).resources
        if "/" not in found.name
    ]


def base_path(group_version: str) -> str:
    """Where a group version is served: `/api/v1`, `/apis/apps/v1`."""
    return f"/apis/{group_version}" if "/" in group_version else f"/api/{group_version}"


def resource_path(resource: ApiResource, namespace: str = "") -> str:
    """The collection of a resource, in one namespace or over all."""
    place = f"/namespaces/{namespace}" if namespace and resource.namespaced else ""
    return f"{base_path(resource.group_version)}{place}/{resource.plural}"


def display_name(resource: ApiResource) -> str:
    """A resource as kubectl and RBAC write it: `deployments.apps`, `services`."""
    return f"{resource.plural}.{resource.group}" if resource.group else resource.plural
