"""The file of silences, which `driftd silence` writes and a daemon reads.

It lies beside an SQLite store, which one process alone writes, or where the settings say.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal

import msgspec

from driftd.errors import StoreError
from driftd.model.silence import Silence
from driftd.store.engine import beside
from driftd.store.replacing import replace

KEPT: Final = timedelta(days=7)
"""How long a silence that is over stays listed."""
_MOST_BYTES: Final = 4 << 20


class _File(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    silences: tuple[Silence, ...] = ()
    version: Literal[1] = 1


def file_of(named: str, dsn: str) -> Path:
    """The file that the settings name, else the one beside an SQLite store. Raises StoreError."""
    if named:
        return Path(named)
    path = beside(dsn, "-silences.json")
    if path is None:
        raise StoreError(
            "there is no place for silences beside a PostgreSQL store",
            hint="name a file that the daemon reads too with silences.file",
        )
    return path


def read(path: Path) -> tuple[Silence, ...]:
    """What stands in the file; nothing where there is none. Raises StoreError."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise StoreError(f"{path}: too long for a file of silences")
        return msgspec.json.decode(path.read_bytes(), type=_File).silences
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from None
    except msgspec.MsgspecError:
        raise StoreError(
            f"{path}: is no file of silences", hint="driftd silence alone writes it"
        ) from None


def change(
    path: Path, now: datetime, edit: Callable[[tuple[Silence, ...]], tuple[Silence, ...]]
) -> None:
    """Replace what stands in the file, whoever else does so too. Raises StoreError."""
    try:
        with path.with_name(path.name + ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            kept = tuple(one for one in edit(read(path)) if one.until > now - KEPT)
            replace(path, msgspec.json.format(msgspec.json.encode(_File(silences=kept))))
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from None


class SilenceFile:
    """What stands in the file, read again when it has changed; a broken one silences nothing."""

    def __init__(self, path: Path | None, told: Callable[[str], None]) -> None:
        """`told` is told once of each problem. Without a file there are no silences."""
        self._path = path
        self._told = told
        self._stamp: tuple[int, int] | None = None
        self._found: tuple[Silence, ...] = ()

    def current(self) -> tuple[Silence, ...]:
        """The silences of now."""
        if self._path is None:
            return ()
        try:
            stat = self._path.stat()
        except OSError:
            self._stamp, self._found = None, ()
            return ()
        stamp = (stat.st_mtime_ns, stat.st_ino)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._found = read(self._path)
            except StoreError as error:
                self._found = ()
                self._told(error.message)
        return self._found
