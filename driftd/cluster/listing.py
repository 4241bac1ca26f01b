"""Pages of a list: typed metadata, the objects themselves left as bytes. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from driftd.cluster.reader import ApiResource, ObjectMeta, Select
from driftd.model.resource import LiveObject, ResourceKey


class ListMeta(msgspec.Struct, frozen=True, rename="camel"):
    """`metadata` of a list."""

    resource_version: str = ""
    next_page: str = msgspec.field(name="continue", default="")


class Page(msgspec.Struct, frozen=True):
    """One page, its items not yet parsed.

    `metadata` and `items` have to be there: what a proxy answers instead is no empty list.
    """

    metadata: ListMeta
    items: list[msgspec.Raw] | None


class Item(msgspec.Struct, frozen=True):
    """What every object has; `kind` is empty for built-in kinds in lists."""

    metadata: ObjectMeta
    kind: str = ""


_page_decoder = msgspec.json.Decoder(Page)
_item_decoder = msgspec.json.Decoder(Item)


def decode_page(body: bytes) -> Page:
    """Split a list into its items; raises msgspec.MsgspecError if it is none."""
    return _page_decoder.decode(body)


def live_objects(
    resource: ApiResource, items: list[msgspec.Raw], select: Select | None
) -> tuple[list[LiveObject], int]:
    """The items that `select` keeps, and how many could not be read."""
    kept: list[LiveObject] = []
    unreadable = 0
    for raw in items:
        try:
            item = decode_item(raw)
        except msgspec.MsgspecError:
            unreadable += 1
            continue
        if select is None or select(item.metadata):
            kept.append(live_object(resource, item, bytes(raw)))
    return kept, unreadable


def decode_item(raw: bytes | msgspec.Raw) -> Item:
    """The metadata of an object; raises msgspec.MsgspecError if it has none."""
    try:
        return _item_decoder.decode(raw)
    except msgspec.ValidationError:
        return _decode_with_nulls(raw)


def _decode_with_nulls(raw: bytes | msgspec.Raw) -> Item:
    """As Go reads it: a null field is an absent one."""
    document: dict[str, Any] = msgspec.json.decode(raw, type=dict[str, Any])
    metadata = document.get("metadata")
    if isinstance(metadata, dict):
        document["metadata"] = {key: v for key, v in metadata.items() if v is not None}
    return msgspec.convert(document, Item)


def live_object(resource: ApiResource, item: Item, body: bytes) -> LiveObject:
    """Address an object. Built-in kinds lack `apiVersion` and `kind` in lists: put them in."""
    meta = item.metadata
    if not item.kind:
        head = f'{{"kind":"{resource.kind}","apiVersion":"{resource.group_version}",'
        body = head.encode() + body.lstrip()[1:].lstrip()
    return LiveObject(
        ResourceKey(resource.group, resource.kind, meta.namespace, meta.name),
        resource.version,
        meta.uid,
        meta.resource_version,
        body,
    )
