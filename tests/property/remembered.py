"""Looks at one object of a real API server, each knowing what the last one left behind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from driftd.clock import rfc3339
from driftd.diff.compare import Comparison, Context, compare
from driftd.diff.history import History, Moment, decode, encode
from driftd.model.report import Change
from driftd.model.resource import GVK, ResourceKey
from tests.property.lab import Lab

Json = Any


class Remembered:
    """Looks at an object an hour apart; history passes from look to look as bytes."""

    def __init__(self, lab: Lab, **context: Any) -> None:
        self.lab = lab
        self.context = Context(**context)
        self.history: bytes | None = None
        self._at = datetime.now(UTC)

    def look(self, desired: Json, *, schema_hash: str = "s") -> Comparison:
        """What a look with history finds; the next one gets what it leaves."""
        self._at += timedelta(hours=1)
        moment = Moment(now=rfc3339(self._at), schema_hash=schema_hash)
        history = decode(self.history) if self.history is not None else None
        found = self._compare(desired, history, moment)
        assert found.history is not None
        self.history = encode(found.history)
        return found

    def alone(self, desired: Json) -> tuple[Change, ...]:
        """What a look without any history finds."""
        return self._compare(desired, None, None).changes

    @property
    def left(self) -> History:
        """What the last look left behind."""
        assert self.history is not None
        return decode(self.history)

    def _compare(self, desired: Json, history: History | None, moment: Moment | None) -> Comparison:
        live = self.lab.live(desired)
        gvk = GVK.parse(desired["apiVersion"], desired["kind"])
        metadata = live["metadata"]
        key = ResourceKey(gvk.group, gvk.kind, metadata.get("namespace", ""), metadata["name"])
        return compare(
            key, desired, live, self.lab.node(gvk), self.context, history=history, moment=moment
        )


def told(changes: tuple[Change, ...]) -> list[tuple[str, str, str]]:
    """Kind, class and path of every change."""
    return [(str(c.kind), str(c.change_class), c.path) for c in changes]
