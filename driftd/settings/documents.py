"""Settings as they are written, with the line of each value: YAML of a file or a variable."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from driftd.settings.problems import Problem

_FILE_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Written:
    """A value with the line it begins in (0: not of a file)."""

    value: Any
    """A scalar, a list of `Written`, or a dict of names to `Written`."""
    line: int = 0

    @property
    def plain(self) -> Any:
        """The value without lines, two levels deep: no setting's own value is deeper."""
        if isinstance(self.value, list):
            return [one.shallow for one in self.value]
        if isinstance(self.value, dict):
            return {name: one.shallow for name, one in self.value.items()}
        return self.value

    @property
    def shallow(self) -> Any:
        """The value itself; of a list or a mapping only that it is one."""
        if isinstance(self.value, list | dict):
            return type(self.value)()
        return self.value


Read: TypeAlias = tuple[Written | None, list[Problem]]
"""What could be read (None: nothing), and what is wrong with how it is written."""


def read_file(path: Path) -> Read:
    """The document of a settings file; an empty one is an empty mapping."""
    source = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        hint = "name another file with --config"
        return None, [Problem(source=source, message=f"cannot be read: {why}", hint=hint)]
    if len(text) > _FILE_LIMIT:
        return None, [Problem(source=source, message="is larger than 1 MiB")]
    written, problems = read_text(text, source, lines=True)
    if written is None:
        return None, problems
    if written.value is None:
        return Written({}), problems
    if not isinstance(written.value, dict):
        told = Problem(source=source, line=1, message="must hold a mapping of settings")
        return None, [told, *problems]
    return written, problems


def read_text(text: str, source: str, *, lines: bool) -> Read:
    """One YAML document; `lines` false leaves lines out."""
    import yaml

    loader = yaml.SafeLoader(text)
    reading = _Reading(loader, source, lines=lines)
    try:
        node = loader.get_single_node()
        written = reading.of(node, "") if node is not None else Written(None)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None and lines else 0
        problem = getattr(error, "problem", None) or "cannot be parsed"
        message = f"is not valid YAML: {problem}"
        if problem == "but found another document":
            message = "begins another YAML document here, and settings are one"
        told = Problem(source=source, line=line, message=message)
        return None, [told, *reading.problems]
    finally:
        loader.dispose()
    return written, reading.problems


class _Reading:
    """Turns YAML nodes into values; a node that aliases name again is read once."""

    def __init__(self, loader: Any, source: str, *, lines: bool) -> None:
        self.problems: list[Problem] = []
        self._loader = loader
        self._source = source
        self._lines = lines
        self._done: dict[int, Written] = {}

    def of(self, node: Any, at: str) -> Written:
        """The value of a node; a node within itself is a RecursionError."""
        import yaml

        known = self._done.get(id(node))
        if known is not None:
            return known
        line = node.start_mark.line + 1 if self._lines else 0
        value: Any
        if isinstance(node, yaml.MappingNode):
            value = self._mapping(node, at)
        elif isinstance(node, yaml.SequenceNode):
            value = [self.of(item, f"{at}[{i}]") for i, item in enumerate(node.value)]
        else:
            value = self._loader.construct_object(node)
        self._done[id(node)] = Written(value, line)
        return self._done[id(node)]

    def _mapping(self, node: Any, at: str) -> dict[str, Written]:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            name = str(key.value)
            if name in seen and self._lines:
                message = f"is set a second time, after line {seen[name]}"
                line, whole = key.start_mark.line + 1, f"{at}.{name}".lstrip(".")
                told = Problem(source=self._source, line=line, key=whole, message=message)
                self.problems.append(told)
            seen.setdefault(name, key.start_mark.line + 1)
        self._loader.flatten_mapping(node)
        found: dict[str, Written] = {}
        for key, item in node.value:
            name = str(key.value)
            written = self.of(item, f"{at}.{name}".lstrip("."))
            # The line of the name: where a person looks, also for a value in lines of its own.
            line = key.start_mark.line + 1 if self._lines else 0
            found[name] = Written(written.value, line)
        return found
