"""A silence: what of drift is recorded and shown, but not told until a moment."""

from __future__ import annotations

from datetime import datetime
from fnmatch import fnmatchcase

import msgspec

from driftd.model.resource import ResourceKey


class Silence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """One silence; empty fields do not narrow it."""

    id: str
    until: datetime
    owner: str
    reason: str
    at: datetime | None = None
    """When somebody asked for it; None for an annotation."""
    ticket: str = ""
    application: str = ""
    """A glob of `NAMESPACE/NAME`, or of the name alone."""
    cluster: str = ""
    """A glob."""
    object: str = ""
    """A glob of `KIND/NAME` or `KIND/NAMESPACE/NAME`."""
    path: str = ""
    """A glob of a field's pointer, such as `/spec/replicas`; `*` also means slashes."""

    def about(self, application: str, cluster: str) -> bool:
        """Whether it may concern an application (`namespace/name`) on a cluster."""
        names = [application.partition("/")[2]]
        if "/" in self.application:
            names.append(application)
        named = not self.application or any(fnmatchcase(name, self.application) for name in names)
        return named and (not self.cluster or fnmatchcase(cluster, self.cluster))

    def covers(self, key: ResourceKey, path: str) -> bool:
        """Whether it concerns a field of an object, of an application that it is about.

        `path` is empty for a whole object; a silence of fields does not cover that.
        """
        names = (f"{key.kind}/{key.name}", f"{key.kind}/{key.namespace}/{key.name}")
        named = not self.object or any(
            fnmatchcase(name.lower(), self.object.lower()) for name in names
        )
        return named and (not self.path or (bool(path) and fnmatchcase(path, self.path)))

    @property
    def told(self) -> str:
        """Who silenced it and why, in words."""
        ticket = f" ({self.ticket})" if self.ticket else ""
        return f"silenced by {self.owner}: {self.reason}{ticket}"

    @property
    def scope(self) -> str:
        """What it is about, in words."""
        where = f" on cluster {self.cluster}" if self.cluster else ""
        what = " ".join(part for part in (self.path, "of" if self.path else "") if part)
        which = f"{self.object} of " if self.object else ""
        return f"{what} {which}{self.application or 'every application'}{where}".strip()
