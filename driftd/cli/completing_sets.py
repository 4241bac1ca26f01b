"""Names for shell completion that an ApplicationSet makes of a list or of folders."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Any, Final

_PARAMETER: Final = re.compile(r"\{\{\s*\.?([A-Za-z0-9_.\[\]-]+)\s*\}\}")
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9.-]")
_MOST = 2000
"""Folders that a pattern is followed to."""


def set_names(document: str, folder: Path) -> Iterator[str]:
    """The names of a set's applications, as far as a list or the folders of the checkout at
    `folder` decide them; what cannot be filled in is left out.
    """
    content = _parsed(document)
    spec = _mapping(content.get("spec"))
    template = _mapping(_mapping(spec.get("template")).get("metadata")).get("name")
    generators = spec.get("generators")
    if not isinstance(template, str) or not isinstance(generators, list):
        return
    for generator in map(_mapping, generators):
        for values in _parameters(generator, folder):
            name = _PARAMETER.sub(lambda found: values.get(found[1], found[0]), template)  # noqa: B023 - used at once
            if "{{" not in name:
                yield name


def _parsed(document: str) -> Mapping[str, Any]:
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _mapping(yaml.load(document, Loader=loader))  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}  # a completion has nobody to tell; driftd check names the file


def _parameters(generator: Mapping[str, Any], folder: Path) -> Iterator[dict[str, str]]:
    elements = _mapping(generator.get("list")).get("elements")
    for element in elements if isinstance(elements, list) else ():
        yield {key: str(value) for key, value in _mapping(element).items()}
    directories = _mapping(generator.get("git")).get("directories")
    if isinstance(directories, list):
        yield from _folders([_mapping(one) for one in directories], _top(folder))


def _folders(directories: list[Mapping[str, Any]], top: Path) -> Iterator[dict[str, str]]:
    excluded = [str(one.get("path")) for one in directories if one.get("exclude")]
    for one in directories:
        pattern = one.get("path")
        if one.get("exclude") or not isinstance(pattern, str):
            continue
        try:
            found = [path for path in islice(top.glob(pattern.strip("/")), _MOST) if path.is_dir()]
        except (OSError, ValueError, NotImplementedError):
            continue  # no pattern of paths below the checkout
        for path in found:
            place = path.relative_to(top).as_posix()
            if not any(fnmatchcase(place, other) for other in excluded) and "/." not in f"/{place}":
                yield _of_path(place)


def _of_path(place: str) -> dict[str, str]:
    parts = place.split("/")
    normalized = _NOT_IN_NAMES.sub("-", parts[-1].lower())
    return {
        "path": place,
        "path.path": place,
        "path.basename": parts[-1],
        "path.basenameNormalized": normalized,
        **{f"path[{number}]": part for number, part in enumerate(parts)},
    }


def _top(folder: Path) -> Path:
    """The root of the checkout that `folder` lies in; patterns of sets start there."""
    here = folder.resolve()
    return next((one for one in (here, *here.parents) if (one / ".git").exists()), here)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
