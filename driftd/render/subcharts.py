"""The charts in a chart: what a subchart is called in its parent's values, and where it lies."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from driftd.render.tree_yaml import mapping_in

_CHART: Final = "Chart.yaml"
_DEPENDENCIES: Final = (_CHART, "requirements.yaml")
_GLOBAL: Final = "global"
_TEMPLATES: Final = "/templates/"
_DEFINITIONS: Final = "/crds/"


@dataclass(frozen=True, slots=True)
class Template:
    """A template of a chart or of one of the charts in it."""

    folder: str
    """The folder of the whole chart."""
    names: tuple[str, ...] = ()
    """The subchart that has the template, from the outside in, by name or alias."""
    charts: tuple[str, ...] = ()
    """Where each of `names` lies: a folder, or an archive; empty where that is not known."""
    file: str = ""
    """The template's own path in the repository; empty where it is in an archive or not known."""

    @property
    def prefix(self) -> str:
        """What the values of the subchart are called in those of the whole chart."""
        return ".".join(self.names)

    def key(self, path: str) -> str:
        """How the whole chart's values write what the template reads as `.Values` and `path`."""
        if not self.names:
            return f".Values{path}"
        name = path.lstrip(".")
        return name if name.split(".")[0] == _GLOBAL else f"{self.prefix}.{name}"


def template_of(file: str, folder: str | None, files: Mapping[str, bytes]) -> Template | None:
    """What a template is by the path that its rendering names; None for no path of a template.

    `folder` is the chart that was rendered, if that is known. An alias and a chart elsewhere
    (`file://`) stand in the path as if they lay in `charts/`.
    """
    parts = file.split("/")[:-1]
    if "templates" not in parts:
        return None
    at = parts.index("templates")
    rest, above = "/".join(file.split("/")[at:]), parts[:at]
    outermost = len(folder.split("/")) if folder else 0
    names: list[str] = []
    while len(above) - 2 >= outermost and above[-2] == "charts" and _has_chart(above[:-2], files):
        names.insert(0, above[-1])
        above = above[:-2]
    charts = tuple(_places("/".join(above), names, files))
    inner = charts[-1] if charts else "/".join(above)
    own = posixpath.join(inner, rest) if inner or not names else ""
    known = own in files or not names
    return Template("/".join(above), tuple(names), charts, own if known else "")


class Written:
    """Where the templates that Helm names lie in the repository, for one rendering of a chart.

    A subchart with an alias, or of elsewhere (`file://`), has no folder of the name it goes by; one
    in an archive has none at all.
    """

    def __init__(self, path: str, files: Mapping[str, bytes]) -> None:
        """`path` is the chart's folder in `files`, as the source writes it."""
        folder = posixpath.normpath(path) if path else "."
        self._folder = None if folder == "." else folder
        self._files = files
        self._known: dict[str, str] = {}

    def file(self, template: str) -> str:
        """The file of a template or definition, or the archive that holds it.

        The name that Helm gives it where neither is known.
        """
        if not template or template in self._files:
            return template
        mark = _TEMPLATES if _TEMPLATES in template else _DEFINITIONS
        folder, found, rest = template.partition(mark)
        if folder not in self._known:
            at = template_of(f"{folder}{_TEMPLATES}{rest}", self._folder, self._files)
            self._known[folder] = _nearest(at.charts) if at is not None else ""
        place = self._known[folder]
        file = f"{place}{found}{rest}"
        if file in self._files:
            return file
        return place if place in self._files else template


def _nearest(charts: Sequence[str]) -> str:
    """Where the innermost chart lies; of one inside an archive that archive, else nothing."""
    inner = charts[-1] if charts else ""
    return inner or next((one for one in reversed(charts) if one.endswith(".tgz")), "")


def _has_chart(folder: Sequence[str], files: Mapping[str, bytes]) -> bool:
    return not files or "/".join((*folder, _CHART)) in files


def _places(folder: str, names: Sequence[str], files: Mapping[str, bytes]) -> Iterator[str]:
    known = True
    for name in names:
        folder = _place(folder, name, files) if known else ""
        known = posixpath.join(folder, _CHART) in files if folder else False
        yield folder


def _place(folder: str, name: str, files: Mapping[str, bytes]) -> str:
    """The folder or archive of a dependency; empty if it is not in the repository."""
    dependency = next((one for one in _declared(folder, files) if _called(one) == name), {})
    chart = str(dependency.get("name") or name)
    within = posixpath.join(folder, "charts")
    repository = str(dependency.get("repository") or "")
    places = [posixpath.join(within, chart)]
    places += [
        one
        for one in _folders(within, files)
        if mapping_in(files, posixpath.join(one, _CHART)).get("name") == chart
    ]
    if repository.startswith("file://"):
        local = repository.removeprefix("file://")
        places.append(posixpath.normpath(posixpath.join(folder, local)))
    found = next((one for one in places if posixpath.join(one, _CHART) in files), "")
    archives = (one for one in files if fnmatchcase(one, f"{within}/{chart}-[0-9v]*.tgz"))
    return found or min(archives, default="")


def _called(dependency: Mapping[str, Any]) -> str:
    return str(dependency.get("alias") or dependency.get("name") or "")


def _declared(folder: str, files: Mapping[str, bytes]) -> Iterator[Mapping[str, Any]]:
    for name in _DEPENDENCIES:
        listed = mapping_in(files, posixpath.join(folder, name)).get("dependencies")
        for one in listed if isinstance(listed, list) else ():
            if isinstance(one, dict):
                yield one


def _folders(within: str, files: Mapping[str, bytes]) -> Iterator[str]:
    for file in files:
        folder, _, name = file.rpartition("/")
        if name == _CHART and posixpath.dirname(folder) == within:
            yield folder
