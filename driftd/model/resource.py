"""Kubernetes objects as driftd addresses them: identity, desired manifest, live object."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

Json: TypeAlias = Any
"""A decoded JSON value: dict, list, str, int, float, bool or None."""


class GVK(msgspec.Struct, frozen=True, order=True):
    """Group, version and kind; `group` is empty for the core group."""

    group: str
    version: str
    kind: str

    @classmethod
    def parse(cls, api_version: str, kind: str) -> GVK:
        """From an object's `apiVersion` (`apps/v1`, `v1`) and `kind`."""
        group, slash, version = api_version.rpartition("/")
        return cls(group if slash else "", version, kind)

    @property
    def api_version(self) -> str:
        """The `apiVersion` string of this kind."""
        return f"{self.group}/{self.version}" if self.group else self.version


class ResourceKey(msgspec.Struct, frozen=True, order=True, gc=False):
    """The identity of an object in one cluster; without version, so it survives API migration."""

    group: str
    kind: str
    namespace: str
    """Empty for cluster-scoped objects."""
    name: str

    def __str__(self) -> str:
        kind = f"{self.kind}.{self.group}" if self.group else self.kind
        place = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{kind} {place}"


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Where a manifest comes from in Git."""

    source: int
    """Index of the Application's source that rendered it."""
    file: str
    """Path in the repository, as far as the renderer knows it; empty otherwise."""
    line: int = 0
    """The line (from 1) on which the object's document begins; 0 where it is not known."""
    index: int = 0
    """Which document of the file (from 0), or of the rendering where the file is not known."""
    template: str = ""
    """What Helm calls the template, by the aliases of subcharts; empty where that is the file."""

    @property
    def packed(self) -> str:
        """What Helm calls the template in an archive; empty where the file is the template."""
        return self.template if self.file.endswith((".tgz", ".tar.gz")) else ""


class Unchecked(msgspec.Struct, frozen=True):
    """Why the content of a declared object is not compared."""

    reason: str
    unknown: bool = False
    """Whether it should be compared, but cannot; else it is left alone on purpose."""
    existence: bool = True
    """Whether the object must exist nonetheless."""


class Manifest(msgspec.Struct, frozen=True):
    """One desired object, addressed: its namespace is resolved against the destination's API."""

    key: ResourceKey
    version: str
    body: bytes
    """Canonical JSON of the object."""
    origin: Origin
    unchecked: Unchecked | None = None
    """Set if the object is declared, but its content is not compared."""
    unstable: tuple[str, ...] = ()
    """JSON pointers of what differs with each rendering (random values, the time): there Git says
    nothing that live could be held to, and the object is never healed."""

    @property
    def gvk(self) -> GVK:
        """Group, version and kind as Git declares them."""
        return GVK(self.key.group, self.version, self.key.kind)


class LiveObject(msgspec.Struct, frozen=True):
    """One object as the API server served it."""

    key: ResourceKey
    version: str
    uid: str
    resource_version: str
    body: bytes
    """The served JSON, `managedFields` included."""
