"""An event loop that lets the events of watches wait for one another, a few milliseconds.

Waking a process that sleeps costs far more than what it does then: its caches are cold, and the
same code takes four times as long (docs/performance.md). Fifty updates a second on quiet streams
are fifty awakenings. Here the sockets of such streams are looked at again only `GATHER` seconds
after one of them had something to read; what has come meanwhile is read in one go. An event after
a quiet time is read at once, a stream that has more to say is read on, and no other socket, timer
or thread waits (ADR 11).
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections import ChainMap
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

GATHER: Final = 0.08
"""Seconds in which events wait for others, at most."""

Ready: TypeAlias = "list[tuple[selectors.SelectorKey, int]]"
_READ: Final = selectors.EVENT_READ


class StreamSelector(selectors.BaseSelector):
    """A selector of two sorts of sockets: streams, which may wait for one another, and others."""

    def __init__(
        self, gather: float = GATHER, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`gather` is in seconds; `monotonic` gives the time in seconds."""
        self._plain = selectors.EpollSelector()
        self._streams = selectors.EpollSelector()
        self.moved: set[int] = set()
        """The sockets that are streams."""
        self._gather = gather
        self._now = monotonic
        self._heard = False
        """Whether a stream had something to read when they were looked at last."""
        self._opens: float | None = None
        """When streams are looked at again; None while they are."""
        self._door = self._plain.register(self._streams.fileno(), _READ)

    def gather(self, fd: int) -> None:
        """Let a registered socket be a stream, until it is unregistered."""
        key = self._plain.get_map().get(fd)
        if key is not None and fd not in self.moved:
            self._plain.unregister(fd)
            self._streams.register(fd, key.events, key.data)
            self.moved.add(fd)

    def at_once(self, fd: int) -> None:
        """Let a stream be as other sockets again; what is none stays as it is."""
        if fd in self.moved:
            key = self._streams.unregister(fd)
            self.moved.discard(fd)
            self._plain.register(fd, key.events, key.data)

    def register(
        self, fileobj: FileDescriptorLike, events: int, data: Any = None
    ) -> selectors.SelectorKey:
        """As `BaseSelector.register`."""
        return self._plain.register(fileobj, events, data)

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        """As `BaseSelector.unregister`; if it is registered again, it is no stream."""
        home = self._home(fileobj)
        self.moved -= {fileobj}
        return home.unregister(fileobj)

    def modify(
        self, fileobj: FileDescriptorLike, events: int, data: Any = None
    ) -> selectors.SelectorKey:
        """As `BaseSelector.modify`."""
        return self._home(fileobj).modify(fileobj, events, data)

    def get_key(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        """As `BaseSelector.get_key`."""
        return self._home(fileobj).get_key(fileobj)

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        """Every socket, whichever sort it is."""
        return ChainMap(self._streams.get_map(), self._plain.get_map())  # type: ignore[arg-type]

    def close(self) -> None:
        """As `BaseSelector.close`."""
        self._streams.close()
        self._plain.close()

    def _home(self, fileobj: FileDescriptorLike) -> selectors.EpollSelector:
        return self._streams if fileobj in self.moved else self._plain

    def select(self, timeout: float | None = None) -> Ready:
        """As `BaseSelector.select`."""
        until = None if timeout is None else self._now() + max(timeout, 0)
        while True:
            waits = self._left(until)
            if self._opens is not None:
                left = self._opens - self._now()
                if left <= 0:
                    self._plain.register(self._streams.fileno(), _READ)
                    self._opens = None
                elif waits is None or left < waits:
                    waits = left
            ready = self._look(waits)
            if ready or (until is not None and self._now() >= until):
                return ready

    def _left(self, until: float | None) -> float | None:
        return None if until is None else max(until - self._now(), 0)

    def _look(self, waits: float | None) -> Ready:
        """What is ready; after streams had something and have no more, they are left alone."""
        ready = self._plain.select(0 if self._heard else waits)
        if self._opens is not None:
            return ready
        for at, (key, _) in enumerate(ready):
            if key.fd == self._door.fd:
                self._heard = True
                return [*ready[:at], *ready[at + 1 :], *self._streams.select(0)]
        if self._heard:
            self._heard = False
            self._plain.unregister(self._streams.fileno())
            self._opens = self._now() + self._gather
        return ready


class StreamLoop(asyncio.SelectorEventLoop):
    """An event loop over a `StreamSelector`."""

    def __init__(self) -> None:
        self.streams = StreamSelector()
        super().__init__(self.streams)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A `StreamLoop` where the system has what it needs (Linux), else a usual loop."""
    if hasattr(selectors, "EpollSelector"):
        return StreamLoop()
    return asyncio.new_event_loop()
