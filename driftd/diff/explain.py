"""Why a place of one object is a difference, or is none. Pure; the evidence is the walk's own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

import orjson
from msgspec import UNSET

from driftd.diff import invalid, mask, scalars
from driftd.diff.compare import Context, subject_of
from driftd.diff.extras import Excuses
from driftd.diff.finding import ABSENT
from driftd.diff.owners import Entry, Owners, at_field, at_item, entries, item_key, roots, value_key
from driftd.diff.paths import Item, Path, Step, pointer, ssa_path
from driftd.diff.prepare import desired_view
from driftd.diff.schema import ANY_NODE, Node, Shape
from driftd.diff.subject import Subject
from driftd.diff.walk import deduced_keys, walk
from driftd.model.report import Change
from driftd.model.resource import Json, ResourceKey

Part: TypeAlias = "str | dict[str, str]"
"""A name or index, or the keys of a list item (`[name=app]`)."""

_TEMPLATES = ((), ("spec", "template", "spec"), ("spec", "jobTemplate", "spec", "template", "spec"))
"""What the readable form of a path may have left out in front."""
_SYSTEM = frozenset({"status", "apiVersion", "kind"})
_PART = re.compile(
    r"""\.?([^.\[\]]+)            # a member
      | \["((?:[^"\\]|\\.)*)"\]   # a member of any spelling
      | \[([^\]]+)\]              # an index, keys or a value""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One place of an object on both sides, values masked as in reports."""

    path: str
    """RFC 6901 pointer: into live, or into the desired object where live has no such place."""
    ssa_path: str
    desired: Json
    """`ABSENT` where Git declares nothing."""
    live: Json
    owners: tuple[Entry, ...]
    evidence: tuple[str, ...]
    """Why it is no difference, as far as the comparison has a reason; empty for differences."""


class Inspection:
    """The comparison of one object, kept so that questions about places can be answered."""

    def __init__(
        self,
        key: ResourceKey,
        desired: dict[str, Any],
        live: dict[str, Any],
        node: Node | None,
        context: Context,
    ) -> None:
        self._key = key
        self._node = node or ANY_NODE
        self._raw = live
        found = entries(live, context.deployers)
        self._subject: Subject = subject_of(key, desired_view(desired), live, found, context)
        self._excuses: Excuses = {}
        self._findings = walk(self._subject, self._node, self._excuses)

    @property
    def excused(self) -> dict[str, str]:
        """Every undeclared place that something explains: `managedFields` path to the reason."""
        return {ssa_path(path): reason for path, reason in self._excuses.items()}

    def find(self, text: str) -> tuple[Place, ...]:
        """The places that a pointer or a readable path names; none if neither side has any.

        There are two where a position names another list item in Git than in live. A path may
        leave out the Pod template's prefix, as tables do.
        """
        wanted = parse(text)
        if not wanted:
            return ()
        for prefix in _TEMPLATES:
            tokens = (*prefix, *wanted)
            found = (self._locate(tokens), self._locate(tokens, git_first=True))
            places = {ssa_path(at.path): self._place(at) for at in found if at is not None}
            if places:
                return tuple(places.values())
            outside = self._outside(tokens)
            if outside is not None:
                return (outside,)
        return ()

    def of(self, change: Change) -> Place | None:
        """The place of a change, with the values of both sides that the change compares."""
        at = self._reached(change.ssa_path) if isinstance(change.ssa_path, str) else None
        place = self._place(at) if at is not None else next(iter(self.find(change.path)), None)
        if place is None:
            return None
        # The item of a changed key is at another place in Git than in live.
        desired = place.desired if change.desired is UNSET else change.desired
        live = place.live if change.live is UNSET else change.live
        return replace(place, path=change.path, desired=desired, live=live)

    def _reached(self, path: str) -> _At | None:
        subject = self._subject
        at = _At(subject.desired, subject.live, self._node, roots(subject.entries), ())
        for segment in path.split("/"):
            name = segment.replace("~1", "/").replace("~0", "~")
            below = _step(at, name[2:]) if name.startswith("f:") else _item(at, name)
            if below is None or (below.desired is ABSENT and below.live is ABSENT):
                return None
            at = below
        return at

    def pointers(self) -> list[str]:
        """Pointers of all places that either side has, for suggestions."""
        both = (*_pointers(self._subject.live, ""), *_pointers(self._subject.desired, ""))
        return list(dict.fromkeys(both))

    def _locate(self, tokens: Sequence[Part], *, git_first: bool = False) -> _At | None:
        subject = self._subject
        at = _At(subject.desired, subject.live, self._node, roots(subject.entries), ())
        for token in tokens:
            below = _step(at, token, git_first=git_first)
            if below is None or (below.desired is ABSENT and below.live is ABSENT):
                return None
            at = below
        return at

    def _place(self, at: _At) -> Place:
        path = pointer(at.path, live=True) or pointer(at.path, live=False) or ""
        if at.live is ABSENT:
            path = pointer(at.path, live=False) or path
        hidden = invalid.conceals(self._key, at.path, self._node, at.desired, at.live)
        desired, live = (
            mask.MASKED if hidden and value is not ABSENT else mask.shown(self._key, at.path, value)
            for value in (at.desired, at.live)
        )
        return Place(
            path=path,
            ssa_path=ssa_path(mask.told_path(self._key, at.path)),
            desired=desired,
            live=live,
            owners=tuple(dict.fromkeys(entry for entry, _ in at.owners)),
            evidence=tuple(self._evidence(at)),
        )

    def _evidence(self, at: _At) -> Iterator[str]:
        if any(_related(finding.path, at.path) for finding in self._findings):
            return
        if at.desired is None:
            yield "null in a manifest declares nothing"
        elif at.desired is not ABSENT and at.live is ABSENT:
            yield "Git declares an empty value, which the API server does not store"
        elif at.desired is not ABSENT:
            same = scalars.identical(at.desired, at.live)
            yield (
                "live holds Git's value"
                if same
                else (
                    "live holds what the API server makes of Git's value: another spelling, or "
                    "fields that it adds"
                )
            )
        for path, reason in self._excuses.items():
            if path == at.path[: len(path)]:
                yield reason
            elif path[: len(at.path)] == at.path:
                below = (s if isinstance(s, str) else f"[{s.key}]" for s in path[len(at.path) :])
                yield f"{'.'.join(below)}: {reason}"

    def _outside(self, tokens: Sequence[Part]) -> Place | None:
        """A place that the comparison leaves out on purpose."""
        value: Json = self._raw
        for token in tokens:
            if isinstance(value, dict) and isinstance(token, str) and token in value:
                value = value[token]
            elif isinstance(value, list) and isinstance(token, str) and token.isdigit():
                if int(token) >= len(value):
                    return None
                value = value[int(token)]
            else:
                return None
        path = tuple(str(token) for token in tokens)
        if isinstance(value, dict | list):
            value = ABSENT  # whole structs from outside the comparison are not masked, so not shown
        shown = mask.shown(self._key, path, value)
        return Place(
            path=pointer(path, live=True) or "",
            ssa_path=ssa_path(path),
            desired=ABSENT,
            live=shown,
            owners=(),
            evidence=(_why_outside(path),),
        )


def _why_outside(path: Sequence[str]) -> str:
    if path[0] in _SYSTEM:
        return f"{path[0]} is never compared: it is written by the cluster, not declared"
    if path[0] == "metadata" and path[1:2] not in (("labels",), ("annotations",)):
        return "metadata that the API server keeps by itself is never compared"
    if path[0] == "metadata":
        return "a mark that deployment tools or the API server add for themselves"
    return "what the admission of every Pod adds by itself (token volume, default tolerations)"


def parse(text: str) -> tuple[Part, ...]:
    """The tokens of a JSON pointer or of a path in the readable form of tables."""
    if text.startswith("/"):
        return tuple(t.replace("~1", "/").replace("~0", "~") for t in text.split("/")[1:])
    tokens: list[Part] = []
    position = 0
    while position < len(text):
        match = _PART.match(text, position)
        if match is None:
            return ()
        position = match.end()
        member, quoted, inside = match.groups()
        if member is not None:
            tokens.append(member)
        elif quoted is not None:
            tokens.append(_unquoted(quoted))
        else:
            tokens.append(_selector(inside))
    return tuple(tokens)


def _unquoted(text: str) -> str:
    try:
        return str(orjson.loads(f'"{text}"'))
    except orjson.JSONDecodeError:
        return text


def _selector(text: str) -> Part:
    if "=" not in text:
        return text
    return {name: value for name, _, value in (part.partition("=") for part in text.split(","))}


class _At(NamedTuple):
    """Where the search stands."""

    desired: Json
    live: Json
    node: Node
    owners: Owners
    path: Path


def _step(at: _At, token: Part, *, git_first: bool = False) -> _At | None:
    if isinstance(at.live, list) or isinstance(at.desired, list):
        return _into_list(at, token, git_first=git_first)
    if not isinstance(token, str):
        return None
    node = at.node.child(token)
    return _At(
        at.desired.get(token, ABSENT) if isinstance(at.desired, dict) else ABSENT,
        at.live.get(token, ABSENT) if isinstance(at.live, dict) else ABSENT,
        node,
        at_field(at.owners, token, atomic=at.node.atomic or node.atomic),
        (*at.path, token),
    )


def _into_list(at: _At, token: Part, *, git_first: bool) -> _At | None:
    desired, live, before, after = _positions(at)
    chosen = [_chosen(token, live, after), _chosen(token, desired, before)]
    key = next(filter(None, reversed(chosen) if git_first else chosen), None)
    return None if key is None else _item(at, key)


def _positions(at: _At) -> tuple[list[Json], list[Json], dict[str, int], dict[str, int]]:
    """The items of both sides, and where each key is first."""
    desired = at.desired if isinstance(at.desired, list) else []
    live = at.live if isinstance(at.live, list) else []
    keyed = _keyed(at)
    before = {keyed(item, index): index for index, item in reversed(list(enumerate(desired)))}
    after = {keyed(item, index): index for index, item in reversed(list(enumerate(live)))}
    return desired, live, before, after


def _item(at: _At, key: str) -> _At | None:
    """The item of a list that has a key of `managedFields`; absent where a side lacks it."""
    desired, live, before, after = _positions(at)
    step: Step = Item(key, before.get(key), after.get(key))
    node = at.node.item
    whole = key.startswith("i:")
    return _At(
        desired[before[key]] if key in before else ABSENT,
        live[after[key]] if key in after else ABSENT,
        node,
        [(entry, None) for entry, _ in at.owners]
        if whole
        else at_item(at.owners, key, atomic=node.atomic),
        (*at.path, step),
    )


def _keyed(at: _At) -> Any:
    """How the items of a list are told apart: by keys, by value, or by position."""
    shape, keys = at.node.shape, at.node.keys
    if shape is Shape.ANY:
        keys = deduced_keys(at.owners)
        shape = Shape.LIST_MAP if keys else Shape.LIST

    def key(item: Json, index: int) -> str:
        if shape is Shape.SET:
            return value_key(item)
        found = None
        if shape is Shape.LIST_MAP and isinstance(item, dict):
            found = item_key(item, keys, at.node.key_defaults)
        return found or f"i:{index}"

    return key


def _chosen(token: Part, items: Sequence[Json], by_key: dict[str, int]) -> str | None:
    for key, index in by_key.items():
        item = items[index]
        if isinstance(token, dict):
            if isinstance(item, dict) and all(str(item.get(k)) == v for k, v in token.items()):
                return key
        elif token == str(index) or (isinstance(item, str) and item == token.strip('"')):
            return key
    return None


def _related(one: Path, other: Path) -> bool:
    shorter = min(len(one), len(other))
    return ssa_path(one[:shorter]) == ssa_path(other[:shorter])


def _pointers(value: Json, prefix: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, below in value.items():
            path = prefix + (pointer((name,), live=True) or "")
            yield path
            yield from _pointers(below, path)
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield f"{prefix}/{index}"
            yield from _pointers(below, f"{prefix}/{index}")
