"""Which places of which objects hold values that nobody may see: Secrets, and what people list.

One `Sensitive` decides for a whole process. Were it handed from call to call, whoever forgot it
would publish a password; so it is asked for with `in_force` and set once, at the start.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import quote, quote_plus

import orjson

from driftd.errors import ConfigError
from driftd.model import helm_values, patterns
from driftd.model.patterns import Item, Pattern, Step
from driftd.model.resource import Manifest

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
MASK: Final = "«masked»"
"""What stands in texts where a value stood."""
Place: TypeAlias = tuple[Step, ...]
_SHORT: Final = 4
_NESTED: Final = (dict, list)
_KEYS: Final = (str, int)
_SHAPE: Final = "write GROUP/KIND:PATH or KIND:PATH, as in ConfigMap:data.password"
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.-]+")
"""What JSON never spells in another way."""
_ANY_MEMBER: Final = b'"*":'
"""A map key that looks like an item of which nothing is known."""
_NAMES: Final = ("*PASSWORD*", "*PASSWD*", "*SECRET*", "*TOKEN*", "*API_KEY*", "*PRIVATE_KEY*")
SHIPPED: Final = tuple(
    f"*/*:**.env[name={glob}].value" for name in _NAMES for glob in (name, name.lower())
)
"""Literal values of environment variables with such names, in containers of any kind."""


class Rule(NamedTuple):
    """Places of some kinds: the pattern's and all below."""

    group: str
    kind: str
    pattern: Pattern

    def may_fit_item(self, name: str) -> bool:
        """Whether the last item of a place may be called so."""
        above = self.pattern.parts[-2] if len(self.pattern.parts) > 1 else None
        if not isinstance(above, patterns.Keys) or [key for key, _ in above.keys] != ["name"]:
            return True
        return patterns.fits(above, [Item({"name": name})])

    @property
    def literal(self) -> bytes:
        """Letters that the JSON of the item that the last name lies in has; empty if none must."""
        above = self.pattern.parts[-2] if len(self.pattern.parts) > 1 else None
        if not isinstance(above, patterns.Keys) or not above.keys:
            return b""
        runs = [run for _, glob in above.keys for run in _PLAIN.findall(glob)]
        # Numbers and truth values are matched as Python spells them.
        longest = max(runs, key=len, default="")
        return b"" if longest in "True" or longest in "False" else longest.encode()

    def fits(self, place: Sequence[Step]) -> bool:
        """Whether a place is just the pattern's."""
        parts = self.pattern.parts
        # Most places fail at the item that the last name lies in, which is cheap to see.
        above = parts[-2] if len(parts) > 1 else None
        if isinstance(above, patterns.Keys) and not patterns.fits(above, place[-2:-1]):
            return False
        return self.pattern.matches(place)


def _member(name: str) -> bytes:
    """How orjson spells the name of a member."""
    return orjson.dumps(name) + b":"


class _OfKind:
    """The rules of one kind, by the name that their places end with."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._ending: dict[str, list[Rule]] = {}
        self._others: list[Rule] = []
        self._candidates = lru_cache(maxsize=4096)(self._of_item)
        for rule in rules:
            last = rule.pattern.parts[-1]
            if isinstance(last, patterns.Name) and not set(last.glob) & set("*?"):
                self._ending.setdefault(last.glob, []).append(rule)
            else:
                self._others.append(rule)

        self.needs: dict[bytes, frozenset[bytes]] | None = None
        """What a JSON text holds that has such a place: the name that it ends with, and one of
        these parts of an item's name, if any are given; None if that cannot be said."""
        if not self._others:
            self.needs = {_member(LAST_APPLIED): frozenset()}
            for name, ended in self._ending.items():
                told = frozenset(rule.literal for rule in ended)
                self.needs[_member(name)] = frozenset() if b"" in told else told | {_ANY_MEMBER}

    def __bool__(self) -> bool:
        return bool(self._ending or self._others)

    def may_end(self, name: str) -> bool:
        """Whether a place of a rule may end with a name."""
        return name in self._ending or bool(self._others)

    def fits(self, place: Sequence[Step]) -> bool:
        """Whether a place is one of a rule's."""
        last = place[-1]
        rules: Sequence[Rule] = ()
        if isinstance(last, str) and last in self._ending:
            above = place[-2] if len(place) > 1 else ""
            # Names of items come again and again: which rules may fit them is known then.
            name = above.keys.get("name") if isinstance(above, Item) else None
            rules = self._ending[last] if name is None else self._candidates(last, name)
        if not rules and not self._others:
            return False
        return any(rule.fits(place) for rule in (*rules, *self._others))

    def _of_item(self, last: str, name: str) -> list[Rule]:
        return [rule for rule in self._ending[last] if rule.may_fit_item(name)]


class Sensitive:
    """Decides of each place whether its value may be shown."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._rules = tuple(rules)
        self._of_kind = lru_cache(maxsize=512)(self._chosen)
        # The same few places of a kind come with each of its objects.
        self._names_of = lru_cache(maxsize=512)(self._covering_names)
        self._written = lru_cache(maxsize=8192)(self._covers_written)

    @classmethod
    def of(cls, entries: Sequence[str]) -> Sensitive:
        """What Secrets hold, what is shipped and what `entries` list.

        Raises:
            ConfigError: an entry is none; it is named with its position.
        """
        listed = [parse(entry, number) for number, entry in enumerate(entries, 1)]
        return cls([*map(parse, SHIPPED), *listed])

    def covers(self, group: str, kind: str, place: Sequence[Step]) -> bool:
        """Whether the value at `place` must not be shown; an item of unknown keys fits any."""
        if LAST_APPLIED in place:
            return True
        if group == "" and kind == "Secret" and place[:1] in (("data",), ("stringData",)):
            return True
        return self._listed(group, kind, place) or helm_values.is_secret(group, kind, place)

    def _listed(self, group: str, kind: str, place: Sequence[Step]) -> bool:
        rules = self._of_kind(group, kind)
        return any(rules.fits(place[:end]) for end in range(len(place), 0, -1))

    def names_of(self, group: str, kind: str) -> Callable[[tuple[str, ...]], bool]:
        """`covers` of one kind, for places whose names alone are known, any item as `*`."""
        return self._names_of(group, kind)

    def _covering_names(self, group: str, kind: str) -> Callable[[tuple[str, ...]], bool]:
        @lru_cache(maxsize=2048)
        def covers(names: tuple[str, ...]) -> bool:
            return self.covers(group, kind, names)

        return covers

    def covers_written(self, group: str, kind: str, ssa_path: str) -> bool:
        """As `covers`, of a place in managedFields notation."""
        return self._written(group, kind, ssa_path)

    def _covers_written(self, group: str, kind: str, ssa_path: str) -> bool:
        return self.covers(group, kind, patterns.place_of(ssa_path))

    def touches(self, group: str, kind: str) -> bool:
        """Whether objects of a kind may have a sensitive place."""
        if (group == "" and kind == "Secret") or helm_values.gives_values(group, kind):
            return True
        return bool(self._of_kind(group, kind))

    def may_be_in(self, group: str, kind: str, text: bytes) -> bool:
        """Whether an object may have a sensitive place; `text` is it as orjson encodes it.

        Most have not even a name that such a place ends with, or no item that is called so. Of a
        part of an object, `text` has the item that its sensitive places lie in, or none.
        """
        if (group == "" and kind == "Secret") or helm_values.gives_values(group, kind):
            return True
        rules = self._of_kind(group, kind)
        if rules.needs is None:
            return True
        for ending, literals in rules.needs.items():
            if ending in text and (not literals or any(one in text for one in literals)):
                return True
        return False

    def values(self, document: Mapping[str, Any]) -> list[str]:
        """Every text at a sensitive place of an object, for those who scrub foreign texts."""
        found: list[str] = []

        def take(_place: Place, value: Any) -> None:
            found.extend(_leaves(value))

        self.replaced(*kind_of(document), (), document, take)
        return found

    def replaced(
        self, group: str, kind: str, place: Place, value: Any, instead: Callable[[Place, Any], Any]
    ) -> Any:
        """A value at `place` with something else for all that is sensitive in it.

        Nothing is changed in place; what has nothing sensitive in it is not copied.
        """
        if not self.touches(group, kind) and LAST_APPLIED not in place:
            return value
        if place and self._hides(group, kind, place, value):
            return instead(place, value)
        if helm_values.gives_values(group, kind):
            value = self._without_values(group, kind, place, value, instead)
        secret = group == "" and kind == "Secret"
        return self._inside(self._of_kind(group, kind), secret, place, value, instead)

    def _hides(self, group: str, kind: str, place: Place, value: Any) -> bool:
        if helm_values.holds_secret(group, kind, place, value):
            return True
        named = helm_values.is_secret(group, kind, place)  # a map that is called so hides nothing
        return self._listed(group, kind, place) if named else self.covers(group, kind, place)

    def _without_values(
        self, group: str, kind: str, place: Place, value: Any, instead: Callable[[Place, Any], Any]
    ) -> Any:
        """As `replaced`, of the values that an object gives to a chart."""
        if isinstance(value, dict):
            steps: list[Step] = list(value)
            inside = list(value.values())
        elif isinstance(value, list):
            steps, inside = [item(one) for one in value], value
        else:
            return value
        changed = [
            instead(below, one)
            if helm_values.holds_secret(group, kind, below, one)
            else self._without_values(group, kind, below, one, instead)
            for below, one in zip(((*place, step) for step in steps), inside, strict=True)
        ]
        if all(one is before for one, before in zip(changed, inside, strict=True)):
            return value
        return dict(zip(value, changed, strict=True)) if isinstance(value, dict) else changed

    def _inside(
        self,
        rules: _OfKind,
        secret: bool,
        place: Place,
        value: Any,
        instead: Callable[[Place, Any], Any],
    ) -> Any:
        """As `replaced`, below a place that is not sensitive itself."""
        if isinstance(value, dict):
            changed: dict[str, Any] = {}
            for step, one in value.items():
                hidden = step == LAST_APPLIED or (
                    secret and not place and step in ("data", "stringData")
                )
                if not hidden and not rules.may_end(step) and not isinstance(one, _NESTED):
                    continue  # most of what an object has
                below = (*place, step)
                if hidden or (rules.may_end(step) and rules.fits(below)):
                    changed[step] = instead(below, one)
                else:
                    inner = self._inside(rules, secret, below, one, instead)
                    if inner is not one:
                        changed[step] = inner
            return {**value, **changed} if changed else value
        if isinstance(value, list):
            if not rules.may_end("") and not any(isinstance(one, _NESTED) for one in value):
                return value
            copied = []
            for one in value:
                below = (*place, item(one))
                fitting = rules.fits(below)
                copied.append(
                    instead(below, one)
                    if fitting
                    else self._inside(rules, secret, below, one, instead)
                )
            same = all(one is before for one, before in zip(copied, value, strict=True))
            return value if same else copied
        return value

    def _chosen(self, group: str, kind: str) -> _OfKind:
        return _OfKind(
            rule
            for rule in self._rules
            if fnmatchcase(group, rule.group) and fnmatchcase(kind, rule.kind)
        )


def kind_of(document: Mapping[str, Any]) -> tuple[str, str]:
    """Group and kind of an object."""
    group = str(document.get("apiVersion", "")).rpartition("/")[0]
    return group, str(document.get("kind", ""))


def scrubbed(text: str, values: Iterable[str], public: Sequence[tuple[int, int]] = ()) -> str:
    """A foreign text without the values: as they are, and as base64, URLs, JSON or hex have them.

    Short ones go where they stand as words of their own, lest they take letters out of words.
    `public` are start and end of parts, in order and apart, that everybody may know, as names of
    files: one stays whole if each value in it is a piece of it, neither all of it nor beyond it.
    """
    every = {form for value in values if value.strip() for form in _forms(value.strip())}
    forms = sorted(every, key=len, reverse=True)
    found = [span for form in forms for span in _spans(text, form)] if public else []
    told, after = "", 0
    for start, end in public:
        touching = [span for span in found if span[0] < end and start < span[1]]
        if all(start <= a and b <= end and b - a < end - start for a, b in touching):
            told += _without(text[after:start], forms) + text[start:end]
            after = end
    return told + _without(text[after:], forms)


def _without(text: str, forms: Iterable[str]) -> str:
    for form in forms:
        text = _word(form).sub(MASK, text) if len(form) < _SHORT else text.replace(form, MASK)
    return text


def _spans(text: str, form: str) -> Iterator[tuple[int, int]]:
    """Where a form stands in a text, also where it overlaps itself."""
    if len(form) < _SHORT:
        yield from (match.span() for match in _word(form).finditer(text))
        return
    at = text.find(form)
    while at >= 0:
        yield at, at + len(form)
        at = text.find(form, at + 1)


def _word(form: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(form)}(?!\w)")


def _forms(value: str) -> Iterator[str]:
    yield value
    yield " ".join(value.split())  # as messages of one line have it
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield quote(value, safe="")
    yield quote_plus(value)
    data = value.encode("utf-8", "surrogatepass")
    yield data.hex()
    if len(data) >= _SHORT:
        # Inside a longer text the base64 of a value begins at one of three places.
        for offset in range(3):
            text = base64.b64encode(bytes(offset) + data).decode()
            start = -(-offset * 8 // 6)
            yield text[start : (offset + len(data)) * 8 // 6]
        yield base64.b64encode(data).decode()
    try:
        decoded = base64.b64decode(value, validate=True).decode()
    except ValueError:
        return
    if len(decoded) >= _SHORT:
        yield decoded


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _leaves(one)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def item(value: Any) -> Item:
    """The step to a list item, with everything that its keys could be."""
    if isinstance(value, dict):
        return Item({name: str(one) for name, one in value.items() if isinstance(one, _KEYS)})
    return Item(value=str(value))


def parse(entry: str, number: int = 0) -> Rule:
    """Read `ConfigMap:data.password` or `*.example.com/Database:spec.**.password`.

    Raises ConfigError that names the entry, and its position if given.
    """
    named = f"sensitive entry {number} {entry!r}" if number else f"sensitive entry {entry!r}"
    kinds, colon, path = entry.partition(":")
    group, _, kind = kinds.rpartition("/")
    if not colon or not kind or not path:
        raise ConfigError(f"{named} names no kind or no path", hint=_SHAPE)
    try:
        pattern = patterns.parse(path)
    except ValueError as error:
        raise ConfigError(f"{named}: {error}", hint=_SHAPE) from None
    if pattern.parts[0] == patterns.Name("metadata") and len(pattern.parts) <= 2:
        raise ConfigError(
            f"{named} would hide what an object is called",
            hint="name single labels or annotations",
        )
    return Rule(group, kind, pattern)


_entries: tuple[str, ...] = ()
_in_force = Sensitive.of(())


def in_force() -> Sensitive:
    """What this process hides."""
    return _in_force


def use(entries: Sequence[str]) -> None:
    """Hide the listed places too, in the whole process, from now on. Raises ConfigError."""
    global _in_force, _entries
    _in_force, _entries = Sensitive.of(entries), tuple(entries)


def listed() -> tuple[str, ...]:
    """The places that this process hides beside the shipped ones, as `use` was given them."""
    return _entries


def holds(manifest: Manifest) -> bool:
    """Whether a manifest holds values that are printed masked."""
    key, document = manifest.key, orjson.loads(manifest.body)
    return in_force().replaced(key.group, key.kind, (), document, lambda *_: None) is not document
