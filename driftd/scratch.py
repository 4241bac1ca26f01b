"""Temporary folders that the next start removes where this process could not."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final

_OWNER: Final = "owner.lock"
"""The file whose lock says that the folder's process lives; the kernel drops it with that."""


class ScratchFolder:
    """An empty folder of this user's alone, removed at the end; a context manager.

    A process that is killed cannot remove it. Whoever makes one of the same prefix later, in
    the same folder of temporary files, removes those that no process holds any more.
    """

    def __init__(self, prefix: str) -> None:
        """`prefix` begins the folder's name and is driftd's own. Raises OSError."""
        remove_left(prefix)
        self._folder = tempfile.TemporaryDirectory(prefix=prefix)
        root = Path(self._folder.name)
        self._lock = os.open(root / "new", os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        # Only a locked file gets the name: no folder is ever seen with an owner that is none.
        (root / "new").rename(root / _OWNER)
        self.path = root / "content"
        """Where files belong."""
        self.path.mkdir(mode=0o700)

    def close(self) -> None:
        """Remove the folder and all in it."""
        self._folder.cleanup()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def remove_left(prefix: str) -> None:
    """Remove the folders of a prefix whose process is gone; what cannot be removed stays.

    A folder of another user's, or without an owner's lock in it, is left alone whatever its age.
    """
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with suppress(OSError):
            about = folder.lstat()
            if stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid():
                _remove_unowned(folder)


def _remove_unowned(folder: Path) -> None:
    """Remove a folder unless a process holds it. Raises OSError where one does, or none did."""
    handle = os.open(folder / _OWNER, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(handle)
