"""What may reach a terminal, how wide it is, and how times read."""

from __future__ import annotations

import codecs
import os
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 120
"""Columns when standard output is no terminal and COLUMNS is unset."""
MIN_WIDTH = 40
_IN_ASCII: dict[str, str | int | None] = {
    "→": "->",
    "…": "...",
    "·": ".",
    "«": "<",
    "»": ">",
    "⇥": "\\t",
    "␍": "\\r",
    "↵": "\\n",
}
"""Marks of driftd's own and how they read where the locale has none of them."""


def printable(text: str) -> str:
    r"""`text` with every character that could steer a terminal or hide itself escaped.

    Names, values and messages come from clusters and repositories; escape sequences,
    line breaks and invisible or direction-changing characters become `\x1b`, `\u202e`.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def in_ascii(text: str) -> str:
    """`text` with driftd's own marks in ASCII; names and values keep their letters."""
    return text.translate(str.maketrans(_IN_ASCII))


def ascii_errors() -> str:
    """The name of an `errors` handler for streams: marks in ASCII, all else as an escape."""
    name = "driftd-ascii"

    def replace(error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeEncodeError):
            raise error
        text = error.object[error.start : error.end]
        plain = (
            str(_IN_ASCII.get(char) or "") or char.encode("ascii", "backslashreplace").decode()
            for char in text
        )
        return "".join(plain), error.end

    codecs.register_error(name, replace)
    return name


def width_of(stream: IO[str]) -> int:
    """Columns to lay out for: the terminal's, else COLUMNS, else `PIPE_WIDTH`."""
    fallback = (80, 24) if stream.isatty() else (PIPE_WIDTH, 24)
    return max(MIN_WIDTH, shutil.get_terminal_size(fallback).columns)


def console_for(stream: IO[str], *, color: bool) -> Console:
    """A rich console that styles only on a terminal and only if `color` and `NO_COLOR` allow it."""
    from rich.console import Console

    plain = not color or bool(os.environ.get("NO_COLOR"))
    return Console(
        file=stream,
        width=width_of(stream),
        color_system=None if plain else "auto",
        highlight=False,
        markup=False,
        emoji=False,
    )


def columns(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of aligned columns under upper-case titles, unwrapped, as kubectl prints lists."""
    spaced = ["".join(f" {char}" if char.isupper() else char for char in title) for title in titles]
    lines = [
        [title.upper() for title in spaced],
        *([printable(cell) for cell in row] for row in rows),
    ]
    widths = [max(len(line[index]) for line in lines) for index in range(len(titles))]
    for line in lines:
        cells = (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        yield "   ".join(cells).rstrip()


def age(moment: str, now: str) -> str:
    """How long before `now` `moment` was (both RFC 3339), as kubectl says: `42s`, `3h`, `5d`.

    Empty if either does not parse; times in the future (clock skew) count as `0s`.
    """
    start, end = _parse(moment), _parse(now)
    if start is None or end is None:
        return ""
    seconds = max(0, int((end - start).total_seconds()))
    for limit, unit, letter in ((120, 1, "s"), (7200, 60, "m"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds // unit}{letter}"
    return f"{seconds // 86400}d"


def _parse(moment: str) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(moment)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
