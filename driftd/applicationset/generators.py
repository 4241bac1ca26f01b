"""The parameters that generators yield, for those that Git alone decides.

list, git directories, git files, matrix and merge; as Argo CD without `goTemplate`, where a
parameter is a text under a flat name. What asks clusters or services is refused by name.
"""

from __future__ import annotations

import difflib
import json
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple, TypeAlias

from driftd.applicationset.documents import InvalidDocument
from driftd.applicationset.globs import directories, file_pattern, folder_pattern
from driftd.applicationset.inputs import Inputs
from driftd.applicationset.template import filled
from driftd.model.resource import Json
from driftd.model.tree import Tree
from driftd.render.file_says import in_words

HUB_HINT = "read what Argo CD has generated with --hub CONTEXT"
_MAX_DEPTH = 2
"""A matrix or merge may lie in another one, and no deeper."""
_MAX_PARAMETERS = 10_000
_PLAIN_DIGITS = 6
"""Numbers with more digits before the point are printed with an exponent."""
_NO_NAME = re.compile(r"[^-a-z0-9.]")

Parameters: TypeAlias = dict[str, str]
Placed: TypeAlias = tuple[str, Parameters]
"""Where in the set it is generated, and the parameters."""


class Unsupported(InvalidDocument):
    """The set is valid, but driftd cannot expand it; the message ends with the remedy."""


async def parameters(generator: Json, where: str, inputs: Inputs, depth: int = 0) -> list[Placed]:
    """The parameters of one generator, in order. Raises `InvalidDocument`."""
    kind, source = _checked(generator, where)
    place = f"{where}.{kind}"
    if kind == "list":
        found = await _list(source, place, inputs)
    elif kind == "git":
        found = await _git(source, place, inputs)
    else:
        if depth == _MAX_DEPTH:
            raise InvalidDocument(f"{place} is nested too deeply")
        children = source.get("generators")
        if not isinstance(children, list) or len(children) < 2:
            raise InvalidDocument(f"{place}.generators needs two generators")
        combine = _matrix if kind == "matrix" else _merge
        found = await combine(source, place, inputs, depth)
    if len(found) > _MAX_PARAMETERS:
        raise InvalidDocument(f"{place} yields more than {_MAX_PARAMETERS} sets of parameters")
    return found


def _checked(generator: Json, where: str) -> tuple[str, dict[str, Json]]:
    """Kind and content of a generator, if it is one that Git decides."""
    if not isinstance(generator, dict):
        raise InvalidDocument(f"{where} is not a map")
    kinds = sorted(key for key, value in generator.items() if value is not None)
    for kind in kinds:
        if kind in {"clusters", "clusterDecisionResource"}:
            raise Unsupported(
                f"{where} is a {kind} generator: only Argo CD knows its clusters; {HUB_HINT}"
            )
        if kind not in {"list", "git", "matrix", "merge", "selector"}:
            raise Unsupported(
                f"{where} is a {kind} generator, which asks more than Git; {HUB_HINT}"
            )
    if generator.get("selector"):
        raise Unsupported(f"{where}.selector is not supported yet; {HUB_HINT}")
    kinds = [kind for kind in kinds if kind != "selector"]
    if len(kinds) != 1:
        raise InvalidDocument(f"{where} has {'several generators' if kinds else 'no generator'}")
    source = generator[kinds[0]]
    if not isinstance(source, dict):
        raise InvalidDocument(f"{where}.{kinds[0]} is not a map")
    if _has_content(source.get("template")):
        raise Unsupported(f"{where}.{kinds[0]}.template is not supported yet; {HUB_HINT}")
    return kinds[0], source


def _has_content(value: Json) -> bool:
    """Whether a template says anything (API servers store an empty skeleton)."""
    if isinstance(value, dict):
        return any(_has_content(item) for item in value.values())
    return bool(value)


async def _list(source: dict[str, Json], where: str, inputs: Inputs) -> list[Placed]:
    text, decoded = source.get("elementsYaml"), None
    if isinstance(text, str) and text.strip():
        (decoded,) = await inputs.values([text.encode()])
        if isinstance(decoded, InvalidDocument):
            raise InvalidDocument(f"{where}.elementsYaml: {decoded}")
    found: list[Placed] = []
    for name, values in (("elements", source.get("elements")), ("elementsYaml", decoded)):
        if values is None:
            continue
        if not isinstance(values, list):
            raise InvalidDocument(f"{where}.{name} is not a list")
        for number, element in enumerate(values):
            place = f"{where}.{name}[{number}]"
            found.append((place, _element(element, place)))
    return found


def _element(element: Json, where: str) -> Parameters:
    """One element's parameters; a map under `values` becomes `values.NAME`."""
    if not isinstance(element, dict):
        raise InvalidDocument(f"{where} is not a map")
    found: Parameters = {}
    for key, value in element.items():
        if key == "values" and isinstance(value, dict):
            for name, inner in value.items():
                found[f"values.{name}"] = _text(inner, f"{where}.values.{name}")
        else:
            found[key] = _text(value, f"{where}.{key}")
    return found


def _text(value: Json, where: str) -> str:
    if not isinstance(value, str):
        raise InvalidDocument(f"{where} must be text; quote it")
    return value


async def _git(source: dict[str, Json], where: str, inputs: Inputs) -> list[Placed]:
    url = _text(source.get("repoURL"), f"{where}.repoURL")
    revision = source.get("revision") or "HEAD"
    try:
        tree = await inputs.tree(url, _text(revision, f"{where}.revision"))
    except InvalidDocument as error:
        raise InvalidDocument(f"{where}: {error}") from None
    prefix = source.get("pathParamPrefix") or ""
    name = f"{_text(prefix, f'{where}.pathParamPrefix')}.path" if prefix else "path"
    if source.get("directories"):
        patterns = _patterns(source["directories"], f"{where}.directories", folder_pattern)
        chosen = _chosen(directories(tree.files), patterns)
        found = [(f"{where} ({path})", _path(path, name)) for path in chosen]
    elif source.get("files"):
        patterns = _patterns(source["files"], f"{where}.files", file_pattern)
        found = await _files(tree, _chosen(sorted(tree.files), patterns), name, where, inputs)
    else:
        raise InvalidDocument(f"{where} has neither directories nor files")
    values = source.get("values") or {}
    if not isinstance(values, dict):
        raise InvalidDocument(f"{where}.values is not a map")
    for _, one in found:
        more = {
            f"values.{key}": str(filled(_text(value, f"{where}.values.{key}"), one))
            for key, value in values.items()
        }
        one.update(more)
    return found


class GitChoice(NamedTuple):
    """A pattern by which a git generator chooses folders or files, and where."""

    repo_url: str
    revision: str
    pattern: str


def git_choices(document: Json) -> list[GitChoice]:
    """The patterns by which the git generators of a set choose folders and files."""
    found: list[GitChoice] = []

    def collect(value: Json) -> None:
        if isinstance(value, list):
            for one in value:
                collect(one)
        elif isinstance(value, dict):
            git = value.get("git")
            source = git if isinstance(git, dict) else {}
            for field in ("directories", "files"):
                entries = source.get(field)
                url, revision = str(source.get("repoURL")), str(source.get("revision") or "HEAD")
                found.extend(
                    GitChoice(url, revision, str(entry.get("path")))
                    for entry in (entries if isinstance(entries, list) else ())
                    if isinstance(entry, dict) and not entry.get("exclude")
                )
            for combined in ("matrix", "merge"):
                inner = value.get(combined)
                collect(inner.get("generators") if isinstance(inner, dict) else None)

    spec = document.get("spec")
    collect(spec.get("generators") if isinstance(spec, dict) else None)
    return found


def meant_pattern(pattern: str, files: Iterable[str]) -> str:
    """A pattern with the folder or file that is nearly what it names, if it names none; or empty.

    Only what stands before its first wildcard is certain to be a name.
    """
    parts = pattern.split("/")
    paths = [path.split("/") for path in files]
    for at, part in enumerate(parts):
        if any(one in part for one in "*?[{"):
            break
        deep = at + (1 if at + 1 < len(parts) else 0)
        names = {path[at] for path in paths if len(path) > deep}
        if part not in names:
            near = difflib.get_close_matches(part, sorted(names), n=1)
            return "/".join([*parts[:at], *near, *parts[at + 1 :]]) if near else ""
        paths = [path for path in paths if path[at] == part]
    return ""


_Patterns: TypeAlias = tuple[list[re.Pattern[str]], list[re.Pattern[str]]]


def _patterns(entries: Json, where: str, compiled: Callable[[str], re.Pattern[str]]) -> _Patterns:
    """The including and the excluding patterns."""
    if not isinstance(entries, list):
        raise InvalidDocument(f"{where} is not a list")
    including: list[re.Pattern[str]] = []
    excluding: list[re.Pattern[str]] = []
    for index, entry in enumerate(entries):
        path = entry.get("path") if isinstance(entry, dict) else None
        if not isinstance(path, str):
            raise InvalidDocument(f"{where}[{index}].path is missing")
        (excluding if entry.get("exclude") is True else including).append(compiled(path))
    return including, excluding


def _chosen(paths: Iterable[str], patterns: _Patterns) -> list[str]:
    including, excluding = patterns
    return [
        path
        for path in paths
        if any(one.fullmatch(path) for one in including)
        and not any(one.fullmatch(path) for one in excluding)
    ]


def _path(path: str, name: str) -> Parameters:
    base = posixpath.basename(path) or "."
    found = {
        name: path or ".",
        f"{name}.basename": base,
        f"{name}.basenameNormalized": normalised(base),
    }
    for index, segment in enumerate((path or ".").split("/")):
        found[f"{name}[{index}]"] = segment
    return found


def normalised(name: str) -> str:
    """A name as the label of a DNS name, the way Argo CD makes one."""
    return _NO_NAME.sub("-", name.lower())[:253].strip("-.")


async def _files(
    tree: Tree, paths: list[str], name: str, where: str, inputs: Inputs
) -> list[Placed]:
    found: list[Placed] = []
    for path, value in zip(
        paths, await inputs.values([tree.files[path] for path in paths]), strict=True
    ):
        if isinstance(value, InvalidDocument):
            raise InvalidDocument(f"{where}: {in_words(f'{path}: {value}', tree)}")
        for item in value if isinstance(value, list) else [value]:
            if not isinstance(item, dict):
                raise InvalidDocument(f"{where}: {path} holds neither a map nor a list of maps")
            file = posixpath.basename(path)
            own = {f"{name}.filename": file, f"{name}.filenameNormalized": normalised(file)}
            flat = dict(_flattened(item, ""))
            found.append((f"{where} ({path})", flat | _path(posixpath.dirname(path), name) | own))
    return found


def _flattened(value: Json, name: str) -> Iterable[tuple[str, str]]:
    """Nested values under their path with dots; list items under their index."""
    if isinstance(value, dict):
        items: Iterable[tuple[str, Json]] = value.items()
    elif isinstance(value, list):
        items = ((str(index), item) for index, item in enumerate(value))
    else:
        yield name, printed(value)
        return
    for key, item in items:
        yield from _flattened(item, f"{name}.{key}" if name else key)


def printed(value: Json) -> str:
    """A value as Go's `%v` prints it once it was read from JSON, where numbers are floats."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, int | float):
        return str(value)
    _, digits, power = Decimal(repr(float(value))).normalize().as_tuple()
    text = "".join(map(str, digits))
    exponent = len(text) - 1 + int(power)
    sign = "-" if value < 0 else ""
    if -4 <= exponent < _PLAIN_DIGITS:
        return sign + f"{abs(Decimal(repr(float(value)))):f}".removesuffix(".0")
    fraction = f".{text[1:]}" if len(text) > 1 else ""
    return f"{sign}{text[0]}{fraction}e{exponent:+03d}"


async def _matrix(source: dict[str, Json], where: str, inputs: Inputs, depth: int) -> list[Placed]:
    children = source["generators"]
    if len(children) > 2:
        raise InvalidDocument(f"{where}.generators has more than two generators")
    found: list[Placed] = []
    for _, first in await parameters(children[0], f"{where}.generators[0]", inputs, depth + 1):
        second = filled(children[1], first)
        for place, other in await parameters(second, f"{where}.generators[1]", inputs, depth + 1):
            for name in first.keys() & other.keys():
                if first[name] != other[name]:
                    raise InvalidDocument(f"{place} yields another value for {name} than before it")
            found.append((place, first | other))
    return found


async def _merge(source: dict[str, Json], where: str, inputs: Inputs, depth: int) -> list[Placed]:
    keys = source.get("mergeKeys")
    if not isinstance(keys, list) or not keys or not all(isinstance(key, str) for key in keys):
        raise InvalidDocument(f"{where}.mergeKeys is missing or no list of names")
    merged: dict[str, Placed] = {}
    for index, child in enumerate(source["generators"]):
        place = f"{where}.generators[{index}]"
        seen: set[str] = set()
        for at, one in await parameters(child, place, inputs, depth + 1):
            identity = _identity(one, keys)
            if identity in seen:
                raise InvalidDocument(f"{at} yields the merge keys {identity} a second time")
            seen.add(identity)
            if index == 0:
                merged[identity] = (at, one)
            elif identity in merged:
                at, base = merged[identity]
                merged[identity] = (at, base | one)
    return list(merged.values())


def _identity(one: Mapping[str, str], keys: Iterable[str]) -> str:
    return json.dumps({key: one.get(key) for key in keys}, sort_keys=True)
