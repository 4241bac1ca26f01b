"""Many comparisons at once, as values that may be made in another process.

The key of a `Sealer` never travels: objects that need it are compared where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import orjson

from driftd.diff import mask
from driftd.diff.compare import Comparison, Context, compare
from driftd.diff.history import HIDDEN, History, Moment
from driftd.diff.schema import SchemaPart, SchemaSet
from driftd.model.resource import GVK, ResourceKey

LARGE: Final = 128 << 10
"""Bytes of both sides above which an object is not worth the copies."""


class Pair(msgspec.Struct, frozen=True, array_like=True):
    """The two sides of one object, as JSON, and what is known of it from earlier looks."""

    key: ResourceKey
    gvk: GVK
    desired: bytes
    live: bytes
    synced: bytes | None = None
    """The object at the revision that was synced last."""
    history: History | None = None
    moment: Moment | None = None

    def may_travel(self, context: Context) -> bool:
        """Whether it is to be compared elsewhere: if it is not large, and needs no key.

        Where it is taken to need none, and does (a server that spells JSON in its own way), its
        values are masked all the same; a baseline cannot tell them then.
        """
        sides = (self.desired, self.live, self.synced or b"")
        if sum(map(len, sides)) > LARGE:
            return False
        if context.sealer is None:
            return True
        known = self.history is not None and self.history.key_mark != HIDDEN
        return not known and not any(mask.may_be_in(self.key, side) for side in sides)

    def compared(self, schemas: SchemaSet, context: Context) -> Comparison:
        """The comparison of the two. Raises CompareError, and what a strange shape makes it."""
        return compare(
            self.key,
            orjson.loads(self.desired),
            orjson.loads(self.live),
            schemas.node(self.gvk),
            context,
            synced=orjson.loads(self.synced) if self.synced is not None else None,
            history=self.history,
            moment=self.moment,
        )


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """Pairs of one application."""

    context: Context
    """Without a sealer."""
    schemas: bytes
    """Which schemas they are compared with: the digest of a `SchemaPart`."""
    part: SchemaPart | None
    """These, if they were not given before."""
    pairs: Sequence[Pair]
    anew: bool = False
    """Whether the parts that were given before may be forgotten."""


class Beginning(msgspec.Struct, frozen=True, array_like=True):
    """What the other process is told first."""

    sensitive: tuple[str, ...]
    """The places that are hidden beside the shipped ones."""


Answer = list[Comparison | None]
"""The comparison of each pair; None where it failed: it is to be repeated, for its error."""

encode: Final = msgspec.msgpack.Encoder().encode
decode_batch: Final = msgspec.msgpack.Decoder(Batch).decode
decode_beginning: Final = msgspec.msgpack.Decoder(Beginning).decode
decode_answer: Final = msgspec.msgpack.Decoder(Answer).decode


class Batches:
    """Compares batches, and keeps the schemas that it was given."""

    def __init__(self) -> None:
        self._schemas: dict[bytes, SchemaSet] = {}

    def compared(self, batch: Batch) -> Answer:
        """The comparisons of a batch, in the order of its pairs. Raises KeyError for schemas
        that it was never given.
        """
        if batch.anew:
            self._schemas.clear()
        if batch.part is not None:
            self._schemas[batch.schemas] = SchemaSet.of_part(batch.part)
        schemas = self._schemas[batch.schemas]
        return [_tried(pair, schemas, batch.context) for pair in batch.pairs]


def _tried(pair: Pair, schemas: SchemaSet, context: Context) -> Comparison | None:
    try:
        return pair.compared(schemas, context)
    except Exception:  # noqa: BLE001 - whoever asks repeats it, and has the error then
        return None
