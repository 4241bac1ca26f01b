"""What is wrong with a file that does not parse or is not there, in driftd's words. Pure."""

from __future__ import annotations

import posixpath
import re

from driftd.model.tree import Tree
from driftd.render.broken_yaml import LARGEST, broken_at
from driftd.render.reach import near_path

_YAML = re.compile(
    r"(?P<file>[^\s:,]+)(?:[:,] document (?P<document>\d+))?: (?:.*: )?"
    r"yaml: (?:line (?P<line>\d+): )?(?P<why>.+)",
    re.DOTALL,
)
_CHART = re.compile(
    r"(?P<chart>[^\s:,]+/)?Chart\.yaml: (?P<within>(?:error unpacking subchart .+? in \S+: )*)"
    r"cannot load (?P<name>values\.yaml|Chart\.yaml|requirements\.yaml): "
    r".*?yaml: (?:line (?P<line>\d+): )?(?P<why>.+)",
    re.DOTALL,
)
_SUBCHART = re.compile(r"error unpacking subchart (.+?) in ")
_VALUES = re.compile(r"value file (?P<written>\S+): (?P<path>\S+) does not exist in the repository")


def in_words(text: str, tree: Tree) -> str:
    """An error that begins with a file of the tree, with driftd's own sentence where it can tell.

    Parsers name the line where a block began; here it is that of the slip. Helm names the chart
    whose values do not parse; here it is the file. Where a file of values is not there, it is the
    one that may be meant.
    """
    values = _VALUES.fullmatch(text)
    if values is not None:
        near = near_path(posixpath.normpath(values["path"]), tree, cutoff=0.8)
        near = "" if posixpath.basename(near) == "values.yaml" else near  # a chart has it anyway
        return f"{text}; {_instead_of(values['written'], values['path'], near)}"
    chart = _CHART.fullmatch(text)
    if chart is not None:
        folders = "".join(f"charts/{name}/" for name in _SUBCHART.findall(chart["within"]))
        file = f"{chart['chart'] or ''}{folders}{chart['name']}"
        return _told(file, 0, chart, tree)
    match = _YAML.fullmatch(text)
    return text if match is None else _told(match["file"], int(match["document"] or 0), match, tree)


def _told(file: str, document: int, match: re.Match[str], tree: Tree) -> str:
    data = tree.files.get(file)
    if data is None or len(data) > LARGEST:
        return match.string
    content = bytes(data).decode(errors="replace")
    what, remedy = yaml_said(file, content, match["line"], match["why"], document)
    return f"{what}; {remedy}. The parser says: {match.string}"


def _instead_of(written: str, path: str, near: str) -> str:
    if not near:
        return "correct valueFiles, add the file to Git, or set ignoreMissingValueFiles"
    ref, _, inside = written.partition("/")
    if ref.startswith("$") and posixpath.normpath(inside) == posixpath.normpath(path):
        return f"did you mean {ref}/{near}?"
    folder = path.removesuffix(posixpath.normpath(written)).rstrip("/") or "."
    return f"did you mean {posixpath.relpath(near, folder)}?"


def yaml_said(
    file: str, text: str, line: str | None, why: str, document: int = 0
) -> tuple[str, str]:
    """Where a file stops being YAML, and what to do: in words where the slip is recognised."""
    broken = broken_at(text, document)
    if broken is not None:
        return f"{file}:{broken.line} is no YAML: {broken.why}", broken.remedy
    place = f"{file}:{line}" if line else file
    return f"{place} is no YAML: {why}", "correct that line, or those just above and below it"
