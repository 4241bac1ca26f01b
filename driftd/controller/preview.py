"""What merging a change would do to every cluster, apart from drift: rendered twice, compared.

declared (twice) -> desired (twice) -> compared with one another -> held against live. The clusters
are read only for objects that change, and only read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

import msgspec

from driftd.aio import gather_isolated
from driftd.clock import Clock, rfc3339
from driftd.cluster.destinations import ClusterTarget
from driftd.controller.bearings import none_declared
from driftd.controller.checkout_scopes import checkout_kinds
from driftd.controller.declared import Declared, Entry, is_none, refuse_unmatched
from driftd.controller.desired import desired_state
from driftd.controller.failing_values import Base, with_values
from driftd.controller.flux_mapped import WRONG_CLUSTER
from driftd.controller.observed import ClusterView, observe, view_cluster
from driftd.controller.options import CheckOptions
from driftd.controller.preview_cleartext import with_masks
from driftd.controller.preview_entries import idle_warnings
from driftd.controller.preview_fate import unseen
from driftd.controller.preview_hub import declare_sides
from driftd.controller.preview_ignores import tell_idle_rules
from driftd.controller.preview_inside import Ended, ended_namespaces, in_ended
from driftd.controller.preview_kept import Found, settled, still_met
from driftd.controller.preview_kinds import tell_undefined
from driftd.controller.preview_namespaces import (
    Absent,
    absent_conditions,
    absent_namespaces,
    with_absent,
)
from driftd.controller.preview_objects import application_preview
from driftd.controller.preview_pairs import Pair, Touched, declared_by, touched
from driftd.controller.preview_places import with_base_lines, with_lines
from driftd.controller.preview_pruning import with_pruning
from driftd.controller.preview_refused import NOWHERE, is_refused, judgeable, mended, placed
from driftd.controller.preview_replaced import note_replaced, owners_to_find
from driftd.controller.preview_report import preview_report, untouched
from driftd.controller.preview_scopes import settle_scopes
from driftd.controller.preview_shared import shared_objects, told, with_owners
from driftd.controller.preview_sides import Side, choose_sides
from driftd.controller.preview_spec import with_spec
from driftd.controller.preview_unread import unmapped, unread_clusters
from driftd.controller.preview_values import UnreadValues
from driftd.controller.suspension import merged_in_vain
from driftd.controller.traced import with_new_values
from driftd.controller.verdict import Look
from driftd.controller.workspace import Progress, Workspace
from driftd.errors import ConfigError, DriftdError, described
from driftd.model.choices import listed
from driftd.model.condition import Condition, Severity
from driftd.model.preview import ApplicationPreview, PreviewReport

_RENDERS = 4
_NAMED = 5
_STANDING = 50
"""How many unchanged applications are rendered to know what a reference may name."""
_PERHAPS_NEW = (
    "declared by the change; it may have been declared at the base, not all of which could be read"
)
Where = ClusterTarget | str
"""A cluster, or the text of a destination that no cluster is known for."""


async def preview(
    workspace: Workspace,
    options: CheckOptions,
    against: str | None,
    *,
    progress: Progress,
    clock: Clock,
) -> PreviewReport:
    """What merging the revision of `options` into `against` would change on each cluster.

    Raises DriftdError only where nothing at all can be compared.
    """
    before, after = await choose_sides(workspace, options, against, progress)
    work = _Preview(options, before, after, progress, clock)
    await work.declare()
    by_place: dict[Where, list[Pair]] = {}
    for where, pair in work.pairs():
        by_place.setdefault(where, []).append(pair)
    told = await work.unreached(pair for pairs in by_place.values() for pair in pairs if pair.asked)
    if told:
        progress(f"note: {told}")

    async def one(where: Where) -> Found:
        return await work.cluster(where, by_place[where])

    results = await gather_isolated(one, by_place, limit=len(by_place) or 1)
    found: list[Found] = []
    conditions = list(work.conditions)
    for where, result in zip(by_place, results, strict=True):
        if isinstance(result, Exception):
            if not any(pair.asked for pair in by_place[where]):
                continue
            name = where if isinstance(where, str) else where.name
            conditions.append(Condition("ComparisonError", f"{name}: {described(result)}"))
        else:
            found.append(result)
    applications = list(settled(found, work.old.applications))
    conditions = [*still_met(conditions, applications), *unread_clusters(work.unread)]
    for note in after.workspace.repositories.notes:
        progress(f"note: {note}")
    return preview_report(before, after, applications, conditions, rfc3339(clock.now()))


class _Preview:
    """One comparison of two sides."""

    def __init__(
        self, options: CheckOptions, before: Side, after: Side, progress: Progress, clock: Clock
    ) -> None:
        self.options = options
        self.before = before
        self.after = after
        self.progress = progress
        self.clock = clock
        self.conditions: list[Condition] = []
        self.unread: dict[str, list[str]] = {}
        """Clusters that could not be read, by the reason: the comparison goes without them."""
        self.old: Declared
        self.new: Declared
        self.unread_values: UnreadValues

    async def declare(self) -> None:
        """Find the applications of both sides. Raises DriftdError if neither has one."""
        # Names are matched afterwards: an application may be declared on one side alone.
        options = replace(self.options, applications=(), namespace=None)
        found = await declare_sides(self.before, self.after, options, self.progress)
        if all(is_none(one.applications, one.conditions) for one in found):
            raise await none_declared(self.after.workspace, found[1].conditions)
        self.old, self.new = found
        self.unread_values = UnreadValues(self.before, self.old, self.after, self.new)
        refuse_unmatched(self.options, self.progress, *found)
        here = set(self.new.conditions)
        self.conditions += [
            c
            for c in self.new.conditions
            if c.severity is Severity.ERROR
            or c.type == WRONG_CLUSTER
            or c not in self.old.conditions
        ]
        self.conditions += [
            Condition(c.type, f"at the base: {c.message}", self._severity(c))
            for c in self.old.conditions
            if c not in here and c.severity is Severity.ERROR
        ]
        names = [e.application for side in found for e in side.entries]
        unmatched = self.options.unmatched(names)
        asked = self.options.namespace
        if unmatched or (asked and not any(map(self.options.chooses, names))):
            wanted = ", ".join(unmatched) or f"namespace {asked}"
            near = unmatched[0] if unmatched else wanted
            shown = listed(sorted({app.name for app in names}), near) or "none at all"
            raise ConfigError(f"no application matches {wanted}", hint=f"declared are: {shown}")

    def _severity(self, condition: Condition) -> Severity:
        """How bad an error of the base is: what could not be deployed is none once it is mended."""
        mended = condition.type == "InvalidSpecError" and self.new.names is not None
        return Severity.WARNING if mended else condition.severity

    def pairs(self) -> Iterable[tuple[Where, Pair]]:
        """Each application of both sides; one that goes elsewhere is two.

        Where one that was asked for is removed, all others come along: one may keep it.
        """
        old, new = (
            {e.application.qualified_name: e for e in side.entries} for side in (self.old, self.new)
        )
        every = {name: entry.application for name, entry in {**old, **new}.items()}
        asked = {name for name, app in every.items() if self.options.chooses(app)}
        for name in sorted(every if asked - new.keys() else asked):
            for where, pair in self._sides(old.get(name), new.get(name)):
                pair.asked = name in asked
                yield where, pair

    def _sides(self, before: Entry | None, after: Entry | None) -> Iterable[tuple[Where, Pair]]:
        entry = placed(before, after)
        if before is None or after is None or entry or _where(before) == _where(after):
            entry = entry or after or before
            if entry is not None:
                yield _where(entry), self._pair(before, after)
            return
        yield _where(before), Pair(before, None, f"it goes to {_label(after)} instead")
        yield _where(after), Pair(None, after, f"it comes from {_label(before)}")

    def _pair(self, before: Entry | None, after: Entry | None) -> Pair:
        """An application of one place. One that a side cannot show is not gone, nor surely new."""
        pair = Pair(before, after, mended=mended(before, after))
        if after is None and before is not None:
            hidden = unseen(before, self.old, self.new)
            if hidden is not None:
                pair.unseen = True
                pair.failed(hidden)
        elif before is None and self.old.names is None:
            pair.reason = _PERHAPS_NEW
        return pair

    async def unreached(self, pairs: Iterable[Pair]) -> str:
        """A note of the applications that the change cannot reach: pinned, or of elsewhere."""
        names = [
            pair.after.application.name
            for pair in pairs
            if pair.before
            and pair.after
            and not is_refused(pair.after)
            and not await self._reaches(pair.after)
        ]
        if not names:
            return ""
        listed = ", ".join(sorted(names)[:_NAMED])
        rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        return (
            f"{listed}{rest}: no source follows the branch that is merged into (pinned, or of "
            "another repository), so a change of files does not reach them"
        )

    async def _reaches(self, entry: Entry) -> bool:
        repositories = self.after.workspace.repositories
        for source in entry.application.spec.all_sources:
            if source.chart or not source.repo_url:
                continue
            try:
                repository = await repositories.repository(source.repo_url, self.new.urls)
            except DriftdError:
                continue
            if repositories.follows(repository, source.target_revision):
                return True
        return False

    async def cluster(self, where: Where, pairs: Sequence[Pair]) -> Found:
        """What changes of the applications of one cluster."""
        moving = [p for p in pairs if not p.unseen and not await self._same_inputs(p)]
        if not moving:
            return Found([(pair, untouched(pair)) for pair in pairs])
        view = await self._view(where, pairs)
        rendered = await gather_isolated(
            lambda pair: self._rendered(pair, view), moving, limit=_RENDERS
        )
        done = []
        for pair, result in zip(moving, rendered, strict=True):
            if isinstance(result, BaseException):
                told = Condition("ComparisonError", described(result))
                pair.failed(told)
            done.append(pair)
        discovery = view.discovery if view else None
        sides = [side for pair in done for side in (pair.old, pair.new) if side is not None]
        kinds = await checkout_kinds(self.after.workspace, sides, discovery)
        settle_scopes(done, discovery, kinds)
        objects = touched(done)
        note_replaced(objects)
        seen = partial(self._look, where, view) if view is not None else None
        look = await seen(objects) if seen else None
        unchanged = [pair for pair in pairs if pair not in moving]
        if view is None and any(one.old is None for one in objects):
            await self._standing(unchanged, view)
        await self._beside(done, unchanged, view)
        await tell_idle_rules(self.after.workspace, self.new, done, seen)
        absent, ended = await self._namespaces(where, pairs, objects, view)
        applications = []
        for pair in done:
            report = await self._application(pair, pairs, objects, look, absent)
            applications.append((pair, await with_base_lines(
                self.before.workspace, pair, report, in_ended(report.resources, ended),
                urls=self.old.urls,
            )))  # fmt: skip
        return Found(applications + [(pair, untouched(pair)) for pair in unchanged], ended)

    async def _namespaces(
        self, where: Where, pairs: Sequence[Pair], objects: Sequence[Touched],
        view: ClusterView | None,
    ) -> tuple[Absent, Ended]:  # fmt: skip
        """The namespaces of new objects that are not there, and those that Git no longer declares.

        New objects whose kinds nothing is known to define are told as that.
        Applications that nobody asked for count too.
        """
        known = {pair.after.application.qualified_name for pair in pairs if pair.after}
        others = [
            Pair(entry, entry)
            for entry in self.new.entries
            if entry.application.qualified_name not in known and _where(entry) == where
        ]

        async def stand(some: Sequence[Pair]) -> None:
            await self._standing(some[:_STANDING], view)

        every = self.new.names is not None
        known_to = [*pairs, *others]
        discovery = view.discovery if view else None
        await tell_undefined(self.after.workspace, objects, known_to, discovery, stand, every=every)
        absent = await absent_namespaces(objects, known_to, view, stand, every=every)
        return absent, await ended_namespaces(objects, known_to, stand)

    async def _application(
        self, pair: Pair, pairs: Sequence[Pair], objects: Sequence[Touched], look: Look | None,
        absent: Absent,
    ) -> ApplicationPreview:  # fmt: skip
        """One application that was rendered; `pairs` are all of its cluster."""
        owners = shared_objects(pair, pairs, objects, look)
        if (shared := told(pair, owners)) is not None:
            pair.failed(shared)
        pair.notes += absent_conditions(pair, objects, absent)
        own = [one for one in objects if one.owner is pair]
        if own and pair.after is not None:
            view = look.view if look else None
            pair.notes += await merged_in_vain(pair.after.application, view)
        workspace = self.after.workspace
        report = await application_preview(
            pair,
            own,
            look,
            workspace.sandbox,
            self.new.customizations.ignore,
            workspace.severities,
        )
        report = with_pruning(with_absent(with_owners(report, owners), absent), pair)
        report = await with_lines(workspace, pair, report, declared=self.new)
        report = await with_spec(workspace, self.new, pair, report)
        if pair.new is None:
            return report
        view = look.view if look else None
        traced = await with_new_values(workspace, pair.new, view, report.resources, self.new)
        return msgspec.structs.replace(report, resources=with_masks(traced, pair.broken()))

    async def _same_inputs(self, pair: Pair) -> bool:
        """Whether an application is declared and built from the same on both sides.

        Only whole trees are compared: what a source includes from elsewhere is not known before
        it is rendered.
        """
        before, after = pair.before, pair.after
        if before is None or after is None or pair.mended:
            return False
        if pair.spec_changed or before.project != after.project:
            return False
        old = await self.before.workspace.repositories.resolve(before.application, self.old.urls)
        new = await self.after.workspace.repositories.resolve(after.application, self.new.urls)
        return old.conditions == new.conditions and [
            (source.index, source.tree.id) for source in old.sources
        ] == [(source.index, source.tree.id) for source in new.sources]

    async def _view(self, where: Where, pairs: Sequence[Pair]) -> ClusterView | None:
        if where == NOWHERE or all(p.before is None and is_refused(p.after) for p in pairs):
            return None  # no cluster goes unread, and what is wrong with the spec is told
        if not isinstance(where, ClusterTarget):
            self._unread(where, unmapped(pairs), pairs)
            return None
        self.progress(f"connecting to {where.name}")
        try:
            view = await view_cluster(self.after.workspace.clusters.open(where))
        except ConfigError as error:
            self._unread(where.name, error.message, pairs)
            return None
        if view.problem is not None:
            self._unread(where.name, view.problem.message, pairs)
            return None
        return view

    def _unread(self, name: str, why: str, pairs: Iterable[Pair]) -> None:
        """Note that a cluster of `pairs` is not read; `why` may end with a remedy."""
        if any(pair.asked for pair in pairs):
            self.unread.setdefault(why, []).append(name)

    async def _beside(
        self, done: Sequence[Pair], unchanged: Sequence[Pair], view: ClusterView | None
    ) -> None:
        """Note for each application what the others declare, where references look broken.

        Those that stay as they are, and go to the same namespaces, are rendered only for that.
        """
        known = declared_by(done)
        for pair in done:
            pair.know(known)
        places = {place for pair in done for one in pair.broken() for place in one.looked_in}
        if not places:
            return
        places.add("")
        near = [p for p in unchanged if p.entry.application.spec.destination.namespace in places]
        await self._standing([p for p in near if not p.standing][:_STANDING], view)
        known = declared_by([*done, *unchanged])
        for pair in done:
            pair.know(known)

    async def _standing(self, pairs: Sequence[Pair], view: ClusterView | None) -> None:
        """Note what applications that stay as they are declare; nothing if it cannot be known."""

        async def one(pair: Pair) -> None:
            if pair.after is None:
                return
            state = await desired_state(
                self.after.workspace,
                judgeable(pair.after),
                view.discovery if view else None,
                urls=self.new.urls,
                kube_version=view.version if view else "",
                customizations=self.new.customizations,
            )
            pair.standing, pair.stands = state.keys, state.complete

        await gather_isolated(one, pairs, limit=_RENDERS)

    async def _rendered(self, pair: Pair, view: ClusterView | None) -> None:
        name = (pair.after or pair.entry).application.name
        self.progress(f"rendering {name}")
        for side, declared, entry in (
            (self.before, self.old, pair.before),
            (self.after, self.new, pair.after),
        ):
            if entry is None or (pair.mended and entry is pair.before):
                continue
            state = await desired_state(
                side.workspace,
                judgeable(entry),
                view.discovery if view else None,
                urls=declared.urls,
                kube_version=view.version if view else "",
                customizations=declared.customizations,
            )
            base = None
            if entry is pair.after and pair.before is not None and not pair.mended:
                workspace = self.before.workspace
                base = Base(workspace=workspace, declared=self.old, entry=pair.before)
            told = await with_values(side.workspace, state, declared, base, view)
            state = replace(state, conditions=told)
            if entry is pair.before:
                pair.old = state
            else:
                pair.new = state
        pair.notes += await self.unread_values.of(pair, view)
        pair.notes += await idle_warnings(pair, self.before, self.old, self.after, self.new, view)

    async def _look(self, where: Where, view: ClusterView, objects: Sequence[Touched]) -> Look:
        assert isinstance(where, ClusterTarget)  # noqa: S101 - only clusters have a view
        if objects:
            self.progress(f"reading {where.name}")
        workspace = self.after.workspace
        observation = await observe(
            view,
            (m for one in objects for m in (one.old, one.new) if m is not None),
            applications=owners_to_find(objects),
            limit=self.options.concurrency,
            target=where,
            memory=workspace.schemas,
        )
        known = self.new.customizations.known_types
        if known:
            observation = replace(observation, schemas=observation.schemas.retyped(known))
        hub = workspace.hub
        return Look(
            view=view,
            observation=observation,
            observed_at=rfc3339(self.clock.now()),
            instance_label=hub.tracking.instance_label if hub else None,
        )


def _where(entry: Entry) -> Where:
    return entry.target or _label(entry)


def _label(entry: Entry) -> str:
    destination = entry.destination
    return entry.cluster or destination.name or destination.server or NOWHERE
