"""The catalogue of false positives and false negatives, row by row.

Rows of other places: 45 and 48 (invalid manifests), 49 (YAML, in the sandbox), 66 and 68 (servers
before 1.28, Endpoints), 69 and 78 (ignore rules), 77 (healing), 80c and 81 (other versions), 84,
85, 92, 93 and 102 (schemas and reading), 87 to 91 (identity), 96 to 101 (dry runs, history), 26
(rendering twice).
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from driftd.diff.compare import compare
from driftd.model.report import UNSET
from tests.unit.diff.catalogue import Case, rows

COVERED = {
    *map(str, range(1, 26)),
    *map(str, range(27, 45)), "46", "47", *map(str, range(50, 66)), "67",
    *map(str, range(70, 77)), "79", "79a", "80", "80a", "80b", "80d", "82", "83", "86", "94", "95",
}  # fmt: skip


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
    found = compare(case.key, case.desired, case.live, case.node, case.context).changes
    told = [[str(c.kind), str(c.change_class), c.path] for c in found]
    assert told == [expected[:3] for expected in row["expect"]]
    for change, expected in zip(found, row["expect"], strict=True):
        if len(expected) > 3:
            named = "none" if change.manager is UNSET else change.manager
            assert named == expected[3], change.path


def test_rows_are_covered() -> None:
    """Every row that two objects and a schema can show has a case."""
    assert {row["row"] for row in rows()} == COVERED
