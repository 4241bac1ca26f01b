"""One object under comparison, seen in the light of earlier looks.

The comparison asks about places: was it there before, has a deployer written since, did Git once
declare it. What it finds is noted, and makes the history that the next look gets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from driftd.diff import mask
from driftd.diff.attribute import Attribution, sole_writer
from driftd.diff.finding import Finding
from driftd.diff.formerly import Formerly
from driftd.diff.history import (
    HIDDEN,
    PRESENT,
    Digester,
    EntryDigest,
    History,
    Look,
    Moment,
    Told,
    entry_digests,
    equal,
    located,
    place_digest,
)
from driftd.diff.owners import UNKNOWN_MANAGERS, Entry
from driftd.diff.paths import Path, names, ssa_path
from driftd.diff.schema import Node
from driftd.model import places
from driftd.model.report import DRIFT_CLASSES, ChangeClass, ChangeKind
from driftd.model.resource import Json, ResourceKey

_SECONDS: Final = len("2026-01-02T03:04:05")
_UNSETTLED: Final = DRIFT_CLASSES | {ChangeClass.PENDING}
_VANISHED: Final = "vanished "
_UNTRACED: Final = frozenset({ChangeKind.MISSING, ChangeKind.REORDERED})


class Recall:
    """What earlier looks say about the places of one object, and what this look adds."""

    def __init__(
        self,
        key: ResourceKey,
        history: History | None,
        moment: Moment,
        live: Mapping[str, Any],
        entries: Sequence[Entry],
        sealer: mask.Sealer | None,
    ) -> None:
        metadata = live.get("metadata") or {}
        self._key = key
        self._moment = moment
        self._raw = live
        self._entries = entries
        self._digester = Digester(key, sealer)
        self._uid = str(metadata.get("uid", ""))
        self._version = str(metadata.get("resourceVersion", ""))
        self._api_version = str(live.get("apiVersion", ""))
        self._history = history and _readable(history, self._digester.mark_of_key)
        same = self._history is not None and self._history.uid == self._uid
        look = self._history.look if self._history is not None and same else None
        self._last = look
        """The last look at this very object."""
        comparable = look is not None and (
            (look.api_version, look.schema_hash) == (self._api_version, moment.schema_hash)
        )
        self._before = look if comparable else None
        """The last look, unless the API has changed since: then the server may differ by itself."""
        self._told: Mapping[str, Told] = {}
        if same and self._history is not None:
            self._told = self._history.told
        self._formerly = Formerly(self._history, live, self._digester)
        self._desired = HIDDEN
        self._healed = False
        self._untouched = look is not None and look.resource_version == self._version
        self._moved = [] if self._untouched or look is None else self._moved_since(look)
        self._forget_notes()

    def _forget_notes(self) -> None:
        self._noted_injected: dict[str, int] = {}
        self._noted_owned: dict[int, int] = {}
        self._noted_former: dict[str, int] = {}
        self._noted_rewritten: dict[int, int] = {}
        self._noted_chosen: dict[int, int] = {}
        self._noted_told: dict[str, Told] = {}

    def open(
        self,
        wanted: Mapping[str, Any],
        view: Mapping[str, Any],
        node: Node,
        sent: Callable[[], Mapping[str, Any] | None],
    ) -> None:
        """Take in what Git declares now (`wanted`) and live's view, before the walk.

        `sent` gives what the last client-side apply sent; at the first look at an object without
        usable owners it stands for what Git had declared before.
        """
        self._desired = self._digester.whole(wanted)
        history = self._history
        if history is None or history.look is None or history.look.desired != self._desired:
            self._formerly.take(wanted, view, node, sent if self._nameless() else None)

    def _nameless(self) -> bool:
        return not self._entries or any(e.manager in UNKNOWN_MANAGERS for e in self._entries)

    # Who has written since the last look.

    def _moved_since(self, look: Look) -> list[Entry]:
        """Entries that took a field since: new ones, and those whose time has moved.

        A set alone also shrinks when somebody else removes a field; only writes through `/scale`
        take one and leave no time, where an apply without any has changed nothing. Times have one
        second: what was written in the second of the look may have come after it.
        """
        known: dict[tuple[str, ...], EntryDigest] = {
            (one.manager, one.operation, one.subresource, one.api_version): one
            for one in look.entries
        }
        moved = []
        for entry, now in zip(self._entries, entry_digests(self._entries), strict=True):
            old = known.get((now.manager, now.operation, now.subresource, now.api_version))
            if (
                old is None
                or old.time != now.time
                or (now.time is None and now.subresource and old.fields != now.fields)
                or (now.time is not None and now.time[:_SECONDS] >= look.at[:_SECONDS])
            ):
                moved.append(entry)
        return moved

    @property
    def deployer_wrote(self) -> bool:
        """Whether an entry with a deployer's name took a field since the last look."""
        return any(entry.deployer for entry in self._moved)

    def _had_reason(self, look: Look) -> bool:
        """Whether a deployer had a reason to write since: Git moved, or something was mended."""
        return look.desired != self._desired or self._healed

    def mended(self, findings: Sequence[Finding]) -> bool:
        """Whether a deployer wrote and a difference of the last look is gone: walk once more.

        Then the deployer had a reason, which the walk that gave `findings` did not know of.
        """
        look = self._last
        if look is None or not look.open or not self.deployer_wrote:
            return False
        now = {_identity(finding) for finding in findings}
        self._healed = not now.issuperset(look.open)
        if self._healed:
            self._forget_notes()
        return self._healed

    # What the walk asks.

    def was_declared(self, path: Path, live: Json) -> bool:
        """Whether Git declared the place once, with the value that live still holds."""
        return self._formerly.was_declared(path, live)

    def known(self, path: Path, live: Json) -> bool:
        """Whether an earlier look saw the extra and took it for no drift."""
        before = self._before
        if before is None:
            return False
        place = ssa_path(path)
        if f"{ChangeKind.ADDED} {place}" in self._told:
            return False
        value = self._digester.value(place, names(path), live)
        old = before.injected.get(place)
        if old is not None:
            return equal(old, value) or self.deployer_wrote
        old = before.owned.get(place_digest(place))
        return old is not None and equal(old, value)

    def appeared(self, path: Path, live: Json) -> Told | None:
        """When an extra that nobody owns came, if it came without a deployer who had a reason."""
        told = self._told.get(f"{ChangeKind.ADDED} {ssa_path(path)}")
        if told is not None:
            return told
        before = self._before
        if before is None or self._untouched or self.known(path, live):
            return None
        if self.deployer_wrote and self._had_reason(before):
            return None
        return self._told_now(before)

    def forged(self, path: Path) -> Told | None:
        """When an extra under a deployer's name came, if Git declared nothing like it."""
        told = self._told.get(f"{ChangeKind.ADDED} {ssa_path(path)}")
        if told is not None:
            return told if told.forged else None
        before = self._before
        if before is None or self._untouched:
            return None
        if before.desired != self._desired or ssa_path(path) in self._formerly.former:
            return None
        return msgspec.structs.replace(self._told_now(before), forged=True)

    def is_chosen(self, path: Path, live: Json) -> bool | None:
        """Whether the value is the one that the cluster had chosen; None if none is known."""
        if self._before is None:
            return None
        place = ssa_path(path)
        old = self._before.chosen.get(place_digest(place))
        if old is None:
            return None
        return equal(old, self._digester.value(place, names(path), live))

    def refuses_rewriting(self, path: Path, live: Json) -> Told | None:
        """When another value came under a deployer's name, if no deployer had a reason to write."""
        place = ssa_path(path)
        told = self._told.get(f"{ChangeKind.MODIFIED} {place}")
        if told is not None:
            return told if told.forged else None
        before = self._before
        if before is None or self._untouched or self._had_reason(before):
            return None
        old = before.rewritten.get(place_digest(place))
        if old is not None and equal(old, self._digester.value(place, names(path), live)):
            return None
        return msgspec.structs.replace(self._told_now(before), forged=True)

    def _told_now(self, last: Look) -> Told:
        return Told(after=last.at, before=self._moment.now)

    # What the walk notes.

    def note_injected(self, path: Path, live: Json) -> None:
        """An extra that nobody owns, and that is no drift."""
        place = ssa_path(path)
        if not _positional(path):
            self._noted_injected[place] = self._digester.value(place, names(path), live)

    def note_owned(self, path: Path, live: Json) -> None:
        """An extra of somebody else that is no drift."""
        place = ssa_path(path)
        self._noted_owned[place_digest(place)] = self._digester.value(place, names(path), live)

    def note_former(self, path: Path, live: Json) -> None:
        """An extra that a deployer owns: Git declared it once."""
        place = ssa_path(path)
        if not _positional(path):
            self._noted_former[place] = self._digester.value(place, names(path), live)

    def note_rewritten(self, path: Path, live: Json) -> None:
        """A declared value that the cluster stores otherwise."""
        place = ssa_path(path)
        self._noted_rewritten[place_digest(place)] = self._digester.value(place, names(path), live)

    def note_chosen(self, path: Path, live: Json) -> None:
        """A value that the cluster chose."""
        place = ssa_path(path)
        self._noted_chosen[place_digest(place)] = self._digester.value(place, names(path), live)

    def note_told(self, kind: ChangeKind, path: Path, told: Told) -> None:
        """A difference that stays told while it is there."""
        if not _positional(path):
            self._noted_told[f"{kind} {ssa_path(path)}"] = told

    # After the walk.

    def vanished(self, findings: Sequence[Finding], wanted: Mapping[str, Any]) -> list[Finding]:
        """Extras that nobody owned and somebody removed; what went together is told together.

        A deployer who had a reason to write may have done so: then nothing is said.
        """
        if self._before is None or (self.deployer_wrote and self._had_reason(self._before)):
            return []
        gone: dict[str, Told] = {
            key.removeprefix(_VANISHED): told
            for key, told in self._told.items()
            if key.startswith(_VANISHED)
        }
        if not self._untouched:
            for place in self._before.injected:
                gone.setdefault(place, self._told_now(self._before))
        together: dict[str, Path] = {}
        for place, told in gone.items():
            path, there = located(self._raw, place)
            # A struct goes as a whole; a label that was the last one is a label all the same.
            top = path if path[0] == "metadata" else path[: there + 1]
            if there == len(path) or _has(wanted, place) or any(_related(f, top) for f in findings):
                continue
            together[ssa_path(top)] = top
            self._noted_told[_VANISHED + place] = told
            self._noted_told.setdefault(f"{ChangeKind.MISSING} {ssa_path(top)}", told)
        return [_removed(self._key, path) for path in together.values()]

    def trace(self, findings: Iterable[Finding]) -> None:
        """Say between which looks the differences came that leave no trace, and who wrote then."""
        last = self._last
        for finding in findings:
            if finding.owners or finding.invalid or finding.change_class not in DRIFT_CLASSES:
                continue
            key = f"{finding.kind} {ssa_path(finding.path)}"
            told = self._told.get(key) or self._noted_told.get(key)
            if told is None and last is not None and self._is_since(last, finding):
                told = self._told_now(last)
            if told is None:
                continue
            if key not in self._told and finding.kind in _UNTRACED:
                # Who adds something and is on no record has removed himself: not who is on it.
                told = self._with_writer(told, finding.path)
            self._noted_told[key] = told
            finding.between = (told.after, told.before)
            if told.manager:
                finding.writer = Attribution(
                    told.manager, told.operation, told.subresource, told.time, "likely"
                )

    def _with_writer(self, told: Told, path: Path) -> Told:
        writer = sole_writer(self._moved, names(path))
        if writer is None:
            return told
        return msgspec.structs.replace(
            told,
            manager=writer.manager,
            operation=writer.operation,
            subresource=writer.subresource,
            time=writer.time,
        )

    def _is_since(self, last: Look, finding: Finding) -> bool:
        """Whether the difference came from the cluster since the last look, and not from Git."""
        if self._untouched or finding.kind not in _UNTRACED or _identity(finding) in last.untraced:
            return False
        if last.desired == self._desired:
            return True
        return finding.kind is ChangeKind.MISSING and self._formerly.stayed(ssa_path(finding.path))

    def updated(self, findings: Sequence[Finding]) -> History:
        """What the next look gets."""
        unsettled = tuple(_identity(one) for one in findings if one.change_class in _UNSETTLED)
        last = self._last
        # What somebody has changed may be set back to what the cluster had chosen.
        chosen = {**self._before.chosen} if self._before is not None and unsettled else {}
        entries = (
            last.entries if last is not None and self._untouched else entry_digests(self._entries)
        )
        return History(
            uid=self._uid,
            declared=dict(self._formerly.declared),
            former={**self._formerly.former, **self._noted_former},
            look=Look(
                at=self._moment.now,
                resource_version=self._version,
                api_version=self._api_version,
                schema_hash=self._moment.schema_hash,
                desired=self._desired,
                open=unsettled,
                entries=entries,
                untraced=tuple(_identity(finding) for finding in findings if not finding.owners),
                injected=self._noted_injected,
                owned=self._noted_owned,
                rewritten=self._noted_rewritten,
                chosen={**chosen, **self._noted_chosen},
            ),
            told=self._noted_told,
            key_mark=self._digester.key_mark,
        )


def _readable(history: History, key_mark: int) -> History:
    """The history, without secret values that another key had digested."""
    if history.key_mark in (HIDDEN, key_mark):
        return history
    look = history.look and msgspec.structs.replace(
        history.look,
        injected=_hidden(history.look.injected),
        owned=dict.fromkeys(history.look.owned, HIDDEN),
        rewritten=dict.fromkeys(history.look.rewritten, HIDDEN),
        chosen=dict.fromkeys(history.look.chosen, HIDDEN),
    )
    return msgspec.structs.replace(
        history,
        declared={p: v if v == PRESENT else HIDDEN for p, v in history.declared.items()},
        former=_hidden(history.former),
        look=look,
    )


def _hidden(values: Mapping[str, int]) -> dict[str, int]:
    return {place: value if value == PRESENT else HIDDEN for place, value in values.items()}


def _identity(finding: Finding) -> int:
    return place_digest(f"{finding.kind} {ssa_path(finding.path)}")


def _has(view: Mapping[str, Any], place: str) -> bool:
    path, found = located(view, place)
    return found == len(path)


def _positional(path: Path) -> bool:
    """Whether the place is an element of an atomic list, which has no identity."""
    return any(not isinstance(step, str) and step.key.startswith("i:") for step in path)


def _related(finding: Finding, path: Path) -> bool:
    """Whether a finding is at the place, above it or inside it."""
    one, other = ssa_path(finding.path) + "/", ssa_path(path) + "/"
    return one.startswith(other) or other.startswith(one)


def _removed(key: ResourceKey, path: Path) -> Finding:
    place = names(path)
    change_class = ChangeClass.UNDECLARED
    if places.is_review(place) and not places.is_critical(key.kind, place):
        change_class = ChangeClass.REVIEW
    return Finding(
        ChangeKind.MISSING,
        change_class,
        path,
        reason="the cluster had it without Git, nobody owned it, and no deployer wrote since",
    )
