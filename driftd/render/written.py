"""Where Git writes down the path of a source, for messages about a wrong one. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from driftd.model.application import Application
from driftd.model.tree import ResolvedSource

_PARENTHESES: Final = re.compile(r"^Application \S+ \((.*)\)$")
"""The origin of an Application that another one renders: the file is in parentheses."""
_SET: Final = re.compile(r"^ApplicationSet (\S+)$")
_TAG: Final = re.compile(r"\{\{-?\s*([^{}]*?)\s*-?\}\}")
_YAML: Final = (".yaml", ".yml", ".json")
_BYTES: Final = 1 << 20
"""Larger files are no values of people."""
_NAMED: Final = 2
_ANY: Final = r"(?:[:\[,{-]|^)[ \t]*"
_COLON: Final = r"[\"']?:[ \t]*"
_PATH: Final = rf"\b(?:path|chart){_COLON}"
_PATCHED: Final = rf"\b(?:path|value){_COLON}"


def written_at(app: Application, source: ResolvedSource, value_file: str = "") -> str:
    """Where the path of a source is written: file and line, as far as the source's tree tells.

    With `value_file` where that one of its `valueFiles` is written. Of an Application that a
    chart renders that are the values that hold it, of one that an overlay patches the patch, of
    one that a set makes its template. Without the file it is what made the Application.
    """
    files = source.tree.files
    path = value_file or source.source.path
    own, patched = (_ANY, _ANY) if value_file else (_PATH, _PATCHED)
    made = _SET.match(app.origin)
    if made is not None:
        return _in_set(made[1], path, files) or app.origin
    file = _PARENTHESES.sub(r"\1", app.origin)
    data = files.get(file)
    if data is None:
        return app.origin
    line = next(_lines_with(data, path, own), 0)
    if line:
        return f"{file}:{line}"
    if "/templates/" in f"/{file}":
        chart = file.rpartition("templates/")[0]
        values = [place for place in _values_with(path, files) if place.startswith(chart)]
        values = values or list(_values_with(path, files))
    else:  # a patch of an overlay
        values = list(_values_with(path, files, patched))
    return f"{' and '.join(values)} (for {file})" if 0 < len(values) <= _NAMED else file


def _values_with(path: str, files: Mapping[str, bytes], before: str = _ANY) -> Iterator[str]:
    """The lines of YAML files beside templates that hold a path after `before`."""
    for name in sorted(files):
        if name.endswith(_YAML) and "/templates/" not in f"/{name}":
            for line in _lines_with(files[name], path, before):
                yield f"{name}:{line}"


def _lines_with(data: bytes, text: str, before: str) -> Iterator[int]:
    """The lines (from 1) that hold a text as a whole scalar after `before`."""
    if len(data) > _BYTES or text.encode() not in data:
        return
    wanted = re.compile(rf"{before}[\"']?{re.escape(text)}[\"']?[ \t]*(?:$|[#,}}\]])")
    for number, line in enumerate(bytes(data).decode(errors="replace").splitlines(), 1):
        if wanted.search(line):
            yield number


def _in_set(name: str, path: str, files: Mapping[str, bytes]) -> str:
    """The file of an ApplicationSet, with the line of the path or of its open parameter."""
    named = re.compile(
        rf"^[ \t]*name{_COLON}[\"']?{re.escape(name)}[\"']?[ \t]*(?:#|$)", re.MULTILINE
    )
    found = [
        file
        for file in sorted(files)
        if file.endswith(_YAML)
        and b"ApplicationSet" in files[file]
        and named.search(bytes(files[file]).decode(errors="replace"))
    ]
    if len(found) != 1:
        return ""
    (file,) = found
    line = next(_lines_with(files[file], path, rf"\bpath{_COLON}"), 0)
    tag = _TAG.search(path)
    if not line and tag is not None:
        texts = bytes(files[file]).decode(errors="replace").splitlines()
        line = next((number for number, one in enumerate(texts, 1) if tag[0] in one), 0)
    place = f"{file}:{line}" if line else file
    return f"{place} (ApplicationSet {name})"
