"""Objects that the API server refuses although their schema allows them."""

from __future__ import annotations

import pytest

from driftd.diff.refused import first
from driftd.model.resource import ResourceKey
from tests.cases.refused import Case, cases


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_table(case: Case) -> None:
    """What the API server refuses is told with what to correct; what it takes is not."""
    group = case.body["apiVersion"].rpartition("/")[0]
    key = ResourceKey(group, case.body["kind"], "", case.body["metadata"]["name"])
    found = first(case.body, key)
    if not case.told:
        assert found is None
        return
    assert found is not None
    assert found.cause == "ValidationFailed"
    assert case.told in found.message
    assert found.message.startswith("the API server refuses the object: ")
