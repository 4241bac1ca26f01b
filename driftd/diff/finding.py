"""What the walk finds at one place, before it becomes a published change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from driftd.diff.attribute import Attribution
from driftd.diff.owners import Entry
from driftd.diff.paths import Path
from driftd.model.report import ChangeClass, ChangeKind, Invalid
from driftd.model.resource import Json


class _Absent:
    """The type of `ABSENT`; null is a value, absence is not."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()


@dataclass(slots=True)
class Finding:
    """One difference with its owners."""

    kind: ChangeKind
    change_class: ChangeClass
    path: Path
    desired: Json = ABSENT
    live: Json = ABSENT
    owners: list[Entry] = field(default_factory=list)
    """Entries that own the live place; empty for removals and reorders, which leave no trace."""
    reason: str = ""
    renamed_from: Path | None = None
    writer: Attribution | None = None
    """Who wrote between two looks, for differences without owners."""
    between: tuple[str, str] | None = None
    """The looks before and after a difference that leaves no trace (RFC 3339)."""
    invalid: Invalid | None = None
    """What is wrong with Git's side itself; nobody has caused such a difference."""
    concealed: bool = False
    """Whether the values hold a field that may be a sensitive one under a wrong name."""
