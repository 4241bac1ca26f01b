"""What is wrong with a file that does not parse or is not there, in driftd's words. Pure."""

from __future__ import annotations

import posixpath
import re

from driftd.model.tree import Tree
from driftd.render.indentation import wrong_line
from driftd.render.reach import near_path

_LARGEST = 1 << 20
_YAML = re.compile(r"(?P<file>[^\s:,]+)(?:[:,] document \d+)?: (?:.*: )?yaml: .+", re.DOTALL)
_VALUES = re.compile(r"value file (?P<written>\S+): (?P<path>\S+) does not exist in the repository")


def in_words(text: str, tree: Tree) -> str:
    """An error that begins with a file of the tree, with driftd's own sentence where it can tell.

    Parsers name the line where a block began; here it is that of the wrong indentation. Where a
    file of values is not there, it is the one that may be meant.
    """
    values = _VALUES.fullmatch(text)
    if values is not None:
        near = near_path(posixpath.normpath(values["path"]), tree, cutoff=0.8)
        near = "" if posixpath.basename(near) == "values.yaml" else near  # a chart has it anyway
        return f"{text}; {_instead_of(values['written'], values['path'], near)}"
    match = _YAML.fullmatch(text)
    data = tree.files.get(match["file"]) if match else None
    if match is None or data is None or len(data) > _LARGEST:
        return text
    line, reason = wrong_line(bytes(data).decode(errors="replace"))
    if not line:
        return text
    remedy = _indent(reason)
    return f"{match['file']}:{line} is no YAML: {reason}; {remedy}. The parser says: {text}"


def _instead_of(written: str, path: str, near: str) -> str:
    if not near:
        return "correct valueFiles, add the file to Git, or set ignoreMissingValueFiles"
    folder = path.removesuffix(posixpath.normpath(written)).rstrip("/") or "."
    return f"did you mean {posixpath.relpath(near, folder)}?"


def yaml_said(file: str, text: str, line: str | None, why: str) -> tuple[str, str]:
    """Where a file stops being YAML, and what to do; in words where the indentation is wrong."""
    wrong, reason = wrong_line(text)
    if wrong:
        return f"{file}:{wrong} is no YAML: {reason}", _indent(reason)
    place = f"{file}:{line}" if line else file
    return f"{place} is no YAML: {why}", "correct that line or the ones above it"


def _indent(reason: str) -> str:
    return "indent with spaces" if "tab" in reason else "correct its indentation"
