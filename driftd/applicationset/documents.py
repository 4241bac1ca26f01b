"""From `argoproj.io` documents to typed Applications and projects. Pure."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from driftd.model.application import Application, ApplicationSpec, without_nulls
from driftd.model.mistyped import plain
from driftd.model.project import AppProject, AppProjectSpec
from driftd.model.resource import Json

DEFAULT_NAMESPACE = "argocd"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?\Z")
_KEY = "key` in `"

T = TypeVar("T")


class InvalidDocument(Exception):
    """A document that is no valid Application, ApplicationSet or AppProject; says which field."""

    def __init__(self, message: str, written: str = "") -> None:
        super().__init__(message)
        self.written = written
        """The text of the document that is wrong, where there is one to look for."""


def application(document: dict[str, Json], origin: str) -> Application:
    """The Application of a document. Raises `InvalidDocument`."""
    name, namespace = identity(document)
    metadata = document["metadata"]
    return Application(
        name=name,
        namespace=namespace,
        spec=converted(document.get("spec"), ApplicationSpec, "spec"),
        annotations=_strings(metadata, "annotations"),
        labels=_strings(metadata, "labels"),
        origin=origin,
        raw=document,
    )


def project(document: dict[str, Json], origin: str) -> AppProject:
    """The AppProject of a document. Raises `InvalidDocument`."""
    name, namespace = identity(document)
    spec = converted(document.get("spec") or {}, AppProjectSpec, "spec")
    annotations = _strings(document["metadata"], "annotations")
    return AppProject(
        name=name, namespace=namespace, spec=spec, origin=origin, annotations=annotations
    )


def identity(document: dict[str, Json]) -> tuple[str, str]:
    """Name and namespace (Argo CD's own if absent). Raises `InvalidDocument`."""
    metadata = document.get("metadata")
    if not isinstance(metadata, dict):
        raise InvalidDocument("metadata is missing")
    name = metadata.get("name")
    if not isinstance(name, str) or not name:
        raise InvalidDocument("metadata.name is missing")
    if not _NAME.match(name):
        raise InvalidDocument(f"metadata.name {name[:100]!a} is not a valid name")
    namespace = metadata.get("namespace") or DEFAULT_NAMESPACE
    if not isinstance(namespace, str) or not _NAME.match(namespace):
        raise InvalidDocument("metadata.namespace is not a valid name")
    return name, namespace


def converted(value: Json, wanted: type[T], path: str) -> T:
    """`value` as one of Argo CD's types; null counts as absent, as in Kubernetes.

    Raises `InvalidDocument` naming the field below `path`.
    """
    if not isinstance(value, dict):
        raise InvalidDocument(f"{path} is {'missing' if value is None else 'not a map'}")
    try:
        return msgspec.convert(without_nulls(value), wanted)
    except msgspec.ValidationError as error:
        raise InvalidDocument(plain_words(str(error), path)) from None


def plain_words(message: str, root: str) -> str:
    """A validation message as a sentence: `spec.source.path must be text, not a list`."""
    text, _, where = message.partition(" - at `")
    of_key = where.startswith(_KEY)
    where = where.removeprefix(_KEY).removesuffix("`").removeprefix("$")
    path = root + where.replace("[...]", "[]")
    if of_key:
        return f"{path} has a key that is not text; quote it"
    return plain(path, text) or f"{path}: {text[:1].lower()}{text[1:]}"


def _strings(metadata: dict[str, Any], field: str) -> dict[str, str]:
    values = metadata.get(field) or {}
    if not isinstance(values, dict):
        raise InvalidDocument(f"metadata.{field} is not a map")
    for key, value in values.items():
        if not isinstance(key, str):
            raise InvalidDocument(f"metadata.{field} has a key that is not text; quote it")
        if not isinstance(value, str):
            raise InvalidDocument(f"metadata.{field}[{key[:100]!a}] is not text; quote it")
    return dict(values)
