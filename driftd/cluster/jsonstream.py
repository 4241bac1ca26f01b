"""Cuts a JSON document of any size into the values of its list, as they come.

Only a value that is not finished is held. What the values mean, and whether they are JSON at all,
is for their reader.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from driftd.cluster.auditevents import CONTAINERS

_BETWEEN: Final = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
"""What lies between two brackets: texts, whatever they hold, and everything else."""
_KEY: Final = re.compile(rb'"([A-Za-z]+)"\s*:\s*\Z')
_KEY_BYTES: Final = 64


class TooLong(Exception):
    """A value does not end within the limit; `line` is where it begins, from 1."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


class _Cutter:
    """Where the scan stands: the open brackets, and the value that is being collected."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._data = b""
        self._at = 0
        self._line = 1
        self._counted = 0
        """Up to where lines have been counted."""
        self._open = bytearray()
        self._starts: list[int] = []
        """Where the values begin that are open: the outermost, then the one in its list."""
        self._listed = False
        """Whether the outermost object has a list of values, and is none itself."""

    def feed(self, chunk: bytes) -> Iterator[tuple[int, bytes]]:
        """The values that end in `chunk`, each with its line. Raises TooLong."""
        self._data += chunk
        while True:
            between = _BETWEEN.match(self._data, self._at)
            end = between.end() if between else self._at
            self._at = end
            mark = self._data[end : end + 1]
            if mark in {b"", b'"'}:  # the rest of a text is still to come
                break
            self._at = end + 1
            value = self._mark(mark, end)
            if value is not None:
                yield value
        self._forget()

    def _mark(self, mark: bytes, at: int) -> tuple[int, bytes] | None:
        if mark in b"{[":
            if mark == b"{" and self._begins_value():
                self._starts.append(at)
            if mark == b"[" and self._open == b"{" and self._key(at) in CONTAINERS:
                mark = b"("  # the list whose items are the values
                self._listed = True
            self._open += mark
            return None
        if self._open:
            self._open.pop()
        return self._ended()

    def _key(self, at: int) -> bytes:
        found = _KEY.search(self._data[max(0, at - _KEY_BYTES) : at])
        return found.group(1) if found else b""

    def _begins_value(self) -> bool:
        return bytes(self._open) in {b"", b"[", b"{("}

    def _ended(self) -> tuple[int, bytes] | None:
        if not self._starts or not self._begins_value():
            return None
        start = self._starts.pop()
        if not self._open and self._listed:
            self._listed = False
            return None
        self._count(start)
        return self._line, self._data[start : self._at]

    def _count(self, end: int) -> None:
        """Let `_line` be the line of what stands at `end`."""
        if end > self._counted:
            self._line += self._data.count(b"\n", self._counted, end)
            self._counted = end

    def _forget(self) -> None:
        """Drop what no open value, no unfinished text and no key needs."""
        keep = max(0, self._at - _KEY_BYTES)
        inner = self._starts[1:] if self._listed else self._starts
        keep = min(keep, *inner) if inner else keep
        if keep:
            self._count(keep)
            self._counted -= keep
            self._data = self._data[keep:]
            self._at -= keep
            self._starts = [max(0, start - keep) for start in self._starts]
        if len(self._data) > self._longest:
            self._count(inner[0] - keep if inner else 0)
            raise TooLong(self._line)


def values(chunks: Iterator[bytes], *, longest: int) -> Iterator[tuple[int, bytes]]:
    """The values of a document's list, or documents one after the other, each with its line.

    Lists are looked for at the top, and as the members that audit logs have them in.

    Raises:
        TooLong: a value is longer than `longest` bytes.
    """
    cutter = _Cutter(longest)
    for chunk in chunks:
        yield from cutter.feed(chunk)
