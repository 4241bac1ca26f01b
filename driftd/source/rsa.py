"""Signs with an RSA key (RS256), which is how a GitHub App says who it is.

An hour's token takes one signature, so the arithmetic is Python's own: no library for it is part
of what driftd stands on. Nothing is decrypted here and no foreign input is signed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

from driftd.errors import SourceError

_PEM = re.compile(
    r"-----BEGIN (?P<kind>(?:RSA )?PRIVATE KEY)-----"
    r"(?P<body>[A-Za-z0-9+/=\s]+)-----END (?P=kind)-----"
)
_SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")
"""What PKCS #1 puts before a SHA-256 digest."""
_INTEGER, _OCTETS, _SEQUENCE = 0x02, 0x04, 0x30
_SMALLEST = 2048


class RsaKey:
    """A private key; printing it shows nothing of it."""

    def __init__(self, pem: str, place: str) -> None:
        """`place` names the key in errors. Raises SourceError if it is no RSA key in PEM."""
        problem = SourceError(
            f"{place}: the private key is no RSA key in PEM",
            hint="use the file that GitHub made for the App",
            reason="InvalidCredential",
        )
        found = _PEM.search(pem)
        if found is None:
            raise problem
        try:
            der = base64.b64decode("".join(found["body"].split()), validate=True)
            numbers = _numbers(der, wrapped=found["kind"] == "PRIVATE KEY")
            self._n, self._e, _, self._p, self._q, self._dp, self._dq, self._qinv = numbers
        except (binascii.Error, ValueError, IndexError):
            raise problem from None
        if self._n != self._p * self._q or self._n.bit_length() < _SMALLEST:
            raise problem

    def sign(self, message: bytes) -> bytes:
        """The signature of a message, PKCS #1 v1.5 with SHA-256."""
        size = (self._n.bit_length() + 7) // 8
        content = _SHA256 + hashlib.sha256(message).digest()
        padded = b"\x00\x01" + b"\xff" * (size - len(content) - 3) + b"\x00" + content
        number = int.from_bytes(padded)
        first, second = pow(number, self._dp, self._p), pow(number, self._dq, self._q)
        result = second + (self._qinv * (first - second)) % self._p * self._q
        if pow(result, self._e, self._n) != number:
            raise SourceError("the private key does not fit together", reason="InvalidCredential")
        return result.to_bytes(size)


def _numbers(der: bytes, *, wrapped: bool) -> tuple[int, ...]:
    """The eight numbers of a key; `wrapped` in PKCS #8. Raises ValueError."""
    parts = _elements(_only(der, _SEQUENCE))
    if wrapped:
        # version, algorithm, key
        if len(parts) < 3 or parts[2][0] != _OCTETS:
            raise ValueError
        parts = _elements(_only(parts[2][1], _SEQUENCE))
    if len(parts) < 9 or any(tag != _INTEGER for tag, _ in parts[:9]):
        raise ValueError
    return tuple(int.from_bytes(content) for _, content in parts[1:9])


def _only(der: bytes, tag: int) -> bytes:
    found = _elements(der)
    if len(found) != 1 or found[0][0] != tag:
        raise ValueError
    return found[0][1]


def _elements(der: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of each element. Raises ValueError or IndexError."""
    found: list[tuple[int, bytes]] = []
    position = 0
    while position < len(der):
        tag, length = der[position], der[position + 1]
        position += 2
        if length & 0x80:
            count = length & 0x7F
            if not 1 <= count <= 4:
                raise ValueError
            length = int.from_bytes(der[position : position + count])
            position += count
        if position + length > len(der):
            raise ValueError
        found.append((tag, der[position : position + length]))
        position += length
    return found
