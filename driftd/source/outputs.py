"""The files that this very process writes its output to: no uncommitted work of anybody."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path


def own_outputs() -> Iterator[Path]:
    """The files that this process writes its output to, which the shell has just made."""
    for stream in (1, 2):
        try:
            if stat.S_ISREG(os.fstat(stream).st_mode):
                yield Path(_path_of(stream))
        except OSError:
            continue  # closed, or its file has no name (any more)


def _path_of(stream: int) -> str:
    """The path of an open file. Raises OSError where the system does not tell."""
    told: int | None = getattr(fcntl, "F_GETPATH", None)
    if told is None:
        return os.readlink(f"/proc/self/fd/{stream}")
    return fcntl.fcntl(stream, told, bytes(1024)).rstrip(b"\0").decode()
