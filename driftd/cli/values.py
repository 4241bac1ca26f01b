"""Values as a person reads them: short, on one line, or as a small diff of lines."""

from __future__ import annotations

import difflib
import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET

from driftd.cli.terminal import printable
from driftd.model.counts import counted
from driftd.model.item_names import in_order
from driftd.model.report import Change, ChangeKind

MASKED = "«masked»"
MASKED_DIFFER = "values differ (masked)"
NOT_IN_GIT = "(not in Git)"
NOT_IN_CLUSTER = "(not in the cluster)"
GONE = "(gone from the cluster)"
"""Git never had it, and the cluster no longer has it."""
ELLIPSIS = "…"
_FIRST = ("name", "image")
"""Keys that stand first in a map, for they say what it is; a value is cut in its middle."""
_DIFF_BUDGET = 250_000
"""Product of line counts up to which lines are matched up (difflib is quadratic)."""

_MODE = re.compile(r"/volumes/\d+(/.*)?/(defaultMode|items/\d+/mode)$")
_BARE = re.compile(r"[A-Za-z0-9_./@+%~^-](?:[A-Za-z0-9_./@+%~^=:*$-]| (?! ))*")
_VISIBLE = str.maketrans({" ": "·", "\t": "⇥", "\r": "␍", "\n": "↵"})
_WORDS_OF_YAML = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "~"})


@dataclass(frozen=True)
class Pair:
    """Git's value and the live one, each on one line."""

    git: str
    live: str
    note: str = ""
    """What the reader would not see otherwise, for example that only whitespace differs."""


@dataclass(frozen=True)
class Concealed:
    """Two values that differ and are both masked: side by side they would look the same."""

    text: str = MASKED_DIFFER
    note: str = ""


@dataclass(frozen=True)
class LineDiff:
    """Lines marked `-` (Git), `+` (live) or a space (both)."""

    lines: tuple[str, ...]
    note: str = ""


def difference(
    desired: object, live: object, *, width: int, max_lines: int, rows: int = 1
) -> Pair | LineDiff | Concealed:
    """How `desired` and `live` differ, each line at most `width` characters (0: unlimited).

    `UNSET` stands for an absent value. With several `rows` a value may be as long as so many lines
    of `width`, which whoever prints it wraps, and long lists are compared item by item.
    """
    if is_masked(desired) and is_masked(live):
        return Concealed()
    if isinstance(desired, str) and isinstance(live, str) and "\n" in desired + live:
        return _line_diff(desired, live, width=width, max_lines=max_lines)
    if _only_whitespace(desired, live):
        git_text, live_text = f'"{_mark(str(desired))}"', f'"{_mark(str(live))}"'
        note = "only whitespace differs"
    else:
        git_text = NOT_IN_GIT if desired is UNSET else flow(desired)
        absent = GONE if desired is UNSET else NOT_IN_CLUSTER
        live_text = absent if live is UNSET else flow(live)
        note = ""
        if git_text == live_text and holds_mask(desired):
            note = MASKED_DIFFER
        elif git_text == live_text:
            git_text, live_text = ascii(_sorted(desired)), ascii(_sorted(live))
    longest = max(len(git_text), len(live_text))
    if rows > 1 and 0 < width < longest and not note and _are_lists(desired, live):
        width = (width - 2) * rows + 2
        return _line_diff(
            _items(desired), _items(live), width=width, max_lines=max_lines, unit="item"
        )
    return Pair(*shorten_pair(git_text, live_text, width * rows), note=note)


def rows_of(severity: object) -> int:
    """How many lines of a table a value may take: what is grave in it may stand at its end."""
    return 8 if severity == "critical" else 3


def width_of(severity: object, width: int) -> int:
    """The characters of a value outside of tables: more where it is grave."""
    return width * 4 if severity == "critical" else width


def _are_lists(*sides: object) -> bool:
    """Whether all are lists with items, which can be compared line by line."""
    return all(isinstance(one, list | tuple) and one for one in sides)


def _items(value: Any) -> str:
    """The items of a list, one on each line."""
    return "\n".join(flow(one) for one in value)


class Mode(int):
    """Permissions of a file, which manifests and people write in octal and reports hold as 416."""

    def __str__(self) -> str:
        return f"{self:04o} ({int(self)})"


def of_field(value: Any, pointer: str) -> Any:
    """The value at a JSON pointer, a file's permissions as such."""
    if type(value) is int and value >= 0 and _MODE.search(pointer):
        return Mode(value)
    return value


def sides_of(change: Change) -> tuple[Any, Any]:
    """Git's value and the live one of a change, as people read them; `UNSET` for an absent one."""
    return of_change(change, change.desired), of_change(change, change.live)


def of_change(change: Change, value: Any) -> Any:
    """A value at the place of a change as people read it: items that moved have their names."""
    if change.kind is ChangeKind.REORDERED:
        value = in_order(value)
    return of_field(value, change.path)


def _modes(value: dict[Any, Any]) -> dict[Any, Any]:
    """A map in which a file's permissions are known as such."""
    names = [name for name in ("defaultMode", "mode") if type(value.get(name)) is int]
    # Others have a mode too: only that of a file has its path beside it.
    names = [name for name in names if name != "mode" or "path" in value]
    return {**value, **{name: Mode(value[name]) for name in names if value[name] >= 0}}


def flow(value: Any) -> str:
    """`value` in one line, in YAML's flow style; strings are quoted where YAML would need it.

    Keys are sorted, those first that say what it is: Git and clusters keep them in different
    orders, and only values may differ.
    """
    if is_masked(value):
        return MASKED
    if isinstance(value, dict):
        value = _modes(value)
        keys = [key for key in _FIRST if key in value]
        keys += sorted(value.keys() - keys, key=str)
        return "{" + ", ".join(f"{_scalar(str(k))}: {flow(value[k])}" for k in keys) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    return _scalar(value)


def _sorted(value: Any) -> Any:
    """`value` with the keys of every map in order."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def is_masked(value: object) -> bool:
    """Whether `value` is the report's stand-in for a secret."""
    return isinstance(value, dict) and value == {"masked": True}


def shorten(text: str, width: int) -> str:
    """`text` cut in its middle to `width` characters (0: unlimited)."""
    if width <= 0 or len(text) <= width:
        return text
    head = (width - 1) * 2 // 3
    tail = width - 1 - head
    return text[:head] + ELLIPSIS + (text[-tail:] if tail else "")


def shorten_pair(git: str, live: str, width: int) -> tuple[str, str]:
    """Both texts cut to `width` so that the first place where they differ stays visible."""
    if width <= 0 or (len(git) <= width and len(live) <= width):
        return git, live
    short = shorten(git, width), shorten(live, width)
    if short[0] != short[1]:
        first = _common_prefix(git, live)
        if first < (width - 1) * 2 // 3:
            return short
    start = max(0, _common_prefix(git, live) - width // 3)
    return _window(git, start, width), _window(live, start, width)


def _window(text: str, start: int, width: int) -> str:
    if start == 0:
        return shorten(text, width)
    return ELLIPSIS + shorten(text[start:], width - 1)


def _common_prefix(left: str, right: str) -> int:
    limit = min(len(left), len(right))
    return next((index for index in range(limit) if left[index] != right[index]), limit)


def _scalar(value: object) -> str:
    if isinstance(value, Mode):
        return str(value)
    if not isinstance(value, str):
        return printable(json.dumps(value, ensure_ascii=False))
    if _BARE.fullmatch(value) and not _read_otherwise(value):
        return value
    return printable(json.dumps(value, ensure_ascii=False))


def _read_otherwise(text: str) -> bool:
    if text.lower() in _WORDS_OF_YAML or text[-1] in ": " or ": " in text or text == "-":
        return True
    try:
        float(text)
    except ValueError:
        return text.lower().startswith(("0x", "0o", "- "))
    return True


def holds_mask(value: object) -> bool:
    """Whether a secret's stand-in is in `value`, which then may look like another one."""
    if is_masked(value):
        return True
    if isinstance(value, dict):
        return any(holds_mask(item) for item in value.values())
    return isinstance(value, list | tuple) and any(holds_mask(item) for item in value)


def _only_whitespace(desired: object, live: object) -> bool:
    return (
        isinstance(desired, str)
        and isinstance(live, str)
        and desired != live
        and "".join(desired.split()) == "".join(live.split())
    )


def _mark(text: str) -> str:
    return printable(text.translate(_VISIBLE))


def _line_diff(
    desired: str, live: str, *, width: int, max_lines: int, unit: str = "line"
) -> LineDiff:
    whitespace = _only_whitespace(desired, live)
    show = _mark if whitespace else printable
    left, right = _lines(desired, ends=whitespace), _lines(live, ends=whitespace)
    head = 0
    while head < min(len(left), len(right)) and left[head] == right[head]:
        head += 1
    tail = 0
    while tail < min(len(left), len(right)) - head and left[-1 - tail] == right[-1 - tail]:
        tail += 1
    before = left[max(0, head - 1) : head]
    after = left[len(left) - tail : len(left) - tail + 1] if tail else []
    if after == [""] and tail == 1:
        after = []  # the end of the last line, which is no line of its own
    changed_left, changed_right = left[head : len(left) - tail], right[head : len(right) - tail]
    notes = [f"from {unit} {head + 1}"]
    if whitespace:
        notes.append("only whitespace differs")
    if len(changed_left) * len(changed_right) > _DIFF_BUDGET:
        half = max(1, max_lines // 2 - 1)
        changed_left, changed_right = changed_left[:half], changed_right[:half]
        notes.append(f"only the first {unit}s are shown")
    marked = [
        *((" ", line) for line in before),
        *_match_up(changed_left, changed_right),
        *((" ", line) for line in after),
    ]
    lines = [f"{mark} {shorten(show(line), width - 2 if width else 0)}" for mark, line in marked]
    if len(lines) > max_lines:
        cut = len(lines) - max_lines
        lines = [*lines[:max_lines], f"{ELLIPSIS} {counted(cut, f'more {unit}')} (-o wide)"]
    return LineDiff(tuple(lines), "; ".join(notes))


def _lines(text: str, *, ends: bool) -> list[str]:
    if not ends:
        return text.split("\n")
    return [line for line in re.split(r"(?<=\n)", text) if line]


def _match_up(left: list[str], right: list[str]) -> list[tuple[str, str]]:
    """Each line of both with its mark, hunks separated by an ellipsis."""
    marked: list[tuple[str, str]] = []
    # The first two lines are the file names that unified diffs begin with.
    for line in itertools.islice(difflib.unified_diff(left, right, n=1, lineterm=""), 2, None):
        if not line.startswith("@@"):
            marked.append((line[0], line[1:]))
        elif marked:
            marked.append((" ", ELLIPSIS))
    return marked


def short_revision(revision: str) -> str:
    """Commit ids as Git abbreviates them; versions of charts stay whole."""
    commit, dash, mark = revision.partition("-")
    is_commit = len(commit) in {40, 64} and all(char in "0123456789abcdef" for char in commit)
    return f"{commit[:8]}{dash}{mark}" if is_commit else revision


def revisions_text(revisions: Sequence[str], *, wide: bool) -> str:
    """`revision 4f2a9c1b`, whole if `wide`, each once; empty where none is known."""
    if not revisions:
        return ""
    shown = [one if wide else short_revision(one) for one in dict.fromkeys(revisions)]
    return f"revision{'s' if len(shown) > 1 else ''} {', '.join(shown)}"
