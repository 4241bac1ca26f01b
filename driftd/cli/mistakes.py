"""Changes that are mistakes in Git: what formats say in place of an author."""

from __future__ import annotations

from msgspec import UNSET

from driftd.cli import values
from driftd.cli.terminal import printable
from driftd.model.report import Change

NO_SUCH_FIELD = "(no such field)"
ABSENT = frozenset({values.NOT_IN_GIT, values.NOT_IN_CLUSTER, NO_SUCH_FIELD})
"""What stands where a side has no value."""


def mistake_of(change: Change) -> str:
    """What is wrong with Git's side of a change, and what was probably meant; empty if nothing."""
    return "" if change.invalid is UNSET else printable(change.invalid.message)


def difference(
    change: Change, *, width: int, max_lines: int, rows: int = 1
) -> values.Pair | values.LineDiff | values.Concealed:
    """As `values.difference`; of a field that the kind does not have, that it has none."""
    found = values.difference(*values.sides_of(change), width=width, max_lines=max_lines, rows=rows)
    if isinstance(found, values.Pair) and lacks_field(change):
        return values.Pair(found.git, NO_SUCH_FIELD, found.note)
    return found


def lacks_field(change: Change) -> bool:
    """Whether the kind has no field at just the place of a change."""
    wrong = change.invalid
    if wrong is UNSET or wrong.cause != "UnknownField" or change.live is not UNSET:
        return False
    return wrong.path == (change.path if change.desired_path is UNSET else change.desired_path)
