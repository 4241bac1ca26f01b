"""The line of a YAML file whose indentation is wrong: parsers name the line where a block began.

Pure, and a guess: it is asked only of files that do not parse.
"""

from __future__ import annotations

import re

_BLOCK = re.compile(r"(?:^|\s)[|>][+-]?\d*\s*(?:#.*)?$")
_VALUE = re.compile(r"^(?:- +)*[\w.\-/\"']+:[ \t]+[^\s#|>&*!\[{].*$")
"""A line that is whole: no field may follow it deeper."""
_FIELD = re.compile(r"^(?:- +)*[\w.\-/\"']+:(?:\s|$)")


def wrong_line(text: str) -> tuple[int, str]:
    """The first line (from 1) whose indentation cannot be meant, and why; (0, "") without one."""
    levels: list[int] = []
    block = -1
    whole = False
    for number, line in enumerate(text.splitlines(), 1):
        content = line.strip()
        if not content or content.startswith("#"):
            continue
        begin = line[: len(line) - len(line.lstrip())]
        if block >= 0 and len(begin) > block:
            continue
        if "\t" in begin:
            return number, "it is indented with a tab"
        block = -1
        if content.startswith(("---", "%")):
            levels, whole = [], False
            continue
        indent = len(begin)
        if levels and indent > levels[-1] and whole and _FIELD.match(content):
            return number, "it is indented deeper than the line above, which has a value already"
        while levels and indent < levels[-1]:
            levels.pop()
            if not levels or indent > levels[-1]:
                return number, "its indentation fits no line above it"
        _deepen(levels, indent, content)
        if _BLOCK.search(content):
            block = indent
        whole = bool(_VALUE.match(content)) and content.count('"') % 2 == 0
    return 0, ""


def _deepen(levels: list[int], indent: int, content: str) -> None:
    """The columns at which a line begins something: its own, and that within its list items."""
    column, rest = indent, content
    while True:
        if not levels or column > levels[-1]:
            levels.append(column)
        dash = re.match(r"- +", rest)
        if dash is None:
            return
        column += dash.end()
        rest = rest[dash.end() :]
