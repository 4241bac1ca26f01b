"""What earlier looks at an object leave behind: the evidence that a single look has not.

Ownership can be forged and wiped, and a removal leaves no trace at all. A history is the small
value that a look gives to the next one: what Git has declared, who had written, and what nobody
owned. Places and values are digests, but for the few places that may have to be named again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

import msgspec
import orjson

from driftd.diff import mask, scalars
from driftd.diff.finding import ABSENT
from driftd.diff.owners import Entry, item_key, value_key
from driftd.diff.paths import Item, Path, escape
from driftd.diff.schema import Node, Scalar, Shape
from driftd.errors import StateError
from driftd.model.resource import Json, ResourceKey
from driftd.model.sensitive import Place

FORMAT: Final = 1
"""The version of the encoded form; another one is refused, never guessed at."""

PRESENT: Final = 1
"""The digest of what is held by its place alone: structs, and lists that hold some."""
HIDDEN: Final = 0
"""The digest of a secret value without a key: it says nothing, and equals every other one."""

_NESTED: Final = (dict, list)
_LONG: Final = 64
"""Characters of a text whose digest is not kept: it hardly comes again."""
_MILLI: Final = Decimal("0.001")
_PLACES: Final = 8
"""Bytes of a digest: enough that nobody finds a second value, few enough to keep many."""


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """When and against what a look is made."""

    now: str
    """RFC 3339, in UTC, as `managedFields` has its times."""
    schema_hash: str = ""
    """Of the schemas that the object was read with; another one means that the API changed."""


class EntryDigest(msgspec.Struct, frozen=True, array_like=True):
    """One entry of `managedFields`, as a look saw it."""

    manager: str
    operation: str
    subresource: str
    api_version: str
    time: str | None
    fields: int
    """The digest of its set."""


class Look(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the last look at the object saw."""

    at: str
    resource_version: str
    api_version: str
    schema_hash: str
    desired: int
    """The digest of what Git declared."""
    open: tuple[int, ...] = ()
    """Differences that a deployer could mend; without any he has no reason to write."""
    entries: tuple[EntryDigest, ...] = ()
    injected: dict[str, int] = {}
    """Extras that nobody owned and that were no drift: place to value."""
    owned: dict[int, int] = {}
    """Extras of somebody else that were no drift; they may lose their owner."""
    rewritten: dict[int, int] = {}
    """Declared values that the cluster stored otherwise."""
    untraced: tuple[int, ...] = ()
    """Differences without owners: what was there then did not come since."""
    chosen: dict[int, int] = {}
    """Values that the cluster chose: place to value."""


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """A difference that no later look could tell alone: it stays told while it is there."""

    after: str
    """The look before it."""
    before: str
    """The look that found it."""
    manager: str = ""
    """Who wrote between the two looks, if exactly one did."""
    operation: str = ""
    subresource: str = ""
    time: str | None = None
    forged: bool = False
    """Whether it was written under a deployer's name while no deployer had a reason to write."""


class History(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of an object from earlier looks."""

    uid: str
    declared: dict[int, int] = {}
    """What Git declares: place to value."""
    former: dict[str, int] = {}
    """What Git declared once and live still holds: place to value."""
    look: Look | None = None
    told: dict[str, Told] = {}
    """By kind of change and place; `vanished` for what a webhook had added."""
    key_mark: int = HIDDEN
    """Which key the values of secrets were digested with."""
    pending: str = ""
    """When a look first saw that it waits for a sync, in RFC 3339; empty while it does not."""


class _Encoded(msgspec.Struct, frozen=True, array_like=True):
    format: int
    history: msgspec.Raw


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(History)
_outer = msgspec.msgpack.Decoder(_Encoded)


def encode(history: History) -> bytes:
    """The bytes of a history, with their format."""
    return _encoder.encode(_Encoded(FORMAT, msgspec.Raw(_encoder.encode(history))))


def decode(data: bytes) -> History:
    """The history of these bytes.

    Raises:
        StateError: they are no history, or one of another format.
    """
    try:
        outer = _outer.decode(data)
        if outer.format == FORMAT:
            return _decoder.decode(outer.history)
    except msgspec.MsgspecError as error:
        raise StateError(
            "what was remembered of an object cannot be read",
            hint="the state is damaged: restore it, or remove it and look anew",
        ) from error
    raise StateError(
        f"what was remembered of an object has format {outer.format}; this driftd reads {FORMAT}",
        hint="use the driftd that wrote the state, or remove the state and look anew",
    )


def digest(text: bytes) -> int:
    """A digest that is neither `HIDDEN` nor `PRESENT`."""
    number = int.from_bytes(blake2b(text, digest_size=_PLACES).digest(), "big")
    return number if number > PRESENT else number + 2


# Objects of a kind have the same places, and their values repeat: a first look at many objects
# spends most of its time here.
@lru_cache(maxsize=8192)
def place_digest(place: str) -> int:
    """The digest of a place in managedFields notation."""
    return digest(place.encode("utf-8", "surrogatepass"))


def _value_digest(value: Json) -> int:
    """The digest of a value that is no secret."""
    kind = type(value)
    if kind is int or kind is bool or (kind is str and len(value) <= _LONG):
        return _scalar_digest(value)
    return digest(scalars.canonical(value))


@lru_cache(maxsize=8192, typed=True)
def _scalar_digest(value: str | int | bool) -> int:
    return digest(scalars.canonical(value))


def equal(one: int, other: int) -> bool:
    """Whether two digests may stand for the same value."""
    return one == other or HIDDEN in (one, other)


@lru_cache(maxsize=4)
def _mark_of(sealer: mask.Sealer) -> int:
    nobody = ResourceKey("", "", "", "")
    return digest(sealer.seal(nobody, "", "key", ABSENT, ABSENT).encode())


class Digester:
    """Makes the digests of one object's values; those of secrets need a key."""

    __slots__ = ("_is_sensitive", "_key", "_sealed", "_sealer", "_touched", "mark_of_key")

    def __init__(self, key: ResourceKey, sealer: mask.Sealer | None) -> None:
        self._key = key
        self._sealer = sealer
        self._sealed = False
        self._touched = mask.may_hold_sensitive(key)
        self._is_sensitive = mask.sensitive_names(key)
        self.mark_of_key = HIDDEN
        """Stands for the key, and gives nothing of it away."""
        if sealer is not None and self._touched:
            self.mark_of_key = _mark_of(sealer)

    @property
    def key_mark(self) -> int:
        """The mark of the key if a value was digested with it, else `HIDDEN`."""
        return self.mark_of_key if self._sealed else HIDDEN

    def value(self, place: str, names: tuple[str, ...], value: Json) -> int:
        """The digest of a value at `place`; `names` are the place's, list steps as `*`."""
        if not self._touched:
            return _value_digest(value)
        # The names alone tell cheaply of nearly all places that they are not sensitive.
        listed = self._is_sensitive(names)
        if listed and mask.is_sensitive_place(self._key, place):
            return self._secret(place, value)
        if not isinstance(value, _NESTED):
            return _value_digest(value)
        text = scalars.canonical(value)
        if listed or mask.may_be_in(self._key, text):
            hidden = self._hidden(names, value)
            text = text if hidden is value else scalars.canonical(hidden)
        return digest(text)

    def whole(self, view: Mapping[str, Any]) -> int:
        """The digest of a whole prepared object, its secret values as `value` gives them."""
        text = scalars.canonical(view)
        if self._touched and mask.may_be_in(self._key, text):
            hidden = self._hidden((), view)
            text = text if hidden is view else scalars.canonical(hidden)
        return digest(text)

    def _hidden(self, path: Place, value: Json) -> Json:
        """A copy with digests of all that is sensitive in it."""
        return mask.replaced(
            self._key,
            path,
            value,
            self._told_of,
        )

    def _told_of(self, at: Place, value: Json) -> Json:
        """What stands for a sensitive value; the names in it are no secret and stay."""
        if isinstance(value, dict):
            return {name: self._told_of((*at, name), one) for name, one in value.items()}
        return self._secret(msgspec.json.encode(at).decode(), value)

    def _secret(self, place: str, value: Json) -> int:
        if self._sealer is None:
            return HIDDEN
        self._sealed = True
        sealed = self._sealer.seal(self._key, place, "history", ABSENT, value)
        return digest(sealed.encode())


def entry_digests(entries: Iterable[Entry]) -> tuple[EntryDigest, ...]:
    """The entries as a later look compares them."""
    return tuple(
        EntryDigest(
            entry.manager,
            entry.operation,
            entry.subresource,
            entry.api_version,
            entry.time,
            digest(scalars.canonical(entry.fields)),
        )
        for entry in entries
    )


def marks(view: Mapping[str, Any], node: Node, digester: Digester) -> dict[str, int]:
    """Every place that a prepared object fills, with the digest of its value.

    Values that the schema knows several spellings of have one digest.
    """
    found: dict[str, int] = {}
    _struct_marks(view, node, "", (), digester, found)
    return found


def _struct_marks(
    value: Mapping[str, Any],
    node: Node,
    prefix: str,
    names: tuple[str, ...],
    digester: Digester,
    found: dict[str, int],
) -> None:
    for name, inner in value.items():
        kind = type(inner)
        if kind is dict or kind is list:
            place = f"{prefix}f:{escape(name)}"
            _mark(inner, node.child(name), place, (*names, name), digester, found)
        elif inner is not None:
            place = f"{prefix}f:{escape(name)}"
            plain = kind is str and node.child(name).scalar is not Scalar.QUANTITY
            told = inner if plain else _spelt(inner, node.child(name).scalar)
            found[place] = digester.value(place, (*names, name), told)


def _mark(
    value: Json,
    node: Node,
    place: str,
    names: tuple[str, ...],
    digester: Digester,
    found: dict[str, int],
) -> None:
    if not isinstance(value, _NESTED) or not value:
        found[place] = digester.value(place, names, _spelt(value, node.scalar))
    elif isinstance(value, dict):
        _struct_marks(value, node, place + "/", names, digester, found)
    elif node.shape is Shape.LIST_MAP:
        found[place] = PRESENT
        for item in value:
            key = item_key(item, node.keys, node.key_defaults) if isinstance(item, dict) else None
            if key is not None:
                inner = f"{place}/{escape(key)}"
                found[inner] = PRESENT
                _struct_marks(item, node.item, inner + "/", (*names, "*"), digester, found)
    elif node.shape is Shape.SET:
        for item in value:
            found[f"{place}/{escape(value_key(item))}"] = PRESENT
    elif any(isinstance(item, dict) for item in value):
        found[place] = PRESENT  # the server fills in the elements
    else:
        found[place] = digester.value(place, names, value)


def _spelt(value: Json, scalar: Scalar) -> Json:
    """One spelling of a scalar that the schema knows several of."""
    if scalar is Scalar.QUANTITY and isinstance(value, str | int | float):
        amount = scalars.quantity(str(value))
        if amount is None or not amount.is_finite():
            return value
        try:
            if amount % _MILLI:  # the server keeps three decimal places, rounded up
                amount = amount.quantize(_MILLI, ROUND_CEILING)
            return f"{amount.normalize():f}"
        except InvalidOperation:
            return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def located(view: Json, place: str) -> tuple[Path, int]:
    """The path of a place, and how many of its steps a decoded object has (all: it is there)."""
    at, steps, found = view, [], 0
    for segment in place.split("/"):
        text = segment.replace("~1", "/").replace("~0", "~")
        step, at = _step(at, text)
        steps.append(step)
        found += at is not ABSENT
    return tuple(steps), found


def value_at(view: Json, path: Path) -> Json:
    """The value at a path that a decoded object has, as `located` gives it."""
    for step in path:
        if isinstance(step, str):
            view = view[step]
        elif step.live_index is not None:
            view = view[step.live_index]
    return view


def _step(at: Json, segment: str) -> tuple[str | Item, Json]:
    kind, _, rest = segment.partition(":")
    if kind == "f":
        return rest, at.get(rest, ABSENT) if isinstance(at, dict) else ABSENT
    items = at if isinstance(at, list) else []
    wanted = orjson.loads(rest)
    for index, item in enumerate(items):
        same = (
            isinstance(item, dict) and all(item.get(k) == v for k, v in wanted.items())
            if kind == "k"
            else item == wanted
        )
        if same:
            return Item(segment, None, index), item
    return Item(segment, None, None), ABSENT
