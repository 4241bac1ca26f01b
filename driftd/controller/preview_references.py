"""References between the objects of a cluster that a change breaks. Pure.

What dangled in the same way at the base is not told. A new reference is told where nothing but
what Git declares can be what it names, and where its name is a slip of a declared one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from driftd.controller.preview_moves import Moves, moves
from driftd.controller.preview_names import Reference, Step, keys_of, may_make, slip_of, ssa_path
from driftd.controller.preview_renames import Renames, positions, renamed
from driftd.controller.preview_ties import Declaration, Tie
from driftd.model.condition import Condition, Severity
from driftd.model.resource import Manifest, ResourceKey

DANGLING: Final = "DanglingReference"
_EVERYWHERE: Final = frozenset({"default", "kube-root-ca.crt"})
"""Names that Kubernetes gives to an object in each namespace."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What the other applications of the cluster declare on both sides, as far as it is known."""

    before: frozenset[ResourceKey] = frozenset()
    after: frozenset[ResourceKey] = frozenset()
    gone: tuple[Manifest, ...] = ()
    """What one of them declares at the base and none with the change."""
    moved: Mapping[ResourceKey, ResourceKey] = field(default_factory=dict)
    """The key at the base of what goes to another namespace, also of another application."""
    bodies: Mapping[ResourceKey, Manifest] = field(default_factory=dict)
    """What they declare at the base, of those that were rendered: an object may change hands."""


class Broken(NamedTuple):
    """A reference that a change breaks."""

    manifest: Manifest
    """The object with the reference, as the change has it."""
    told: str
    """The object, the place and why, without file and line."""
    ssa_path: str = ""
    """The field, where one alone holds it."""
    looked_in: frozenset[str] = frozenset()
    """The namespaces in which what is named may be declared."""
    type: str = DANGLING

    def condition(self, at: str = "") -> Condition:
        """The warning; `at` is `FILE:LINE`, if it is known better than the object's own."""
        origin = self.manifest.origin
        line = f":{origin.line}" if origin.line else ""
        at = at or (f"{origin.file}{line}" if origin.file else "")
        return Condition(self.type, f"{at}: {self.told}" if at else self.told, Severity.WARNING)


def broken_references(
    before: Sequence[Manifest], after: Sequence[Manifest], elsewhere: Elsewhere | None = None
) -> Iterator[Broken]:
    """Each reference that names nothing now and did not dangle so at the base; slips in names.

    `before` and `after` are everything that one application declares on both sides. What the
    change calls otherwise, objects and items of their lists, is followed to what it was.
    """
    elsewhere = elsewhere or Elsewhere()
    here = {one.key for one in before}
    came = [elsewhere.bodies[one.key] for one in after if one.key in elsewhere.bodies.keys() - here]
    old, new = Declaration([*elsewhere.gone, *came, *before]), Declaration(after)
    moved = {**elsewhere.moved, **moves(here, new.manifests)}
    sides = _Sides.of(old, new, moved, here)
    yield from sides.loose()
    yield from _Names(sides, elsewhere).broken()


class _Sides:
    """What an application declares at the base and with the change, and what was what."""

    def __init__(
        self, old: Declaration, new: Declaration, moved: Moves, origins: Moves,
    ) -> None:  # fmt: skip
        self.old, self.new, self.moved, self.origins = old, new, moved, origins
        self.now = {was: key for key, was in origins.items()}
        self._renames: dict[ResourceKey, Renames] = {}

    @classmethod
    def of(
        cls, old: Declaration, new: Declaration, moved: Moves, own: Collection[ResourceKey]
    ) -> _Sides:
        """Both sides, objects that moved followed, those that the application has renamed too."""
        same = set(moved.values())
        left = {key: old.manifests[key] for key in own if key not in same}
        come = {key: one for key, one in new.manifests.items() if key not in moved}
        return cls(old, new, moved, {**moved, **renamed(left, come)})

    def was(self, key: ResourceKey) -> ResourceKey:
        """The key at the base of an object of the change, if it was there at all."""
        return self.origins.get(key, key)

    def renames(self, key: ResourceKey) -> Renames:
        """An object on both sides; one that is new has nothing at the base."""
        if key not in self._renames:
            old = self.old.bodies.get(self.was(key), {})
            self._renames[key] = Renames(self.new.bodies[key], old)
        return self._renames[key]

    def loose(self) -> Iterator[Broken]:
        """Each tie that the change breaks."""
        known = self.old.ties()
        for key, ties in sorted(self.new.ties().items()):
            loose = [one for one in ties if one.why]
            if loose:
                yield from self._broken(key, loose, known)

    def _broken(
        self, key: ResourceKey, loose: list[Tie], known: Mapping[ResourceKey, list[Tie]]
    ) -> Iterator[Broken]:
        """Those of the loose ties of an object that were not loose in the same way at the base."""
        was = self.was(key)
        before = known.get(was, [])
        at = {positions(one.steps, self.old.bodies[was]): one for one in before}
        rest = [one for one in known.get(was, self._lost(key, known)) if one.why]
        told: list[tuple[Tie, str]] = []
        new: list[Tie] = []
        for one in loose:
            tie = at.get(self.renames(key).before(one.steps) or ())
            if tie is None:
                new.append(one)
            elif not tie.why and self._is_meant(key, one, tie):
                told.append((one, "; at the base it was whole"))
            elif tie.why and tie in rest:
                rest.remove(tie)
                if one.sure and not self._is_same(one, tie):
                    told.append((one, ""))
        for one in new:
            same = next((t for t in rest if t.slot == one.slot and self._is_same(one, t)), None)
            if same is not None:
                rest.remove(same)
            elif one.sure:
                told.append((one, ""))
        for one, end in sorted(told, key=lambda each: each[0].place):
            yield Broken(
                self.new.manifests[key],
                f"{key}: {one.place} {one.why}{end}",
                ssa_path(one.steps),
                frozenset({key.namespace}),
            )

    def _is_same(self, now: Tie, was: Tie) -> bool:
        """Whether two ties mean the same thing."""
        return now.named == was.named and tuple(self.was(end) for end in now.ends) == was.ends

    def _is_meant(self, key: ResourceKey, now: Tie, was: Tie) -> bool:
        """Whether a tie is probably meant to go on; one of an object with another name may not.

        Where the workloads that it held are gone too, it may be meant for those of others.
        """
        if now.sure or self.was(key).name == key.name or now.named == was.named:
            return True
        return any(self.now.get(end, end) in self.new.bodies for end in was.ends)

    def _lost(self, key: ResourceKey, known: Mapping[ResourceKey, list[Tie]]) -> list[Tie]:
        """The ties of objects of the same kind that are gone: a new object may be one of them."""
        return [
            tie
            for was, ties in known.items()
            if (was.group, was.kind) == (key.group, key.kind) and was not in self.new.bodies
            for tie in ties
        ]


class _Object(NamedTuple):
    """An object that names others."""

    key: ResourceKey
    was_in: str
    """Its namespace at the base."""
    known: list[Reference]
    """What it named at the base; of what has moved with it, where that is now."""
    now: list[Reference]
    slot: Callable[[Sequence[Step]], tuple[Step, ...]]
    """What a place of it was called at the base, without positions."""

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return self.key.namespace

    def name(self, key: ResourceKey) -> str:
        """Another object, with its namespace where that is another one."""
        place = f"{key.namespace}/" if key.namespace not in ("", self.namespace) else ""
        return f"{key.kind} {place}{key.name}"


class _Names:
    """The names of both sides that objects call one another by."""

    def __init__(self, sides: _Sides, elsewhere: Elsewhere) -> None:
        self.sides, self.old, self.new = sides, sides.old, sides.new
        self.goes = {was: key for key, was in sides.moved.items()}
        self.before = self.old.bodies.keys() | elsewhere.before
        self.after = self.new.bodies.keys() | elsewhere.after

    def broken(self) -> Iterator[Broken]:
        """A warning for each name that the change takes away or gets wrong."""
        named = self.old.names()
        for key, found in sorted(self.new.names().items()):
            was = self.sides.was(key)
            known = [self._carried(one) for one in named.get(was, [])]
            of = _Object(key, was.namespace, known, found, self.sides.renames(key).slot)
            for one in found:
                why = self._why(one, of)
                if why:
                    told = f"{key}: {one.place} names {why}"
                    spaces = frozenset({of.namespace, of.was_in, one.target.namespace})
                    yield Broken(self.new.manifests[key], told, one.ssa_path, spaces)

    def _carried(self, one: Reference) -> Reference:
        """A reference of the base, as it is where its target has moved too."""
        return one._replace(target=self.goes.get(one.target, one.target))

    def _why(self, one: Reference, of: _Object) -> str:
        """Why a reference of an object names nothing; empty where it does, or may."""
        target = one.target
        if target in self.after:
            return self._entry(one, of) if one.entry else ""
        if one.entry:
            return ""  # of the whole object it is said already
        if target in self.before:
            return "" if self._is_made(target, changed=True) else self._gone(one, of)
        left = ResourceKey(target.group, target.kind, of.was_in, target.name)
        if left != target and any(each.target == left for each in of.known):
            return "" if self._is_made(target) else self._left(one, left)
        if any(each.target == target for each in of.known) or self._is_made(target):
            return ""
        return self._slip(one, of)

    def _left(self, one: Reference, left: ResourceKey) -> str:
        """Of a name that an object has taken along to a namespace without such an object."""
        name = _name(left)
        if left in self.after:
            return f"{name}, which stays in namespace {left.namespace}"
        if left in self.before:
            return f"{name} of namespace {left.namespace}, which the change takes away"
        if not one.root or one.target.name in _EVERYWHERE:
            return ""  # such as the Secret that cert-manager makes for each Ingress
        return (
            f"{name}, which no application declares in namespace {one.target.namespace}: what the "
            f"Pods used in namespace {left.namespace} does not move with them"
        )

    def _gone(self, one: Reference, of: _Object) -> str:
        target = one.target
        if (goes := self.goes.get(target)) is not None:
            return f"{of.name(target)}, which the change moves to namespace {goes.namespace}"
        whole = any(each.target == target for each in of.known)
        near = self._near(target, self.after - self.before, only=True)
        end = "; at the base it was whole" if whole else ""
        return f"{of.name(target)}, which the change takes away{end}{_meant(near)}"

    def _slip(self, one: Reference, of: _Object) -> str:
        """Of a name that neither side declares: what is probably meant by it."""
        target, named = one.target, {each.target for each in of.now}
        slot = of.slot(one.steps)
        here = {each.target for each in of.now if of.slot(each.steps) == slot}
        lost = [each.target for each in of.known if each.slot == slot and each.target not in here]
        was = next((each for each in lost if self.sides.was(each) in self.before), None)
        lead = f"{of.name(target)}, which no application declares"
        if was is not None:
            near = self._near(target, self.after)
            return f"{lead}; at the base it was {of.name(was)}{_meant(near)}"
        near = self._near(target, self.after - named, sure=True)
        return f"{lead}{_meant(near)}" if near else ""

    def _entry(self, one: Reference, of: _Object) -> str:
        """Why a key of a ConfigMap or Secret is not there, if it did not lack at the base too."""
        was = self.sides.was(one.target)
        old, new = self.old.bodies.get(was, {}), self.new.bodies.get(one.target)
        if new is None or one.entry in keys_of(new):
            return ""
        if one.entry in keys_of(old):
            return f"key {one.entry}, which {_name(one.target)} no longer has"
        asked = [each for each in of.known if each.entry and each.target in (one.target, was)]
        if any(each.entry == one.entry for each in asked):
            return ""
        slot = of.slot(one.steps)
        whole = {each.entry for each in asked if each.slot == slot} & keys_of(old)
        # Others fill Secrets in, and ConfigMaps that Git leaves empty.
        open_ = one.target.kind != "ConfigMap" or not keys_of(new)
        near = slip_of(one.entry, keys_of(new), sure=not whole and open_)
        if open_ and not whole and not near:
            return ""
        return f"key {one.entry}, which {_name(one.target)} does not have{_meant(near)}"

    def _near(
        self,
        target: ResourceKey,
        known: Iterable[ResourceKey],
        *,
        sure: bool = False,
        only: bool = False,
    ) -> str:
        """The name that was probably meant; if `only`, any where there is but one."""
        alike = [
            each.name
            for each in known
            if (each.group, each.kind, each.namespace)
            == (target.group, target.kind, target.namespace)
        ]
        return alike[0] if only and len(alike) == 1 else slip_of(target.name, alike, sure=sure)

    def _is_made(self, target: ResourceKey, *, changed: bool = False) -> bool:
        """Whether a custom object may make the target; if `changed`, one that the change brings."""
        return any(
            may_make(target, key, one.body)
            for key, one in self.new.manifests.items()
            if not (changed and key in self.old.manifests)
            or self.old.manifests[key].body != one.body
        )


def _name(key: ResourceKey) -> str:
    return f"{key.kind} {key.name}"


def _meant(near: str) -> str:
    return f"; did you mean {near}?" if near else ""
