"""Fields that Argo CD's objects have, and slips of the pen in their names. Pure."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache, lru_cache
from typing import Any, TypeAlias

import msgspec

from driftd.model.application import ApplicationSpec, ArgoStruct
from driftd.model.project import AppProjectSpec
from driftd.model.resource import Json
from driftd.render.lines import document_lines

Fields: TypeAlias = dict[str, Any]
"""The fields of one level: each with those below it, or None where anything may stand.

A list has those of its items.
"""

_LIKENESS = 0.84
"""How alike two names are (difflib's ratio) that one is taken for a slip of the other."""
_MAX_DEPTH = 20


def _names(text: str) -> Fields:
    return dict.fromkeys(text.split())


_TEMPLATE_METADATA = _names("name namespace labels annotations finalizers")
_HYDRATOR: Fields = {
    "drySource": _names("repoURL targetRevision path helm kustomize directory plugin chart"),
    "syncSource": _names("targetBranch path repoURL"),
    "hydrateTo": _names("targetBranch"),
}
_SYNC_POLICY: Fields = {
    "retry": {
        **_names("limit refresh"),
        "backoff": _names("duration factor maxDuration"),
    },
    "managedNamespaceMetadata": _names("labels annotations"),
}
_WINDOW = (
    "kind schedule duration applications namespaces clusters manualSync timeZone andOperator "
    "description syncOverrun"
)
_PROJECT: Fields = {
    **_names("sourceNamespaces permitOnlyProjectScopedClusters"),
    "roles": {**_names("name description policies groups"), "jwtTokens": _names("iat exp id")},
    "orphanedResources": {"warn": None, "ignore": _names("group kind name")},
    "syncWindows": _names(_WINDOW),
    "destinationServiceAccounts": _names("server namespace defaultServiceAccount"),
}
_STRATEGY: Fields = {
    **_names("type deletionOrder"),
    "rollingSync": {
        "steps": {"maxUpdate": None, "matchExpressions": _names("key operator values")}
    },
}
_GIT = "repoURL revision requeueAfterSeconds pathParamPrefix values"


@cache
def _known(kind: str) -> Fields:
    """The fields of a kind's `spec`: what is read of it here, and what else Argo CD has."""
    application: Fields = {
        **_of(ApplicationSpec),
        **_names("revisionHistoryLimit"),
        "info": _names("name value"),
        "sourceHydrator": _HYDRATOR,
    }
    application["syncPolicy"] = {**application["syncPolicy"], **_SYNC_POLICY}
    if kind == "Application":
        return application
    if kind == "AppProject":
        return {**_of(AppProjectSpec), **_PROJECT}
    template = {"metadata": _TEMPLATE_METADATA, "spec": application}
    generators: Fields = _names("scmProvider pullRequest clusterDecisionResource plugin selector")
    paths = _names("path exclude")
    inner = {"generators": generators, "mergeKeys": None, "template": template}
    generators |= {
        "list": {**_names("elements elementsYaml"), "template": template},
        "clusters": {**_names("selector values flatList"), "template": template},
        "git": {**_names(_GIT), "directories": paths, "files": paths, "template": template},
        "matrix": inner,
        "merge": inner,
    }
    return {
        **_names("goTemplate goTemplateOptions templatePatch applyNestedSelectors"),
        "generators": generators,
        "template": template,
        "syncPolicy": _names("preserveResourcesOnDeletion applicationsSync"),
        "strategy": _STRATEGY,
        "preservedFields": _names("annotations labels"),
        "ignoreApplicationDifferences": _names("name jsonPointers jqPathExpressions"),
    }


def _of(struct: type[ArgoStruct]) -> Fields:
    hints = typing.get_type_hints(struct)
    return {
        field.encode_name: _below(hints[field.name]) for field in msgspec.structs.fields(struct)
    }


def _below(hint: Any) -> Fields | None:
    if isinstance(hint, type) and issubclass(hint, ArgoStruct):
        return _of(hint)
    if typing.get_origin(hint) is dict:
        return None
    return next((found for one in typing.get_args(hint) if (found := _below(one))), None)


def slips(document: dict[str, Json]) -> list[tuple[str, str, str]]:
    """The fields of a `spec` that Argo CD does not have, where another name is near.

    For each where it stands (`spec.source.helm`), its name, and the name that was probably meant.
    What is near nothing is somebody's own, or of a later Argo CD.
    """
    return list(_slips(document.get("spec"), _known(str(document.get("kind"))), "spec", 0))


def _slips(value: Json, known: Fields, path: str, depth: int) -> Iterator[tuple[str, str, str]]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _slips(item, known, f"{path}[{index}]", depth + 1)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name not in known:
                if meant := _near(name, known):
                    yield path, name, meant
            elif below := known[name]:
                yield from _slips(inner, below, f"{path}.{name}", depth + 1)


def _near(name: str, known: Fields) -> str:
    same = [one for one in known if one.lower() == re.sub("[-_]", "", name).lower()]
    return next(iter(same or get_close_matches(name, known, n=1, cutoff=_LIKENESS)), "")


def line_of(name: str, text: bytes, index: int | None) -> int:
    """The line (from 1) that has a field's name; 0 where none or several have it.

    `index` is that of the document in the file, None if that is not known.
    """
    lines, begins = _split(text)
    first, last = 1, len(lines)
    if index is not None:
        starts = [*begins, last + 1]
        if index + 1 < len(starts):
            first, last = starts[index], starts[index + 1] - 1
    key = re.compile(rb"(?:^|[\s{,\"'-])" + re.escape(name).encode() + rb"[\"']?\s*:(?:\s|$|\")")
    found = [number for number in range(first, last + 1) if key.search(lines[number - 1])]
    return found[0] if len(found) == 1 else 0


def index_of(name: str, kind: str, text: bytes) -> int | None:
    """The position in a file of the only document of a kind and name; None where it is not certain.

    A file of one document is asked for as a whole anyway.
    """
    lines, begins = _split(text)
    wanted = [
        re.compile(
            rb"\s+[\"']?name[\"']?\s*:\s*[\"']?" + re.escape(name).encode() + rb"[\"']?\s*$"
        ),
        re.compile(rb"kind\s*:\s*[\"']?" + re.escape(kind).encode() + rb"[\"']?\s*$"),
    ]
    ends = [*(line - 1 for line in begins[1:]), len(lines)]
    found = [
        index
        for index, (first, last) in enumerate(zip(begins, ends, strict=True))
        if all(any(map(one.match, lines[first - 1 : last])) for one in wanted)
    ]
    return found[0] if len(found) == 1 else None


@lru_cache(maxsize=4)
def _split(text: bytes) -> tuple[list[bytes], tuple[int, ...]]:
    """The lines of a file and those on which its documents begin; files are asked in a row."""
    return text.splitlines(), document_lines(text)
