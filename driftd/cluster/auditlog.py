"""Reads the writes out of an audit log file, of any size, in memory that does not grow with it.

A file holds one JSON value on each line (API servers, most exporters), log lines that end with
one (CloudWatch's exports to S3), or one document with a list of events in it. It may be gzipped.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from functools import partial
from io import SEEK_END, BufferedReader
from pathlib import Path
from typing import IO, Final, cast

from driftd.cluster.auditevents import BROKEN, Seen, seen, seen_in_text
from driftd.cluster.jsonstream import TooLong, values
from driftd.errors import ConfigError
from driftd.model.audit import AuditedWrite

LONGEST: Final = 16 << 20
"""Bytes of the longest event; longer ones are skipped. API servers take objects of 3 MB."""
_GZIP: Final = b"\x1f\x8b"
_CHUNK: Final = 1 << 20
_DISORDER: Final = 600.0
"""Seconds by which events of a log may be out of order."""
_TRIED: Final = 50
"""Lines that are looked at for an event."""
_FIRST_LINE: Final = frozenset({b"{", b"[", b"[{"})
"""How a document begins that is spread over lines."""


class AuditLog:
    """One log file, read once from its beginning to its present end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events = 0
        """Audit events seen, those of reads too."""
        self.earliest: float | None = None
        """When the first of them was, in seconds since the epoch."""
        self.latest: float | None = None
        """When the last of them was."""
        self.broken = 0
        """Lines or values that could not be read."""
        self.first_broken = 0
        """The line of the first one, from 1."""
        self.cut_off = ""
        """Why the file could not be read to its end; empty if it was."""

    def writes(self, *, since: float | None = None) -> Iterator[AuditedWrite]:
        """The writes that were carried out, in the order of the file.

        `since` leaves out those answered before, in seconds since the epoch.

        Raises:
            ConfigError: the file cannot be opened.
        """
        try:
            with self._opened() as stream:
                for one in self._seen(stream, since):
                    self.events += 1
                    if self.earliest is None or one.time < self.earliest:
                        self.earliest = one.time
                    if self.latest is None or one.time > self.latest:
                        self.latest = one.time
                    write = one.write
                    if write is not None and (since is None or write.completed >= since):
                        yield write
        except (EOFError, gzip.BadGzipFile, zlib.error):
            self.cut_off = "its compressed data ends early or is damaged"
        except OSError as error:
            raise ConfigError(
                f"audit log {self.path} cannot be read: {error.strerror or error}",
                hint="name a file that driftd may read",
            ) from error

    def _opened(self) -> IO[bytes]:
        plain = self.path.open("rb")
        if plain.peek(2)[:2] != _GZIP:
            return plain
        plain.close()
        return cast("IO[bytes]", gzip.open(self.path, "rb"))

    def _seen(self, stream: IO[bytes], since: float | None) -> Iterator[Seen]:
        first = stream.readline(LONGEST)
        stream.seek(0)
        unfinished = len(first) == LONGEST and not first.endswith(b"\n")
        if unfinished or first.strip() in _FIRST_LINE:
            yield from self._document(stream)
            return
        start = 0
        if since is not None and isinstance(stream, BufferedReader):
            start = _start_of(stream, since - _DISORDER)
            self.earliest = since if start else None
        yield from self._lines(stream)
        if start and self.broken:
            self.first_broken += _lines_before(stream, start)

    def _lines(self, stream: IO[bytes]) -> Iterator[Seen]:
        number = 0
        while line := stream.readline(LONGEST):
            number += 1
            whole = line.endswith(b"\n")
            if not whole and len(line) == LONGEST:
                while line and not line.endswith(b"\n"):
                    line = stream.readline(_CHUNK)
                self._is_broken(number)
                continue
            if not line.strip():
                continue
            try:
                yield from _of_line(line)
            except BROKEN:
                if whole:  # an unfinished last line is just being written
                    self._is_broken(number)

    def _document(self, stream: IO[bytes]) -> Iterator[Seen]:
        chunks = iter(partial(stream.read, _CHUNK), b"")
        try:
            for line, value in values(chunks, longest=LONGEST):
                try:
                    yield from seen(value)
                except BROKEN:
                    self._is_broken(line)
        except TooLong as error:
            self._is_broken(error.line)
            self.cut_off = f"a value is longer than {LONGEST >> 20} MiB"

    def _is_broken(self, line: int) -> None:
        self.broken += 1
        self.first_broken = self.first_broken or line


def _start_of(stream: BufferedReader, since: float) -> int:
    """Go to a line before which all events are older than `since`; its place in the file.

    The events of a log are nearly in order, so a few looks into the file find the place.
    """
    low, high = 0, stream.seek(0, SEEK_END)
    while high - low > _CHUNK:
        middle = (low + high) // 2
        stream.seek(middle)
        stream.readline(LONGEST)
        time = _next_time(stream)
        if time is None or time >= since:
            high = middle
        else:
            low = middle
    stream.seek(low)
    if low:
        stream.readline(LONGEST)
    return stream.tell()


def _next_time(stream: IO[bytes]) -> float | None:
    """When the next event was; None if there is none in the next lines."""
    for _ in range(_TRIED):
        try:
            for one in _of_line(stream.readline(LONGEST)):
                return one.time
        except BROKEN:
            continue
    return None


def _lines_before(stream: IO[bytes], end: int) -> int:
    """How many lines end before a place."""
    stream.seek(0)
    count = 0
    while end > 0:
        piece = stream.read(min(_CHUNK, end))
        count += piece.count(b"\n")
        end -= len(piece)
    return count


def _of_line(line: bytes) -> Iterator[Seen]:
    if line.lstrip()[:1] in {b"{", b"["}:
        yield from seen(line)
    else:
        yield from seen_in_text(line.decode("utf-8", "replace"))
