"""`managedFields` (KEP-555): who wrote which field, and when.

The FieldsV1 sets are used as served: a walk carries, for every entry that reaches a node,
the entry and its sub-set there. Nothing is merged or copied.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any, Final, TypeAlias

import orjson

from driftd.model.resource import Json


class Entry:
    """One entry of `metadata.managedFields`."""

    __slots__ = (
        "api_version",
        "converted",
        "deployer",
        "fields",
        "manager",
        "operation",
        "sent",
        "subresource",
        "time",
    )

    def __init__(self, raw: dict[str, Any], deployers: frozenset[str]) -> None:
        self.manager = str(raw.get("manager", ""))
        self.operation = str(raw.get("operation", ""))
        self.subresource = str(raw.get("subresource", ""))
        self.time = raw.get("time")
        """RFC 3339; moves only when the entry takes a field; None for writes through `/scale`."""
        self.api_version = str(raw.get("apiVersion", ""))
        self.fields: dict[str, Any] = raw.get("fieldsV1") or {}
        # `kubectl scale` writes as `kubectl` through a subresource: that is a person, not Git.
        self.deployer = self.manager in deployers and not self.subresource
        """Whether this entry counts as Git's hand."""
        self.converted = False
        """Whether somebody else than Git wrote it through another apiVersion than is looked at.

        What was atomic there may have fields of its own here: an empty set owns all below.
        """
        self.sent: frozenset[str] = frozenset()
        """Keys of a Secret that were sent as `stringData`: nobody takes these from the entry."""

    @property
    def applied(self) -> bool:
        """Whether the entry was made by server-side apply."""
        return self.operation == "Apply"


Owner: TypeAlias = "tuple[Entry, dict[str, Any] | None]"
"""An entry and its set at a node; None where an atomic ancestor makes it own all below."""

Owners: TypeAlias = "Sequence[Owner]"

UNKNOWN_MANAGERS: Final = frozenset({"before-first-apply", "ancient-changes"})
"""Names that the API server gives when it lost track of the real manager."""


def entries(live: dict[str, Any], deployers: frozenset[str]) -> list[Entry]:
    """The entries of a live object, without empty ones (`managedFields: [{}]` wipes them)."""
    raw = (live.get("metadata") or {}).get("managedFields") or ()
    found = [Entry(item, deployers) for item in raw if item.get("fieldsV1")]
    own = live.get("apiVersion")
    for entry in found:
        entry.converted = not entry.deployer and entry.api_version not in ("", own)
    if live.get("kind") == "Secret" and live.get("apiVersion") == "v1":
        for entry in found:
            _fold_string_data(entry)
    return found


def _fold_string_data(entry: Entry) -> None:
    """Take the keys of `stringData` in a Secret's entry for those of the `data` they become.

    Server-side apply records what was sent, and `stringData` is never served.
    """
    plain = entry.fields.get("f:stringData")
    if not isinstance(plain, dict):
        return
    rest = {name: below for name, below in entry.fields.items() if name != "f:stringData"}
    entry.fields = {**rest, "f:data": {**(rest.get("f:data") or {}), **plain}}
    entry.sent = frozenset(name[2:] for name in plain if name.startswith("f:"))


def elsewhere(found: Sequence[Entry], live: dict[str, Any]) -> list[Entry]:
    """Entries of others that own, at another apiVersion, places that `live` lacks at its own.

    Sets are kept at the version that was written; reading converts the object, not them.
    """
    own = live.get("apiVersion")
    return [
        entry
        for entry in found
        if entry.api_version not in ("", own)
        and not entry.deployer
        and not entry.subresource
        and any(
            name not in ("f:metadata", "f:status") and _lacks(live, name, below)
            for name, below in entry.fields.items()
        )
    ]


def _lacks(value: Json, member: str, fields: dict[str, Any]) -> bool:
    """Whether a value lacks what a set names at `member` or below."""
    kind, _, rest = member.partition(":")
    if member == "." or kind == "i":
        return False
    found: list[Json] = []
    if kind == "f":
        found = [value[rest]] if isinstance(value, dict) and rest in value else []
    elif isinstance(value, list):
        wanted = orjson.loads(rest)
        found = [
            item
            for item in value
            if (item == wanted if kind == "v" else isinstance(item, dict) and _has(item, wanted))
        ]
    if not found:
        return True
    return any(_lacks(found[0], name, below) for name, below in fields.items())


def _has(item: dict[str, Any], keys: dict[str, Json]) -> bool:
    return all(item.get(name) == value for name, value in keys.items())


def repeats(entry: Entry, found: Sequence[Entry], but: Collection[str]) -> bool:
    """Whether an entry is another tool's apply of just what a deployer has applied.

    Fields named in `but` may be the entry's alone.
    """
    return (
        entry.applied
        and not entry.deployer
        and any(
            one.deployer and one.applied and _within(entry.fields, one.fields, but) for one in found
        )
    )


def _within(fields: dict[str, Any], other: dict[str, Any], but: Collection[str]) -> bool:
    return all(
        member[2:] in but or (member in other and _within(below, other[member], but))
        for member, below in fields.items()
    )


def roots(found: Sequence[Entry]) -> list[Owner]:
    """The owners at the root of an object."""
    return [(entry, entry.fields) for entry in found]


def at_field(owners: Owners, name: str, *, atomic: bool) -> list[Owner]:
    """The owners of field or map key `name` below a node that `owners` reach."""
    return _at(owners, "f:" + name, atomic=atomic)


def at_item(owners: Owners, key: str, *, atomic: bool = False) -> list[Owner]:
    """The owners of a list item, by its `k:` or `v:` key."""
    return _at(owners, key, atomic=atomic)


def _at(owners: Owners, member: str, *, atomic: bool) -> list[Owner]:
    reached: list[Owner] = []
    for entry, fields in owners:
        if fields is None:
            reached.append((entry, None))
        elif member in fields:
            below = fields[member]
            whole = (atomic or entry.converted) and not below
            reached.append((entry, None if whole else below))
    return reached


def is_deployers_item(owners: Owners) -> bool:
    """Whether Git's hand made a list item that others own parts of.

    Whoever makes an item owns the item itself (`.`), whoever edits it only what he has changed.
    """
    makers = {entry.deployer for entry, fields in owners if fields is None or "." in fields}
    return makers == {True} and any(not entry.deployer for entry, _ in owners)


def written_into(owners: Owners) -> str:
    """Who else has written which members of a list item that Git's hand made, for a reason."""
    return " and ".join(
        f"{entry.manager} wrote {', '.join(name.partition(':')[2] for name in fields or ())}"
        for entry, fields in owners
        if not entry.deployer
    )


def item_key(item: dict[str, Any], keys: tuple[str, ...], defaults: dict[str, Json]) -> str | None:
    """The `k:{...}` key of a map-list item, keys sorted; None if a key is missing without default.

    The text equals what the API server writes, so it is found in FieldsV1 by look-up.
    """
    values = [item.get(key, defaults.get(key)) for key in keys]
    try:
        return _key_text(keys, *values)
    except TypeError:  # a list or struct, which no schema allows as a key
        return None


@lru_cache(maxsize=8192, typed=True)
def _key_text(keys: tuple[str, ...], *values: Json) -> str | None:
    # As the server does, an optional key that is absent is left out.
    present = {key: value for key, value in zip(keys, values, strict=True) if value is not None}
    if not present:
        return None
    return "k:" + orjson.dumps(present, option=orjson.OPT_SORT_KEYS).decode()


def value_key(value: Json) -> str:
    """The `v:` key of a set item."""
    return "v:" + orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
