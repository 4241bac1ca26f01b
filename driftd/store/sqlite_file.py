"""The files of an SQLite store: whose they are, whether they are whole, and what was lost.

SQLite trusts its files. A write-ahead log with a damaged page ends there, silently, and the
commits after it are gone; one that was deleted is missed by nobody. So each commit has a number:
the database holds it (`user_version`, a part of the transaction), and so does a file beside it,
the mark, written after the commit. A database that is behind its mark has lost commits.

The mark is also the lock that keeps a second daemon away: two processes that write and reset the
log of SQLite 3.7.0 to 3.51.2 at the same time can damage it (the WAL-reset defect).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from driftd.errors import StoreError

_NUMBERS: Final = (1 << 31) - 1
"""The database holds 31 bits; after the last number follows the first."""
_WIDTH: Final = 10
_LOCK_SECONDS: Final = 5.0
"""A daemon that is about to end has let go by then."""
_LOG: Final = "-wal"
_SIDE_FILES: Final = (_LOG, "-shm")


class SqliteFile:
    """The database's file with its log and its mark."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mark = path.with_name(path.name + "-mark")
        self._handle = -1
        self._number = 0
        self._identity: tuple[int, int] | None = None
        self._log_identity: tuple[int, int] | None = None

    def claim(self) -> None:
        """Make the folder and take the lock. Raises StoreError when another driftd has it."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._handle = os.open(self._mark, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(
                f"cannot open the store {self.path}: {error.strerror}",
                hint="choose a writable folder in store.dsn",
            ) from None
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError:
                if time.monotonic() > deadline:
                    self.release()
                    raise StoreError(
                        f"another driftd has the store {self.path} open",
                        hint="one daemon writes a store of SQLite; several share PostgreSQL",
                    ) from None
                time.sleep(0.05)

    def release(self) -> None:
        """Let go of the lock."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def inspect(self) -> str:
        """Make the file ready to be opened; what was lost, for a person, or nothing.

        A damaged database is put aside, never deleted. Raises StoreError for a file that is no
        database and was never one of driftd's.
        """
        mark = self._marked()
        if not self._is_there():
            self._create()
            self._number = mark or 0
            return f"its file is gone, and {mark} commits with it" if mark else ""
        try:
            number = self._whole()
        except sqlite3.DatabaseError as error:
            if mark is None:
                raise StoreError(
                    f"cannot open the store {self.path}: {error}",
                    hint="check store.dsn: this is no database of driftd",
                ) from None
            aside = self.put_aside()
            return f"it was damaged ({error}) and begins anew; what is left of it is in {aside}"
        lost = (mark - number) % _NUMBERS if mark is not None else 0
        self._number = number
        self._touch()
        if not 0 < lost < _NUMBERS // 2:
            return ""
        copy = self._copy_log()
        return f"its last {lost} commits are lost" + (f"; its log is in {copy}" if copy else "")

    def next_number(self) -> int:
        """The number of the next commit."""
        return self._number % _NUMBERS + 1

    def committed(self, number: int) -> None:
        """A commit is on the disk: the mark says so, and costs no wait."""
        self._number = number
        # The mark is late then, which looks like no loss at all: never the other way round.
        with contextlib.suppress(OSError):
            os.pwrite(self._handle, b"%0*d\n" % (_WIDTH, number), 0)
        if self._log_identity is None:
            self._log_identity = _identity(self._beside(_LOG))

    def connected(self) -> None:
        """A connection that writes was opened: the files are those of now."""
        self._identity = _identity(self.path)
        self._log_identity = None

    def is_replaced(self) -> bool:
        """Whether the open database is no longer the one at its path."""
        return self._identity is not None and _identity(self.path) != self._identity

    def has_lost_log(self) -> bool:
        """Whether somebody took away the log that commits go to."""
        known = self._log_identity
        return known is not None and _identity(self._beside(_LOG)) != known

    def put_aside(self) -> Path:
        """Rename the database and its log, and begin anew; the new name."""
        aside = self._aside()
        for suffix in ("", *_SIDE_FILES):
            with contextlib.suppress(FileNotFoundError):
                os.replace(self._beside(suffix), aside.with_name(aside.name + suffix))
        self._create()
        self._number = self._marked() or self._number
        return aside

    def _aside(self) -> Path:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        return self.path.with_name(f"{self.path.name}.damaged-{stamp}")

    def _copy_log(self) -> Path | None:
        """Keep the log as evidence, before the database goes on without its end."""
        log = self._beside(_LOG)
        try:
            if log.stat().st_size == 0:
                return None
            aside = self._aside()
            copy = aside.with_name(aside.name + _LOG)
            shutil.copyfile(log, copy)
            copy.chmod(0o600)
        except OSError:
            return None
        return copy

    def _is_there(self) -> bool:
        with contextlib.suppress(OSError):
            return self.path.stat().st_size > 0
        return False

    def _create(self) -> None:
        """An empty file is an empty database; a log of another one beside it would be read."""
        for suffix in _SIDE_FILES:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._beside(suffix))
        self._touch()

    def _touch(self) -> None:
        try:
            # Reports name objects and values: only the owner may read them.
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            raise StoreError(
                f"cannot open the store {self.path}: {error.strerror}",
                hint="choose a writable folder in store.dsn",
            ) from None

    def _whole(self) -> int:
        """The number of the last commit. Raises sqlite3.DatabaseError for a damaged database."""
        # A connection that only reads resets no log, whatever happens to it.
        connection = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            connection.execute("PRAGMA busy_timeout=10000")
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise sqlite3.DatabaseError(found.splitlines()[-1])
            return int(connection.execute("PRAGMA user_version").fetchone()[0])
        finally:
            connection.close()

    def _marked(self) -> int | None:
        """The number of the last commit that was known to be done; None if there is none."""
        text = os.pread(self._handle, _WIDTH, 0)
        return int(text) if len(text) == _WIDTH and text.isdigit() else None

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one of the same name."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
