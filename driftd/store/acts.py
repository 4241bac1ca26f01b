"""What a person does beside a running daemon, left for it in a folder beside its SQLite store.

One process writes an SQLite store. A command that a person runs meanwhile leaves each act as a
file; the daemon takes it in, in the order of time, and it is on the record then. On PostgreSQL,
and while no daemon runs, the command writes by itself.
"""

from __future__ import annotations

import getpass
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from driftd.errors import StoreError
from driftd.store.backups import Backup
from driftd.store.chain import AuditRecord
from driftd.store.engine import beside
from driftd.store.replacing import replace

_SUFFIX: Final = ".json"
_KEPT: Final = ".backup"
_MOST_BYTES: Final = 1 << 20


def folder_of(dsn: str) -> Path | None:
    """The folder of a store's acts; None for a database that several may write."""
    return beside(dsn, "-acts")


def key_of(named: str, dsn: str) -> Path:
    """The key file of backups: the one that the settings name, else beside an SQLite store.

    Raises StoreError where there is neither.
    """
    if named:
        return Path(named)
    path = beside(dsn, "-key")
    if path is None:
        raise StoreError(
            "what is written over cannot be kept: there is no key to encrypt it with",
            hint="name a file of at least 32 random bytes with store.keyFile",
        )
    return path


def person() -> str:
    """Who runs this command, as far as the machine knows: `user@host`."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


class Kept(msgspec.Struct, frozen=True):
    """A manifest that a command has written over, encrypted."""

    backup: Backup
    sealed: bytes


def leave(folder: Path, record: AuditRecord) -> None:
    """Leave an act for the daemon; it is on the disk when this returns. Raises StoreError."""
    stamp = record.at.strftime("%Y%m%dT%H%M%S.%f")
    _leave(folder, f"{stamp}-{record.id}{_SUFFIX}", msgspec.json.encode(record))


def leave_backup(folder: Path, kept: Kept) -> None:
    """Leave a manifest that is about to be written over; as `leave`."""
    _leave(folder, f"{kept.backup.id}{_KEPT}", msgspec.msgpack.encode(kept))


def _leave(folder: Path, name: str, content: bytes) -> None:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        replace(folder / name, content)
    except OSError as error:
        raise StoreError(f"cannot leave the act in {folder}: {error.strerror}") from None


def left(folder: Path) -> list[tuple[Path, AuditRecord | None]]:
    """The acts that nobody has taken in yet, oldest first; None for a file that is none."""
    return [(one, _read(one)) for one in _files(folder, _SUFFIX)]


def left_backups(folder: Path) -> list[tuple[Path, Kept | None]]:
    """The manifests that nobody has taken in yet; None for a file that holds none."""
    found: list[tuple[Path, Kept | None]] = []
    for path in _files(folder, _KEPT):
        try:
            found.append((path, msgspec.msgpack.decode(path.read_bytes(), type=Kept)))
        except (OSError, msgspec.MsgspecError):
            found.append((path, None))
    return found


def _files(folder: Path, suffix: str) -> list[Path]:
    try:
        names = sorted(folder.iterdir())
    except OSError:
        return []
    return [one for one in names if one.suffix == suffix and not one.name.startswith(".")]


def taken(path: Path) -> None:
    """An act is on the record: its file goes."""
    with suppress(OSError):
        path.unlink()


def _read(path: Path) -> AuditRecord | None:
    try:
        if path.is_symlink() or path.stat().st_size > _MOST_BYTES:
            return None
        return msgspec.json.decode(path.read_bytes(), type=AuditRecord)
    except (OSError, msgspec.MsgspecError):
        return None
