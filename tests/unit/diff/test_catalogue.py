"""The catalogue of false positives and false negatives, row by row.

A row that a comparison shows is a case of `tests/cases/catalogue`. `ELSEWHERE` has those of which
that is not all, each with the tests that prove the rest.
"""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from driftd.model.report import UNSET
from tests.unit.diff.catalogue import Case, rows

TESTS = Path(__file__).parents[2]
ROWS = {*map(str, range(1, 103)), "79a", "80a", "80b", "80c", "80d"}
"""Every row of the catalogue."""
ELSEWHERE = {
    # What is rendered, and how its objects are addressed.
    "26": ("integration/test_unstable_charts.py::test_random_values_are_no_drift",),
    "49": ("integration/test_golden_yaml.py::test_reads_a_document",),
    "87": ("unit/render/test_manifests.py::test_the_destination_namespace_is_the_default_only",),
    "88": ("unit/render/test_manifests.py::test_invalid_objects_are_named_and_left_out",),
    "89": ("unit/render/test_manifests.py::test_lists_are_unwrapped_in_order",),
    "90": (
        "unit/render/test_manifests.py::test_the_last_duplicate_wins_with_a_condition",
        "unit/controller/test_shared.py::test_both_applications_and_files_are_named",
    ),
    # Rules that hide changes.
    "69": (
        "unit/policy/test_suppression.py::test_positions_in_lists",
        "unit/policy/test_ignore.py::test_pointer_into_the_desired_object",
    ),
    "78": (
        "unit/policy/test_ignore.py::test_manager_hides_what_it_wrote",
        "unit/policy/test_ignore_report.py::test_hidden_critical_changes_are_counted",
    ),
    # What the cluster serves, and whether it can be seen.
    "81": (
        "e2e/test_bad_manifests.py::test_unserved",
        "unit/controller/test_verdict.py::test_another_version_is_served",
    ),
    "84": (
        "unit/controller/test_observed.py::test_known_schemas_are_not_read_again",
        "unit/controller/test_observed.py::test_an_upgraded_server_is_judged_by_its_own_defaults",
    ),
    "85": ("unit/controller/test_verdict.py::test_a_definition_declared_beside_its_objects",),
    "91": ("unit/controller/test_verdict.py::test_not_extra",),
    "92": (
        "e2e/test_bad_input.py::test_one_group_does_not_answer",
        "unit/controller/test_verdict.py::test_discovery_of_a_group_failed",
    ),
    "93": ("unit/cluster/test_watch.py::test_an_expired_version_lists_anew",),
    "100": ("e2e/test_bad_manifests.py::test_unserved",),
    # What an apply would do.
    "77": ("unit/sync/test_plan.py::test_replicas_that_git_leaves_out_from_now_on",),
    # Dry runs, which only oracles make, and what servers answer.
    "96": (
        "unit/controller/test_oracles.py::test_a_refusal_is_a_warning",
        "property/test_oracles.py::test_the_others_find_everything",
    ),
    "97": (
        "unit/controller/test_oracles.py::test_a_refusal_is_a_warning",
        "e2e/test_oracle.py::test_a_refusal_leaves_the_verdict_as_it_is",
    ),
    "101": (
        "unit/cluster/test_writer.py::test_refused_secret_quotes_nothing",
        "unit/cluster/test_transport.py::test_refusals_quote_no_sensitive_value",
    ),
}
"""Rows of more than a comparison, with the tests below `tests/` that prove them."""


def _names() -> list[str]:
    seen: Counter[str] = Counter()
    names = []
    for row in rows():
        seen[row["row"]] += 1
        names.append(f"{row['row']}.{seen[row['row']]} {row['what']}")
    return names


@pytest.mark.parametrize("row", rows(), ids=_names())
def test_row(row: dict[str, Any]) -> None:
    """Exactly the expected changes, with class, path and, where the row says so, manager."""
    case = Case(row)
    found = case.changes()
    told = [[str(c.kind), str(c.change_class), c.path] for c in found]
    assert told == [expected[:3] for expected in row["expect"]]
    for change, expected in zip(found, row["expect"], strict=True):
        if len(expected) > 3:
            named = "none" if change.manager is UNSET else change.manager
            assert named == expected[3], change.path


def test_every_row_is_covered() -> None:
    """A row has a case here, or tests elsewhere, or both."""
    cases = {row["row"] for row in rows()}
    assert cases | ELSEWHERE.keys() == ROWS


@pytest.mark.parametrize("row", ELSEWHERE)
def test_rows_of_other_places(row: str) -> None:
    """The tests that prove a row elsewhere are there."""
    for named in ELSEWHERE[row]:
        file, _, name = named.partition("::")
        tree = ast.parse((TESTS / file).read_text("utf-8"))
        functions = {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert name in functions, named
