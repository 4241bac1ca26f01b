"""Reads `argocd-cm`: its values are YAML of users, so the sandbox reads them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from driftd.errors import DriftdError
from driftd.model.application import IgnoreDifference, KnownTypeField
from driftd.model.condition import Condition, Severity
from driftd.model.tree import Tree
from driftd.policy.customizations import (
    CompareOptions,
    Customizations,
    NamedIgnore,
    ResourceFilter,
)
from driftd.render.build_options import KEY as BUILD_OPTIONS
from driftd.sandbox.pool import SandboxPool

PREFIX = "resource."
_IGNORE = "resource.customizations.ignoreDifferences."
_TYPES = "resource.customizations.knownTypeFields."
_OPTIONS = "resource.compareoptions"
_PROJECT = "argocd-cm"
_RBAC = "rbac.authorization.k8s.io"
_TEXTS = ("ignoreDifferences", "knownTypeFields")
"""Settings whose value inside the map `resource.customizations` is YAML in a string."""


async def read_customizations(config: Mapping[str, str], sandbox: SandboxPool) -> Customizations:
    """What the `resource.*` keys of `argocd-cm` say. A value that is wrong is a condition."""
    values, conditions = await _decoded(config, sandbox)
    whole = values.get("resource.customizations", {})
    nested: dict[str, str] = {}
    types: list[tuple[str, str, str, Any]] = []
    for name, entry in whole.items() if isinstance(whole, dict) else ():
        if not isinstance(entry, dict):
            continue
        for setting in _TEXTS:
            key = f"resource.customizations[{name}].{setting}"
            if isinstance(entry.get(setting), str):
                nested[key] = entry[setting]
            elif setting == "knownTypeFields" and entry.get(setting):
                types.append((key, *_slash(key), entry[setting]))
    texts, more = await _decoded(nested, sandbox)
    conditions += more
    ignore = [
        *_ignores(((key, _split(key.removeprefix(_IGNORE))), value)
                  for key, value in values.items() if key.startswith(_IGNORE)),
        *_ignores(((key, _slash(key)), value)
                  for key, value in texts.items() if key.endswith(_TEXTS[0])),
    ]  # fmt: skip
    types += [
        (key, *_split(key.removeprefix(_TYPES)), value)
        for key, value in values.items()
        if key.startswith(_TYPES)
    ]
    types += [(key, *_slash(key), value) for key, value in texts.items() if key.endswith(_TEXTS[1])]
    found = list(_options(values.get(_OPTIONS), conditions))
    for one in ignore:
        if isinstance(one, Condition):
            conditions.append(one)
        else:
            found.append(one)
    return Customizations(
        ignore=tuple(found),
        known_types=tuple(_known_types(types, conditions)),
        exclusions=_filters(values, "resource.exclusions", conditions),
        inclusions=_filters(values, "resource.inclusions", conditions),
        build_options={
            key.removeprefix(BUILD_OPTIONS).removeprefix("."): text
            for key, text in config.items()
            if key == BUILD_OPTIONS or key.startswith(f"{BUILD_OPTIONS}.")
        },
        active=True,
        conditions=tuple(conditions),
    )


async def _decoded(
    config: Mapping[str, str], sandbox: SandboxPool
) -> tuple[dict[str, Any], list[Condition]]:
    """The YAML values by key; lists travel inside a mapping, since documents are mappings."""
    wanted = {
        key: text
        for key, text in config.items()
        if key.startswith((_IGNORE, _TYPES, "resource.customizations["))
        or key
        in ("resource.customizations", "resource.exclusions", "resource.inclusions", _OPTIONS)
    }
    names = {f"{number}.yaml": key for number, key in enumerate(sorted(wanted))}
    files = {name: b"value:\n" + _indented(wanted[key]) for name, key in names.items()}
    if not files:
        return {}, []
    digest = hashlib.sha256(msgspec.json.encode(sorted(files.items()))).hexdigest()
    try:
        parsed = await sandbox.parse(Tree(digest, files), sorted(files), project=_PROJECT)
    except DriftdError as error:
        return {}, [_problem("argocd-cm", error.message)]
    values = {
        names[document.file]: msgspec.json.decode(document.object).get("value")
        for document in parsed.documents
    }
    return values, [_problem(names[one.file], one.message) for one in parsed.errors]


def _indented(text: str) -> bytes:
    return "".join(f"  {line}\n" for line in text.splitlines()).encode()


def _ignores(
    items: Iterator[tuple[tuple[str, tuple[str, str]], Any]],
) -> Iterator[NamedIgnore | Condition]:
    for (key, (group, kind)), value in items:
        try:
            rule = msgspec.convert(
                {"group": group, "kind": kind, **(value or {})}, IgnoreDifference
            )
        except (msgspec.ValidationError, TypeError) as error:
            yield _problem(key, str(error))
        else:
            yield NamedIgnore(f"argocd-cm {key}", rule)


def _options(written: Any, conditions: list[Condition]) -> Iterator[NamedIgnore]:
    """What `resource.compareoptions` ignores; that status is never compared is a condition."""
    if written is None:
        return
    if isinstance(written, dict) and written.get("ignoreResourceStatusField") is False:
        written = {**written, "ignoreResourceStatusField": "off"}  # YAML's word for it
    try:
        options = msgspec.convert(written, CompareOptions)
    except msgspec.ValidationError as error:
        conditions.append(_problem(_OPTIONS, str(error)))
        return
    if options.ignore_aggregated_roles:
        name = f"argocd-cm {_OPTIONS}.ignoreAggregatedRoles"
        rules = ("select(.aggregationRule != null) | .rules",)
        target = IgnoreDifference(group=_RBAC, kind="ClusterRole", jq_path_expressions=rules)
        yield NamedIgnore(name, target)
    if options.ignore_resource_status_field not in ("", "all"):
        text = (
            f"argocd-cm {_OPTIONS}: ignoreResourceStatusField is "
            f"{options.ignore_resource_status_field}, but driftd never compares status: the API "
            "server does not store what Git says of it"
        )
        conditions.append(Condition("StatusNotCompared", text, Severity.INFO))


def _known_types(
    written: Iterable[tuple[str, str, str, Any]], conditions: list[Condition]
) -> Iterator[KnownTypeField]:
    """The entries of all keys; a key that is wrong is a condition."""
    for key, group, kind, value in written:
        entries = value if isinstance(value, list) else [value]
        try:
            yield from [
                msgspec.convert({**entry, "group": group, "kind": kind}, KnownTypeField)
                for entry in entries
            ]
        except (msgspec.ValidationError, TypeError) as error:
            conditions.append(_problem(key, str(error)))


def _split(name: str) -> tuple[str, str]:
    """`apps_Deployment`, `ConfigMap`, `all` as globs of group and kind."""
    if name == "all":
        return "*", "*"
    group, _, kind = name.rpartition("_")
    return group, kind


def _slash(key: str) -> tuple[str, str]:
    """The group and kind in `resource.customizations[apps/Deployment].ignoreDifferences`."""
    name = key.partition("[")[2].rpartition("]")[0]
    group, _, kind = name.rpartition("/")
    return group, kind


def _filters(
    values: Mapping[str, Any], key: str, conditions: list[Condition]
) -> tuple[ResourceFilter, ...]:
    try:
        return msgspec.convert(values.get(key) or (), tuple[ResourceFilter, ...])
    except msgspec.ValidationError as error:
        conditions.append(_problem(key, str(error)))
        return ()


def _problem(key: str, text: str) -> Condition:
    return Condition("HubReadError", f"argocd-cm {key}: {text}", Severity.WARNING)
