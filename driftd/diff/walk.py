"""The comparison itself: desired, live, schema and ownership walked together.

For every place the walk answers three questions: does live hold what Git declares; who made
what Git does not declare; and what should an undeclared field have been (the default table).
The API server is not asked, and no other object is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from driftd.diff import defaults, relations, scalars, trusted, zeros
from driftd.diff.extras import Excuses, Extras, is_custom
from driftd.diff.finding import Finding
from driftd.diff.owners import (
    Entry,
    Owners,
    at_field,
    at_item,
    item_key,
    roots,
    value_key,
)
from driftd.diff.paths import Item, Path, names
from driftd.diff.schema import ANY_NODE, Node, Shape
from driftd.diff.subject import Subject
from driftd.model.report import ChangeClass, ChangeKind
from driftd.model.resource import Json


def walk(subject: Subject, node: Node, excuses: Excuses | None = None) -> list[Finding]:
    """Every difference between the prepared desired object and the prepared live one.

    `excuses`, if given, is filled with why undeclared places are no difference.
    """
    work = _Walk(subject, excuses)
    return work.struct(subject.desired, subject.live, node, roots(subject.entries), ())


class _Walk:
    __slots__ = ("extras", "subject")

    def __init__(self, subject: Subject, excuses: Excuses | None) -> None:
        self.subject = subject
        self.extras = Extras(subject, excuses)

    def struct(
        self,
        desired: dict[str, Any],
        live: dict[str, Any],
        node: Node,
        owners: Owners,
        path: Path,
    ) -> list[Finding]:
        found: list[Finding] = []
        string_map = node.shape is Shape.MAP
        for name, value in desired.items():
            if value is None:
                if not string_map:
                    continue  # null declares nothing
                value = ""  # the server stores a null map value as the empty string
            present = live.get(name)
            if present is not None:
                if scalars.identical(value, present):
                    continue
                if self._leaves_it(name, value, node, (desired, live), owners, path):
                    continue
                child = node.child(name)
                reached = at_field(owners, name, atomic=child.atomic or node.atomic)
                value = defaults.with_derived(node, name, value, desired, present)
                found += self.value(value, present, child, reached, (*path, name))
            elif not self._may_be_absent(node, name, value):
                reached = at_field(owners, name, atomic=node.atomic)
                found.append(self._missing((*path, name), value, reached))
        parents = (desired, live)
        for name, value in live.items():
            if name not in desired or (desired[name] is None and not string_map):
                found += self.extras.field(name, value, node, parents, owners, path)
        return found

    def _leaves_it(
        self,
        name: str,
        value: Json,
        node: Node,
        parents: tuple[dict[str, Any], dict[str, Any]],
        owners: Owners,
        path: Path,
    ) -> bool:
        """Whether Git's empty value says nothing, and live is what the server makes of nothing."""
        if not zeros.says_nothing(node, name, value):
            return False
        desired = {member: inner for member, inner in parents[0].items() if member != name}
        live = parents[1]
        if defaults.is_allocated(node, name):
            owners = self.extras.without_repeaters(name, live[name], owners, path)
        return not self.extras.field(name, live[name], node, (desired, live), owners, path)

    def value(
        self, desired: Json, live: Json, node: Node, owners: Owners, path: Path
    ) -> list[Finding]:
        if isinstance(desired, dict) and isinstance(live, dict):
            return self.struct(desired, live, node, owners, path)
        if isinstance(desired, list) and isinstance(live, list):
            return self.sequence(desired, live, node, owners, path)
        if scalars.same(desired, live, node.scalar):
            return []
        return self._modified(desired, live, owners, path)

    def sequence(
        self, desired: list[Json], live: list[Json], node: Node, owners: Owners, path: Path
    ) -> list[Finding]:
        shape, keys = node.shape, node.keys
        if shape is Shape.ANY:
            keys = deduced_keys(owners)
            shape = Shape.LIST_MAP if keys else Shape.LIST
        if shape is Shape.SET:
            return self._set(desired, live, owners, path)
        if shape is Shape.LIST_MAP:
            return self._map_list(desired, live, node, keys, owners, path)
        return self._atomic_list(desired, live, node, owners, path)

    # Lists.

    def _map_list(
        self,
        desired: list[Json],
        live: list[Json],
        node: Node,
        keys: tuple[str, ...],
        owners: Owners,
        path: Path,
    ) -> list[Finding]:
        wanted = _grouped(desired, keys, node)
        present = _grouped(live, keys, node)
        if wanted is None or present is None:
            return self._atomic_list(desired, live, node, owners, path)
        found: list[Finding] = []
        missing: list[Finding] = []
        item_node = node.item
        left: dict[str, list[int]] = {}
        for key, indexes in wanted.items():
            partners, left[key] = _partners(desired, indexes, live, present.get(key, ()))
            for index, other in zip(indexes, partners, strict=True):
                if other is None:
                    missing.append(self._missing((*path, Item(key, index, None)), desired[index]))
                elif not scalars.identical(desired[index], live[other]):
                    step = Item(key, index, other)
                    reached = at_item(owners, key, atomic=item_node.atomic)
                    found += self.struct(
                        desired[index], live[other], item_node, reached, (*path, step)
                    )
        added: list[Finding] = []
        for key, indexes in present.items():
            for index in left[key] if key in wanted else indexes:
                reached = at_item(owners, key, atomic=item_node.atomic)
                step = Item(key, None, index)
                added += self.extras.item(live[index], reached, (*path, step))
        found += _renamed(missing, added, keys)
        before = [key for key in wanted if key in present]
        after = [key for key in present if key in wanted]
        if before != after:
            found.append(self._reordered(before, after, path))
        return found

    def _set(
        self, desired: list[Json], live: list[Json], owners: Owners, path: Path
    ) -> list[Finding]:
        wanted = {value_key(value): index for index, value in enumerate(desired)}
        present = {value_key(value): index for index, value in enumerate(live)}
        found = [
            self._missing((*path, Item(key, index, None)), desired[index])
            for key, index in wanted.items()
            if key not in present
        ]
        for key, index in present.items():
            if key not in wanted:
                step = Item(key, None, index)
                found += self.extras.item(live[index], at_item(owners, key), (*path, step))
        return found

    def _atomic_list(
        self, desired: list[Json], live: list[Json], node: Node, owners: Owners, path: Path
    ) -> list[Finding]:
        if len(desired) == len(live):
            if all(
                self._same_element(d, v, node.item, owners, path)
                for d, v in zip(desired, live, strict=True)
            ):
                return []
            order = _permutation(
                desired, live, lambda d, v: self._same_element(d, v, node.item, owners, path)
            )
            if order:
                return self._declared(
                    Finding(ChangeKind.REORDERED, ChangeClass.DECLARED, path, desired, live), owners
                )

        def same(one: Json, other: Json) -> bool:
            return len(one) == len(other) and all(
                self._same_element(d, v, node.item, owners, path)
                for d, v in zip(one, other, strict=True)
            )

        return self._modified(desired, live, owners, path, same)

    def _same_element(
        self, desired: Json, live: Json, node: Node, owners: Owners, path: Path
    ) -> bool:
        """Whether an element of an atomic list is what the server makes of the declared one.

        managedFields say nothing about the inside, so all owners of the list count for it.
        """
        below = [(entry, None) for entry, _ in owners]
        return not self.value(desired, live, node, below, (*path, Item("i:0", 0, 0)))

    # Findings.

    def _may_be_absent(self, node: Node, name: str, value: Json) -> bool:
        """Whether a declared empty value is what the server drops (catalogue rows 33 to 40).

        An entry of a map is never dropped, however empty its value: a `nodeSelector` or a label
        without a value still selects.
        """
        if node.shape is Shape.MAP or not defaults.is_empty(value):
            return False
        if node.lacks(name) and isinstance(value, bool | int):
            return False  # a slip in the name, and the field that was meant may be on by default
        if node.shape is Shape.ANY:
            # No schema at all (an offline comparison): only a native type may have dropped it,
            # and what looks like a struct of empty values may be a map.
            native = node is ANY_NODE and not is_custom(self.subject.key.group)
            return native and (not isinstance(value, dict) or is_hollow(value))
        if zeros.is_kept(node, name):
            return False
        if not isinstance(value, dict):
            return True
        child = node.child(name)
        return all(
            (inner is None and child.shape is not Shape.MAP)
            or self._may_be_absent(child, member, inner)
            for member, inner in value.items()
        )

    def _missing(self, path: Path, desired: Json, owners: Owners = ()) -> Finding:
        """A removal. It leaves a trace only where an atomic parent or a null value is owned."""
        return Finding(
            ChangeKind.MISSING,
            ChangeClass.DECLARED,
            path,
            desired=desired,
            owners=[entry for entry, _ in owners if not entry.deployer],
            reason="declared in Git, absent from the cluster",
        )

    def _reordered(self, desired: list[str], live: list[str], path: Path) -> Finding:
        return Finding(
            ChangeKind.REORDERED,
            ChangeClass.DECLARED,
            path,
            desired=desired,
            live=live,
            reason="same items in another order",
        )

    def _modified(
        self,
        desired: Json,
        live: Json,
        owners: Owners,
        path: Path,
        same: relations.Same | None = None,
    ) -> list[Finding]:
        return self._declared(
            Finding(ChangeKind.MODIFIED, ChangeClass.DECLARED, path, desired, live), owners, same
        )

    def _declared(
        self, finding: Finding, owners: Owners, same: relations.Same | None = None
    ) -> list[Finding]:
        """A declared difference with its owners, unless a trusted relation explains it.

        `same` compares the rest of an atomic list of which a controller may write parts.
        """
        place = names(finding.path)
        # Whoever sent `stringData` keeps it in his record when others write the key since.
        entries: list[Entry] = [
            entry
            for entry, _ in owners
            if not (entry.sent and place[0] == "data" and place[-1] in entry.sent)
        ]
        finding.owners = entries
        finding.reason = finding.reason or "Git says otherwise"
        foreign = [entry for entry in entries if not entry.deployer]
        both = (finding.live, finding.desired)
        whys = [trusted.trusted_write(entry, self.subject, place, *both, same) for entry in foreign]
        if self.subject.provenance_lost:
            whys = [
                trusted.expected_value(
                    self.subject, place, both[0], by_anybody=True, desired=both[1], same=same
                )
            ]
        for why in whys:
            if why is not None and len(whys) == 1:
                if defaults.is_empty(finding.desired):
                    self.extras.excuse(finding.path, f"Git leaves it to a controller: {why}")
                    return []  # Git leaves the field to the controller
                finding.change_class = ChangeClass.REVIEW
                finding.reason = f"{why}; declared in Git too: two writers, remove it from Git"
                if same is not None:
                    finding.reason = f"{why}; everything else in the list is as in Git"
                return [finding]
        if same is not None:
            self._doubt(finding, foreign, place)
        return [finding]

    def _doubt(self, finding: Finding, foreign: list[Entry], place: tuple[str, ...]) -> None:
        """Say that the owner of an atomic list of which it writes parts need not be the author."""
        parts = [e.manager for e in foreign if trusted.weighs(e, self.subject, place)]
        if parts and len(parts) == len(foreign):
            finding.reason = (
                f"the list differs from Git in more than what {parts[0]} writes; whoever changed "
                "it earlier lost his record to that manager's last write"
            )


def is_hollow(value: Json) -> bool:
    """Whether a value has nothing inside but structs and lists without content."""
    if isinstance(value, dict):
        return all(is_hollow(inner) for inner in value.values())
    return value is None or value == []


def deduced_keys(owners: Owners) -> tuple[str, ...]:
    """The map keys of a list without schema, read off the `k:{...}` members of its owners."""
    for _, fields in owners:
        for member in fields or ():
            if member.startswith("k:"):
                return tuple(sorted(orjson.loads(member[2:])))
    return ()


def _grouped(items: list[Json], keys: tuple[str, ...], node: Node) -> dict[str, list[int]] | None:
    """Indexes of the items by key, in order; None if an item is no struct or has no key at all."""
    groups: dict[str, list[int]] = {}
    for index, item in enumerate(items):
        key = item_key(item, keys, node.key_defaults) if isinstance(item, dict) else None
        if key is None:
            return None
        groups.setdefault(key, []).append(index)
    return groups


def _partners(
    desired: list[Json], wanted: Sequence[int], live: list[Json], present: Sequence[int]
) -> tuple[list[int | None], list[int]]:
    """For each declared item of one key its live partner, and the live items left over.

    Keys are unique but for duplicates, which the API server accepts: equal items belong together,
    so that an item put before its double is the one that was added.
    """
    if len(wanted) == len(present) == 1:
        return [present[0]], []
    rest = list(present)
    found: list[int | None] = []
    for index in wanted:
        twin = next((i for i in rest if scalars.identical(desired[index], live[i])), None)
        if twin is not None:
            rest.remove(twin)
        found.append(twin)
    for position, twin in enumerate(found):
        if twin is None and rest:
            found[position] = rest.pop(0)
    return found, rest


def _permutation(desired: list[Json], live: list[Json], same: Any) -> bool:
    """Whether `live` holds the elements of `desired`, each once, in another order."""
    rest = list(live)
    for element in desired:
        match = next((i for i, other in enumerate(rest) if same(element, other)), None)
        if match is None:
            return False
        rest.pop(match)
    return not rest


def _renamed(missing: list[Finding], added: list[Finding], keys: tuple[str, ...]) -> list[Finding]:
    """Pairs a missing and an added item of one list that differ in their keys alone."""
    left = list(missing)
    found: list[Finding] = []
    for candidate in added:
        body = _without(candidate.live, keys)
        partner = next((m for m in left if body and _without(m.desired, keys) == body), None)
        if partner is None or candidate.kind is not ChangeKind.ADDED:
            found.append(candidate)
            continue
        left.remove(partner)
        found.append(
            Finding(
                ChangeKind.RENAMED,
                ChangeClass.DECLARED,
                candidate.path,
                desired=partner.desired,
                live=candidate.live,
                owners=candidate.owners,
                reason="the item's key changed, its content did not",
                renamed_from=partner.path,
            )
        )
    return left + found


def _without(item: Json, keys: tuple[str, ...]) -> dict[str, Any]:
    return {k: v for k, v in item.items() if k not in keys} if isinstance(item, dict) else {}
