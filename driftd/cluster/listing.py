"""Pages of a list: typed metadata, the objects themselves left as bytes. Pure."""

from __future__ import annotations

from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from driftd.cluster.poison import UNPARSABLE, items_of, readable
from driftd.cluster.reader import ApiResource, Note, Noted, ObjectMeta, Select
from driftd.model.resource import LiveObject, ResourceKey

Items: TypeAlias = list[msgspec.Raw]
"""The objects of a page, not yet parsed."""

ACCEPT_METADATA: Final = (
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
)
"""Asks for the metadata of objects alone; a server that cannot do that sends them whole."""


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


class ScannedItem(msgspec.Struct, frozen=True):
    """What a scan reads of an object."""

    metadata: ObjectMeta


AnyItem = TypeVar("AnyItem", Item, ScannedItem)

_page_decoder = msgspec.json.Decoder(Page)
_item_decoder = msgspec.json.Decoder(Item)
_scanned_decoder = msgspec.json.Decoder(ScannedItem)


def decode_page(body: bytes) -> Page:
    """Split a list into its items; raises msgspec.MsgspecError if it is none.

    An item that cannot be parsed is an item all the same.
    """
    try:
        return _page_decoder.decode(body)
    except UNPARSABLE:
        apart = items_of(body)
        if apart is None:
            raise
        head, items = apart
        return Page(_page_decoder.decode(head).metadata, items)


def live_objects(
    resource: ApiResource, items: list[msgspec.Raw], select: Select | None
) -> tuple[list[LiveObject], int]:
    """The items that `select` keeps, and how many could not be read."""
    kept: list[LiveObject] = []
    unreadable = 0
    for raw in items:
        try:
            item = decode_item(raw)
        except UNPARSABLE:
            unreadable += 1
            continue
        if item.kind not in ("", resource.kind) or not is_named(item.metadata):
            unreadable += 1
        elif select is None or select(item.metadata):
            kept.append(live_object(resource, item, bytes(raw)))
    return kept, unreadable


def noted(
    resource: ApiResource, items: list[msgspec.Raw], note: Note[Noted]
) -> tuple[list[Noted], int]:
    """What `note` keeps of the items, and how many could not be read."""
    kept: list[Noted] = []
    unreadable = 0
    for raw in items:
        try:
            metadata = _decode(raw, _scanned_decoder).metadata
        except UNPARSABLE:
            unreadable += 1
            continue
        if not is_named(metadata):
            unreadable += 1
            continue
        found = note(resource, metadata)
        if found is not None:
            kept.append(found)
    return kept, unreadable


def decode_item(raw: bytes | msgspec.Raw) -> Item:
    """The metadata of an object; raises msgspec.MsgspecError if it has none."""
    return _decode(raw, _item_decoder)


def _decode(raw: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[AnyItem]) -> AnyItem:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError:
        return _decode_with_nulls(raw, decoder.type)
    except UNPARSABLE:
        return decoder.decode(readable(bytes(raw)))


def is_named(metadata: ObjectMeta) -> bool:
    """Whether an API server may have an object of this name and namespace."""
    return _is_name(metadata.name) and _is_name(metadata.namespace or "-")


def _is_name(name: str) -> bool:
    """Whether it can be a segment of a path, which every name is."""
    return name not in ("", ".", "..") and "/" not in name and "%" not in name


def _decode_with_nulls(raw: bytes | msgspec.Raw, shape: type[AnyItem]) -> AnyItem:
    """As Go reads it: a null field is an absent one."""
    document: dict[str, Any] = msgspec.json.decode(raw, type=dict[str, Any])
    metadata = document.get("metadata")
    if isinstance(metadata, dict):
        document["metadata"] = {key: v for key, v in metadata.items() if v is not None}
    return msgspec.convert(document, shape)


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
