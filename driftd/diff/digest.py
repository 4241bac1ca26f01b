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

from hashlib import blake2b

import msgspec

SIZE = 16
"""Bytes of a digest."""

_SKIPPED = frozenset({"metadata", "status"})


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    """The metadata that is compared; `deletionTimestamp` because it changes the status."""

    labels: msgspec.Raw = msgspec.Raw()
    annotations: msgspec.Raw = msgspec.Raw()
    finalizers: msgspec.Raw = msgspec.Raw()
    owner_references: msgspec.Raw = msgspec.Raw()
    deletion_timestamp: msgspec.Raw = msgspec.Raw()


class _Owned(msgspec.Struct, frozen=True, rename="camel"):
    managed_fields: list[msgspec.Raw] | None = None


class _Managed(msgspec.Struct, frozen=True):
    metadata: _Owned


class _Entry(msgspec.Struct, frozen=True):
    subresource: str = ""


_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_metadata = msgspec.json.Decoder(_Metadata)
_managed = msgspec.json.Decoder(_Managed)
_entry = msgspec.json.Decoder(_Entry)


def view_digest(body: bytes) -> bytes:
    """The digest (`SIZE` bytes) of what is compared of a served object, JSON of one object.

    Raises:
        ValueError: the body is no JSON object, or has no object as its metadata.
    """
    fields = _fields.decode(body)
    meta = _metadata.decode(fields.get("metadata", b"{}"))
    # Lengths keep the parts apart: no value can move from one into another unseen.
    parts = [
        meta.labels,
        meta.annotations,
        meta.finalizers,
        meta.owner_references,
        meta.deletion_timestamp,
    ]
    names = []
    for name, value in fields.items():
        if name not in _SKIPPED:
            names.append(name)
            parts.append(value)
    lengths = [*map(len, names), -1, *map(len, parts)]
    head = "\0".join(names) + repr(lengths)
    hashed = blake2b(head.encode("utf-8", "surrogatepass"), digest_size=SIZE)
    hashed.update(b"".join(parts))
    return hashed.digest()


def ownership_digest(body: bytes) -> bytes:
    """The digest (`SIZE` bytes) of who wrote a served object, but for its status.

    Raises:
        ValueError: the body is no JSON object with metadata.
    """
    entries = _managed.decode(body).metadata.managed_fields or ()
    hashed = blake2b(digest_size=SIZE)
    for entry in entries:
        raw = bytes(entry)
        if b'"status"' in raw and _entry.decode(raw).subresource == "status":
            continue
        hashed.update(len(raw).to_bytes(4, "big"))
        hashed.update(raw)
    return hashed.digest()
