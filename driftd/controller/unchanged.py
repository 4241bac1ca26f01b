"""Objects that the last look found clean: a look that finds them the same compares them no more.

Kept in memory alone. A daemon that starts anew compares everything once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

import msgspec

from driftd.diff.compare import Context
from driftd.diff.digest import SIZE, digests
from driftd.diff.facts import Facts
from driftd.model.resource import LiveObject, Manifest, ResourceKey

LIMIT: Final = 500_000
"""Objects that are remembered; the longest unseen are forgotten first."""


class Clean(msgspec.Struct, frozen=True, gc=False):
    """What a comparison without any change left behind."""

    mark: bytes
    """The digest of everything that the comparison read."""
    deployers: frozenset[str]


class Unchanged:
    """The clean objects of all clusters and applications."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._clean: OrderedDict[tuple[str, str], dict[ResourceKey, Clean]] = OrderedDict()
        """By cluster and application, the longest unseen first."""
        self._objects = 0
        self._facts: Facts | None = None
        self._facts_mark = b""

    def __len__(self) -> int:
        return self._objects

    def surroundings(self, context: Context, schema: str, kubernetes: str) -> bytes:
        """The digest of what a comparison reads besides the two objects.

        `schema` is the hash of the kind's schema, `kubernetes` the server's version, which
        chooses the default table.
        """
        if context.facts is not self._facts:  # the same for all applications of a cluster
            self._facts = context.facts
            self._facts_mark = _digest(repr(context.facts).encode())
        parts = (
            sorted(context.deployers),
            context.strict,
            context.instance_label,
            sorted(context.instances),
            context.synced_here,
            context.sealer is None,
            schema,
            kubernetes,
        )
        return _digest(self._facts_mark + repr(parts).encode())

    def mark(self, manifest: Manifest, live: LiveObject, surroundings: bytes) -> bytes:
        """The digest of everything that the comparison of an object reads.

        Raises ValueError for a body that is no object.
        """
        return _digest(
            b"".join(
                (
                    surroundings,
                    _digest(manifest.body),
                    *digests(live.body),
                    live.uid.encode(),
                )
            )
        )

    def find(self, cluster: str, application: str, key: ResourceKey, mark: bytes) -> Clean | None:
        """What the last look left behind of the object, if all that it read is the same."""
        objects = self._clean.get((cluster, application))
        clean = objects.get(key) if objects is not None else None
        return clean if clean is not None and clean.mark == mark else None

    def keep(self, cluster: str, application: str, key: ResourceKey, clean: Clean) -> None:
        """Remember an object that was found clean."""
        objects = self._clean.setdefault((cluster, application), {})
        self._objects += key not in objects
        objects[key] = clean
        if self._objects > self._limit:
            self._forget_one()

    def seen(self, cluster: str, application: str) -> None:
        """A look at the application begins: its objects are the last ones to be forgotten."""
        if (cluster, application) in self._clean:
            self._clean.move_to_end((cluster, application))

    def _forget_one(self) -> None:
        place, objects = next(iter(self._clean.items()))
        del objects[next(iter(objects))]
        self._objects -= 1
        if not objects:
            del self._clean[place]

    def drop(self, cluster: str, application: str, key: ResourceKey) -> None:
        """Forget an object that is not clean."""
        objects = self._clean.get((cluster, application))
        if objects is not None and objects.pop(key, None) is not None:
            self._objects -= 1
            if not objects:
                del self._clean[cluster, application]


class Standing:
    """What stands still of one application, for one look."""

    def __init__(
        self,
        unchanged: Unchanged,
        place: tuple[str, str],
        context: Context,
        schema_hashes: Mapping[str, str],
        kubernetes: str,
    ) -> None:
        """`place` is the cluster and the application; `schema_hashes` are by group version."""
        self._unchanged = unchanged
        self._place = place
        self._context = context
        self._hashes = schema_hashes
        self._kubernetes = kubernetes
        self._surroundings: dict[str, bytes] = {}
        unchanged.seen(*place)

    def mark(self, manifest: Manifest, live: LiveObject) -> bytes:
        """The digest of all that the comparison of an object reads. Raises ValueError."""
        version = manifest.gvk.api_version
        if version not in self._surroundings:
            self._surroundings[version] = self._unchanged.surroundings(
                self._context, self._hashes.get(version, ""), self._kubernetes
            )
        return self._unchanged.mark(manifest, live, self._surroundings[version])

    def clean(self, key: ResourceKey, mark: bytes) -> Clean | None:
        """What the last look left behind of the object, if all that it read is the same."""
        return self._unchanged.find(*self._place, key, mark)

    def remember(self, key: ResourceKey, clean: Clean | None) -> None:
        """Keep what was found clean; forget the object if it was not."""
        if clean is None:
            self._unchanged.drop(*self._place, key)
        else:
            self._unchanged.keep(*self._place, key, clean)


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=SIZE).digest()
