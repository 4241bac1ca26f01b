"""Memory of a daemon: what nobody uses goes back to the system, and few values are walked for it.

glibc keeps what a burst of looks has freed. Only it offers to give that back; elsewhere nothing is
done. A look makes many values that live on, and Python's collector would walk them again and
again: that took 8 % of a cold start.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
from typing import Any, Final, Self

WORTH: Final = 64 * 1024 * 1024
"""Free bytes from which on it is worth the milliseconds that it takes."""
SELDOM: Final = (20_000, 20, 20)
"""New values, and collections of younger ones, after which the collector runs."""
EVERY: Final = 30.0
"""Seconds between two looks at how much is free."""
_FIELDS: Final = (
    *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
    *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
)


class _Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in _FIELDS]


def _library() -> Any:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    if not hasattr(library, "malloc_trim") or not hasattr(library, "mallinfo2"):
        return None
    library.mallinfo2.restype = _Mallinfo
    return library


def give_back(least: int = WORTH) -> bool:
    """Return free memory to the system if there are `least` bytes of it; whether it was done."""
    library = _library()
    if library is None or library.mallinfo2().fordblks < least:
        return False
    library.malloc_trim(ctypes.c_size_t(0))
    return True


class Heap:
    """Gives memory back from time to time while it is entered (`with`), in a thread of its own.

    Python's collector runs more seldom meanwhile.
    """

    def __init__(self, every: float = EVERY) -> None:
        """`every` is in seconds."""
        self._every = every
        self._ended = threading.Event()
        self._before = gc.get_threshold()
        self._thread = threading.Thread(target=self._run, name="heap", daemon=True)

    def __enter__(self) -> Self:
        self._before = gc.get_threshold()
        gc.set_threshold(*SELDOM)
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        gc.set_threshold(*self._before)
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._every):
            give_back()
