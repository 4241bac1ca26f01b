"""How much a change matters, as rules: the shipped file and an operator's own. Pure.

The first rule that speaks of a change decides its level and the reason that is shown; an
operator's rules stand before the shipped ones. A struct is as bad as the worst place inside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from driftd.errors import ConfigError
from driftd.model.mistyped import fault, headless
from driftd.model.patterns import ANY_ITEM, Hot, Index, Item, Pattern, Step, names_of, parse
from driftd.model.report import ChangeClass, ChangeKind

Level: TypeAlias = Literal["critical", "high", "medium", "low", "info"]

ORDER: Final[tuple[Level, ...]] = ("critical", "high", "medium", "low", "info")
"""Worst first."""
CORE: Final = "core"
"""What rules call the group of `v1`."""
_SHIPPED = "severity.yaml"
_POD_SPECS: Final = ("spec.template.spec", "spec.jobTemplate.spec.template.spec")
"""What tables leave out in front of a workload's path."""
_WHOLE_PATH: Final = re.compile(r"\*\*|(spec|metadata|status|data)\b")
"""How paths begin that need nothing in front."""
_RULE = re.compile(r"^(rules|objects)\[(\d+)\]\.?(.*)$")

Text = Annotated[str, msgspec.Meta(min_length=1)]
Identity = Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9-]*$")]
Reason = Annotated[str, msgspec.Meta(min_length=6, max_length=60)]
Scalar: TypeAlias = "str | int | float | bool | None"


class RuleStruct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Base of the file's types: unknown fields are refused."""


class When(RuleStruct, frozen=True, kw_only=True):
    """Tests of values; all that are given must hold. A masked value passes none of them.

    Strings are globs, other values must be equal, null is an absent one.
    """

    desired: tuple[Scalar, ...] | UnsetType = UNSET
    """Git's value is one of these."""
    live: tuple[Scalar, ...] | UnsetType = UNSET
    """The live value is one of these."""
    live_not: tuple[Scalar, ...] | UnsetType = UNSET
    """The live value is none of these."""
    same_image: bool | UnsetType = UNSET
    """Whether both values are images of one name, each with a tag or digest."""


class SeverityRule(RuleStruct, frozen=True, kw_only=True):
    """Gives the changes that it speaks of a level. What is left out means any."""

    id: Identity
    """Names the rule in this file, in errors and in the reference."""
    level: Level
    reason: Reason
    """Why, in short words: shown beside the level."""
    kinds: tuple[Text, ...] = ()
    """`Kind` or `Kind.group`, globs; the group of `v1` is `core`."""
    paths: tuple[Text, ...] = ()
    """Places: names are globs, `[*]` any list item, `[name=app]` one, `**` any steps."""
    changes: tuple[ChangeKind, ...] = ()
    classes: tuple[ChangeClass, ...] = ()
    when: When | UnsetType = UNSET
    guarded: bool = False
    """Ownership never excuses an addition here: only the table of server defaults does."""


class ObjectRule(RuleStruct, frozen=True, kw_only=True):
    """How much the absence of objects matters, or their presence without a declaration."""

    id: Identity
    status: Literal["Missing", "Extra"]
    kinds: tuple[Text, ...]
    reason: Reason
    level: Level = "critical"
    """What is critical cannot be accepted."""


class SeverityFile(RuleStruct, frozen=True, kw_only=True):
    """A file of severity rules."""

    api_version: Literal["driftd.io/v1"]
    kind: Literal["Severity"]
    rules: tuple[SeverityRule, ...] = ()
    objects: tuple[ObjectRule, ...] = ()


class Rated(NamedTuple):
    """What the rules say of a change."""

    level: Level
    reason: str
    rule: str


class Difference(NamedTuple):
    """What rules look at of a change."""

    kind: str
    """Of the object."""
    group: str | None
    """None where it is not known: what names a kind fits, what names a group alone does not."""
    place: tuple[Step, ...]
    change: ChangeKind
    change_class: ChangeClass
    desired: Any = UNSET
    live: Any = UNSET


class CompiledRule(NamedTuple):
    """A rule with its patterns read."""

    rule: SeverityRule
    kinds: tuple[tuple[str, str], ...]
    patterns: tuple[Pattern, ...]

    def fits(self, place: Sequence[Step]) -> bool:
        """Whether a pattern fits a keyed place, whose names are known to."""
        keyed = any(one.keyed for one in self.patterns)
        return not keyed or any(one.matches(place) for one in self.patterns)

    def speaks_of(self, names: Sequence[str]) -> bool:
        """Whether names alone tell that a pattern fits, which fits if keys are not looked at."""
        keyed = any(one.keyed for one in self.patterns)
        return not keyed or any(not one.keyed and one.matches(names) for one in self.patterns)

    def holds(self, one: Difference) -> bool:
        """Whether change, class and values fit; kind and place are taken as seen."""
        rule = self.rule
        if rule.changes and one.change not in rule.changes:
            return False
        if rule.classes and one.change_class not in rule.classes:
            return False
        return rule.when is UNSET or _passes(rule.when, one.desired, one.live)

    @property
    def unconditional(self) -> bool:
        """Whether nothing but kind and place counts."""
        rule = self.rule
        return not rule.changes and not rule.classes and rule.when is UNSET


class SeverityRules:
    """Rules in the order in which they are asked."""

    def __init__(self, rules: Iterable[SeverityRule], objects: Iterable[ObjectRule] = ()) -> None:
        """Read the patterns. Raises ValueError for a path that is none."""
        self.rules = tuple(
            CompiledRule(rule, tuple(map(_kind, rule.kinds)), tuple(map(parse, rule.paths)))
            for rule in rules
        )
        self.objects = tuple((one, tuple(map(_kind, one.kinds))) for one in objects)
        self._index = lru_cache(maxsize=1 << 10)(self._speaking)
        self._candidates = lru_cache(maxsize=1 << 14)(self._find)
        self._hot = lru_cache(maxsize=1 << 10)(self._worse)
        self._hot_guarded = lru_cache(maxsize=1 << 10)(self._guard_names)
        self._first = self.rules[0].rule.id if self.rules else ""
        self._guarded = lru_cache(maxsize=1 << 14)(self._guards)

    def _speaking(self, kind: str, group: str | None) -> Index:
        """The rules that speak of a kind, by place."""
        return Index(
            (number, pattern)
            for number, one in enumerate(self.rules)
            if not one.kinds or _is_one_of(one.kinds, kind, group)
            for pattern in (one.patterns or (None,))
        )

    def _find(
        self, kind: str, group: str | None, names: tuple[str, ...]
    ) -> tuple[CompiledRule, ...]:
        return tuple(self.rules[number] for number in self._index(kind, group).fitting(names))

    def _guards(self, kind: str, names: tuple[str, ...]) -> bool:
        return any(
            one.rule.guarded and one.speaks_of(names) for one in self._candidates(kind, None, names)
        )

    def guards(self, kind: str, names: tuple[str, ...]) -> bool:
        """Whether a rule that is `guarded` speaks of a place, whatever the change.

        Of list items only their place is known here: what asks for their keys does not count.
        """
        return self._guarded(kind, names)

    def guards_inside(self, kind: str, names: tuple[str, ...], value: Any) -> bool:
        """Whether a value at a place has a guarded place inside, or is a guarded list item."""
        found = [place for place, _ in _inside(names, value, self._hot_guarded(kind))]
        if names and names[-1] == ANY_ITEM:
            found.append((*names[:-1], _item(value)))
        return any(
            self._guarded(kind, names_of(place)) or self._guards_item(kind, place)
            for place in found
        )

    def _guards_item(self, kind: str, place: tuple[Step, ...]) -> bool:
        if not isinstance(place[-1], Item):
            return False
        # An item above whose keys are not known is none that a rule asks for by its keys.
        known = tuple(Item({}) if step == ANY_ITEM else step for step in place)
        return any(
            one.rule.guarded and one.fits(known)
            for one in self._candidates(kind, None, names_of(place))
        )

    def _guard_names(self, kind: str) -> Hot:
        return Hot.of(
            pattern
            for one in self.rules
            if one.rule.guarded and (not one.kinds or _is_one_of(one.kinds, kind, None))
            for pattern in (one.patterns or (None,))
        )

    def critical_reason(self, kind: str, names: tuple[str, ...], value: Any = UNSET) -> str:
        """The reason of the rule that may make some change at a place critical; else empty.

        A critical rule that asks for values counts where `value` is what it asks the live one for.
        """
        for one in self._candidates(kind, None, names):
            if one.rule.level == "critical":
                when = one.rule.when
                if when is UNSET or _passes(when, UNSET, value):
                    return one.rule.reason
                continue
            if one.unconditional:
                break
        return ""

    def rate(self, one: Difference) -> Rated:
        """Level and reason of a change: its own, or that of the worst place inside a value."""
        worst = self._at(one)
        if worst.rule == self._first and not self.rules[0].patterns:
            return worst  # it decides every place inside too
        if one.change is ChangeKind.REORDERED:
            return worst  # every place inside is as it was
        absent = one.change is ChangeKind.MISSING
        hot = self._hot(one.kind, one.group, worst.level)
        for place, value in _inside(one.place, one.desired if absent else one.live, hot):
            if worst.level == ORDER[0]:
                break
            desired, live = (value, UNSET) if absent else (UNSET, value)
            found = self._at(one._replace(place=place, desired=desired, live=live))
            if ORDER.index(found.level) < ORDER.index(worst.level):
                worst = found
        return worst

    def _worse(self, kind: str, group: str | None, level: Level) -> Hot:
        """Which places inside a value may be worse than a level."""
        limit = ORDER.index(level)
        return Hot.of(
            pattern
            for one in self.rules
            if ORDER.index(one.rule.level) < limit
            and (not one.kinds or _is_one_of(one.kinds, kind, group))
            for pattern in (one.patterns or (None,))
        )

    def _at(self, one: Difference) -> Rated:
        keyed = any(not isinstance(step, str) for step in one.place)
        for found in self._candidates(one.kind, one.group, names_of(one.place)):
            if (not keyed or found.fits(one.place)) and found.holds(one):
                return Rated(found.rule.level, found.rule.reason, found.rule.id)
        return Rated("medium", "a setting of the object", "")

    def rate_object(self, status: str, group: str, kind: str) -> tuple[Level, str]:
        """How much it matters that an object is Missing or Extra, and why; medium needs no why."""
        for one, kinds in self.objects:
            if one.status == status and _is_one_of(kinds, kind, group):
                return one.level, one.reason
        return "medium", ""

    def object_reason(self, status: str, group: str, kind: str) -> str:
        """Why an object that is Missing or Extra is critical; empty if it is not."""
        level, reason = self.rate_object(status, group, kind)
        return reason if level == "critical" else ""


def _kind(text: str) -> tuple[str, str]:
    """Globs of kind and group; a core group is empty."""
    kind, dot, group = text.partition(".")
    return kind, ("" if group == CORE else group) if dot else "*"


def _is_one_of(kinds: Iterable[tuple[str, str]], kind: str, group: str | None) -> bool:
    return any(
        fnmatchcase(kind, wanted)
        and (fnmatchcase(group, of) if group is not None else of == "*" or wanted != "*")
        for wanted, of in kinds
    )


def _inside(
    place: tuple[Step, ...], value: Any, hot: Hot, *, below: bool | None = None
) -> Iterator[tuple[tuple[Step, ...], Any]]:
    """The places inside a value that may matter, with what is there."""
    if below is None:
        below = any(hot.reaches(name) for name in names_of(place))
    if isinstance(value, dict):
        members: Iterable[tuple[Step, Any]] = value.items()
    elif isinstance(value, list):
        members = ((_item(one), one) for one in value)
    else:
        return
    for step, inner in members:
        name = step if isinstance(step, str) else ANY_ITEM
        reached = below or hot.reaches(name)
        if reached or name in hot.last:
            yield (*place, step), inner
        if isinstance(inner, (dict, list)):
            yield from _inside((*place, step), inner, hot, below=reached)


def _item(value: Any) -> Step:
    """The step to a list item, by all that may be a key of it; `ANY_ITEM` for what has none."""
    if not isinstance(value, dict):
        return ANY_ITEM
    keys = {name: one for name, one in value.items() if isinstance(one, str)}
    return Item(keys) if keys else ANY_ITEM


def _passes(when: When, desired: Any, live: Any) -> bool:
    if _is_masked(desired) or _is_masked(live):
        return False
    if when.desired is not UNSET and not _is_value(when.desired, desired):
        return False
    if when.live is not UNSET and not _is_value(when.live, live):
        return False
    if when.live_not is not UNSET and _is_value(when.live_not, live):
        return False
    return when.same_image is UNSET or when.same_image is same_image(desired, live)


def _is_value(wanted: Iterable[Scalar], value: Any) -> bool:
    return any(_equals(one, value) for one in wanted)


def _equals(wanted: Scalar, value: Any) -> bool:
    if wanted is None:
        return value is UNSET or value is None
    if isinstance(wanted, str):
        return isinstance(value, str) and fnmatchcase(value, wanted)
    return type(value) is type(wanted) and bool(value == wanted)


def _is_masked(value: Any) -> bool:
    return bool(value == {"masked": True})


def same_image(desired: Any, live: Any) -> bool:
    """Whether two images differ in nothing but a known tag or digest."""
    if not (isinstance(desired, str) and isinstance(live, str)):
        return False
    (name, version), (other, another) = _image(desired), _image(live)
    return bool(name == other and version and another)


def _image(reference: str) -> tuple[str, str]:
    """Registry with repository, and tag or digest; a colon before a slash is the registry's."""
    name, _, digest = reference.partition("@")
    folder, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    return f"{folder}{slash}{last}", digest or tag


@lru_cache(maxsize=1)
def shipped_file() -> SeverityFile:
    """The rules that come with driftd: `config/severity.yaml`."""
    return read(_shipped_text(), _SHIPPED, own=False)


@lru_cache(maxsize=1)
def shipped() -> SeverityRules:
    """`shipped_file`, ready to be asked."""
    return with_own(None)


def with_own(own: SeverityFile | None) -> SeverityRules:
    """An operator's rules in front of the shipped ones; a rule of the same id replaces one."""
    first = own if own is not None else SeverityFile(api_version="driftd.io/v1", kind="Severity")
    base = shipped_file()
    rules, objects = {r.id for r in first.rules}, {o.id for o in first.objects}
    return SeverityRules(
        (*map(_as_printed, first.rules), *(r for r in base.rules if r.id not in rules)),
        (*first.objects, *(o for o in base.objects if o.id not in objects)),
    )


def _as_printed(rule: SeverityRule) -> SeverityRule:
    """A rule whose paths may lack what leads to a Pod's spec, as tables print them."""
    short = [path for path in rule.paths if not _WHOLE_PATH.match(path)]
    longer = tuple(
        f"{prefix}{path}" if path.startswith("[") else f"{prefix}.{path}"
        for path in short
        for prefix in _POD_SPECS
    )
    return msgspec.structs.replace(rule, paths=(*rule.paths, *longer))


def _shipped_text() -> str:
    packaged = resources.files("driftd.model").joinpath("data", _SHIPPED)
    if packaged.is_file():
        return packaged.read_text("utf-8")
    # In a checkout there is the one file that wheels carry a copy of.
    return (Path(__file__).parents[2] / "config" / _SHIPPED).read_text("utf-8")


def read(text: str, file: str, *, own: bool) -> SeverityFile:
    """Decode a file of severity rules, `own` if it is an operator's.

    Raises ConfigError naming file, rule and field.
    """
    hint = "docs/reference/severity.md describes the file"
    try:
        document = msgspec.yaml.decode(text)
        if wrong := headless(document, "Severity"):
            raise ConfigError(f"{file}: {wrong}", hint=hint)
        found = msgspec.convert(document, SeverityFile, builtin_types=(date, datetime))
    except msgspec.ValidationError as error:
        raise ConfigError(f"{file}: {_described(str(error), document)}", hint=hint) from error
    except (msgspec.DecodeError, RecursionError) as error:
        line = re.search(r"line \d+", str(error))
        where = f" at {line[0]}" if line else ""
        why = getattr(error.__context__, "problem", "")
        told = f"not valid YAML{where}{f': {why}' if why else ''}"
        raise ConfigError(f"{file}: {told}", hint=hint) from error
    for place, problem in _problems(found, own=own):
        raise ConfigError(f"{file}: {place}: {problem}", hint=hint)
    return found


def _problems(found: SeverityFile, *, own: bool) -> Iterator[tuple[str, str]]:
    """What the types cannot say: places of errors, and the errors."""
    sections = {"rule": [r.id for r in found.rules], "object": [o.id for o in found.objects]}
    for section, names in sections.items():
        for number, name in enumerate(names, start=1):
            if name in names[: number - 1]:
                yield f"{section} {number} ({name}), id", "another one has it already"
    for number, rule in enumerate(found.rules, start=1):
        where = f"rule {number} ({rule.id})"
        if own and rule.guarded:
            yield f"{where}, guarded", "only shipped rules decide what ownership excuses"
        if rule.when == When():
            yield f"{where}, when", "names no test: give desired, live, liveNot or sameImage"
        for path in rule.paths:
            try:
                parse(path)
            except (ValueError, msgspec.DecodeError) as error:
                yield f"{where}, paths", str(error)


def _described(error: str, document: Any) -> str:
    """An error of msgspec with rule (number from 1, id) and field in front."""
    at, message = fault(error, SeverityFile)
    found = _RULE.match(at)
    if found is None:
        return f"{at}: {message}" if at else message
    section, number, name = found[1], int(found[2]), found[3]
    entry = document[section][number]
    identity = entry.get("id") if isinstance(entry, dict) else None
    label = f"{section.removesuffix('s')} {number + 1}" + (f" ({identity})" if identity else "")
    return f"{label}{', ' if name else ''}{name}: {message}"
