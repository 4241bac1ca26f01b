"""Live objects that an earlier rendering may have declared, under the random name of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable

from driftd.model.resource import Manifest, ResourceKey

_PART = re.compile(r"[-.]")


class RandomNames:
    """The objects of one application that each rendering names otherwise.

    Which of two names was drawn first, nobody can tell: an object of the same kind and namespace
    whose name begins or ends with the same part may be what was declared then.
    """

    def __init__(self, manifests: Iterable[Manifest]) -> None:
        self._names: dict[tuple[str, str, str], list[str]] = {}
        for manifest in manifests:
            if "" in manifest.unstable:  # the pointer of the whole object
                key = manifest.key
                place = (key.group, key.kind, key.namespace)
                self._names.setdefault(place, []).append(key.name)

    def may_be(self, key: ResourceKey) -> bool:
        """Whether a live object may be one that an earlier rendering declared."""
        names = self._names.get((key.group, key.kind, key.namespace), ())
        return any(_alike(name, key.name) for name in names)


def _alike(drawn: str, other: str) -> bool:
    """Whether two names share their first or last part; one without parts is wholly random."""
    parts = _PART.split(drawn)
    if len(parts) == 1:
        return True
    others = _PART.split(other)
    return len(others) == len(parts) and (others[0] == parts[0] or others[-1] == parts[-1])
