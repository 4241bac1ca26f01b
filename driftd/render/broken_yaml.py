"""The line at which a YAML file stops being YAML, and what to do about it. Pure.

Parsers tell where a block began, or the line before the wrong one. It is asked only of files that
do not parse, and no verdict depends on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import msgspec

from driftd.render.indentation import wrong_line
from driftd.render.lines import document_lines

if TYPE_CHECKING:
    import yaml

LARGEST = 1 << 20
"""Bytes of the largest file whose indentation is looked at."""
_LARGEST_PARSED = 128 << 10
_SHOWN = 60
"""Characters of the longest value that is written out in a remedy."""
_DEEPEST = 100
"""Deeper nesting is no slip, and costs the parser more with each level."""
_MARKER = re.compile(r"(?<=\n)---.*\Z", re.DOTALL)
_OPENED = {"sequence": "[", "mapping": "{"}
_CLOSED = {"[": "]", "{": "}"}


class Broken(msgspec.Struct, frozen=True):
    """Where a file stops being YAML."""

    line: int
    """From 1."""
    why: str
    remedy: str


def broken_at(text: str, document: int = 0, *, surely: bool = False) -> Broken | None:
    """Where the text stops being YAML; None if nothing is found, or it is too large.

    `document` is the one that does not parse, from 1; 0 is the first that does not. Without
    `surely` the text is known not to parse, so that indentation that is only odd is named.
    """
    parts = list(_parts(text, document))
    for part, above in parts:
        if not surely and (found := _placeholder(part, above)) is not None:
            return found
        if (found := _parsed(part, above)) is not None:
            return _indented(part, above) or found
    if surely:
        return None
    return next((one for part, above in parts if (one := _indented(part, above))), None)


def _parts(text: str, document: int) -> Iterator[tuple[str, int]]:
    """The texts of the documents asked about, and how many lines are above each."""
    lines = text.splitlines(keepends=True)
    starts = document_lines(text.encode(errors="replace"))
    if not 0 < document <= len(starts):
        documents = range(1, len(starts) + 1)
    else:
        documents = range(document, document + 1)
    for number in documents:
        above = starts[number - 1] - 1
        below = starts[number] - 1 if number < len(starts) else len(lines)
        part = "".join(lines[above:below])
        yield _MARKER.sub("", part), above


def _indented(text: str, above: int) -> Broken | None:
    line, reason = wrong_line(text)
    if not line:
        return None
    remedy = "indent with spaces" if "tab" in reason else "correct its indentation"
    if "deeper" in reason:  # which of the two is wrong nothing tells
        remedy += " or that of the line above"
    return Broken(above + line, reason, remedy)


def _placeholder(text: str, above: int) -> Broken | None:
    """The first `{{` outside of quotes: YAML reads a mapping whose key is a mapping."""
    if "{{" not in text or len(text) > _LARGEST_PARSED:
        return None
    import yaml  # lazily: only broken files need it

    depth, end = 0, -1
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                return None
            opens = isinstance(event, yaml.MappingStartEvent) and event.flow_style
            mark: Any = event.start_mark
            if opens and mark.index == end:
                return _unquoted(text.splitlines(), mark, above)
            end = mark.index + 1 if opens else -1
    except yaml.YAMLError:
        return None
    return None


def _unquoted(lines: list[str], inner: yaml.Mark, above: int) -> Broken:
    """What to do about a `{{` whose second bracket is at `inner`."""
    written = lines[inner.line]
    start = inner.column - 1
    if not written[:start].strip():
        remedy = "quote it, or leave files out that something else fills in"
        return Broken(above + inner.line + 1, "a line may not begin with {{", remedy)
    value = written[start:].partition(" #")[0].strip()
    alone = re.search(r"[\[{]", written[:start]) is None and value.count("{{") == value.count("}}")
    shown = alone and "'" not in value and len(value) <= _SHOWN
    remedy = f"quote the value: '{value}'" if shown else "quote the value"
    return Broken(above + inner.line + 1, "a value that begins with {{ has no quotes", remedy)


def _parsed(text: str, above: int) -> Broken | None:
    """The error of a parser that knows where a bracket or quote opens."""
    if len(text) > _LARGEST_PARSED:
        return None
    import yaml  # lazily: only broken files need it

    opened: list[yaml.CollectionStartEvent] = []
    quoted = (0, 0)
    anchors: set[str] = set()
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.CollectionStartEvent):
                opened.append(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                opened.pop()
            if len(opened) > _DEEPEST:
                return None
            if isinstance(event, yaml.AliasEvent) and event.anchor not in anchors:
                line = above + _line(event.start_mark)
                return Broken(line, f"there is no &{event.anchor} above it", "correct the *")
            anchors.add(getattr(event, "anchor", None) or "")
            if isinstance(event, yaml.ScalarEvent) and event.style in {"'", '"'}:
                quoted = (_line(event.start_mark), _line(event.end_mark))
    except yaml.MarkedYAMLError as error:
        if opened and opened[-1].flow_style and "<stream end>" in (error.problem or ""):
            error.context_mark = cast("yaml.Mark | None", opened[-1].start_mark)
            kind = "sequence" if isinstance(opened[-1], yaml.SequenceStartEvent) else "mapping"
            error.context = f"while parsing a flow {kind}"
        return _in_words(error, above, quoted)
    except yaml.YAMLError:
        return None
    return None


def _in_words(error: yaml.MarkedYAMLError, above: int, quoted: tuple[int, int]) -> Broken | None:
    """What the parser found; `quoted` are the lines of the last text in quotes."""
    begun, noticed = _line(error.context_mark), _line(error.problem_mark)
    context, problem = error.context or "", error.problem or ""
    opened = re.search(r"flow (sequence|mapping)", context)
    if opened and begun:
        bracket = _OPENED[opened[1]]
        close = _CLOSED[bracket]
        if noticed > begun:
            why = f"the {bracket} that opens here is not closed"
            remedy = f"close it with {close}"
            if "<stream end>" not in problem:
                remedy += f", or correct the lines up to {above + noticed}"
            return Broken(above + begun, why, remedy)
        return Broken(above + begun, f"a comma or {close} is missing", "correct that line")
    if "quoted scalar" in context and "end of stream" in problem:
        return Broken(above + begun, "the quote that opens here is not closed", "close it")
    if "simple key" in context and begun:
        return Broken(above + begun, "a colon is missing", "add it, or correct that line")
    if not noticed:
        return None
    first, last = quoted
    if last == noticed and first < last:
        why = f"the quote that opens here ends in line {above + last}"
        return Broken(above + first, why, "close it in its own line")
    if "mapping values are not allowed" in problem:
        why = "it has a second colon, or is indented unlike the line above"
        return Broken(above + noticed, why, "quote the value, or correct the line")
    start = re.search(r"found character '(.+)' that cannot start any token", problem)
    if start is not None:
        return Broken(above + noticed, f"no value may begin with {start[1]}", "quote the value")
    return Broken(above + noticed, problem or context, "correct that line or the one above it")


def _line(mark: Any) -> int:
    """A mark's line from 1; 0 without a mark."""
    return 0 if mark is None else mark.line + 1
