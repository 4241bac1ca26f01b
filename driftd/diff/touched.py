"""What a request's body does to one place of its object, as far as the body alone can tell.

An audit log at level Request has bodies, but not their content type: a list is a JSON patch, any
other body of a PATCH may be a merge patch, a strategic one or an apply configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final

import msgspec
import orjson
from msgspec import UNSET

from driftd.diff import scalars
from driftd.model.report import Change, ChangeKind, is_masked
from driftd.model.resource import Json


class Touch(Enum):
    """What a write does to a place."""

    NOTHING = "nothing"
    MAYBE = "maybe"
    """The body is not known, or can be read in several ways."""
    AS_LIVE = "as live"
    """It leaves the place as it is now."""
    OTHERWISE = "otherwise"
    """It leaves the place unlike it is now: whoever made it so came later."""
    REPLACED = "replaced"
    """A patch of just this place, and not to what is there now: the server made something else
    of it, or whoever made it so came later."""


_REMOVED: Final = object()
_DIRECTIVE: Final = "$patch"
_LONGEST_QUANTITY: Final = 64
_ACCOUNT: Final = "f:serviceAccountName"
_ACCOUNT_ALIAS: Final = "f:serviceAccount"
"""The deprecated name of the field above, which the API server keeps equal."""


class Place(msgspec.Struct, frozen=True):
    """Where a change is, and what live has there."""

    segments: tuple[str, ...]
    """In managedFields notation: `f:NAME`, `k:{...}`, `v:...`, `i:N`."""
    pointer: tuple[str, ...]
    """The tokens of the JSON pointer: positions of list items are only those of now."""
    kind: ChangeKind
    live: Json
    """UNSET where live has nothing."""
    known: bool
    """Whether `live` is the value itself, and not masked."""
    desired: Json = None
    """What Git declares there, if that is no secret; UNSET where it declares nothing."""

    @classmethod
    def of(cls, change: Change) -> Place:
        """The place of a published change."""
        path = change.ssa_path if isinstance(change.ssa_path, str) else ""
        masked = is_masked(change.live)
        return cls(
            segments=tuple(_plain(part) for part in path.split("/")) if path else (),
            pointer=tuple(_plain(part) for part in change.path.split("/")[1:]),
            kind=change.kind,
            live=change.live,
            known=not masked,
            desired=None if is_masked(change.desired) else change.desired,
        )

    @property
    def gone(self) -> bool:
        """Whether live lacks what the change is about."""
        return self.kind is ChangeKind.MISSING


def _plain(token: str) -> str:
    return token.replace("~1", "/").replace("~0", "~")


def touch(
    place: Place, verb: str, body: bytes, *, scaled: bool = False, converted: bool = False
) -> Touch:
    """What a request does to `place`.

    `scaled` if it went through `/scale`, `converted` if through another version of the API: what
    is elsewhere there may be the place.
    """
    if not body:
        return Touch.MAYBE
    try:
        value = orjson.loads(body)
        found = _does(place, verb, value, scaled=scaled)
        if place.segments[-1:] == (_ACCOUNT,) and found is not Touch.AS_LIVE:
            alias = msgspec.structs.replace(place, segments=(*place.segments[:-1], _ACCOUNT_ALIAS))
            if _does(alias, verb, value, scaled=scaled) is Touch.AS_LIVE:
                return Touch.AS_LIVE
    except (ValueError, RecursionError):
        return Touch.MAYBE
    if found is Touch.REPLACED and verb != "patch":
        found = Touch.OTHERWISE  # a whole object repeats what was there
    # Fields have other names at another version, and some are annotations there.
    return Touch.MAYBE if converted and not _is_about_metadata(value) else found


def _is_about_metadata(value: Json) -> bool:
    """Whether a patch speaks of metadata alone, annotations left out."""
    if isinstance(value, list):
        paths = [str(one.get("path", "")) if isinstance(one, dict) else "" for one in value]
        return all(
            path.startswith("/metadata/") and not path.startswith("/metadata/annotations")
            for path in paths
        )
    if not isinstance(value, dict) or value.keys() - {"metadata"}:
        return False
    return isinstance(value["metadata"], dict) and "annotations" not in value["metadata"]


def _does(place: Place, verb: str, value: Json, *, scaled: bool) -> Touch:
    if isinstance(value, dict) and "@type" in value and isinstance(value.get("value"), list):
        value = value["value"]  # how Google's entries hold a JSON patch
    if place.segments[:1] == ("f:data",):
        value = _with_plain_text(value)
    if isinstance(value, list):
        return _json_patch(place, value)
    if not isinstance(value, dict):
        return Touch.MAYBE
    whole = verb in {"create", "update"} and not scaled
    applied = not whole and isinstance(value.get("kind"), str) and "apiVersion" in value
    return _Body(place, whole=whole, applied=applied and not scaled).at(value, 0)


def _with_plain_text(value: Json) -> Json:
    """A body with its `stringData` where the API server puts it: key by key into `data`."""
    if isinstance(value, list):
        return [told for one in value for told in _plain_text_operations(one)]
    plain = value.get("stringData") if isinstance(value, dict) else None
    if not isinstance(plain, dict):
        return value
    return {**value, "data": {**(value.get("data") or {}), **plain}}


def _plain_text_operations(operation: Json) -> Sequence[Json]:
    path = str(operation.get("path", "")) if isinstance(operation, dict) else ""
    if path != "/stringData" and not path.startswith("/stringData/"):
        return (operation,)
    value = operation.get("value")
    if path == "/stringData":
        keys = value if isinstance(value, dict) else {}
        return [{"op": "add", "path": f"/data/{_escaped(k)}", "value": keys[k]} for k in keys]
    return ({**operation, "path": "/data" + path.removeprefix("/stringData")},)


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


class _Body:
    """A walk down an object that was sent: a whole one, a merge or strategic patch, an apply."""

    def __init__(self, place: Place, *, whole: bool, applied: bool) -> None:
        self._place = place
        self._whole = whole
        self._applied = applied

    def at(self, value: Json, depth: int, *, whole: bool | None = None) -> Touch:
        """What `value`, sent for the first `depth` steps of the place, does to the place."""
        whole = self._whole if whole is None else whole
        if depth == len(self._place.segments):
            return _leaves(self._place, value, whole=whole)
        if value is None:
            return self._removes(said=not whole)
        segment = self._place.segments[depth]
        if segment.startswith("f:"):
            return self._field(value, segment[2:], depth, whole)
        if isinstance(value, list):
            return self._item(value, segment, depth, whole)
        return self._lacks(whole)

    def _field(self, value: Json, name: str, depth: int, whole: bool) -> Touch:
        if not isinstance(value, dict):
            return self._removes()
        directive = value.get(_DIRECTIVE)
        if directive == "delete":
            return self._removes(said=True)
        whole = whole or directive == "replace"
        if name not in value:
            return self._directed(value, name, depth) or self._lacks(whole)
        inner = value[name]
        below = self._place.segments[depth + 1 : depth + 2]
        if isinstance(inner, list) and below and not below[0].startswith("f:"):
            ordered = f"$setElementOrder/{name}" in value
            found = self.at(inner, depth + 1, whole=whole)
            if found is Touch.MAYBE and ordered:
                return Touch.NOTHING  # a strategic patch: what it does not list, it leaves
            return found
        return self.at(inner, depth + 1, whole=whole)

    def _directed(self, value: Mapping[str, Any], name: str, depth: int) -> Touch | None:
        """What the directives of a strategic patch beside a list do to it."""
        below = self._place.segments[depth + 1 : depth + 2]
        if f"$deleteFromPrimitiveList/{name}" in value and below:
            return Touch.AS_LIVE if self._place.gone else Touch.MAYBE
        if f"$setElementOrder/{name}" in value and self._place.kind is ChangeKind.REORDERED:
            return Touch.AS_LIVE
        return None

    def _item(self, items: Sequence[Json], segment: str, depth: int, whole: bool) -> Touch:
        replaced = any(isinstance(one, dict) and one.get(_DIRECTIVE) == "replace" for one in items)
        item = _find(items, segment)
        if item is not _REMOVED:
            if isinstance(item, dict) and item.get(_DIRECTIVE) == "delete":
                return self._removes(said=True)
            return self.at(item, depth + 1, whole=whole)
        if whole or replaced:
            return self._lacks(whole=True)
        return Touch.MAYBE  # a merge patch removes it, a strategic one leaves it

    def _removes(self, *, said: bool = False) -> Touch:
        if self._place.gone:
            return Touch.AS_LIVE
        return Touch.REPLACED if said else Touch.OTHERWISE

    def _lacks(self, whole: bool) -> Touch:
        if whole:
            return self._removes()
        if self._applied and self._place.gone:
            return Touch.MAYBE  # an apply removes what its manager applied before
        return Touch.NOTHING


def _find(items: Sequence[Json], segment: str) -> Any:
    """The item that a step names; `_REMOVED` if there is none."""
    kind, _, rest = segment.partition(":")
    try:
        wanted = orjson.loads(rest)
    except ValueError:
        return _REMOVED
    if kind == "i":
        return items[wanted] if isinstance(wanted, int) and wanted < len(items) else _REMOVED
    for item in items:
        if kind == "v" and item == wanted:
            return item
        if kind == "k" and isinstance(item, dict) and _has_keys(item, wanted):
            return item
    return _REMOVED


def _has_keys(item: Mapping[str, Json], wanted: Mapping[str, Json]) -> bool:
    """Whether an item has the keys; those with a default may be left out."""
    present = [name for name in wanted if name in item]
    return bool(present) and all(item[name] == wanted[name] for name in present)


def _leaves(place: Place, value: Json, *, whole: bool) -> Touch:
    """What it means that `value` is sent for just the place."""
    if place.gone:
        if value == "":
            return Touch.MAYBE  # dropped as a field, kept as an entry of a map
        # The server drops other empty values, where live lacks them.
        removed = not value or (isinstance(value, dict) and value.get(_DIRECTIVE) == "delete")
        if removed or whole or not (isinstance(value, dict) and isinstance(place.desired, dict)):
            return Touch.AS_LIVE if removed else Touch.OTHERWISE
        declared = [inner for name, inner in value.items() if name in place.desired]
        if not declared:
            return Touch.NOTHING  # something of its own beside what Git declares
        return Touch.AS_LIVE if all(inner is None for inner in declared) else Touch.OTHERWISE
    if not place.known:
        return Touch.MAYBE
    if place.kind is ChangeKind.REORDERED:
        return Touch.AS_LIVE if isinstance(value, list) else Touch.NOTHING
    if not _within(value, place.live):
        return Touch.REPLACED
    # A part of live that is a part of Git's too does not make the one of the other.
    of_git = place.desired is not UNSET and _within(value, place.desired)
    return Touch.MAYBE if of_git else Touch.AS_LIVE


def _within(sent: Json, live: Json) -> bool:
    """Whether live has what was sent, beside what the server adds."""
    if isinstance(sent, dict) and isinstance(live, dict):
        return all(
            name.startswith("$") or (name in live and _within(value, live[name]))
            for name, value in sent.items()
            if value is not None
        )
    if isinstance(sent, list) and isinstance(live, list):
        return len(sent) == len(live) and all(map(_within, sent, live))
    if scalars.canonical(sent) == scalars.canonical(live):
        return True
    spelled = str(sent), str(live)
    if max(map(len, spelled)) > _LONGEST_QUANTITY:
        return False
    one, other = map(scalars.quantity, spelled)
    return one is not None and one == other


def _json_patch(place: Place, operations: Sequence[Json]) -> Touch:
    """What the operations of a JSON patch do to the place, the last one that reaches it."""
    found = Touch.NOTHING
    for one in operations:
        if isinstance(one, dict) and one.get("op") != "test":
            reached = _operation(place, one)
            found = found if reached is Touch.NOTHING else reached
    return found


def _operation(place: Place, operation: Mapping[str, Any]) -> Touch:
    op, value = operation.get("op"), operation.get("value")
    tokens = [_plain(token) for token in str(operation.get("path", "")).split("/")[1:]]
    if op == "move":
        left = _operation(place, {"op": "remove", "path": operation.get("from", "")})
        if left is not Touch.NOTHING:
            return left
    reached = _reaches(place, tokens)
    if reached is None:
        return Touch.NOTHING
    depth, certain = reached
    if op in {"add", "replace"} and depth and isinstance(value, dict):
        step = place.segments[depth - 1]
        if depth == len(tokens) and step.startswith("k:"):
            if not _has_keys(value, orjson.loads(step[2:])):
                return Touch.NOTHING
            certain = True
    if len(tokens) > len(place.segments):
        found = _inside(place, op, value, tokens[len(place.segments) :])
    elif op == "remove":
        found = Touch.AS_LIVE if place.gone else Touch.REPLACED
    elif op in {"add", "replace"}:
        found = _Body(place, whole=True, applied=False).at(value, depth)
    else:
        found = Touch.MAYBE
    if certain:
        return found
    # Most likely another item was meant, unless it does just what was done here.
    return Touch.NOTHING if found in (Touch.OTHERWISE, Touch.REPLACED) else Touch.MAYBE


def _inside(place: Place, op: Json, value: Json, tokens: Sequence[str]) -> Touch:
    """What an operation inside the place, below it by `tokens`, does to it."""
    if not place.gone:
        return Touch.AS_LIVE
    kind, _, keys = place.segments[-1].partition(":")
    if kind == "k" and len(tokens) == 1 and tokens[0] in (wanted := orjson.loads(keys)):
        # An item with another key is another item.
        return Touch.OTHERWISE if value == wanted[tokens[0]] else Touch.AS_LIVE
    declared = place.desired
    for token in tokens:
        if not isinstance(declared, dict):
            return Touch.MAYBE
        if token not in declared:
            return Touch.NOTHING  # something of its own beside what Git declares
        declared = declared[token]
    return Touch.AS_LIVE if op == "remove" else Touch.OTHERWISE


def _reaches(place: Place, tokens: Sequence[str]) -> tuple[int, bool] | None:
    """How many steps of the place a pointer names, or None where it leads elsewhere.

    Positions in lists may have moved since: such a step is only certain where it is as it is now.
    """
    certain = True
    for depth, (step, segment) in enumerate(zip(tokens, place.segments, strict=False)):
        if segment.startswith("f:"):
            if segment[2:] != step:
                return None
        elif place.pointer[depth : depth + 1] != (step,):
            if step != "-" and not step.isdecimal():
                return None
            certain = False
    return min(len(tokens), len(place.segments)), certain
