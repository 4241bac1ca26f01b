"""Kustomize's errors in driftd's words: which file and field, and what to do. Pure.

Kustomize tells its whole way to an error, and not always the file. What is not recognised is told
as Kustomize tells it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Final

from driftd.model.tree import Tree
from driftd.render.file_says import yaml_said
from driftd.render.reach import Reach, Written, generated_in, near_path, written_in

ERROR: Final = "kustomize-error"
"""The reason of errors that quote Kustomize."""
_FIELDS: Final = re.findall(
    r"\w+",
    "apiVersion bases behavior buildMetadata commonAnnotations commonLabels components "
    "configMapGenerator configurations count crds digest disableNameSuffixHash env envs fields "
    "fieldSpecs files generatorOptions generators helmCharts helmGlobals images immutable "
    "includeSelectors includeTemplates kind labels literals metadata name namePrefix nameSuffix "
    "namespace newName newTag openapi options pairs patch patches patchesJson6902 "
    "patchesStrategicMerge path replacements replicas resources secretGenerator sortOptions source "
    "tagSuffix target targets transformers type validators vars",
)
_IS: Final = {"array": "list", "object": "map"}
_OPERATIONS: Final = ("add", "remove", "replace", "move", "copy", "test")
_BUILT_IN: Final = frozenset(
    re.findall(
        r"\w+",
        """
        ClusterRole ClusterRoleBinding ConfigMap CronJob CustomResourceDefinition DaemonSet
        Deployment HorizontalPodAutoscaler Ingress Job Namespace NetworkPolicy PersistentVolume
        PersistentVolumeClaim Pod PodDisruptionBudget PriorityClass ReplicaSet Role RoleBinding
        Secret Service ServiceAccount StatefulSet StorageClass
        """,
    )
)
"""Kinds that people write and that are no slip of another."""
_KINDS: Final = ("Kustomization", "Component")
_KIND = re.compile(r"[\"']?kind[\"']?:\s*[\"']?([^\s\"'#]+)")
_FOLDER = re.compile(r"recursed accumulation of path '([^']+)'")
_BEHAVIORS: Final = ("create", "merge", "replace")
_ADDRESS = re.compile(r" &\{(?:0x[0-9a-f]+|<nil>)(?: (?:0x[0-9a-f]+|<nil>))*\}")
_STRUCT = re.compile(
    r"resid\.ResId\{Gvk:resid\.Gvk\{.*?Kind:\\*\"(\w*)\\*\".*?\}, "
    r"Name:\\*\"([^\"\\]*)\\*\", Namespace:\\*\"[^\"]*\"\}"
)
_LIKENESS = 0.75
_NAMED = 3

_Said = tuple[str, str]
"""What is wrong, and what to do."""


def in_words(text: str, tree: Tree) -> str:
    """An error of Kustomize with driftd's own sentence before it, where the cause is recognised.

    `text` begins with the kustomization that was built.
    """
    top = text.partition(": ")[0]
    reach = Reach(tree, top)
    for pattern, rule in _RULES:
        match = pattern.search(text)
        if match is not None:
            said = rule(match, reach, tree)
            if said is not None:
                what, remedy = said
                end = "" if remedy.endswith("?") else "."
                return f"{what}; {remedy}{end} Kustomize says: {_readable(text)}"
    return _readable(text)


def _folder(match: re.Match[str]) -> str:
    """The folder that Kustomize was in, as far as it says; empty if its text was cut there."""
    found = _FOLDER.findall(match.string)
    return found[-1] if found and "…" not in match.string else ""


def _kustomization(match: re.Match[str], reach: Reach) -> str:
    """The kustomization that Kustomize was reading, else the one that was built."""
    folder = _folder(match)
    return (reach.kustomization_of(folder) if folder else "") or match.string.partition(": ")[0]


def _identity(text: str) -> tuple[str, str]:
    """Kind and name of `Deployment.v1.apps/web.[noNs]`."""
    what, _, rest = text.partition("/")
    return what.partition(".")[0], rest.rpartition(".")[0]


def _no_target(match: re.Match[str], reach: Reach, _tree: Tree) -> _Said | None:
    kind, name = _identity(match[1])
    patch = next((one for one in reach.patches if (one.kind, one.name) == (kind, name)), None)
    who = f"{patch} patches" if patch else "a patch is for"
    what = f"{who} {kind} {name}, which is none of the kustomization's resources"
    same = [one for one in reach.objects if one.name == name]
    for one in same:
        if one.kind == kind:
            written = f"apiVersion {one.api_version}"
            return what, f"check apiVersion and namespace: {one} declares it with {written}"
    for one in same:
        if get_close_matches(kind.lower(), [one.kind.lower()], cutoff=_LIKENESS):
            if kind in _BUILT_IN and one.kind not in _BUILT_IN:
                return what, f"did you mean kind {kind} where {one} has {one.kind}?"
            return what, f"did you mean kind {one.kind}, which {one} declares?"
    named = {one.name: one for one in reach.objects if one.kind == kind}
    near = get_close_matches(name, named, n=1, cutoff=0.5)
    if near:
        return what, f"did you mean {near[0]} of {named[near[0]]}?"
    return what, "correct kind and name of the patch, or remove it"


def _missing(match: re.Match[str], reach: Reach, tree: Tree) -> _Said | None:
    path = match[1].strip("/")
    mention = reach.mentions.get(path)
    if mention is None:
        return None
    what = f"{mention} names {mention.written} in {mention.section}, which does not exist"
    near = near_path(path, tree)
    if near in reach.mentions:  # it is in use, and the file that is named is gone
        return what, "restore the file or remove the line"
    folder = posixpath.dirname(mention.file)
    if near in tree.files and folder and not near.startswith(f"{folder}/"):
        return what, "restore the file or remove the line"  # Kustomize refuses files out there
    if near:
        return what, f"did you mean {posixpath.relpath(near, folder or '.')}?"
    return what, "correct the path, or add the file to Git"


def _no_replicas(match: re.Match[str], reach: Reach, _tree: Tree) -> _Said | None:
    name, kinds = match[1], re.findall(r"(?:^|[\s\[])(\w+)\.", match[2])
    found = [one for one in reach.objects if one.name == name]
    for one in found:
        near = get_close_matches(one.kind, kinds, n=1, cutoff=_LIKENESS)
        if near and one.kind not in kinds:
            return f"{one} has kind {one.kind}, which has no replicas", f"did you mean {near[0]}?"
    place = reach.line_of(rf"^\s*(?:- +)*name:\s*[\"']?{re.escape(name)}[\"']?\s*$")
    where = (
        place if place.partition(":")[0] in reach.kustomizations else _kustomization(match, reach)
    )
    named = [one.name for one in reach.objects if one.kind in kinds]
    meant = get_close_matches(name, named, n=1, cutoff=0.5)
    what = f"{where} sets the replicas of {name}, and no resource of that name has them"
    return what, f"did you mean {meant[0]}?" if meant else "correct the name, or remove it"


def _kind(_match: re.Match[str], reach: Reach, _tree: Tree) -> _Said | None:
    for file in reach.kustomizations:
        for number, line in enumerate(reach.text(file).splitlines(), 1):
            kind = _KIND.match(line)
            if kind is None or kind[1] in _KINDS:
                continue
            near = get_close_matches(kind[1], _KINDS, n=1, cutoff=0.6)
            remedy = f"did you mean {near[0]}?" if near else f"write {' or '.join(_KINDS)}"
            return f"{file}:{number} has kind {kind[1]}, which no kustomization has", remedy
    return None


def _file(match: re.Match[str], written: str, reach: Reach) -> str:
    """The file that Kustomize means by a path; empty if that is not clear."""
    file = reach.file_named(written, _folder(match)) or reach.file_named(written)
    if file:
        return file
    # Flux makes a kustomization for a folder that has none: nothing leads to its files.
    folder = match.string.partition(": ")[0].removesuffix("/kustomization.yaml")
    return reach.file_named(written, folder)


def _malformed(match: re.Match[str], reach: Reach, _tree: Tree) -> _Said | None:
    file = _file(match, match["file"], reach)
    return yaml_said(file, reach.text(file), match["line"], match["why"]) if file else None


def _malformed_kustomization(match: re.Match[str], reach: Reach, _tree: Tree) -> _Said | None:
    file = reach.no_yaml() or _kustomization(match, reach)
    why = match["why"].rstrip("'\"")
    return yaml_said(file, reach.text(file), match["line"], why)


def _unknown_field(match: re.Match[str], reach: Reach, _tree: Tree) -> _Said | None:
    name = match[1]
    place = reach.line_of(rf"^\s*(?:- +)*\"?{re.escape(name)}\"?:") or _kustomization(match, reach)
    near = get_close_matches(name, _FIELDS, n=1, cutoff=0.7)
    remedy = f"did you mean {near[0]}?" if near else "remove or correct it"
    return f"{place} has the field {name}, which a kustomization does not have", remedy


def _wrong_type(match: re.Match[str], reach: Reach, _tree: Tree) -> _Said | None:
    file, found = _kustomization(match, reach), _IS.get(match["is"], match["is"])
    if match["field"] is None:
        return f"{file} is a {found}, no kustomization", "begin it with the field resources"
    path = match["field"].partition(".")[2] or match["field"]
    place = reach.line_of(rf"^\s*(?:- +)*{re.escape(path.rpartition('.')[2])}:\s*\S") or file
    if match["wanted"] == "string":
        what = f"{place}: {path} is a {found} where a text is needed"
        return what, "quote it" if found in {"number", "bool"} else "write a text"
    wanted = "a list" if match["wanted"].startswith("[]") else match["wanted"].rpartition(".")[2]
    return f"{place}: {path} is a {found} where {wanted} is needed", "correct that field"


def _component(match: re.Match[str], reach: Reach, _tree: Tree) -> _Said | None:
    mention = reach.mentions.get(match[1])
    place = f"{mention} names" if mention else f"{_kustomization(match, reach)} names"
    if match[0].startswith("expected kind !="):
        return f"{place} {match[1]} in resources, which is a Component", "move it to components"
    return (
        f"{place} {match[1]} in components, which is no Component",
        "move it to resources, or give its kustomization kind: Component",
    )


def _repeated(match: re.Match[str], reach: Reach, _tree: Tree) -> _Said | None:
    kind, name = _identity(match[1])
    places = _places(one for one in reach.objects if (one.kind, one.name) == (kind, name))
    where = f" ({places})" if places else ""
    return f"{kind} {name} is declared more than once{where}", "remove one of them"


def _conflict(match: re.Match[str], reach: Reach, _tree: Tree) -> _Said | None:
    names = [one.name for one in reach.objects if one.kind == match[1]]
    name = next((name for name in names if names.count(name) > 1), "")
    places = _places(one for one in reach.objects if (one.kind, one.name) == (match[1], name))
    if not name:
        return None
    where = reach.line_of(r"^namespace:") or "the kustomization"
    return (
        f"the namespace of {where} makes one object of two: {match[1]} {name} ({places})",
        "remove one of them, or give it another name",
    )


def _places(objects: Iterable[Written]) -> str:
    places = list(dict.fromkeys(map(str, objects)))
    rest = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
    return ", ".join(places[:_NAMED]) + rest


def _lacking(match: re.Match[str], reach: Reach, _tree: Tree) -> _Said | None:
    file, field = _file(match, match[1], reach), match[2]
    if not file:
        return None
    attribute = {"metadata.name": "name", "kind": "kind", "apiVersion": "api_version"}[field]
    lacking = [one for one in written_in(file, reach.text(file)) if not getattr(one, attribute)]
    return f"{lacking[0] if lacking else file}: {field} is missing", "add it"


def _patched_path(match: re.Match[str], reach: Reach, _tree: Tree) -> _Said | None:
    path = match["path"].strip("\\\"' ")
    place = reach.line_of(rf"(?:path|from)[\"']?:\s*[\"']?{re.escape(path)}[\"']?\s*(?:$|[,}}])")
    who = place or f"a patch of {_kustomization(match, reach)}"
    return f"{who} patches {path}, which the object does not have", "correct the path of the patch"


def _operation(match: re.Match[str], reach: Reach, _tree: Tree) -> _Said | None:
    place = reach.line_of(rf"\bop[\"']?:\s*[\"']?{re.escape(match[1])}\b")
    near = get_close_matches(match[1], _OPERATIONS, n=1, cutoff=0.5)
    remedy = f"did you mean {near[0]}?" if near else f"use one of {', '.join(_OPERATIONS)}"
    return f"{place or 'a patch'}: there is no op {match[1]}", remedy


def _generator(match: re.Match[str], reach: Reach, _tree: Tree) -> _Said | None:
    kind, name = match["kind"], match["name"]
    field = "secretGenerator" if kind == "Secret" else "configMapGenerator"
    files = [_kustomization(match, reach), *reach.kustomizations]
    entries = {file: generated_in(file, reach.text(file), field) for file in files}
    entry = next((one for file in files for one in entries[file] if one.name == name), None)
    who = f"{entry}: {field} {name}" if entry else f"{field} {name}"
    if match["why"] == "exists":
        behavior = entry.behavior if entry else ""
        what = f"{who} is generated in what the kustomization builds on, too"
        if behavior in ("", "create"):
            return what, "write behavior: merge or replace, or another name"
        near = get_close_matches(behavior, _BEHAVIORS, n=1, cutoff=0.5)
        remedy = f"did you mean {near[0]}?" if near else "write merge or replace"
        return f"{who} has the behavior {behavior}, which there is not", remedy
    what = f"{who} is merged into {kind} {name}, which no resource declares"
    others = [one for found in entries.values() for one in found if one.name != name]
    names = {one.name for one in others}.union(o.name for o in reach.objects if o.kind == kind)
    near = get_close_matches(name, sorted(names), n=1, cutoff=_LIKENESS)
    return what, f"did you mean {near[0]}?" if near else "correct its name, or remove behavior"


def _readable(text: str) -> str:
    """Kustomize's words without what only its program knows: addresses in memory, Go's structs."""
    return _STRUCT.sub(r"\1 \2", _ADDRESS.sub("", text))


def _cycle(match: re.Match[str], reach: Reach, _tree: Tree) -> _Said | None:
    mention = reach.mentions.get(match[1])
    where = str(mention) if mention else "a kustomization"
    return f"{where} leads back to {match[1]}, which builds on it", "remove that line"


_RULES: Final[
    tuple[tuple[re.Pattern[str], Callable[[re.Match[str], Reach, Tree], _Said | None]], ...]
] = (
    (re.compile(r"no resource matches strategic merge patch \"?([^\s\"]+)\"?"), _no_target),
    (re.compile(r"(?:^|[\s'\"])(/\S+) does not exist in the repository['\"]?$"), _missing),
    (
        re.compile(r"resource with name (\S+) does not match a config with .*?GVK \[?([^\]]*)"),
        _no_replicas,
    ),
    (
        re.compile(
            r"kind should be Kustomization or Component|apiVersion for \w+ should be kustomize\."
        ),
        _kind,
    ),
    (
        re.compile(
            r"MalformedYAMLError: yaml: (?:line (?P<line>\d+): )?(?P<why>.+?) "
            r"in File: (?P<file>[^\s'\"]+)"
        ),
        _malformed,
    ),
    (
        re.compile(
            r"(?:invalid Kustomization|^[^\s:]+: error converting YAML to JSON): "
            r"yaml: (?:line (?P<line>\d+): )?(?P<why>.+)$"
        ),
        _malformed_kustomization,
    ),
    (re.compile(r"invalid Kustomization: json: unknown field \\?\"([^\"\\]+)"), _unknown_field),
    (
        re.compile(
            r"cannot unmarshal (?P<is>\w+) into Go (?:struct field (?P<field>\S+)|value) "
            r"of type (?P<wanted>\S+)"
        ),
        _wrong_type,
    ),
    (re.compile(r"expected kind (?:!= )?'Component' for path '([^']+)'"), _component),
    (re.compile(r"may not add resource with an already registered id: ([^\s']+)"), _repeated),
    (
        re.compile(r"namespace transformation produces ID conflict: .*?\"kind\":\"(\w+)\""),
        _conflict,
    ),
    (
        re.compile(r"resources from '([^']+)': missing (metadata\.name|kind|apiVersion) in object"),
        _lacking,
    ),
    (
        re.compile(
            r"operation does not apply: doc is missing (?:path|key): (?P<path>.+?): missing"
        ),
        _patched_path,
    ),
    (re.compile(r"Unexpected kind: (\w+)"), _operation),
    (
        re.compile(
            r"merging from generator .*Kind:\\*\"(?P<kind>\w+)\\*\".*Name:\\*\"(?P<name>[^\"\\]+)"
            r".*? (?P<why>exists|does not exist)"
        ),
        _generator,
    ),
    (re.compile(r"cycle detected: candidate root '([^']+)'"), _cycle),
    (
        re.compile(r": (\S+) is empty$"),
        lambda match, _reach, _tree: (
            f"{match.string.partition(': ')[0]} is empty",
            "add resources to it",
        ),
    ),
)
"""What Kustomize says, and who says it better; the first that fits."""
