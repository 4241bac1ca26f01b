"""What a kustomization leads to, read line by line: for messages about one that does not build.

What is wrong may be the YAML itself, so paths and objects are found without a parser. It is a good
guess, no more, and no verdict depends on it. Pure.
"""

from __future__ import annotations

import posixpath
import re
import textwrap
from collections import deque
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cached_property

import msgspec

from driftd.model.tree import Tree
from driftd.render.broken_yaml import broken_at

_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_MOST = 2000
"""Files that are read at most."""
_LARGEST = 1 << 20
_COMMENT = re.compile(r"(?:^|\s)#.*$")
_BETWEEN = re.compile(r"[\s,\[\]{}\"']+")
_SECTION = re.compile(r"([A-Za-z0-9]+):")
_MARKER = re.compile(r"^---.*$", re.MULTILINE)
_FIELD = re.compile(r"^(kind|apiVersion):[ \t]*[\"']?([^\s\"'#]+)", re.MULTILINE)
_METADATA = re.compile(r"^metadata:(.*(?:\n[ \t]+.*|\n)*)", re.MULTILINE)
_INLINE = re.compile(
    r"^([ \t]*)(?:- +)?(?:patch:[ \t]*)?[|>][+-]?[ \t]*\n((?:\1[ \t]+.*(?:\n|\Z)|[ \t]*\n)+)",
    re.MULTILINE,
)
"""A patch that is written into the kustomization as a text."""
_ITEM = re.compile(r"( *- +)")
_BEHAVIOR = re.compile(r"(?:^|[\s{,])behavior:[ \t]*[\"']?([^\s\"'#,}]+)")
_NAME = re.compile(r"(?:^|[\s{,])name:[ \t]*[\"']?([^\s\"'#,}]+)")


class Mention(msgspec.Struct, frozen=True):
    """A line of a kustomization that names a file or folder."""

    file: str
    line: int
    section: str
    """The field of the kustomization: `resources`, `patches` …"""
    written: str
    """As it stands there."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Written(msgspec.Struct, frozen=True):
    """An object as a file has it; a field that is not found is empty."""

    file: str
    line: int
    """The line of `kind`, else the first one of the document."""
    kind: str
    api_version: str
    name: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Generated(msgspec.Struct, frozen=True):
    """An entry of `configMapGenerator` or `secretGenerator`."""

    file: str
    line: int
    """The line of its name."""
    name: str
    behavior: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Reach:
    """The kustomizations and files that one kustomization leads to."""

    def __init__(self, tree: Tree, top: str) -> None:
        """`top` is the path of the first kustomization.

        If it is not there (Flux makes one that leads to all below its folder), those below are.
        """
        self._tree = tree
        self.kustomizations: list[str] = []
        self.files: list[str] = []
        """Manifests and patches, in the order in which they are named."""
        self.mentions: dict[str, Mention] = {}
        """The first line that names a path, whether there is such a file or not."""
        self._follow(top)

    def _follow(self, top: str) -> None:
        waiting = deque([top] if top in self._tree.files else self._below(posixpath.dirname(top)))
        seen = set(waiting)
        while waiting and len(seen) < _MOST:
            file = waiting.popleft()
            self.kustomizations.append(file)
            for path, mention in self._named_in(file):
                self.mentions.setdefault(path, mention)
                target = path if path in self._tree.files else self._kustomization(path)
                if not target or target in seen:
                    continue
                seen.add(target)
                if target == path:
                    self.files.append(path)
                else:
                    waiting.append(target)

    def _below(self, folder: str) -> list[str]:
        """The kustomizations of the folders within a folder, those of a parent before a child's."""
        prefix = f"{folder}/" if folder else ""
        return sorted(
            (
                file
                for file in self._tree.files
                if file.startswith(prefix) and posixpath.basename(file) in _NAMES
            ),
            key=lambda file: (file.count("/"), file),
        )

    def _named_in(self, file: str) -> Iterator[tuple[str, Mention]]:
        folder, section = posixpath.dirname(file), ""
        for number, line in enumerate(self.text(file).splitlines(), 1):
            begins = _SECTION.match(line)
            section = begins.group(1) if begins else section
            for word in _BETWEEN.split(_COMMENT.sub("", line)):
                if word.endswith(":") or not any(char.isalnum() or char == "." for char in word):
                    continue
                _, _, source = word.rpartition("=")  # configMapGenerator: files: [key=path]
                path = posixpath.normpath(posixpath.join(folder, source))
                yield path, Mention(file, number, section, source)

    def _kustomization(self, folder: str) -> str:
        prefix = "" if folder == "." else f"{folder}/"
        return next((prefix + name for name in _NAMES if prefix + name in self._tree.files), "")

    def kustomization_of(self, folder: str) -> str:
        """The kustomization of a folder; empty where there is none."""
        return self._kustomization(posixpath.normpath(folder))

    def no_yaml(self) -> str:
        """The first kustomization that does not parse; empty if all that is read of them does.

        Kustomize tells the line of a nested one, and not always whose line it is.
        """
        size = 0
        for file in self.kustomizations:
            text = self.text(file)
            size += len(text)
            if size > _LARGEST:
                break
            if broken_at(text, surely=True) is not None:
                return file
        return ""

    def text(self, file: str) -> str:
        """The content of a file; empty where it is too large."""
        data = self._tree.files.get(file, b"")
        return bytes(data).decode(errors="replace") if len(data) <= _LARGEST else ""

    def file_named(self, written: str, folder: str = "") -> str:
        """The file that a message means by a path within one of the folders; empty if unclear."""
        if folder:
            path = posixpath.normpath(posixpath.join(folder, written))
            return path if path in self._tree.files else ""
        wanted = written.removeprefix("./").lstrip("./")
        found = [file for file in self.files if file == wanted or file.endswith(f"/{wanted}")]
        return found[0] if len(found) == 1 else ""

    def line_of(self, pattern: str) -> str:
        """`FILE:LINE` of the first line that matches, kustomizations first; empty without one."""
        wanted = re.compile(pattern)
        for file in (*self.kustomizations, *self.files):
            for number, line in enumerate(self.text(file).splitlines(), 1):
                if wanted.search(line):
                    return f"{file}:{number}"
        return ""

    @cached_property
    def objects(self) -> tuple[Written, ...]:
        """The objects of all files that resources name."""
        return tuple(
            one
            for file in self.files
            if self.mentions[file].section in {"resources", "bases"}
            for one in written_in(file, self.text(file))
        )

    @cached_property
    def patches(self) -> tuple[Written, ...]:
        """The objects that patches name, those within kustomizations last."""
        named = [f for f in self.files if self.mentions[f].section.startswith("patches")]
        found = [one for file in named for one in written_in(file, self.text(file))]
        for file in self.kustomizations:
            text = self.text(file)
            for block in _INLINE.finditer(text):
                above = text.count("\n", 0, block.start(2))
                inline = textwrap.dedent(block[2])
                found += [
                    msgspec.structs.replace(one, line=one.line + above)
                    for one in written_in(file, inline)
                ]
        return tuple(found)


def written_in(file: str, text: str) -> Iterator[Written]:
    """The objects of a file of plain manifests in block style."""
    start = 0
    for end in [*(marker.start() for marker in _MARKER.finditer(text)), len(text)]:
        document = text[start:end]
        fields = {match[1]: match for match in reversed(list(_FIELD.finditer(document)))}
        metadata = _METADATA.search(document)
        if fields or metadata:
            name = _NAME.search(metadata[1]) if metadata else None
            at = fields.get("kind") or fields.get("apiVersion") or metadata
            offset = start + (at.start() if at else 0)
            yield Written(
                file,
                text.count("\n", 0, offset) + 1,
                fields["kind"][2] if "kind" in fields else "",
                fields["apiVersion"][2] if "apiVersion" in fields else "",
                name[1] if name else "",
            )
        start = end


def generated_in(file: str, text: str, field: str) -> list[Generated]:
    """The entries of a generator of a kustomization that have a name."""
    found: list[Generated] = []
    section, indent = "", ""
    for number, line in enumerate(_COMMENT.sub("", one) for one in text.splitlines()):
        begins, item = _SECTION.match(line), _ITEM.match(line)
        if begins:
            section, indent = begins[1], ""
        if section != field or not line.strip():
            continue
        if item and (not indent or item[1] == indent):
            indent = item[1]
            found.append(Generated(file, number + 1, ""))
        if found and (name := _NAME.search(line.replace("- ", "  "))) and not found[-1].name:
            found[-1] = Generated(file, number + 1, name[1], found[-1].behavior)
        if found and (behavior := _BEHAVIOR.search(line)):
            found[-1] = msgspec.structs.replace(found[-1], behavior=behavior[1])
    return [one for one in found if one.name]


def near_path(path: str, tree: Tree, *, cutoff: float = 0.6) -> str:
    """The file or folder that is named most like a path: in its folder, else of its very name."""
    parent, name = posixpath.split(path)
    prefix = f"{parent}/" if parent else ""
    there = {
        file.removeprefix(prefix).partition("/")[0]
        for file in tree.files
        if file.startswith(prefix)
    }
    near = get_close_matches(name, sorted(there), n=1, cutoff=cutoff)
    if near:
        return prefix + near[0]
    elsewhere = [file for file in tree.files if posixpath.basename(file) == name]
    return elsewhere[0] if len(elsewhere) == 1 else ""
