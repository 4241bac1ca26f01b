"""Batches of comparisons that travel to another process and back."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from driftd.diff import batch as batches
from driftd.diff.batch import Batch, Batches, Pair, decode_answer, decode_batch, encode
from driftd.diff.compare import Comparison, Context
from driftd.diff.history import Moment
from driftd.diff.schema import SchemaPart
from driftd.model.resource import GVK, ResourceKey
from tests.unit.diff.catalogue import Case, rows, schemas

MOMENT = Moment(now="2026-01-03T12:00:00Z", schema_hash="old")
CONFIG_MAP = GVK("", "v1", "ConfigMap")


def pair_of(case: Case) -> Pair:
    """The pair of a row of the catalogue."""
    gvk = GVK.parse(case.desired["apiVersion"], case.desired["kind"])
    desired, live = orjson.dumps(case.desired), orjson.dumps(case.live)
    return Pair(case.key, gvk, desired, live, desired, None, MOMENT)


def travelled(one: Batches, context: Context, *pairs: Pair) -> list[Comparison | None]:
    """The answer to a batch, both encoded and decoded on their way."""
    part = schemas().part(sorted({pair.gvk for pair in pairs}))
    body = encode(Batch(context, encode(part), part, pairs))
    return decode_answer(encode(one.compared(decode_batch(body))))


@pytest.mark.parametrize("number", range(len(rows())))
def test_a_comparison_is_the_same_elsewhere(number: int) -> None:
    """Each row of the catalogue has the same changes, history and deployers after the journey."""
    case = Case(rows()[number])
    pair = pair_of(case)
    assert travelled(Batches(), case.context, pair) == [pair.compared(schemas(), case.context)]


def config_map(name: str, data: Any) -> Pair:
    """A ConfigMap that live has as Git has it."""
    metadata = {"name": name, "namespace": "shop"}
    body = orjson.dumps(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    )
    return Pair(ResourceKey("", "ConfigMap", "shop", name), CONFIG_MAP, body, body)


def test_a_pair_that_fails_stops_no_other() -> None:
    """A body that is no JSON has no comparison; those beside it have theirs, in their order."""
    broken = Pair(ResourceKey("", "ConfigMap", "shop", "b"), CONFIG_MAP, b"{", b"{}")
    pairs = config_map("a", {"x": "1"}), broken, config_map("c", {"x": "1"})
    found = travelled(Batches(), Context(), *pairs)
    assert [one is not None and one.changes == () for one in found] == [True, False, True]


def test_schemas_are_given_once_and_forgotten_when_told() -> None:
    """A later batch needs no schemas; after `anew` those of before are asked for in vain."""
    one, pair = Batches(), config_map("a", {"x": "1"})
    part = schemas().part([CONFIG_MAP])
    empty = SchemaPart("", (), {})
    for batch in (Batch(Context(), b"1", part, [pair]), Batch(Context(), b"1", None, [pair])):
        assert None not in one.compared(batch)
    one.compared(Batch(Context(), b"2", empty, [pair], anew=True))
    with pytest.raises(KeyError):
        one.compared(Batch(Context(), b"1", None, [pair]))


def test_a_part_has_what_its_kinds_refer_to_and_no_more() -> None:
    """The part of a small kind is small, and every reference in a part is answered."""
    small = schemas().part([CONFIG_MAP])
    large = schemas().part([GVK("apps", "v1", "Deployment")])
    assert len(small.components) < len(large.components) < len(schemas()._components)
    for part in (small, large):
        text = orjson.dumps(part.components).decode()
        referred = {one.split('"')[0] for one in text.split("#/components/schemas/")[1:]}
        assert referred <= set(part.components)


def test_a_kind_without_schema_is_compared_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part leaves such a kind out, and both processes compare it with no node."""
    nodes = []
    compare = batches.compare
    monkeypatch.setattr(
        batches, "compare", lambda *args, **rest: (nodes.append(args[3]), compare(*args, **rest))[1]
    )
    gvk = GVK("example.com", "v1", "Unknown")
    body = orjson.dumps({"apiVersion": "example.com/v1", "kind": "Unknown", "metadata": {}})
    pair = Pair(ResourceKey("example.com", "Unknown", "", "x"), gvk, body, body)
    (found,) = travelled(Batches(), Context(), pair)
    assert found is not None
    assert nodes == [None]
