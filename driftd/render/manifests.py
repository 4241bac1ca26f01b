"""From rendered documents to addressed manifests: lists, names, namespaces, hooks, duplicates.

Pure: each document is decoded once and encoded once, as canonical JSON (sorted keys).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
import orjson

from driftd.model.condition import Condition, Severity
from driftd.model.resource import Json, Manifest, Origin, ResourceKey, Unchecked
from driftd.render.hooks import HOOKS, hook_of, is_transient_job
from driftd.render.scopes import known_scope

Scopes = Callable[[str, str], bool | None]
"""Group and kind to: namespaced, cluster-scoped (False), or not known (None)."""

_MAX_LIST_DEPTH = 5
_SHOWN_PLACES = 5
_SHOWN_OBJECTS = 3
_NO_FILE = "the rendered output"
_SAME_OBJECTS = {
    ("extensions", "DaemonSet"): "apps",
    ("extensions", "Deployment"): "apps",
    ("extensions", "ReplicaSet"): "apps",
    ("extensions", "Ingress"): "networking.k8s.io",
    ("extensions", "NetworkPolicy"): "networking.k8s.io",
    ("extensions", "PodSecurityPolicy"): "policy",
    ("", "Event"): "events.k8s.io",
}
"""Kinds that the API server keeps once and serves in two groups: the group that counts here."""
_API_VERSION = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?[a-z][a-z0-9]{0,62}\Z")
_KIND = re.compile(r"[A-Za-z][A-Za-z0-9]{0,62}\Z")
_NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")


class RenderedDocument(msgspec.Struct, frozen=True):
    """One document as the sandbox rendered it."""

    source: int
    """Index of the Application's source."""
    file: str
    """Path in the repository, as far as the renderer knows it."""
    index: int
    """Position within the file, or within the render when the file is not known."""
    json: bytes
    line: int = 0
    """The line (from 1) of the file on which the document begins; 0 where it is not known."""
    undecided: str = ""
    """Why the content is not known in full; empty if it is."""
    unstable: tuple[str, ...] = ()
    """JSON pointers of what differs with each rendering."""
    template: str = ""
    """What Helm calls the template, where that is not the file."""


class Processed(msgspec.Struct, frozen=True):
    """What the documents of one application amount to."""

    manifests: tuple[Manifest, ...]
    """What is compared, each key once."""
    not_compared: tuple[Manifest, ...]
    """Hooks, and Jobs that remove themselves when they are done."""
    repeated: frozenset[ResourceKey]
    """Keys that were declared more than once; they are never healed."""
    conditions: tuple[Condition, ...]


class _Invalid(Exception):
    """One object cannot be used: the field and what is wrong with it."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}")


class _Unplaced(Exception):
    """One object that nothing gives a namespace: its kind and name."""


class _Placed(msgspec.Struct, frozen=True):
    document: RenderedDocument
    path: str
    """Where in the document the object lies; empty for the document itself."""
    value: Any

    def __str__(self) -> str:
        file = self.document.file or _NO_FILE
        item = f", {self.path}" if self.path else ""
        return f"{file}, document {self.document.index + 1}{item}"


def process(
    documents: Iterable[RenderedDocument],
    *,
    namespace: str,
    scopes: Scopes,
    hooks: frozenset[str] = HOOKS,
    lacks: str = "the Application has no spec.destination.namespace",
) -> Processed:
    """Address every rendered object.

    `namespace` is the destination's, and `lacks` says who has none where it is empty; `hooks` are
    the annotations that make a hook. What `scopes` does not know, definitions among the documents
    tell, and what is known of common kinds.
    An object that cannot be used is a condition naming file, document and field and is left
    out; all others stay.
    """
    conditions: list[Condition] = []
    documents = list(documents)
    declared = _declared_scopes(documents)

    def scope_of(group: str, kind: str) -> bool | None:
        for scope in (scopes(group, kind), declared.get((group, kind))):
            if scope is not None:
                return scope
        return known_scope(group, kind)

    compared: dict[ResourceKey, Manifest] = {}
    not_compared: list[Manifest] = []
    places: dict[ResourceKey, str] = {}
    stored: dict[ResourceKey, ResourceKey] = {}
    repeated: dict[ResourceKey, list[str]] = {}
    unplaced: list[tuple[str, str, str]] = []
    # One decoded object at a time: keeping thousands would only feed the garbage collector.
    for item in _objects(documents, conditions):
        try:
            manifest = _manifest(item, namespace, scope_of, conditions)
        except _Invalid as error:
            conditions.append(_invalid(item, str(error)))
            continue
        except _Unplaced as error:
            unplaced.append((str(error), str(item), item.document.file or _NO_FILE))
            continue
        if _is_not_compared(item, manifest, hooks, conditions):
            not_compared.append(manifest)
            continue
        key = manifest.key
        if (earlier := stored.get(one := _stored(key))) is not None:
            places_of = repeated.pop(earlier, [places[earlier]])
            repeated[key] = [*places_of, str(item)]
            del compared[earlier]
        compared[key] = manifest
        stored[one] = key
        places[key] = str(item)
    conditions.extend(_left_unplaced(unplaced, lacks))
    conditions.extend(_repetitions(repeated))
    return Processed(
        tuple(compared.values()), tuple(not_compared), frozenset(repeated), tuple(conditions)
    )


def _stored(key: ResourceKey) -> ResourceKey:
    """The object that a key means, whichever group it is named in."""
    group = _SAME_OBJECTS.get((key.group, key.kind))
    return key if group is None else msgspec.structs.replace(key, group=group)


def _left_unplaced(objects: list[tuple[str, str, str]], lacks: str) -> Iterator[Condition]:
    """One condition for all objects without a namespace: what each is, its place and its file."""
    if not objects:
        return
    named = [what for what, _, _ in objects]
    files = list(dict.fromkeys(file for _, _, file in objects))
    place = objects[0][1] if len(objects) == 1 else ", ".join(files[:_SHOWN_OBJECTS])
    if len(files) > _SHOWN_OBJECTS:
        place += f" and {len(files) - _SHOWN_OBJECTS} more"
    shown = ", ".join(named[:_SHOWN_OBJECTS])
    if len(named) > _SHOWN_OBJECTS:
        shown += f" and {len(named) - _SHOWN_OBJECTS} more"
    left = "the object is" if len(named) == 1 else "the objects are"
    yield Condition(
        "ComparisonError",
        f"{place}: metadata.namespace of {shown} is missing, and {lacks}; set either; "
        f"{left} left out",
    )


def _repetitions(repeated: dict[ResourceKey, list[str]]) -> Iterator[Condition]:
    for key, where in repeated.items():
        yield Condition(
            "RepeatedResourceWarning",
            f"{key} is declared {len(where)} times ({'; '.join(where)}); the last one counts "
            "and it is not healed",
            Severity.WARNING,
        )


def _invalid(item: _Placed, problem: str) -> Condition:
    return Condition("ComparisonError", f"{item}: {problem}; the object is left out")


def _objects(
    documents: Iterable[RenderedDocument], conditions: list[Condition]
) -> Iterator[_Placed]:
    """All objects, lists unwrapped, in order."""
    for document in documents:
        try:
            value = orjson.loads(document.json)
        except orjson.JSONDecodeError:
            whole = _Placed(document, "", None)
            conditions.append(_invalid(whole, "the document is not valid JSON or not UTF-8"))
            continue
        if value is not None:
            yield from _unwrapped(_Placed(document, "", value), 0, conditions)


def _unwrapped(item: _Placed, depth: int, conditions: list[Condition]) -> Iterator[_Placed]:
    value = item.value
    if not isinstance(value, dict):
        conditions.append(_invalid(item, "the document is not an object with apiVersion and kind"))
        return
    kind = value.get("kind")
    if not (isinstance(kind, str) and kind.endswith("List") and _is_list(value)):
        yield item
        return
    if depth == _MAX_LIST_DEPTH:
        problem = f"kind: lists are nested more than {_MAX_LIST_DEPTH} deep"
        conditions.append(_invalid(item, problem))
        return
    for number, element in enumerate(value["items"] or ()):
        inner = _Placed(
            item.document, f"{item.path}{'.' * bool(item.path)}items[{number}]", element
        )
        yield from _unwrapped(inner, depth + 1, conditions)


def _is_list(value: dict[str, Json]) -> bool:
    return "items" in value and (value["items"] is None or isinstance(value["items"], list))


def _declared_scopes(documents: Iterable[RenderedDocument]) -> dict[tuple[str, str], bool]:
    """Scopes of the kinds that CustomResourceDefinitions of the same render declare."""
    defining = [d for d in documents if b'"CustomResourceDefinition"' in d.json]
    scopes: dict[tuple[str, str], bool] = {}
    for item in _objects(defining, []):
        if item.value.get("kind") != "CustomResourceDefinition":
            continue
        spec = item.value.get("spec")
        names = spec.get("names") if isinstance(spec, dict) else None
        kind = names.get("kind") if isinstance(names, dict) else None
        if isinstance(spec, dict) and isinstance(kind, str):
            scopes[str(spec.get("group")), kind] = spec.get("scope") == "Namespaced"
    return scopes


def _manifest(
    item: _Placed, default_namespace: str, scopes: Scopes, conditions: list[Condition]
) -> Manifest:
    """The addressed object. Raises `_Invalid` and `_Unplaced`."""
    value: dict[str, Json] = item.value
    group, version, kind = _type(value)
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        raise _Invalid("metadata", "is missing" if metadata is None else "is not an object")
    name = _name(metadata)
    _check_maps(metadata)
    written = metadata.get("namespace") or ""
    if not isinstance(written, str) or (written and not _NAMESPACE.match(written)):
        raise _Invalid("metadata.namespace", f"{_shown(written)} is not a valid namespace name")
    scope = scopes(group, kind)
    if scope is False:
        namespace = ""
        if written:
            conditions.append(
                Condition(
                    "ComparisonError",
                    f"{item}: metadata.namespace of the cluster-scoped {kind} {name} is dropped; "
                    "remove it",
                    Severity.WARNING,
                )
            )
    else:
        namespace = written or default_namespace
        if scope and not namespace:
            raise _Unplaced(f"{kind} {name}")
    if namespace:
        metadata["namespace"] = namespace
    else:
        metadata.pop("namespace", None)
    try:
        body = fitting(orjson.dumps(value, option=orjson.OPT_SORT_KEYS))
    except (orjson.JSONEncodeError, TypeError):
        raise _Invalid("the object", "cannot be written as JSON") from None
    key = ResourceKey(group, kind, namespace, name)
    document = item.document
    origin = Origin(
        document.source, document.file, document.line, document.index, document.template
    )
    doubt = Unchecked(document.undecided, unknown=True) if document.undecided else None
    if "" in document.unstable:
        doubt = Unchecked("it is rendered under another name each time", existence=False)
    return Manifest(key, version, body, origin, doubt, _own_places(item, conditions))


def fitting(text: bytes) -> bytes:
    """A text of orjson's for which no more memory is held than it has bytes.

    A short one holds 4 KiB otherwise, for as long as it lives.
    """
    return bytes(memoryview(text))


def _own_places(item: _Placed, conditions: list[Condition]) -> tuple[str, ...]:
    """The unstable places of an object, which a condition names."""
    below = "".join(f"/{part}" for part in item.path.replace("[", ".").replace("]", "").split("."))
    prefix = below if item.path else ""
    document = item.document
    places = [one for one in document.unstable if not one or one.startswith(prefix)]
    if not places:
        return ()
    shown = ", ".join(place or "the whole object" for place in places[:_SHOWN_PLACES])
    more = f" and {len(places) - _SHOWN_PLACES} more" if len(places) > _SHOWN_PLACES else ""
    conditions.append(
        Condition(
            "NonDeterministicRender",
            f"{item}: the rendering is non-deterministic, {shown}{more} is another one each time: "
            "it is not told as drift, and the object is not healed; give it a value in Git",
            Severity.WARNING,
        )
    )
    return tuple(place[len(prefix) :] for place in places)


def _type(value: dict[str, Json]) -> tuple[str, str, str]:
    api_version, kind = value.get("apiVersion"), value.get("kind")
    for field, text, pattern in (
        ("apiVersion", api_version, _API_VERSION),
        ("kind", kind, _KIND),
    ):
        if text is None or text == "":
            raise _Invalid(field, "is missing")
        if not isinstance(text, str) or not pattern.match(text):
            raise _Invalid(field, f"{_shown(text)} is not valid")
    group, _, version = str(api_version).rpartition("/")
    return group, version, str(kind)


def _name(metadata: dict[str, Json]) -> str:
    name = metadata.get("name")
    if (name is None or name == "") and (generated := metadata.get("generateName")):
        if hook_of(metadata.get("annotations")) is None:
            raise _Invalid("metadata.generateName", "cannot be compared: set metadata.name")
        name = generated  # a hook is never compared; only its name has to be harmless
    if name is None or name == "":
        raise _Invalid("metadata.name", "is missing")
    if isinstance(name, (bool, int, float)):
        kind = "bool" if isinstance(name, bool) else "number"
        raise _Invalid("metadata.name", f"is a {kind}, no text; quote it")
    # A name becomes a segment of a request path: what could leave it must never get there.
    if (
        not isinstance(name, str)
        or len(name) > 253
        or name in {".", ".."}
        or any(c in "/%\\?#" or not c.isprintable() for c in name)
    ):
        raise _Invalid("metadata.name", f"{_shown(name)} is not a valid object name")
    return name


def _check_maps(metadata: dict[str, Json]) -> None:
    for field in ("annotations", "labels"):
        values = metadata.get(field)
        if values is None:
            continue
        if not isinstance(values, dict):
            raise _Invalid(f"metadata.{field}", "is not a map")
        for key, value in values.items():
            if not isinstance(value, str) and value is not None:
                raise _Invalid(f"metadata.{field}[{_shown(key)}]", "is not a string; quote it")


def _is_not_compared(
    item: _Placed, manifest: Manifest, hooks: frozenset[str], conditions: list[Condition]
) -> bool:
    annotations = item.value["metadata"].get("annotations") or {}
    hook = hook_of({name: annotations[name] for name in hooks if name in annotations})
    if hook is None:
        return is_transient_job(manifest.key, item.value)
    if hook.unknown:
        conditions.append(
            Condition(
                "ComparisonError",
                f"{item}: {manifest.key} has the hook value {_shown(', '.join(hook.unknown))}, "
                "which Argo CD does not know; it is never applied for it",
                Severity.WARNING,
            )
        )
    return True


def _shown(value: Json) -> str:
    """A short, printable form of a wrong value for a message."""
    text = value if isinstance(value, str) else type(value).__name__
    return ascii(text if len(text) <= 80 else f"{text[:79]}…")
