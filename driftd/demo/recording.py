"""Recorded clusters: what real API servers answered, before and after each step of the story.

The files of `data/` are written by `python -m tests.testbed.record_demo`. Objects stand in them
as the servers listed them. Reduced are: schemas, to what the recorded kinds need and without
descriptions; lists, to the namespaces and cluster-scoped names of the example repository.
Times are relative to `EPOCH` and are moved to the present when a recording is loaded; those of
step n are n + 1 hours after `EPOCH` and are moved to the moment at which the step is played.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from driftd.clock import rfc3339
from driftd.errors import ConfigError

DATA = Path(__file__).resolve().parent / "data"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""What "now" is in the files."""
STEP = timedelta(hours=1)
"""How far apart the steps are in the files."""
_TIME_FIELDS = (
    "completionTime|creationTimestamp|kubectl.kubernetes.io/restartedAt|lastProbeTime"
    "|lastScaleTime|lastScheduleTime|lastSuccessfulTime|lastTransitionTime|lastUpdateTime"
    "|startTime|time"
)
TIME = re.compile(rf'("(?:{_TIME_FIELDS})":\s?")(\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"')
"""A time that Kubernetes or kubectl wrote into an object, in JSON."""
_REFERENCE = "#/components/schemas/"

Json = Any


@dataclass(frozen=True, slots=True)
class RecordedList:
    """One list of a whole cluster."""

    kind: str
    """Of its items."""
    api_version: str
    resource_version: str
    items: tuple[Json, ...]
    """In the server's order: by namespace and name."""


@dataclass(frozen=True, slots=True)
class State:
    """The lists of one cluster at one moment, by path (`/apis/apps/v1/deployments`)."""

    lists: Mapping[str, RecordedList]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One cluster."""

    name: str
    discovery: Mapping[str, Json]
    """Aggregated discovery by path, `/api` and `/apis`."""
    version: Json
    schemas: Mapping[str, bytes]
    """OpenAPI documents by path (`api/v1`, `apis/apps/v1`)."""
    schema_hashes: Mapping[str, str]
    namespaced: Mapping[str, bool]
    """Every served resource's list path, and whether it has namespaces."""
    forbidden: frozenset[str]
    """List paths of the kinds that the recorded user may not read."""
    before: State
    steps: Mapping[int, str]
    """What each step of the story changed in this cluster, as JSON in the files' times."""
    loaded: datetime
    """The moment that `EPOCH` was moved to."""

    def played(self, state: State, step: int, moments: Sequence[datetime]) -> State:
        """The cluster after a step; `moments` has the moment of each step until this one.

        A step that concerns another cluster leaves the state as it is.
        """
        text = self.steps.get(step)
        if text is None:
            return state
        document = orjson.loads(shifted(text, EPOCH, self.loaded, moments))
        return State(_changed(state.lists, document))


def load(now: datetime, folder: Path = DATA) -> dict[str, Recording]:
    """Every recorded cluster by name, with times as if it were recorded at `now`.

    Raises ConfigError when a file is missing or damaged.
    """
    try:
        shared = orjson.loads((folder / "shared.json").read_bytes())
        schemas = _documents(shared["schemas"])
        hashes = {path: hashlib.sha512(body).hexdigest().upper() for path, body in schemas.items()}
        found = {}
        for name in shared["clusters"]:
            document = orjson.loads((folder / f"{name}.json").read_text())
            before = shifted(orjson.dumps(document["before"]).decode(), EPOCH, now)
            found[name] = Recording(
                name=name,
                discovery=shared["discovery"],
                version=shared["version"],
                schemas=schemas,
                schema_hashes=hashes,
                namespaced=dict(_list_paths(shared["discovery"])),
                forbidden=frozenset(document["forbidden"]),
                before=State(_lists(orjson.loads(before))),
                steps={
                    int(step): orjson.dumps(change).decode()
                    for step, change in document["steps"].items()
                },
                loaded=now,
            )
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"the demonstration's recording in {folder} cannot be read: {type(error).__name__}",
            hint="reinstall driftd, or record it anew in a checkout",
        ) from error
    return found


def shifted(text: str, epoch: datetime, now: datetime, moments: Sequence[datetime] = ()) -> str:
    """JSON with its times moved from `epoch` to `now`, later ones to the moments of their steps."""
    distance = now.replace(microsecond=0) - epoch

    @cache
    def moved(time: str) -> str:
        recorded = datetime.fromisoformat(time)
        step = (recorded - epoch) // STEP
        if step >= 1:
            return rfc3339(moments[step - 1].replace(microsecond=0))
        return rfc3339(recorded + distance)

    return TIME.sub(lambda match: f'{match[1]}{moved(match[2])}"', text)


def list_path(group_version: str, plural: str) -> str:
    """Where a kind is listed in the whole cluster."""
    return f"{'/apis' if '/' in group_version else '/api'}/{group_version}/{plural}"


def references(schema: Json) -> Iterator[str]:
    """The components that a schema refers to."""
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref" and isinstance(value, str):
                yield value.removeprefix(_REFERENCE)
            else:
                yield from references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from references(value)


def reachable(components: Mapping[str, Json], roots: Iterable[str]) -> dict[str, Json]:
    """The components that `roots` need, themselves included, sorted by name."""
    found: set[str] = set()
    pending = list(roots)
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending.extend(references(components[name]))
    return {name: components[name] for name in sorted(found)}


def _documents(schemas: Json) -> dict[str, bytes]:
    head = {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": schemas["version"]}}
    return {
        path: orjson.dumps(
            head | {"paths": {}, "components": {"schemas": reachable(schemas["components"], roots)}}
        )
        for path, roots in schemas["roots"].items()
    }


def _list_paths(discovery: Mapping[str, Json]) -> Iterator[tuple[str, bool]]:
    for document in discovery.values():
        for group in document["items"]:
            name = group["metadata"].get("name", "")
            for version in group["versions"]:
                group_version = f"{name}/{version['version']}" if name else version["version"]
                for resource in version["resources"]:
                    path = list_path(group_version, resource["resource"])
                    yield path, resource["scope"] == "Namespaced"


def _lists(document: Mapping[str, Json]) -> dict[str, RecordedList]:
    return {
        path: RecordedList(
            kind=entry["kind"],
            api_version=entry["apiVersion"],
            resource_version=entry["resourceVersion"],
            items=tuple(entry["items"]),
        )
        for path, entry in document.items()
    }


def _changed(
    before: Mapping[str, RecordedList], document: Mapping[str, Json]
) -> dict[str, RecordedList]:
    """The lists after a step: recorded as the items that differ and the names that are gone."""
    after = {}
    for path, entry in before.items():
        changes = document["lists"].get(path, {})
        items = {address(item): item for item in entry.items}
        items |= {address(item): item for item in changes.get("items", ())}
        for namespace, name in changes.get("gone", ()):
            del items[namespace, name]
        after[path] = RecordedList(
            entry.kind,
            entry.api_version,
            document["resourceVersion"],
            tuple(items[key] for key in sorted(items)),
        )
    return after


def address(item: Json) -> tuple[str, str]:
    """Namespace (empty for cluster-scoped objects) and name."""
    metadata = item["metadata"]
    return metadata.get("namespace", ""), metadata["name"]
