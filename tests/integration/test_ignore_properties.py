"""What ignore rules mean, over all cases of the catalogue: pointers and jq say the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from msgspec import UNSET

from driftd.controller.ignoring import Ignoring
from driftd.diff.compare import compare
from driftd.model.application import Application, ApplicationSpec
from driftd.model.report import Change, ChangeKind, ResourceReport, ResourceStatus
from driftd.model.resource import LiveObject, Manifest, Origin
from driftd.policy.ignore import rules_of, tokens
from driftd.policy.removal import has
from driftd.sandbox.pool import SandboxPool
from tests.unit.diff.catalogue import Case, rows, value_at


def changed() -> list[Any]:
    """The rows whose objects differ."""
    return [row for row in rows() if row["expect"]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[SandboxPool]:
    """One pool with the real worker for all rows."""
    async with SandboxPool(size=1) as pool:
        yield pool


class Looked:
    """A row's object with its changes, to be judged under rules."""

    def __init__(self, row: Any, sandbox: SandboxPool) -> None:
        case = Case(row)
        self.changes = compare(case.key, case.desired, case.live, case.node, case.context).changes
        self._case, self._sandbox = case, sandbox

    def is_taken(self, change: Change, place: tuple[str, ...]) -> bool:
        """Whether Git has another item at the position that an added one has in the cluster."""
        if change.kind is not ChangeKind.ADDED or change.desired_path is not UNSET:
            return False
        above = "".join(f"/{token}" for token in _escaped(place[:-1]))
        return isinstance(value_at(self._case.live, above), list) and has(self._case.desired, place)

    async def under(self, **rule: Any) -> tuple[Change, ...]:
        """The changes under one rule for the object."""
        key = self._case.key
        entry = {"group": key.group, "kind": key.kind, **rule}
        spec = msgspec.convert({"ignoreDifferences": [entry]}, ApplicationSpec)
        rules = rules_of(Application(name="a", namespace="argocd", spec=spec))
        desired = Manifest(key, "v1", msgspec.json.encode(self._case.desired), Origin(0, ""))
        live = LiveObject(key, "v1", "u", "1", msgspec.json.encode(self._case.live))
        resource = ResourceReport(
            group=key.group,
            version="v1",
            kind=key.kind,
            namespace=key.namespace,
            name=key.name,
            status=ResourceStatus.OUT_OF_SYNC,
        )
        ignoring = Ignoring(rules, self._sandbox, "a")
        found = await ignoring.apply(resource, self.changes, desired, live)
        assert ignoring.found.failures == {}
        return found


def hidden(changes: tuple[Change, ...]) -> set[str]:
    """The paths of the changes that are ignored."""
    return {one.path for one in changes if one.ignored_by is not UNSET}


def expression(path: tuple[str, ...], value: Any) -> str:
    """The jq path of a place in a value, which says what is a list."""
    text = "."
    for token in path:
        listed = isinstance(value, list)
        text += f"[{token}]" if listed else f"[{msgspec.json.encode(token).decode()}]"
        value = value[int(token)] if listed else (value or {}).get(token)
    return text


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("row", changed(), ids=lambda row: f"{row['row']} {row['what']}"[:70])
async def test_every_prefix_hides_the_change(row: Any, sandbox: SandboxPool) -> None:
    """A pointer and an expression for a place or one above hide a change there; one beside none."""
    looked = Looked(row, sandbox)
    for change in looked.changes:
        missing = change.kind is ChangeKind.MISSING
        written = change.path if missing else change.desired_path
        place = tokens(written if isinstance(written, str) else change.path)
        live = tokens(change.path)
        side = looked._case.desired if missing else looked._case.live
        pointers = ["/" + "/".join(_escaped(place[:end])) for end in range(1, len(place) + 1)]
        for end, pointer in enumerate(pointers, start=1):
            found = change.path in hidden(await looked.under(jsonPointers=[pointer]))
            taken = end == len(place) and looked.is_taken(change, place)
            assert found is not taken, pointer
        paths = [expression(live[:end], side) for end in range(1, len(live) + 1)]
        for path in paths:
            assert change.path in hidden(await looked.under(jqPathExpressions=[path])), path
        for beside in (pointers[-1] + "x", pointers[-1] + "/x~0y"):
            assert hidden(await looked.under(jsonPointers=[beside])) == set(), beside


def _escaped(place: tuple[str, ...]) -> list[str]:
    return [token.replace("~", "~0").replace("/", "~1") for token in place]
