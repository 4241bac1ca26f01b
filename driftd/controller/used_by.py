"""Which live objects name a ConfigMap, a Secret, a claim or a service account. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import orjson

from driftd.model.resource import LiveObject, ResourceKey

_NAMED_IN: Final[dict[str, frozenset[tuple[str, str]]]] = {
    "ConfigMap": frozenset(
        {("configMapKeyRef", "name"), ("configMapRef", "name"), ("configMap", "name")}
    ),
    "Secret": frozenset(
        {
            ("secretKeyRef", "name"),
            ("secretRef", "name"),
            ("secret", "secretName"),
            ("secret", "name"),
            ("imagePullSecrets", "name"),
        }
    ),
    "PersistentVolumeClaim": frozenset({("persistentVolumeClaim", "claimName")}),
    "ServiceAccount": frozenset({("spec", "serviceAccountName"), ("spec", "serviceAccount")}),
}
"""Fields of a Pod by which it names an object of its namespace, each with the field above it."""


def used_by(key: ResourceKey, live: Iterable[LiveObject]) -> tuple[str, ...]:
    """Those of the live objects that name the object, as `KIND NAME`, sorted.

    Any object counts that has the fields of a Pod, at whatever depth: workloads, custom ones too.
    """
    fields = _NAMED_IN.get(key.kind) if not key.group else None
    if fields is None:
        return ()
    name = key.name.encode()
    found = {
        f"{one.key.kind} {one.key.name}"
        for one in live
        if one.key.namespace == key.namespace
        and one.key != key
        and name in one.body  # spares most of them the reading
        and key.name in _names(orjson.loads(one.body), "", fields)
    }
    return tuple(sorted(found))


def _names(value: Any, above: str, fields: frozenset[tuple[str, str]]) -> Iterator[str]:
    """What the fields say, anywhere in an object; `above` is the nearest field's name."""
    if isinstance(value, list):
        for item in value:
            yield from _names(item, above, fields)
    elif isinstance(value, dict):
        for field, inner in value.items():
            if field == "managedFields":
                continue
            if isinstance(inner, str):
                if (above, field) in fields:
                    yield inner
            else:
                yield from _names(inner, field, fields)
