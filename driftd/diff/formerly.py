"""What Git declared at earlier looks: what it has removed is drift while live holds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from driftd.diff.history import (
    PRESENT,
    Digester,
    History,
    equal,
    located,
    marks,
    place_digest,
    value_at,
)
from driftd.diff.paths import Path, names, ssa_path
from driftd.diff.schema import Node
from driftd.model.resource import Json


class Formerly:
    """The declared places of one object: those of now, and those of before that are still live."""

    __slots__ = ("_digester", "_known", "_raw", "before", "declared", "former")

    def __init__(
        self, history: History | None, live: Mapping[str, Any], digester: Digester
    ) -> None:
        self._digester = digester
        self._known = history is not None
        self._raw = live
        self.before: Mapping[int, int] = history.declared if history else {}
        """What Git declared at the last look."""
        self.declared = self.before
        """What it declares now."""
        self.former = {
            place: value
            for place, value in (history.former if history else {}).items()
            if self._holds(place, value)
        }
        """What it declared once and live still holds as it was declared."""

    def take(
        self,
        wanted: Mapping[str, Any],
        view: Mapping[str, Any],
        node: Node,
        sent: Callable[[], Mapping[str, Any] | None] | None,
    ) -> None:
        """Take in what Git declares since it moved, beside live's view.

        Where nothing is known yet, `sent` gives what stands for Git's former word.
        """
        now = marks(wanted, node, self._digester)
        declared = {place_digest(place): value for place, value in now.items()}
        before = self.before
        if not self._known and sent is not None:
            applied = marks(sent() or {}, node, self._digester)
            before = {place_digest(place): value for place, value in applied.items()}
        gone = {place: value for place, value in before.items() if place not in declared}
        if gone:
            for place, value in marks(view, node, self._digester).items():
                old = gone.get(place_digest(place))
                if old is not None and equal(old, value):
                    self.former[place] = PRESENT if value == PRESENT else self._value_at(place)
        self.former = {place: value for place, value in self.former.items() if place not in now}
        self.declared = declared

    def was_declared(self, path: Path, live: Json) -> bool:
        """Whether Git declared the place once, with the value that live still holds."""
        if not self.former:
            return False
        place = ssa_path(path)
        value = self.former.get(place)
        if value is None:
            return False
        return value == PRESENT or equal(value, self._digester.value(place, names(path), live))

    def stayed(self, place: str) -> bool:
        """Whether Git declares the place as it did at the last look."""
        at = place_digest(place)
        old = self.before.get(at)
        return old is not None and old == self.declared.get(at)

    def _value_at(self, place: str) -> int:
        path, _ = located(self._raw, place)
        return self._digester.value(place, names(path), value_at(self._raw, path))

    def _holds(self, place: str, value: int) -> bool:
        path, found = located(self._raw, place)
        return found == len(path) and (value == PRESENT or equal(value, self._value_at(place)))
