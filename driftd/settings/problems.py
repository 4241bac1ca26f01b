"""What is wrong with settings: each problem with its place, its key and what is allowed there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum

from driftd.errors import ConfigError


class Weight(StrEnum):
    """Whether settings with a problem can be used."""

    ERROR = "error"
    WARNING = "warning"
    """They can, but they hardly say what was meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong. No text of it ever holds a secret."""

    source: str
    """Path of the file, or name of the environment variable or flag."""
    line: int = 0
    """Line of the file, from 1; 0 where no line can be named."""
    key: str = ""
    """`sweep.interval`, `repositories[0].url`; empty for the document as a whole."""
    message: str
    allowed: str = ""
    """What may stand there, as the message says too; empty where no few words say it."""
    hint: str = ""
    """What to do, or what was probably meant; empty if nothing is known."""
    weight: Weight = Weight.ERROR

    @property
    def place(self) -> str:
        """`driftd.yaml:12`, as editors and compilers name places, or the variable."""
        return f"{self.source}:{self.line}" if self.line else self.source

    @property
    def text(self) -> str:
        """Key, message and what to do, in one line without the place."""
        told = f"{self.key}: {self.message}" if self.key else self.message
        return f"{told}; {self.hint}" if self.hint else told


@dataclass(slots=True)
class Places:
    """Where each key was set last: the source, and the line of a file."""

    _set: dict[str, tuple[str, int]] = field(default_factory=dict)
    _tables: dict[str, tuple[str, int]] = field(default_factory=dict)

    def put(self, key: str, source: str, line: int) -> None:
        """A source sets a key, and with it everything below."""
        below = [known for known in self._set if known.startswith((f"{key}.", f"{key}["))]
        for known in below:
            del self._set[known]
        self._set[key] = (source, line)

    def table(self, key: str, source: str, line: int) -> None:
        """A source sets something of a table; keys of it that others set stay theirs."""
        if line or key not in self._tables:
            self._tables[key] = (source, line)

    def of(self, key: str) -> tuple[str, int] | None:
        """Where a key, or else the nearest one around it, is written; None if nowhere."""
        return _nearest_place(self._tables | self._set, key)

    def set_at(self, key: str) -> tuple[str, int] | None:
        """Where the value of a key comes from; None for a default."""
        return _nearest_place(self._set, key)


def _nearest_place(places: dict[str, tuple[str, int]], key: str) -> tuple[str, int] | None:
    while key:
        if key in places:
            return places[key]
        cut = max(key.rfind("."), key.rfind("["))
        key = key[:cut] if cut > 0 else ""
    return None


def errors(problems: Iterable[Problem]) -> list[Problem]:
    """Those with which settings cannot be used."""
    return [one for one in problems if one.weight is Weight.ERROR]


def refused(problems: Iterable[Problem], path: str) -> ConfigError | None:
    """The first error as an exception that says how many more there are; None without one."""
    found = errors(problems)
    if not found:
        return None
    first = found[0]
    place = first.source
    if first.source == path:
        place = f"settings file {path}" + (f" line {first.line}" if first.line else "")
    elif first.source.startswith("DRIFTD_"):
        place = f"environment variable {first.source}"
    more = f" ({len(found) - 1} more: driftd config validate)" if len(found) > 1 else ""
    told = f"{first.key}: {first.message}" if first.key else first.message
    return ConfigError(f"{place}: {told}{more}", hint=first.hint)


def nearest(key: str, known: Iterable[str], elsewhere: Iterable[str]) -> str:
    """`did you mean interval?` for an unknown key, else nothing.

    `known` are the keys of its table, `elsewhere` dotted ones of all tables.
    """
    lowered = {name.lower(): name for name in known}
    plain = key.lower().replace("-", "").replace("_", "")
    near = [lowered[match] for match in get_close_matches(plain, lowered, n=3, cutoff=0.6)]
    far = [name for name in elsewhere if name.rpartition(".")[2].lower() == plain]
    chosen: Iterator[str] | list[str] = near or far
    named = " or ".join(chosen)
    return f"did you mean {named}?" if named else ""
