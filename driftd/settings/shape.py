"""Whether what is written has the names and types of the settings; every difference is told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any, Final, Literal, TypeAlias, get_args, get_origin

import msgspec

from driftd.settings.documents import Written
from driftd.settings.problems import Places, Problem, nearest
from driftd.settings.quantity import Duration, Size
from driftd.settings.struct import SettingsStruct
from driftd.settings.types import Settings

Document: TypeAlias = dict[str, Any]
_WRONG: Final = object()
_SHOWN: Final = 40
"""Characters of a wrong value that a message repeats."""
_ALLOWED: Final = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    Duration: "a duration such as 90s, 5m or 1h30m",
    Size: "a size such as 65536, 64Ki or 256Mi",
}


def keys(kind: type[SettingsStruct] = Settings, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every dotted key with its type as declared; tables are descended into, lists are not."""
    for field in msgspec.structs.fields(kind):
        key = f"{prefix}{field.encode_name}"
        if is_table(field.type):
            yield from keys(field.type, f"{key}.")
        else:
            yield key, field.type


def is_table(kind: Any) -> bool:
    """Whether a setting is a mapping of settings."""
    return isinstance(kind, type) and issubclass(kind, SettingsStruct)


def custom(kind: type, value: Any) -> Any:
    """What msgspec asks for the types of our own."""
    if kind in (Duration, Size):
        return kind(value)
    raise TypeError(kind)


def allowed(kind: Any) -> str:
    """What may stand at a setting of some type, in words."""
    if kind in _ALLOWED:
        return _ALLOWED[kind]
    arguments = [one for one in get_args(kind) if one not in (type(None), ...)]
    if get_origin(kind) is Literal:
        return _one_of("''" if one == "" else str(one) for one in arguments)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _one_of(str(one.value) for one in kind)
    if is_table(kind):
        names = ", ".join(field.encode_name for field in msgspec.structs.fields(kind))
        return f"a mapping with {names}"
    if get_origin(kind) is tuple:
        return f"a list, each entry {allowed(arguments[0])}"
    if get_origin(kind) is dict:
        return "a mapping of text to text"
    return allowed(arguments[0])


class Shape:
    """Checks one layer after the other; `document` is what was right in all of them."""

    def __init__(self) -> None:
        self.document: Document = {}
        self.problems: list[Problem] = []
        self.places = Places()
        self._entries: dict[str, list[int]] = {}
        """Of a list of tables: the places at which the entries were written that are right."""

    def layer(self, written: Written, source: str, *, below: str = "") -> None:
        """Lay a document, or with `below` the value of one dotted key, over the ones before."""
        if below:
            for part in reversed(below.split(".")):
                written = Written({part: written}, written.line)
        found = _Walk(self, source).table(written, Settings, "")
        if found is not _WRONG:
            self.document = _overlay(self.document, found)

    def as_written(self, key: str) -> str:
        """A key of the document with the positions that entries of lists were written at."""

        def original(match: re.Match[str]) -> str:
            kept = self._entries.get(match[1])
            index = int(match[2])
            return f"{match[1]}[{kept[index] if kept else index}]"

        return re.sub(r"^([\w.]+)\[(\d+)\]", original, key)

    def entries(self, key: str, kept: list[int]) -> None:
        """Remember at which positions the right entries of a list were written."""
        self._entries[key] = kept


class _Walk:
    """One layer."""

    def __init__(self, shape: Shape, source: str) -> None:
        self._shape = shape
        self._source = source
        self._listed: set[str] = set()
        """The tables of which it was said what may stand in them: once is enough."""

    def table(self, written: Written, kind: Any, at: str, *, entire: bool = False) -> Any:
        """The settings of a table that are right; `_WRONG` for none, or for any if `entire`."""
        if not isinstance(written.value, dict):
            return self._unfit(at, written, kind)
        known = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        found: Document = {}
        whole = True
        for name, inner in written.value.items():
            key = f"{at}.{name}".lstrip(".")
            if name not in known:
                self._unknown(key, name, at, inner.line, list(known))
                continue
            put = self._shape.places.table if is_table(known[name].type) else self._shape.places.put
            put(key, self._source, inner.line)
            value = self._value(inner, known[name].type, key)
            if value is _WRONG:
                whole = False
            else:
                found[name] = value
        for name, field in known.items():
            if field.required and name not in written.value:
                self._wrong(at, written.line, f"needs {name}")
                whole = False
        # What is left of an entry of a list would be told for what is missing.
        return _WRONG if entire and not whole else found

    def _value(self, written: Written, kind: Any, key: str) -> Any:
        if is_table(kind):
            return self.table(written, kind, key)
        inner = [one for one in get_args(kind) if is_table(one)]
        if inner and get_origin(kind) is tuple:
            return self._tables(written, inner[0], key)
        if inner and written.value is not None:
            return self.table(written, inner[0], key, entire=True)
        if get_origin(kind) is tuple and isinstance(written.value, list):
            return self._items(written, get_args(kind)[0], key)
        try:
            msgspec.convert(written.plain, kind, dec_hook=custom, strict=True)
        except msgspec.ValidationError:
            return self._unfit(key, written, kind)
        return written.plain

    def _items(self, written: Written, kind: Any, key: str) -> Any:
        found = [self._value(inner, kind, f"{key}[{i}]") for i, inner in enumerate(written.value)]
        return _WRONG if any(one is _WRONG for one in found) else found

    def _tables(self, written: Written, kind: Any, key: str) -> Any:
        if not isinstance(written.value, list):
            return self._unfit(key, written, tuple[kind, ...])
        found: list[Any] = []
        kept: list[int] = []
        for index, inner in enumerate(written.value):
            self._shape.places.put(f"{key}[{index}]", self._source, inner.line)
            value = self.table(inner, kind, f"{key}[{index}]", entire=True)
            if value is not _WRONG:
                found.append(value)
                kept.append(index)
        self._shape.entries(key, kept)
        return found

    def _unfit(self, key: str, written: Written, kind: Any) -> Any:
        may = allowed(kind)
        got = _described(written.value, shown=kind is not str)
        quotes = kind is str and isinstance(written.value, int | float)
        hint = "put it in quotes" if quotes else ""
        message = f"must be {may}, not {got}"
        return self._wrong(key, written.line, message, allowed=may, hint=hint)

    def _unknown(self, key: str, name: str, at: str, line: int, known: list[str]) -> None:
        near = nearest(name, known, (one for one, _ in keys()))
        place = f"settings of {at}" if at else "top-level settings"
        said = "" if near or at in self._listed else f"{place}: {', '.join(sorted(known))}"
        self._listed |= {at} if said else set()
        self._wrong(key, line, "unknown setting", hint=near or said)

    def _wrong(
        self, key: str, line: int, message: str, *, allowed: str = "", hint: str = ""
    ) -> Any:
        self._shape.problems.append(
            Problem(
                source=self._source,
                line=line,
                key=key,
                message=message,
                allowed=allowed,
                hint=hint,
            )
        )
        return _WRONG


def _one_of(values: Iterable[str]) -> str:
    *most, last = values
    return f"{', '.join(most)} or {last}"


def _described(value: Any, *, shown: bool) -> str:
    """What stands there, in words; the value itself only where no secret is expected."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    if shown and len(repr(value)) <= _SHOWN:
        return str(value).lower() if isinstance(value, bool) else repr(value)
    if isinstance(value, bool):
        return "true or false"
    return "text" if isinstance(value, str) else "a number or date"


def _overlay(below: Document, above: Document) -> Document:
    """`above` wins key by key; lists and maps of names are replaced as a whole."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        nested = isinstance(old, dict) and isinstance(value, dict) and key != "destinations"
        merged[key] = _overlay(old, value) if nested and old is not None else value
    return merged
