"""What driftd calls a mistake in Git, a real API server drops or refuses; and nothing else is."""

from __future__ import annotations

import random
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from driftd.diff.invalid import first
from driftd.model.report import Invalid
from driftd.model.resource import GVK
from tests.property.lab import Lab, named, objects
from tests.testbed.cluster import ControlPlane

pytestmark = pytest.mark.cluster
Json = Any
Place = tuple[str | int, ...]
WRONG: tuple[Json, ...] = ("no-such-value", "12", 7, 2.5, True, {"a": "b"}, ["a"], 3_000_000_000)
"""Values of every JSON type: at most places the kind's schema allows few of them."""
TRIED = 6
"""Places of one object at which values are replaced."""


@pytest.fixture(scope="module")
def lab(api_server: ControlPlane) -> Lab:
    """A namespace for all objects of this file."""
    made = Lab(api_server, api_server.create_namespace("mistakes"))
    made.install_widgets()
    return made


def mistake(lab: Lab, body: Json) -> Invalid | None:
    """The first mistake that driftd sees in an object."""
    node = lab.node(GVK.parse(body["apiVersion"], body["kind"]))
    assert node is not None
    return first(body, node)


def created(lab: Lab, body: Json, validation: str) -> tuple[int, Json]:
    """Status and answer of a dry run that creates the object."""
    path = f"{lab.path(body)}?dryRun=All&fieldValidation={validation}"
    status, answer = lab.cluster.request("POST", path, body)
    return status, answer


def applied(lab: Lab, body: Json) -> int:
    """Status of a dry run of server-side apply."""
    path = f"{lab.path(body)}/{body['metadata']['name']}?dryRun=All&fieldManager=a&force=true"
    content = "application/apply-patch+yaml"
    return lab.cluster.request("PATCH", path, body, content_type=content)[0]


def places(value: Json, path: Place = ()) -> Iterator[Place]:
    """All places of an object that are compared."""
    members = value.items() if isinstance(value, dict) else enumerate(value)
    for step, inner in members:
        if path == () and step in ("apiVersion", "kind"):
            continue
        if path == ("metadata",) and step not in ("labels", "annotations"):
            continue
        if (*path, step) != ("metadata",):
            yield (*path, step)
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, step))


def parent(body: Json, place: Place) -> Json:
    """What holds the last step of a place."""
    for step in place[:-1]:
        body = body[step]
    return body


@pytest.mark.parametrize("base", objects(), ids=lambda one: one["kind"])
def test_valid_objects(lab: Lab, base: Json) -> None:
    """An object that the API server takes under strict validation has no mistake."""
    body = named(base, "valid")
    assert created(lab, body, "Strict")[0] == 201
    assert mistake(lab, body) is None


@pytest.mark.parametrize("base", objects(), ids=lambda one: one["kind"])
def test_values(lab: Lab, base: Json) -> None:
    """The API server refuses each object of which driftd says that it holds a wrong value."""
    chance = random.Random(base["kind"])  # noqa: S311
    every = list(places(base))
    wrong = 0
    for place in chance.sample(every, min(TRIED, len(every))):
        for value in WRONG:
            body = named(base, "values")
            parent(body, place)[place[-1]] = deepcopy(value)
            found = mistake(lab, body)
            if found is None or found.cause == "UnknownField":
                continue
            wrong += 1
            status, answer = created(lab, body, "Ignore")
            assert status >= 400, (place, value, found, answer)
    assert wrong > 0


@pytest.mark.parametrize("base", objects(), ids=lambda one: one["kind"])
def test_misspelt_fields(lab: Lab, base: Json) -> None:
    """A misspelt field is told with the right name, and the API server drops or refuses it."""
    told = 0
    for place in list(places(base)):
        name = place[-1]
        if not isinstance(name, str) or len(name) < 4:
            continue
        body = named(base, "misspelt")
        above = parent(body, place)
        slip = name[:2] + name[3:]
        above[slip] = above.pop(name)
        found = mistake(lab, body)
        if (
            found is None
            or found.cause != "UnknownField"
            or f" no field {slip}" not in found.message
        ):
            continue  # the key of a map, or what keeps all it is given
        told += 1
        assert str(found.meant).rpartition("/")[2] == name, found
        status, answer = created(lab, body, "Ignore")
        assert status >= 400 or slip not in _at(answer, place[:-1]), (place, found)
        status, answer = created(lab, body, "Strict")
        assert status >= 400, (place, found)
        assert applied(lab, body) >= 400, (place, found)
    assert told > 0


def _at(value: Json, place: Place) -> Json:
    for step in place:
        if isinstance(value, dict):
            value = value.get(str(step))
        else:
            value = value[step] if isinstance(value, list) and len(value) > int(step) else None
        if value is None:
            return ()
    return value
