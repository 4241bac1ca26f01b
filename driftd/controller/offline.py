"""Compare manifests with live objects that were saved to files: no cluster, no repository."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import msgspec
import orjson
from msgspec import UNSET

from driftd.controller.judge import rated
from driftd.diff.compare import Context, compare
from driftd.diff.schema import SchemaSet
from driftd.errors import CompareError, ConfigError
from driftd.model.condition import Severity
from driftd.model.report import (
    DiffReport,
    Evidence,
    ReportCondition,
    ResourceReport,
    ResourceStatus,
)
from driftd.model.resource import GVK, ResourceKey
from driftd.model.severities import SeverityRules
from driftd.model.tree import Tree

_INVALID = "InvalidObject"
_NO_OWNERS = (
    "live has no managedFields, so that fields set by somebody cannot be told from defaults; "
    "save it with --show-managed-fields, or use --mode strict"
)
_SCHEMA_HINT = (
    "give an OpenAPI v3 document (kubectl get --raw /openapi/v3/apis/GROUP/VERSION) "
    "or a CustomResourceDefinition"
)


class Parser(Protocol):
    """The one thing needed of the sandbox."""

    async def parse(self, tree: Tree, paths: Sequence[str], *, project: str) -> Any:
        """The documents of YAML and JSON files."""
        ...


class _Object(msgspec.Struct, frozen=True):
    key: ResourceKey
    version: str
    body: dict[str, Any]

    @property
    def gvk(self) -> GVK:
        return GVK(self.key.group, self.version, self.key.kind)


async def compare_files(
    *,
    desired: Path,
    live: Path,
    schemas: Sequence[Path],
    mode: str,
    sandbox: Parser,
    severities: SeverityRules | None = None,
) -> DiffReport:
    """Compare the manifests of `desired` with the objects of `live`.

    `schemas` are OpenAPI v3 documents or CustomResourceDefinitions. `mode` is `managed` or
    `strict`: there, every extra live field and object counts. A document of the two sides that
    does not parse is a condition, the others are compared. `severities` are an operator's rules
    above the shipped ones.

    Raises ConfigError for files that cannot be read and for schemas that are none, and
    SandboxError where nothing can be parsed.
    """
    conditions: list[ReportCondition] = []
    documents = []
    for path in schemas:
        found, problems = await _read(path, sandbox, served=True)
        if problems:
            raise ConfigError(problems[0].message, hint=_SCHEMA_HINT)
        documents += [_openapi(path, document) for document in found]
    wanted, problems = await _read(desired, sandbox, served=False)
    conditions += problems
    observed, problems = await _read(live, sandbox, served=True)
    conditions += problems
    return compare_objects(
        wanted,
        observed,
        SchemaSet(documents),
        mode=mode,
        conditions=tuple(conditions),
        severities=severities,
    )


def compare_objects(
    desired: Iterable[Any],
    live: Iterable[Any],
    schemas: SchemaSet,
    *,
    mode: str,
    conditions: Iterable[ReportCondition] = (),
    severities: SeverityRules | None = None,
) -> DiffReport:
    """Compare decoded documents; Lists are unpacked, the last duplicate counts.

    `conditions` are what was wrong before; the report holds them too.
    """
    conditions = list(conditions)
    wanted = _by_key(desired, "desired", conditions)
    observed = _by_key(live, "live", conditions)
    if not wanted:
        # Nothing compared must not read as nothing drifted.
        message = "no object among the desired manifests; name a file that holds some"
        conditions.append(ReportCondition(type=_INVALID, message=message))
    valid = all(condition.type != _INVALID for condition in conditions)
    same_name = defaultdict(list)
    for key in observed:
        same_name[key.group, key.kind, key.name].append(key)
    strict = mode == "strict"
    resources, paired, undescribed = [], set(), set()
    for key, item in wanted.items():
        candidates = [key] if key in observed else []
        if not key.namespace and not candidates:
            # A manifest without namespace takes the destination's, which only the cluster knows.
            candidates = same_name[key.group, key.kind, key.name]
        paired.update(candidates)
        if len(candidates) != 1:
            resources.append(_unpaired(item, candidates))
            continue
        if schemas.node(item.gvk) is None:
            undescribed.add(f"{item.gvk.api_version} {item.key.kind}")
        resources.append(_compared(item, observed[candidates[0]], schemas, strict=strict))
    resources += [
        _undesired(item, strict=strict) for key, item in observed.items() if key not in paired
    ]
    if undescribed:
        conditions.append(_no_schema(undescribed))
    unknown = any(resource.status is ResourceStatus.UNKNOWN for resource in resources)
    blind = any(resource.reason == _NO_OWNERS for resource in resources)
    return DiffReport(
        complete=valid and not unknown and not blind,
        resources=tuple(rated(resource, severities) for resource in resources),
        conditions=tuple(conditions),
    )


def _compared(
    item: _Object, observed: _Object, schemas: SchemaSet, *, strict: bool
) -> ResourceReport:
    if item.version != observed.version:
        return _report(
            observed,
            ResourceStatus.UNKNOWN,
            f"Git declares {item.gvk.api_version}, live was saved as {observed.gvk.api_version}; "
            f"save it as kubectl get {item.key.kind.lower()}.{item.version}.{item.key.group}",
        )
    context = Context(strict=strict)
    node = schemas.node(item.gvk)
    try:
        changes = compare(observed.key, item.body, observed.body, node, context).changes
    except CompareError as error:
        return _report(observed, ResourceStatus.UNKNOWN, error.message)
    drift = any(change.is_drift for change in changes)
    blind = not strict and not (observed.body.get("metadata") or {}).get("managedFields")
    if blind and not drift:
        return _report(observed, ResourceStatus.UNKNOWN, _NO_OWNERS, changes=changes)
    status = ResourceStatus.OUT_OF_SYNC if drift else ResourceStatus.SYNCED
    return _report(observed, status, _NO_OWNERS if blind else "", changes=changes)


def _unpaired(item: _Object, candidates: Sequence[ResourceKey]) -> ResourceReport:
    if not candidates:
        return _report(item, ResourceStatus.MISSING, "")
    namespaces = ", ".join(sorted(key.namespace for key in candidates))
    return _report(
        item,
        ResourceStatus.UNKNOWN,
        f"live has it in several namespaces ({namespaces}); set metadata.namespace in the manifest",
    )


def _undesired(item: _Object, *, strict: bool) -> ResourceReport:
    if strict:
        return _report(item, ResourceStatus.EXTRA, "")
    return _report(item, ResourceStatus.NOT_CHECKED, "not among the desired manifests")


def _report(
    item: _Object, status: ResourceStatus, reason: str, *, changes: tuple[Any, ...] = ()
) -> ResourceReport:
    metadata = item.body.get("metadata") or {}
    return ResourceReport(
        group=item.key.group,
        version=item.version,
        kind=item.key.kind,
        namespace=item.key.namespace,
        name=item.key.name,
        status=status,
        reason=reason or UNSET,
        evidence=Evidence(
            resource_version=metadata.get("resourceVersion", UNSET), uid=metadata.get("uid", UNSET)
        ),
        changes=changes,
    )


def _by_key(
    documents: Iterable[Any], side: str, conditions: list[ReportCondition]
) -> dict[ResourceKey, _Object]:
    found: dict[ResourceKey, _Object] = {}
    for number, document in enumerate(_unpacked(documents), start=1):
        item = _addressed(document)
        if item is None:
            message = f"{side} object {number} has no apiVersion, kind or metadata.name; correct it"
            conditions.append(ReportCondition(type=_INVALID, message=message))
            continue
        if item.key in found:
            message = f"{item.key} occurs more than once among the {side} objects; the last counts"
            conditions.append(
                ReportCondition(
                    type="RepeatedResourceWarning", message=message, severity=Severity.WARNING
                )
            )
        found[item.key] = item
    return found


def _unpacked(documents: Iterable[Any]) -> Iterator[Any]:
    for document in documents:
        items = document.get("items") if isinstance(document, dict) else None
        if isinstance(items, list) and str(document.get("kind", "")).endswith("List"):
            yield from items
        elif document is not None:
            yield document


def _addressed(document: Any) -> _Object | None:
    if not isinstance(document, dict):
        return None
    metadata = document.get("metadata")
    if not isinstance(metadata, dict):
        return None
    version, kind, name = document.get("apiVersion"), document.get("kind"), metadata.get("name")
    namespace = metadata.get("namespace") or ""
    texts = (version, kind, name, namespace)
    if not all(isinstance(text, str) for text in texts) or not (version and kind and name):
        return None
    gvk = GVK.parse(str(version), str(kind))
    key = ResourceKey(gvk.group, gvk.kind, str(namespace), str(name))
    return _Object(key, gvk.version, document)


def _openapi(path: Path, document: dict[str, Any]) -> dict[str, Any]:
    """An OpenAPI v3 document; a CustomResourceDefinition becomes one with a schema per version."""
    if document.get("kind") == "CustomResourceDefinition":
        return _of_definition(document)
    if "schemas" not in (document.get("components") or {}):
        raise ConfigError(f"{path}: no schema in it", hint=_SCHEMA_HINT)
    return document


def _of_definition(document: dict[str, Any]) -> dict[str, Any]:
    spec = document.get("spec") or {}
    group, kind = spec.get("group", ""), (spec.get("names") or {}).get("kind", "")
    schemas = {}
    for version in spec.get("versions") or ():
        schema: Mapping[str, Any] = (version.get("schema") or {}).get("openAPIV3Schema") or {}
        gvk = {"group": group, "version": version.get("name", ""), "kind": kind}
        # As the API server publishes it: every kind has metadata, whatever its schema lists.
        schemas[f"{group}.{version.get('name')}.{kind}"] = {
            **schema,
            "properties": {"metadata": {"type": "object"}, **(schema.get("properties") or {})},
            "x-kubernetes-group-version-kind": [gvk],
        }
    return {"components": {"schemas": schemas}}


async def _read(
    path: Path, sandbox: Parser, *, served: bool
) -> tuple[list[Any], list[ReportCondition]]:
    """The documents of a file and what could not be parsed."""
    content = _content(path)
    if served and content[:1] == b"{":
        # What an API server writes is JSON and may exceed the sandbox's bounds for one object.
        with suppress(orjson.JSONDecodeError):
            return [orjson.loads(content)], []
    name = path.name
    # Two files may hold the same bytes, and a worker knows a tree by its id.
    digest = hashlib.sha256(f"{name}\0".encode() + content).hexdigest()
    tree = Tree(id=digest, files={name: content})
    parsed = await sandbox.parse(tree, (name,), project="")
    problems = [_problem(path, _INVALID, problem) for problem in parsed.errors]
    problems += [
        _problem(path, "InvalidObjectWarning", problem, Severity.WARNING)
        for problem in parsed.warnings
    ]
    return [orjson.loads(bytes(document.object)) for document in parsed.documents], problems


def _problem(
    path: Path, type_: str, problem: Any, severity: Severity = Severity.ERROR
) -> ReportCondition:
    message = f"{_shown(path)}: document {problem.index + 1}: {problem.message}"
    return ReportCondition(type=type_, message=message, severity=severity)


def _shown(path: Path) -> str:
    """A file's name as a person gave it: standard input is given as a dash."""
    return "standard input" if path == Path("/dev/stdin") else str(path)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{_shown(path)}: {error.strerror or 'cannot be read'}", hint="name a readable file"
        ) from error


def _no_schema(kinds: Iterable[str]) -> ReportCondition:
    return ReportCondition(
        type="SchemaMissing",
        severity=Severity.WARNING,
        message=f"no schema for {', '.join(sorted(kinds))}: what the API server fills in by itself "
        "counts as drift, list items are matched as managedFields names them, and other spellings "
        "of a quantity or time count as different; give one by --schema "
        "(kubectl get --raw /openapi/v3/apis/GROUP/VERSION)",
    )
