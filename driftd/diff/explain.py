"""Why a place of one object is a difference, or is none. Pure; the evidence is the walk's own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import orjson

from driftd.diff import mask, scalars
from driftd.diff.compare import Context, subject_of
from driftd.diff.extras import Excuses
from driftd.diff.finding import ABSENT
from driftd.diff.owners import Entry, Owners, at_field, at_item, entries, item_key, roots, value_key
from driftd.diff.paths import Item, Path, Step, pointer, ssa_path
from driftd.diff.prepare import desired_view
from driftd.diff.schema import ANY_NODE, Node, Shape
from driftd.diff.subject import Subject
from driftd.diff.walk import deduced_keys, walk
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

    def find(self, text: str) -> Place | None:
        """The place that a pointer or a readable path names; None if neither side has it.

        A path may leave out the Pod template's prefix, as tables do.
        """
        wanted = parse(text)
        if not wanted:
            return None
        for prefix in _TEMPLATES:
            tokens = (*prefix, *wanted)
            at = self._locate(tokens)
            if at is not None:
                return self._place(at)
            outside = self._outside(tokens)
            if outside is not None:
                return outside
        return None

    def pointers(self) -> list[str]:
        """Pointers of all places that either side has, for suggestions."""
        both = (*_pointers(self._subject.live, ""), *_pointers(self._subject.desired, ""))
        return list(dict.fromkeys(both))

    def _locate(self, tokens: Sequence[Part]) -> _At | None:
        subject = self._subject
        at = _At(subject.desired, subject.live, self._node, roots(subject.entries), ())
        for token in tokens:
            below = _step(at, token)
            if below is None or (below.desired is ABSENT and below.live is ABSENT):
                return None
            at = below
        return at

    def _place(self, at: _At) -> Place:
        path = pointer(at.path, live=True) or pointer(at.path, live=False) or ""
        if at.live is ABSENT:
            path = pointer(at.path, live=False) or path
        return Place(
            path=path,
            ssa_path=ssa_path(mask.told_path(self._key, at.path)),
            desired=mask.shown(self._key, at.path, at.desired),
            live=mask.shown(self._key, at.path, at.live),
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


def _step(at: _At, token: Part) -> _At | None:
    if isinstance(at.live, list) or isinstance(at.desired, list):
        return _into_list(at, token)
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


def _into_list(at: _At, token: Part) -> _At | None:
    desired = at.desired if isinstance(at.desired, list) else []
    live = at.live if isinstance(at.live, list) else []
    keyed = _keyed(at)
    before = {keyed(item, index): index for index, item in reversed(list(enumerate(desired)))}
    after = {keyed(item, index): index for index, item in reversed(list(enumerate(live)))}
    key = _chosen(token, live, after) or _chosen(token, desired, before)
    if key is None:
        return None
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
