"""Encrypts what is kept in the database and may hold secrets: only who has the key file reads it.

The stream is SHAKE-256 over key and a nonce that is never used twice; a keyed BLAKE2b over the
name, the nonce and the ciphertext comes after it (encrypt, then authenticate), so that a row that
was changed, or put in the place of another one, is refused. Both keys are derived from the file's.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from driftd.errors import StoreError

_KEY: Final = 32
_NONCE: Final = 24
_MAC: Final = 32
_VERSION: Final = b"\x01"


class Envelope:
    """Seals and opens with one key. Neither the key nor what is inside shows in `repr`."""

    __slots__ = ("_authenticate", "_encrypt")

    def __init__(self, key: bytes) -> None:
        self._encrypt = hashlib.blake2b(
            key=key, person=b"driftd encrypt", digest_size=_KEY
        ).digest()
        self._authenticate = hashlib.blake2b(
            key=key, person=b"driftd authent", digest_size=_KEY
        ).digest()

    def seal(self, name: str, content: bytes) -> bytes:
        """The content, encrypted; it opens under this name alone."""
        nonce = os.urandom(_NONCE)
        hidden = self._hidden(nonce, content)
        return _VERSION + nonce + hidden + self._mac(name, nonce, hidden)

    def open(self, name: str, sealed: bytes) -> bytes:
        """What was sealed under this name. Raises StoreError for anything else."""
        nonce, rest = sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
        hidden, mac = rest[:-_MAC], rest[-_MAC:]
        if sealed[:1] != _VERSION or not hmac.compare_digest(mac, self._mac(name, nonce, hidden)):
            raise StoreError(
                f"{name} cannot be decrypted: it was changed, or sealed with another key",
                hint="name the key file that the daemon used",
            )
        return self._hidden(nonce, hidden)

    def _hidden(self, nonce: bytes, content: bytes) -> bytes:
        stream = hashlib.shake_256(self._encrypt + nonce).digest(len(content))
        mixed = int.from_bytes(content, "big") ^ int.from_bytes(stream, "big")
        return mixed.to_bytes(len(content), "big")

    def _mac(self, name: str, nonce: bytes, hidden: bytes) -> bytes:
        told = name.encode()
        mac = hashlib.blake2b(key=self._authenticate, digest_size=_MAC)
        mac.update(len(told).to_bytes(8, "big") + told + nonce + hidden)
        return mac.digest()


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
    return Envelope(hashlib.sha256(key).digest())


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
