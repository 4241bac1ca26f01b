"""As much of OpenPGP's formats as it takes to hand gpgv a signature and keys, and nothing else.

gpgv reads whatever it is given: a signed message that brings its own data, keyrings in armour not
at all. So armour is taken off here, and only the packets that belong there are passed on. Pure.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

PUBLIC_KEY = "PGP PUBLIC KEY BLOCK"
SIGNATURE = "PGP SIGNATURE"

_BLOCK = re.compile(
    rb"-----BEGIN (?P<label>PGP [A-Z ]+)-----[ \t]*\r?\n"
    rb"(?P<headers>(?:[A-Za-z]+: [^\n]*\n)*)(?:[ \t]*\r?\n)"
    rb"(?P<body>[A-Za-z0-9+/=\s]*?)(?:\r?\n)?(?:=[A-Za-z0-9+/]{4}[ \t]*\r?\n)?"
    rb"-----END (?P=label)-----"
)
_SIGNATURE_TAG = 2
_SECRET_TAGS = frozenset({5, 7})
_KEY_TAGS = frozenset({2, 6, 10, 12, 13, 14, 17, 21})
"""Signatures, keys, markers, trust, user ids, subkeys, attributes, padding."""


class Malformed(ValueError):
    """Bytes that are not what they are said to be; the text says in which way."""


def blocks(text: bytes, label: str) -> list[bytes]:
    """The content of every armoured block of a label. Raises `Malformed` for broken armour."""
    found = []
    for match in _BLOCK.finditer(text):
        if match["label"].decode() != label:
            continue
        body = b"".join(match["body"].split())
        try:
            found.append(base64.b64decode(body, validate=True))
        except binascii.Error:
            raise Malformed("its armour is damaged") from None
    return found


def packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and body of each packet. Raises `Malformed`; partial lengths are not for keys."""
    position = 0
    while position < len(data):
        first = data[position]
        if not first & 0x80:
            raise Malformed("it is no OpenPGP data")
        if first & 0x40:
            tag, (length, start) = first & 0x3F, _new_length(data, position + 1)
        else:
            tag, (length, start) = first >> 2 & 0x0F, _old_length(data, position + 1, first & 3)
        if start + length > len(data):
            raise Malformed("it is cut off")
        yield tag, data[start : start + length]
        position = start + length


def _new_length(data: bytes, at: int) -> tuple[int, int]:
    one = data[at : at + 1]
    if one and one[0] < 192:
        return one[0], at + 1
    if one and one[0] < 224 and at + 2 <= len(data):
        return (one[0] - 192 << 8) + data[at + 1] + 192, at + 2
    if one and one[0] == 255 and at + 5 <= len(data):
        return int.from_bytes(data[at + 1 : at + 5]), at + 5
    raise Malformed("a packet has no definite length")


def _old_length(data: bytes, at: int, kind: int) -> tuple[int, int]:
    size = (1, 2, 4, 0)[kind]
    if not size or at + size > len(data):
        raise Malformed("a packet has no definite length")
    return int.from_bytes(data[at : at + size]), at + size


def detached_signature(armoured: bytes) -> bytes:
    """The one signature packet of an armoured detached signature. Raises `Malformed`."""
    found = blocks(armoured, SIGNATURE)
    if len(found) != 1:
        raise Malformed("it is not one detached OpenPGP signature")
    tags = [tag for tag, _ in packets(found[0])]
    if len(tags) > 1:
        raise Malformed("it holds more than one signature")
    if tags != [_SIGNATURE_TAG]:
        raise Malformed("it is not a detached OpenPGP signature")
    return found[0]


def public_keys(data: bytes) -> bytes:
    """The public keys of an armoured or a binary file, as gpgv reads them. Raises `Malformed`."""
    binary = data[:1] >= b"\x80"  # the first bit of every packet is set, text has none such
    found = data if binary else b"".join(blocks(data, PUBLIC_KEY))
    if not found:
        raise Malformed("it holds no public key")
    tags = {tag for tag, _ in packets(found)}
    if tags & _SECRET_TAGS:
        raise Malformed("it holds a private key, which has no business there")
    if 6 not in tags or not tags <= _KEY_TAGS:
        raise Malformed("it is not a list of OpenPGP public keys")
    return found
