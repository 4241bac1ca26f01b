"""The file that keeps what persons have ordered: written by commands, read by the daemon.

It works whatever the database does. What cannot be read permits nothing: then nothing is healed.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from driftd.errors import StoreError
from driftd.store.engine import beside
from driftd.store.replacing import replace
from driftd.sync.orders import Order, Orders

_MOST_BYTES: Final = 4 << 20
_UNREAD: Final = "the orders in {} cannot be read: {}"


def orders_path(configured: str, dsn: str) -> Path | None:
    """The file that the settings name, else one beside an SQLite store; None without both."""
    if configured:
        return Path(configured)
    return beside(dsn, "-orders.json")


@dataclass(slots=True)
class StandingOrders:
    """The orders in a file, read anew when it has changed."""

    path: Path
    _seen: tuple[int, int, int] | None = None
    _orders: tuple[Order, ...] = field(default=())

    def read(self) -> tuple[Order, ...]:
        """The orders as they are now; without the file there are none. Raises StoreError."""
        try:
            state = self.path.stat()
        except FileNotFoundError:
            self._seen, self._orders = None, ()
            return ()
        except OSError as error:
            raise StoreError(
                f"the orders in {self.path} cannot be read: {error.strerror}"
            ) from None
        stamp = (state.st_mtime_ns, state.st_size, state.st_ino)
        if stamp != self._seen:
            self._orders = _decoded(self.path)
            self._seen = stamp
        return self._orders

    def change(self, edit: Callable[[tuple[Order, ...]], tuple[Order, ...]]) -> None:
        """Replace the orders by what `edit` makes of them, one process at a time.

        They are on the disk when this returns. Raises StoreError.
        """
        try:
            with self.path.with_name(self.path.name + ".lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                before = _decoded(self.path) if self.path.exists() else ()
                content = msgspec.json.encode(Orders(orders=edit(before)))
                replace(self.path, content, mode=0o640)
        except OSError as error:
            raise StoreError(
                f"the orders in {self.path} cannot be written: {error.strerror}"
            ) from None


def _decoded(path: Path) -> tuple[Order, ...]:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise StoreError(f"the orders in {path} are too many to be read")
        return msgspec.json.decode(content, type=Orders).orders
    except OSError as error:
        raise StoreError(_UNREAD.format(path, error.strerror)) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StoreError(
            _UNREAD.format(path, error),
            hint="correct the file, or remove it: then no order is in force",
        ) from None
