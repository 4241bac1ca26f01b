"""What of a served object decides its verdict, as a short digest of its bytes.

Most looks find most objects as the look before found them. Two served bodies with the same
digest hold the same labels, annotations, finalizers, owner references and everything outside
`metadata` and `status`, so a comparison that found one clean finds the other clean, given the
same desired object, schema and rules. Nothing is parsed but the top level and the metadata's.
Who wrote what is a digest of its own, of `managedFields` without the entries of `status`.

The API server writes a version of an object the same way each time. Bytes that differ although
the values do not cost a comparison, never a verdict.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

import msgspec

SIZE = 16
"""Bytes of a digest."""

KEPT: Final = 16_384
"""Objects whose digests are kept for who asks next, at least; at most twice as many."""
_OF_STATUS: Final = b'"subresource":"status"'
_SKIPPED = frozenset({"metadata", "status"})


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    """The metadata that is compared; `deletionTimestamp` because it changes the status."""

    labels: msgspec.Raw = msgspec.Raw()
    annotations: msgspec.Raw = msgspec.Raw()
    finalizers: msgspec.Raw = msgspec.Raw()
    owner_references: msgspec.Raw = msgspec.Raw()
    deletion_timestamp: msgspec.Raw = msgspec.Raw()


class _Whole(_Metadata, frozen=True):
    """The same, and who wrote."""

    managed_fields: list[msgspec.Raw] | None = None


class _Owned(msgspec.Struct, frozen=True, rename="camel"):
    managed_fields: list[msgspec.Raw] | None = None


class _Managed(msgspec.Struct, frozen=True):
    metadata: _Owned


class _Entry(msgspec.Struct, frozen=True):
    subresource: str = ""


_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_metadata = msgspec.json.Decoder(_Metadata)
_whole = msgspec.json.Decoder(_Whole)
_managed = msgspec.json.Decoder(_Managed)
_entry = msgspec.json.Decoder(_Entry)


def digests(body: bytes) -> tuple[bytes, bytes]:
    """`view_digest` and `ownership_digest` of an object, which is read once for both.

    A look asks for those of an object twice, and the next sweep finds nearly every object as
    this one did, byte by byte.

    Raises:
        ValueError: as these do.
    """
    return _kept.of(body)


def digests_once(body: bytes) -> tuple[bytes, bytes]:
    """As `digests`, for who does not ask again: nothing is kept of the object."""
    fields = _fields.decode(body)
    meta = _whole.decode(fields["metadata"]) if "metadata" in fields else None
    if meta is None:
        return view_digest(body), ownership_digest(body)
    return _view(fields, meta), _ownership(meta.managed_fields or ())


class Kept:
    """Digests of bodies that were asked for, by the bodies' own digests: no body is kept.

    Two generations: when the younger one is full it becomes the older one, whose members that
    nobody has asked for meanwhile are forgotten.
    """

    def __init__(self, size: int = KEPT) -> None:
        self._size = size
        self._young: dict[bytes, tuple[bytes, bytes]] = {}
        self._old: dict[bytes, tuple[bytes, bytes]] = {}

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

    def of(self, body: bytes) -> tuple[bytes, bytes]:
        """As `digests_once`; read once while it is kept."""
        name = blake2b(body, digest_size=SIZE).digest()
        found = self._young.get(name)
        if found is not None:
            return found
        found = self._old.get(name) or digests_once(body)
        if len(self._young) >= self._size:
            self._young, self._old = {}, self._young
        self._young[name] = found
        return found


_kept = Kept()


def view_digest(body: bytes) -> bytes:
    """The digest (`SIZE` bytes) of what is compared of a served object, JSON of one object.

    Raises:
        ValueError: the body is no JSON object, or has no object as its metadata.
    """
    fields = _fields.decode(body)
    return _view(fields, _metadata.decode(fields.get("metadata", b"{}")))


def _view(fields: dict[str, msgspec.Raw], meta: _Metadata) -> bytes:
    names = [name for name in fields if name not in _SKIPPED]
    parts = [
        meta.labels,
        meta.annotations,
        meta.finalizers,
        meta.owner_references,
        meta.deletion_timestamp,
        *[fields[name] for name in names],
    ]
    # Lengths keep the parts apart: no value can move from one into another unseen.
    head = repr((names, [*map(len, parts)]))
    whole = b"".join((head.encode("ascii", "backslashreplace"), *parts))
    return blake2b(whole, digest_size=SIZE).digest()


def ownership_digest(body: bytes) -> bytes:
    """The digest (`SIZE` bytes) of who wrote a served object, but for its status.

    Raises:
        ValueError: the body is no JSON object with metadata.
    """
    return _ownership(_managed.decode(body).metadata.managed_fields or ())


def _ownership(entries: Iterable[msgspec.Raw]) -> bytes:
    parts: list[bytes] = []
    for entry in entries:
        raw = bytes(entry)
        # As the API server writes it, which nothing inside the entry can look like: quotes in the
        # names of fields are escaped. Others may write it otherwise.
        if _OF_STATUS in raw or (b'"status"' in raw and _entry.decode(raw).subresource == "status"):
            continue
        parts.append(len(raw).to_bytes(4, "big"))
        parts.append(raw)
    return blake2b(b"".join(parts), digest_size=SIZE).digest()
