"""SSH signatures (`SSHSIG`): which key claims to have made one, and for what. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

import msgspec

from driftd.verify.openpgp import Malformed

NAMESPACE = "git"
"""What ssh-keygen signs for Git under."""

_BLOCK = re.compile(
    rb"\s*-----BEGIN SSH SIGNATURE-----\s+(?P<body>[A-Za-z0-9+/=\s]+?)"
    rb"-----END SSH SIGNATURE-----\s*"
)
_MAGIC = b"SSHSIG"


class SshSignature(msgspec.Struct, frozen=True):
    """What a signature says of itself; nothing of it is verified."""

    fingerprint: str
    """`SHA256:…` of the key, as ssh-keygen prints it."""
    key_type: str
    namespace: str


def read_signature(armoured: bytes) -> SshSignature:
    """The claims of an armoured SSH signature. Raises `Malformed`."""
    match = _BLOCK.fullmatch(armoured)
    if match is None:
        raise Malformed("it is not one SSH signature")
    try:
        data = base64.b64decode(b"".join(match["body"].split()), validate=True)
    except binascii.Error:
        raise Malformed("its armour is damaged") from None
    if not data.startswith(_MAGIC) or data[6:10] != b"\0\0\0\1":
        raise Malformed("it is not an SSH signature of version 1")
    key, rest = _string(data[10:])
    namespace, rest = _string(rest)
    for _ in ("reserved", "hash algorithm", "signature"):
        _, rest = _string(rest)
    if rest:
        raise Malformed("something follows the signature")
    kind, _ = _string(key)
    digest = base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")
    return SshSignature(
        f"SHA256:{digest}", kind.decode("ascii", "replace"), namespace.decode("utf-8", "replace")
    )


def _string(data: bytes) -> tuple[bytes, bytes]:
    length = int.from_bytes(data[:4])
    if len(data) < 4 + length or len(data) < 4:
        raise Malformed("it is cut off")
    return data[4 : 4 + length], data[4 + length :]
