"""Encrypts what is kept in the database and may hold secrets: only who has the key file reads it.

AES-256-GCM of the `cryptography` library, with a random nonce for each and a key that HKDF-SHA256
makes of the file's (RFC 5869, NIST SP 800-38D). The whole row is associated data, so that content
that was changed, or put into the place of another one, is refused. Layout: a byte for the version,
12 of nonce, ciphertext and tag.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from driftd.errors import StoreError

_KEY: Final = 32
_NONCE: Final = 12
_VERSION: Final = b"\x02"
_PURPOSE: Final = b"driftd backup AES-256-GCM"


class Envelope:
    """Seals and opens with one key. Neither the key nor what is inside shows in `repr`."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        # Whoever only looks pays nothing for these imports.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        derived = HKDF(SHA256(), length=_KEY, salt=None, info=_PURPOSE).derive(key)
        self._cipher = AESGCM(derived)

    def seal(self, row: bytes, content: bytes) -> bytes:
        """The content, encrypted; it opens beside this row alone."""
        nonce = os.urandom(_NONCE)
        hidden: bytes = self._cipher.encrypt(nonce, content, _VERSION + row)
        return _VERSION + nonce + hidden

    def open(self, row: bytes, sealed: bytes) -> bytes:
        """What was sealed beside this row. Raises StoreError for anything else."""
        from cryptography.exceptions import InvalidTag

        if sealed[:1] != _VERSION:
            raise StoreError(
                "the backup cannot be decrypted: another version of driftd kept it",
                hint="read it with that version",
            )
        nonce, hidden = sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
        try:
            content: bytes = self._cipher.decrypt(nonce, hidden, _VERSION + row)
        except (InvalidTag, ValueError):  # ValueError: a nonce that was cut
            raise StoreError(
                "the backup cannot be decrypted: it was changed, or sealed with another key",
                hint="name the key file that the daemon used",
            ) from None
        return content


def envelope_of(path: Path, *, make: bool) -> Envelope:
    """The envelope of a key file; made where there is none, if `make`. Raises StoreError."""
    try:
        if make:
            _made(path)
        state = path.stat()
        key = path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"cannot read the key of backups {path}: {error.strerror}",
            hint="name a file in a folder of the daemon's own, with store.keyFile",
        ) from None
    if state.st_mode & 0o077:
        raise StoreError(f"the key of backups {path} can be read by others", hint="chmod 600 it")
    if len(key) < _KEY:
        raise StoreError(f"the key of backups {path} has fewer than {_KEY} bytes")
    return Envelope(key)


def _made(path: Path) -> None:
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(os.urandom(_KEY))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(unfinished, path)
    finally:
        os.unlink(unfinished)
