"""The two sides of each application of a preview, and the objects that may change between them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from msgspec import UNSET

from driftd.controller.declared import Entry
from driftd.controller.desired import Desired
from driftd.controller.preview_claims import left_claims
from driftd.controller.preview_cleartext import secrets_in_clear
from driftd.controller.preview_fate import is_automated, spec_of
from driftd.controller.preview_moves import Moves, moves, moves_across
from driftd.controller.preview_references import Broken, Elsewhere, broken_references
from driftd.controller.preview_refused import placed
from driftd.controller.preview_slips import keep_misspelt
from driftd.model.condition import Condition, Severity
from driftd.model.preview import ApplicationAction, ApplicationPreview, ObjectPreview
from driftd.model.report import ReportDestination, published
from driftd.model.resource import Manifest, ResourceKey

_LINE = re.compile(r":\d+:")
"""The line of a place in a message: one that a change only moved brings no warning."""


@dataclass(slots=True, eq=False)
class Pair:
    """One application on one cluster, at the base and with the change."""

    before: Entry | None
    after: Entry | None
    reason: str = ""
    old: Desired | None = None
    new: Desired | None = None
    failures: list[Condition] = field(default_factory=list)
    notes: list[Condition] = field(default_factory=list)
    """What to know of the change beside what it changes."""
    unseen: bool = False
    """Whether it is not known that the change no longer declares it; `failures` says why."""
    asked: bool = True
    """Whether it is to be told; else it is compared for what becomes of others alone."""
    standing: frozenset[ResourceKey] | None = None
    """What an application that stays as it is declares, where that was asked for; else None."""
    stands: bool = False
    """Whether `standing` is everything that it declares."""
    elsewhere: Elsewhere = field(default_factory=Elsewhere)
    """What the applications of its cluster declare."""
    mended: tuple[Condition, ...] = ()
    """Why it cannot be used at the base, where it can with the change: `old` is None then."""
    _broken: list[Broken] | None = None
    """The broken references, once both sides were searched with what is known elsewhere."""
    unserved: dict[ResourceKey, str] = field(default_factory=dict)
    """The `ssaPath` that is probably wrong of each new object whose kind is not served."""

    @property
    def entry(self) -> Entry:
        """The application as it will be; as it was, where it will not be."""
        entry = self.after or self.before
        assert entry is not None  # noqa: S101 - a pair has a side
        return entry

    @property
    def spec_changed(self) -> tuple[str, ...]:
        """The fields of the Application's spec that differ."""
        if self.before is None or self.after is None:
            return ()
        sides = [entry.application for entry in (self.before, self.after)]
        if any(app.flux is not None and app.spec.source is None for app in sides):
            return ()  # of a document of Flux that is not usable the spec is not known
        old, new = (spec_of(entry) for entry in (self.before, self.after))
        names = sorted({*old, *new})
        return tuple(f"spec.{name}" for name in names if old.get(name) != new.get(name))

    def failed(self, condition: Condition) -> None:
        """Note why the application could not be compared."""
        self.failures.append(condition)

    @property
    def old_complete(self) -> bool:
        """Whether everything that the base declares is known."""
        if self.before is None or self.mended:
            return True
        return self.old is not None and self.old.complete

    @property
    def new_complete(self) -> bool:
        """Whether everything that is declared with the change is known."""
        return self.after is None or (self.new is not None and self.new.complete)

    def conditions(self) -> Iterator[Condition]:
        """What to know: errors of both sides, and the warnings that the change brings."""
        yield from self.failures
        yield from self.mended
        yield from self.notes
        old = self.old.conditions if self.old else ()
        new = self.new.conditions if self.new else ()
        known = {(one.type, _LINE.sub(":", one.message)) for one in old}
        for condition in new:
            if condition.severity is Severity.ERROR or (
                (condition.type, _LINE.sub(":", condition.message)) not in known
                and condition.severity is Severity.WARNING
            ):
                yield condition
        for condition in old:
            if condition.severity is Severity.ERROR and condition not in new:
                text = f"at the base: {condition.message}"
                yield Condition(condition.type, text, condition.severity)
        for reference in self.broken():
            yield reference.condition()

    def broken(self) -> list[Broken]:
        """The references that the change breaks, where everything is known that is declared."""
        old, new = self.old, self.new
        # What comes from another cluster, or may not be new, dangled before the change as well.
        is_new = bool(self.mended) or (self.before is None and not self.reason)
        if new is None or not new.complete or not (is_new or (old and old.complete)):
            return []
        if self._broken is None:
            self._broken = self._found(_every(old) if old else [], _every(new))
        return self._broken

    def know(self, elsewhere: Elsewhere) -> None:
        """Take what the applications of its cluster declare, which decides what is broken."""
        self.elsewhere, self._broken = elsewhere, None

    def _found(self, before: Sequence[Manifest], after: Sequence[Manifest]) -> list[Broken]:
        if self.elsewhere.before <= self.elsewhere.after and _is_same(before, after):
            return []
        found = list(broken_references(before, after, self.elsewhere))
        found += left_claims(before, after, self.elsewhere)
        return [*found, *secrets_in_clear(before, after)]

    def report(
        self, action: ApplicationAction, resources: Sequence[ObjectPreview] = (), reason: str = ""
    ) -> ApplicationPreview:
        """The published form."""
        entry = placed(self.before, self.after) or self.entry
        application, destination = entry.application, entry.application.spec.destination
        told = list(self.conditions())
        return ApplicationPreview(
            name=application.name,
            namespace=application.namespace,
            kind=application.flux.kind if application.flux else UNSET,
            project=application.spec.project or "default",
            cluster=entry.cluster,
            destination=ReportDestination(
                server=destination.server or (entry.target.server if entry.target else ""),
                namespace=destination.namespace,
                name=UNSET if entry.target or not destination.name else destination.name,
            ),
            action=action,
            reason=reason or UNSET,
            automated=is_automated(entry),
            conditions=published(told),
            resources=tuple(resources),
            complete=all(c.severity is not Severity.ERROR for c in told),
        )


def _is_same(old: Sequence[Manifest], new: Sequence[Manifest]) -> bool:
    """Whether two sides declare just the same."""
    return {one.key: one.body for one in old} == {one.key: one.body for one in new}


def _every(desired: Desired) -> list[Manifest]:
    """All that a side declares, hooks too: a reference may name one."""
    return [*desired.manifests, *desired.not_compared]


def declared_by(pairs: Iterable[Pair]) -> Elsewhere:
    """What the applications of a cluster declare; what cannot be seen any more is not gone."""
    before: set[ResourceKey] = set()
    after: set[ResourceKey] = set()
    olds: dict[ResourceKey, Manifest] = {}
    news: dict[ResourceKey, Manifest] = {}
    moved: Moves = {}
    for other in pairs:
        standing = other.standing or frozenset()
        old = (other.old.keys if other.old else frozenset()) | standing
        new = (other.new.keys if other.new else frozenset()) | standing
        before |= old
        after |= new if other.new_complete and not other.unseen else old | new
        olds |= {one.key: one for one in other.old.manifests} if other.old else {}
        news |= {one.key: one for one in other.new.manifests} if other.new else {}
        moved |= moves(old, new) if other.old_complete and other.new_complete else {}
    gone = {key: one for key, one in olds.items() if key not in after}
    come = {key: one for key, one in news.items() if key not in before | moved.keys()}
    left = {key: one for key, one in gone.items() if key not in moved.values()}
    return Elsewhere(
        frozenset(before),
        frozenset(after),
        gone=tuple(gone.values()),
        moved={**moves_across(left, come), **moved},
        bodies=olds,
    )


@dataclass(slots=True, eq=False)
class Touched:
    """An object that is not the same on both sides, before it is compared in depth."""

    key: ResourceKey
    owner: Pair
    """The application that it is told with."""
    old: Manifest | None
    new: Manifest | None
    moved_from: Pair | None = None
    replaces: Manifest | None = None
    """Of a new object the one whose place it takes under another name; see `preview_replaced`."""
    undefined: str = ""
    """Of a new object what to know where no definition of its kind is known; else empty."""


def touched(pairs: Iterable[Pair]) -> list[Touched]:
    """The objects of one cluster that may change; one that changes its application is one."""
    found: list[Touched] = []
    gone: dict[ResourceKey, Touched] = {}
    come: dict[ResourceKey, Touched] = {}
    for pair in pairs:
        old = {m.key: m for m in pair.old.manifests} if pair.old else {}
        new = {m.key: m for m in pair.new.manifests} if pair.new else {}
        for key in sorted({*old, *new}):
            before, after = old.get(key), new.get(key)
            one = Touched(key, pair, before, after)
            if before is not None and after is not None:
                if before.body != after.body:
                    found.append(one)
            elif before is not None and pair.new_complete and not _is_hook(pair.new, key):
                gone[key] = one
            elif after is not None and pair.old_complete and not _is_hook(pair.old, key):
                come[key] = one
    keep_misspelt(gone, (one.new for one in come.values()))
    for key, one in come.items():
        source = gone.pop(key, None)
        if source is not None:
            one = replace_touched(one, source)
        found.append(one)
    return [*found, *gone.values()]


def replace_touched(one: Touched, source: Touched) -> Touched:
    """An object that another application declared before."""
    return Touched(one.key, one.owner, source.old, one.new, moved_from=source.owner)


def _is_hook(desired: Desired | None, key: ResourceKey) -> bool:
    """Whether a side has the object as a hook, which is rendered and never compared."""
    return desired is not None and any(m.key == key for m in desired.not_compared)
