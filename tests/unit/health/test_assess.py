"""Objects of the table are as it says, whatever shape they have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from driftd.health import HealthStatus, assess
from driftd.health.assess import _KINDS

TABLE = yaml.load((Path(__file__).parent / "objects.yaml").read_text(), yaml.CSafeLoader)


def laid(base: Any, over: Any) -> Any:
    """`over` laid over `base`; None removes."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    names = [*base, *(name for name in over if name not in base)]
    found = {
        name: laid(base.get(name), over[name]) if name in over else base[name] for name in names
    }
    return {name: value for name, value in found.items() if value is not None}


def cases() -> Iterator[Any]:
    """Every case of the table with its object."""
    for entry in TABLE:
        for name, case in entry["cases"].items():
            body = laid(entry["base"], case.get("with", {}))
            yield pytest.param(body, case, id=f"{entry['base']['kind']}: {name}")


@pytest.mark.parametrize(("body", "case"), list(cases()))
def test_an_object_is_as_the_table_says(body: dict[str, Any], case: dict[str, str]) -> None:
    """Status, and the words that say why."""
    found = assess(body)
    assert found.status == case["is"], found
    assert case.get("says", "") in found.message


def test_the_table_has_every_kind_that_has_a_check_of_its_own() -> None:
    """No check is without a healthy object and one that is not."""
    told: dict[str, set[str]] = {}
    for entry in TABLE:
        kind = told.setdefault(entry["base"]["kind"], set())
        kind.update(case["is"] for case in entry["cases"].values())
    for _, kind in _KINDS:
        assert "Healthy" in told[kind]
        assert told[kind] - {"Healthy"}


def test_what_is_not_there_is_missing() -> None:
    """No object is no healthy object."""
    assert assess(None).status is HealthStatus.MISSING


def test_the_order_of_statuses_is_that_of_argo_cd() -> None:
    """From the best to the worst."""
    ordered = sorted(HealthStatus, key=lambda one: one.rank)
    told = ["Healthy", "Suspended", "Progressing", "Missing", "Degraded", "Unknown"]
    assert [one.value for one in ordered] == told


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 5) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["conditions", "type", "status", "reason", "replicas", "phase",
                 "observedGeneration", "containerStatuses", "state", "terminated", "waiting",
                 "loadBalancer", "ingress"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)  # fmt: skip


@given(kind=st.sampled_from(sorted(_KINDS)), metadata=_ANY, spec=_ANY, status=_ANY)
def test_no_object_of_any_shape_is_an_error(
    kind: tuple[str, str], metadata: Any, spec: Any, status: Any
) -> None:
    """What nobody vouches for is assessed too."""
    group, name = kind
    version = f"{group}/v1" if group else "v1"
    body = {"apiVersion": version, "kind": name, "metadata": metadata, "spec": spec}
    assert assess({**body, "status": status}).status in HealthStatus
