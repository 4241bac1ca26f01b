"""What the rest of driftd may ask a cluster: six reads, and the values that answer them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Generic, Protocol, TypeAlias, TypeVar

import msgspec

from driftd.errors import ClusterError
from driftd.model.resource import GVK, LiveObject


class ApiResource(msgspec.Struct, frozen=True, order=True):
    """One kind that a cluster serves, as discovery describes it."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: tuple[str, ...] = ()
    short_names: tuple[str, ...] = ()
    """What kubectl calls it too, such as `deploy`."""

    @property
    def gvk(self) -> GVK:
        """Group, version and kind."""
        return GVK(self.group, self.version, self.kind)

    @property
    def group_version(self) -> str:
        """The `apiVersion` of this kind."""
        return self.gvk.api_version

    @property
    def listable(self) -> bool:
        """Whether the API server offers `list` for this kind."""
        return "list" in self.verbs


class ObjectMeta(msgspec.Struct, frozen=True, rename="camel"):
    """The part of an object's `metadata` by which a reader selects it."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    deletion_timestamp: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: list[msgspec.Raw] | None = None


Select: TypeAlias = Callable[[ObjectMeta], bool]
"""Whether an object of a list is kept."""

Noted = TypeVar("Noted")
Note: TypeAlias = Callable[[ApiResource, ObjectMeta], Noted | None]
"""What is kept of an object that a scan shows; None for nothing."""


@dataclass(frozen=True, slots=True)
class Scan(Generic[Noted]):
    """What was kept of the objects of one kind."""

    noted: tuple[Noted, ...]
    error: ClusterError | None = None
    """Why there may be objects that it does not show."""


class Discovery(msgspec.Struct, frozen=True):
    """Every kind that a cluster serves, at one moment."""

    resources: tuple[ApiResource, ...]
    """In the server's order of preference: the first version of a group is its preferred one."""
    failed_groups: dict[str, str] = {}
    """`group/version` that exists but did not answer, and why: its kinds are unknown, not gone."""
    by_gvk: dict[tuple[str, str, str], ApiResource] = {}
    by_group_kind: dict[tuple[str, str], ApiResource] = {}

    @classmethod
    def of(
        cls, resources: Collection[ApiResource], failed_groups: dict[str, str] | None = None
    ) -> Discovery:
        """Build the look-up tables; `resources` in order of preference."""
        by_gvk: dict[tuple[str, str, str], ApiResource] = {}
        by_group_kind: dict[tuple[str, str], ApiResource] = {}
        for resource in resources:
            by_gvk.setdefault((resource.group, resource.version, resource.kind), resource)
            by_group_kind.setdefault((resource.group, resource.kind), resource)
        return cls(tuple(resources), dict(failed_groups or {}), by_gvk, by_group_kind)

    def served(self, group: str, version: str, kind: str) -> ApiResource | None:
        """The resource of exactly this version, or `None` if it is not served."""
        return self.by_gvk.get((group, version, kind))

    def preferred(self, group: str, kind: str) -> ApiResource | None:
        """The resource of the server's preferred version that has this kind."""
        return self.by_group_kind.get((group, kind))

    def scope(self, group: str, kind: str) -> bool | None:
        """Whether the kind is namespaced; `None` if no version of it is known."""
        resource = self.by_group_kind.get((group, kind))
        return None if resource is None else resource.namespaced

    def failure(self, group: str, version: str | None = None) -> str:
        """Why `group` (or one version of it) could not be discovered; empty if it was."""
        for group_version, error in self.failed_groups.items():
            gvk = GVK.parse(group_version, "")
            if gvk.group == group and version in (None, gvk.version):
                return f"{group_version}: {error}"
        return ""

    def api_versions(self) -> tuple[str, ...]:
        """What Helm calls `.Capabilities.APIVersions`: `v1`, `apps/v1`, `apps/v1/Deployment`.

        A group version that failed is listed without its kinds: a chart must not render
        differently because an aggregated API server is down for a moment.
        """
        names = set(self.failed_groups)
        for resource in self.resources:
            names.add(resource.group_version)
            names.add(f"{resource.group_version}/{resource.kind}")
        return tuple(sorted(names))


class Listing(msgspec.Struct, frozen=True):
    """What a list returned, and how far it can be trusted."""

    objects: tuple[LiveObject, ...]
    errors: dict[str, ClusterError] = {}
    """By namespace; under the empty name what concerns the whole list."""
    complete: bool = True
    """False if any page failed: an object that is not here may still exist."""
    resource_version: str = ""
    """Of the cluster-wide list; empty when it was put together from several lists."""
    namespaces: frozenset[str] | None = None
    """The namespaces that were looked into; `None` if all were."""

    def covers(self, namespace: str) -> bool:
        """Whether an object of `namespace` that is not listed is really gone."""
        if self.namespaces is not None and namespace not in self.namespaces:
            return False
        return self.complete or not ("" in self.errors or namespace in self.errors)


class OpenApiDocument(msgspec.Struct, frozen=True):
    """The OpenAPI v3 document of one group version."""

    group_version: str
    schema_hash: str
    """The server's hash of the content, else a digest of the body."""
    body: bytes | None
    """JSON; `None` if the caller already knows the content of this hash."""


class ClusterReader(Protocol):
    """Read-only access to one cluster. Nothing here writes, dry runs included."""

    async def discover(self) -> Discovery:
        """Every served kind. Raises ClusterError only if nothing at all can be known."""
        ...

    async def list(
        self,
        resource: ApiResource,
        namespaces: Collection[str] | None = None,
        select: Select | None = None,
        *,
        label_selector: str = "",
    ) -> Listing:
        """The objects of one kind that `select` keeps; never raises ClusterError.

        `namespaces` are those that must be covered, `None` for the whole cluster; the
        reader chooses between one list of everything and one list for each of them, so
        objects of other namespaces may be among the result: `select` decides. Errors
        stand in the Listing. Reads past every cache.
        """
        ...

    async def scan(
        self,
        resource: ApiResource,
        note: Note[Noted],
        *,
        namespace: str = "",
        label_selector: str = "",
    ) -> Scan[Noted]:
        """What `note` keeps of the objects of one kind, of which only metadata is read.

        One list, of a namespace or of the whole cluster. Never raises ClusterError.
        """
        ...

    async def get(self, resource: ApiResource, namespace: str, name: str) -> LiveObject | None:
        """One object; `None` only if the server says that this object does not exist.

        Raises NotServed if the kind itself is gone, and any other ClusterError.
        """
        ...

    async def openapi(self, group_version: str, *, known_hash: str = "") -> OpenApiDocument:
        """The schema document of `group_version` (`v1`, `apps/v1`).

        Raises NotServed if the cluster publishes none.
        """
        ...

    async def version(self) -> str:
        """The server's `gitVersion`, for example `v1.36.3`."""
        ...
