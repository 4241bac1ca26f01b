"""Values that a source's files hold as secrets, so that no error text of a renderer quotes one."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from driftd.model import sensitive
from driftd.model.tree import Tree

_LARGEST: Final = 1 << 20
_WORTH_A_LOOK: Final = re.compile(rb"(?i)passw|secret|token|api_?key|private_?key")
_NAME: Final = re.compile(
    r"(?i)(?:password|passwd|secret|token|api_?key|private_?key)(?!.*(?:name|ref)$)"
)
_NAMED: Final = re.compile(
    r"""(?im)^[\s\-"']*(?!existingSecret\b|[\w.\-]*(?:name|ref)\b)[\w.\-]*(?:password|passwd|secret|token|api_?key|private_?key)[\w.\-]*"""
    r"""["']?[ \t]*[:=][ \t]*(?P<value>\S.*?)[ \t]*$"""
)
"""A line that gives something with such a name a value: YAML, properties, `key=value`."""
_SECRET: Final = re.compile(r"(?m)^kind:[ \t]*[\"']?Secret\b|^secretGenerator:")
_ENTRY: Final = re.compile(
    r"""(?m)^[\s\-"']*(?!(?:name|namespace|kind|type|apiVersion)\b)[\w.\-]+["']?"""
    r"""[ \t]*[:=][ \t]*(?P<value>\S.*?)[ \t]*$"""
)
_MANIFESTS: Final = (".yaml", ".yml", ".json")
_PATH: Final = re.compile(r"[\w.+~-]+(?:/[\w.+~-]+)*")
"""A word that may be the path of a file."""
_GENERATES: Final = re.compile(r"(?m)^secretGenerator:")
_FILES_IN: Final = re.compile(
    r"[\s\-]*(?:path|files?|envs?|resources|bases|components|patchesStrategicMerge|crds"
    r"|configurations|generators|transformers|validators|replacements|valuesFile)[ \t]*:"
)
"""The fields of a kustomization that name files."""
_FILE: Final = re.compile(
    r"(?:\.{1,2}/)+[\w.+~-]+(?:/[\w.+~-]+)*|[\w.+~-]+(?:/[\w.+~-]+)*\.(?:ya?ml|json|env|properties)"
)
_PUBLIC: Final = frozenset({"v1", "Secret", "Opaque", "|", "|-", ">", ">-", "{}", "[]"})


def scrubbed(text: str, trees: Sequence[Tree], source: Mapping[str, Any]) -> str:
    """An error text of a renderer without the secret values of the source and its files.

    Names of files that the text gives stay as they are: an ordinary word in one, such as that of
    a database's user, tells nobody anything, and without it the file is not found.
    """
    found = set(_of_text(_flat(source)))
    for tree, file, data in ((each, *one) for each in trees for one in each.files.items()):
        if len(data) <= _LARGEST and _WORTH_A_LOOK.search(data):
            content = bytes(data).decode(errors="replace")
            files = _of_kustomization(content, file, tree) if _GENERATES.search(content) else ()
            found.update(_of_text(content) - set(files), _of_documents(content))
    values = [value for value in found if len(value) > 1]
    return sensitive.scrubbed(text, values, list(_named_files(text, trees)))


def _named_files(text: str, trees: Sequence[Tree]) -> Iterator[tuple[int, int]]:
    """Where a text has the path of a file, or the end of one, of two names or more.

    Helm puts the chart's name before a path, in which the folder of the chart is not.
    """
    for word in _PATH.finditer(text):
        start, path = word.start(), word[0].rstrip(".")
        if path.endswith(_MANIFESTS) and any(path in tree.files for tree in trees):
            yield start, start + len(path)
            continue
        while "/" in path:
            if not path.startswith("/") and any(_has(tree, path) for tree in trees):
                yield start, start + len(path)
                break
            start, path = start + path.index("/") + 1, path.partition("/")[2]


def _has(tree: Tree, path: str) -> bool:
    return path in tree.files or any(file.endswith(f"/{path}") for file in tree.files)


def _of_documents(text: str) -> Iterator[str]:
    """Of files in YAML or JSON; what is neither, as a template, tells nothing here."""
    import yaml

    try:
        for document in yaml.safe_load_all(text):
            yield from (value for name, value in _named(document, "") if _NAME.search(name))
            if isinstance(document, dict):
                yield from sensitive.in_force().values(document)
                yield from _generated(document.get("secretGenerator"))
    except (yaml.YAMLError, RecursionError, ValueError):
        return


def _generated(generators: Any) -> Iterator[str]:
    for generator in generators if isinstance(generators, list) else ():
        for literal in (generator.get("literals") if isinstance(generator, dict) else None) or ():
            yield str(literal)
            yield str(literal).partition("=")[2]


def _of_text(text: str) -> set[str]:
    pattern = _ENTRY if _SECRET.search(text) else _NAMED
    found = {_value(match) for match in pattern.finditer(text)}
    return {value for value in found if value not in _PUBLIC and "{{" not in value}


def _value(match: re.Match[str]) -> str:
    return match["value"].split(" #")[0].strip().strip("\"'")


def _of_kustomization(text: str, file: str, tree: Tree) -> Iterator[str]:
    """The values of a kustomization that are files: those that are there, of fields that name one
    those that are none, too, which errors are about. What looks like no path is none.
    """
    folder = posixpath.dirname(file)
    for match in _ENTRY.finditer(text):
        value, paths = _value(match), _value(match).strip("[]").split(",")
        paths = [one.strip().strip("\"'").rpartition("=")[2] for one in paths]
        named = _FILES_IN.match(match[0]) is not None
        if all(
            posixpath.normpath(posixpath.join(folder, one)) in tree.files
            or (named and _FILE.fullmatch(one))
            for one in paths
        ):
            yield value
            yield from paths


def _flat(source: Mapping[str, Any]) -> str:
    """What an Application gives to its renderer, one value a line."""
    helm = source.get("helm")
    if not isinstance(helm, dict):
        return ""
    lines = [str(helm.get("values") or "")]
    lines += [f"{name}: {value}" for name, value in _named(helm.get("valuesObject"), "")]
    for one in helm.get("parameters") or ():
        if isinstance(one, dict):
            lines.append(f"{one.get('name')}: {one.get('value')}")
    return "\n".join(lines)


def _named(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _named(one, str(key))
    elif isinstance(value, list):
        for one in value:
            yield from _named(one, name)
    elif value is not None:
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        yield name, text
