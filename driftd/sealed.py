"""A folder of this user's with sealed files: what somebody has changed there is thrown away.

Each file carries a digest keyed by a key that only this user can read. The files used last stay,
within a limit of bytes. Nothing here ever raises: a disk that fails is a cache that misses.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_KEY = "key"
_DIGEST = 32
_KEPT_SHARE = 0.9
_TOUCH_AFTER = 3600.0
_SHARD = 2


class SealedFolder:
    """Files by names that are digests in hex.

    `alarms` counts files that were not what had been written; `problem` says why nothing is
    kept, if so.
    """

    def __init__(self, folder: Path, what: str, limit: int) -> None:
        """`what` names the content in messages, as in `renderings`; `limit` is in bytes."""
        self._folder = folder
        self._what = what
        self._limit = limit
        self._size: int | None = None
        self.alarms = 0
        self.problem = ""
        self._key = self._own_key()

    @property
    def usable(self) -> bool:
        """Whether anything can be kept at all."""
        return bool(self._key)

    def read(self, name: str) -> bytes | None:
        """What was written under a name; None if it is not there any more or was changed."""
        if not self._key:
            return None
        path = self._path(name)
        try:
            with path.open("rb") as file:
                content = file.read()
                age = time.time() - os.fstat(file.fileno()).st_mtime
        except OSError:
            return None
        body = content[_DIGEST:]
        if not hmac.compare_digest(content[:_DIGEST], self._seal(name, body)):
            self.discard(name)
            return None
        if age > _TOUCH_AFTER:
            with suppress(OSError):
                os.utime(path)
        return body

    def write(self, name: str, body: bytes) -> None:
        """Keep `body` under a name, in place of what was there."""
        if not self._key:
            return
        try:
            self._write(name, body)
            self._bound()
        except OSError as error:
            self.problem = f"{self._what} are not kept in {self._folder}: {error.strerror}"

    def discard(self, name: str) -> None:
        """Throw away a file that is not what had been written."""
        self.alarms += 1
        with suppress(OSError):
            self._path(name).unlink()

    def _path(self, name: str) -> Path:
        return self._folder / name[:_SHARD] / name

    def _seal(self, name: str, body: bytes) -> bytes:
        digest = hashlib.blake2b(name.encode() + b"\0", key=self._key, digest_size=_DIGEST)
        digest.update(body)
        return digest.digest()

    def _write(self, name: str, body: bytes) -> None:
        path = self._path(name)
        path.parent.mkdir(exist_ok=True)
        # Others may read the old file meanwhile, and a crash must not leave half of one.
        handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=".")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(self._seal(name, body))
                file.write(body)
            os.replace(unfinished, path)
        except OSError:
            with suppress(OSError):
                os.unlink(unfinished)
            raise
        if self._size is not None:
            self._size += _DIGEST + len(body)

    def _bound(self) -> None:
        """Remove what was not used for the longest time, when the folder is over its limit."""
        if self._size is not None and self._size <= self._limit:
            return
        found = sorted(_files(self._folder))
        size = sum(length for _, length, _ in found)
        for _, length, path in found if size > self._limit else ():
            if size <= self._limit * _KEPT_SHARE:
                break
            with suppress(OSError):
                os.unlink(path)
            size -= length
        self._size = size

    def _own_key(self) -> bytes:
        """The folder's key, made where there is none; empty if this user has no such folder."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = self._folder / _KEY
            with suppress(FileExistsError):
                handle, unfinished = tempfile.mkstemp(dir=self._folder, prefix=".")
                try:
                    with os.fdopen(handle, "wb") as file:
                        file.write(os.urandom(_DIGEST))
                    os.link(unfinished, path)
                finally:
                    os.unlink(unfinished)
            state = path.stat()
            if state.st_uid != os.geteuid() or state.st_mode & 0o077:
                self.problem = f"{path} can be read by others, so none of its {self._what} count"
                return b""
            key = path.read_bytes()
        except OSError as error:
            self.problem = f"{self._what} are not kept in {self._folder}: {error.strerror}"
            return b""
        if len(key) != _DIGEST:
            self.problem = f"{path} is no key; remove {self._folder}"
            return b""
        return key


def _files(folder: Path) -> Iterator[tuple[float, int, str]]:
    """Every kept file: when it was used, its size and its path."""
    for sub in os.scandir(folder):
        if len(sub.name) != _SHARD or not sub.is_dir(follow_symlinks=False):
            continue
        for entry in os.scandir(sub.path):
            with suppress(OSError):
                state = entry.stat(follow_symlinks=False)
                yield state.st_mtime, state.st_size, entry.path
