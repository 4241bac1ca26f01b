"""How a post proves who sent it: an HMAC-SHA256 of its body, or a token that it shows. Pure.

Digests of all secrets are compared in constant time, whichever fits. SHA-1 and MD5 never count.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}\Z")


class Proof(Protocol):
    """One way to prove it."""

    def shown(self, headers: Mapping[str, str]) -> bytes:
        """What the headers show, as it is compared; empty without anything of the right form."""
        ...

    def holds(self, shown: bytes, body: bytes, secrets: Sequence[bytes]) -> bool:
        """Whether what was shown and the body fit one of the secrets."""
        ...

    @property
    def needs_body(self) -> bool:
        """Whether the body decides, too."""
        ...


class Signature:
    """A header with an HMAC-SHA256 of the body, in hex."""

    needs_body = True

    def __init__(self, *headers: str, prefix: str = "") -> None:
        """The first of `headers` that is there counts; `prefix` stands before its digits."""
        self._headers = headers
        self._prefix = prefix

    def shown(self, headers: Mapping[str, str]) -> bytes:
        """See `Proof`."""
        text = next((found for name in self._headers if (found := headers.get(name))), "")
        if not text.startswith(self._prefix):
            return b""
        digits = text.removeprefix(self._prefix)
        return bytes.fromhex(digits) if _SHA256.match(digits) else b""

    def holds(self, shown: bytes, body: bytes, secrets: Sequence[bytes]) -> bool:
        """See `Proof`."""
        found = False
        for secret in secrets:
            found |= hmac.compare_digest(hmac.digest(secret, body, "sha256"), shown)
        return found


class Token:
    """A header that holds the secret itself."""

    needs_body = False

    def __init__(self, header: str) -> None:
        self._header = header

    def shown(self, headers: Mapping[str, str]) -> bytes:
        """See `Proof`."""
        return _bytes(headers.get(self._header, ""))

    def holds(self, shown: bytes, body: bytes, secrets: Sequence[bytes]) -> bool:
        """See `Proof`."""
        return _is_one_of(shown, secrets)


class Password:
    """The password of Basic authentication, with any user name."""

    needs_body = False

    def shown(self, headers: Mapping[str, str]) -> bytes:
        """See `Proof`."""
        scheme, _, packed = headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return b""
        try:
            plain = base64.b64decode(_bytes(packed.strip()), validate=True)
        except binascii.Error:
            return b""
        return plain.partition(b":")[2]

    def holds(self, shown: bytes, body: bytes, secrets: Sequence[bytes]) -> bool:
        """See `Proof`."""
        return _is_one_of(shown, secrets)


def _is_one_of(shown: bytes, secrets: Sequence[bytes]) -> bool:
    # Digests are compared, so that the time does not tell how long a secret is either.
    given = hashlib.sha256(shown).digest()
    found = False
    for secret in secrets:
        found |= hmac.compare_digest(hashlib.sha256(secret).digest(), given)
    return found and bool(shown)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
