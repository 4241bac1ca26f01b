"""Fields that live and Git does not declare: whose they are and whether they matter.

The rule: an extra that nobody owns was made by the server or a webhook; one that
somebody owns is drift. The default table comes before any trust in an owner, and critical
places are excused by the table alone, since ownership can be forged or wiped.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from driftd.diff import defaults, trusted, zeros
from driftd.diff.attribute import sole_writer
from driftd.diff.finding import Finding
from driftd.diff.owners import (
    UNKNOWN_MANAGERS,
    Entry,
    Owners,
    at_field,
    at_item,
    is_deployers_item,
    item_key,
    repeats,
    value_key,
    written_into,
)
from driftd.diff.paths import Item, Path, names
from driftd.diff.prepare import SERVER_FINALIZERS
from driftd.diff.schema import Node, Shape
from driftd.diff.subject import Subject
from driftd.model import places
from driftd.model.report import BY_KUBECTL, ChangeClass, ChangeKind
from driftd.model.resource import Json, ResourceKey

_REPLICAS = ("spec", "replicas")
_FINALIZERS = ("metadata", "finalizers")
_CONVERTED = "autoscaling.alpha.kubernetes.io/"
_BOUND_BY_CONTROLLER = frozenset({"volumeName", "claimRef"})
"""Allocated fields that a controller writes in its own name, so that they have an owner."""
_BOUND = "pv.kubernetes.io/bind-completed"
"""What the controller that binds a claim puts on it beside the volume's name."""
_AT_CREATION = frozenset({"storageClassName"})
"""Allocated fields that admission fills in when the object is created, and nothing later."""

Excuses: TypeAlias = "dict[Path, str]"
"""Why an undeclared place is no finding, by place; filled in for those who ask for it."""


class Extras:
    """Classifies extras of one object."""

    __slots__ = ("excuses", "subject")

    def __init__(self, subject: Subject, excuses: Excuses | None = None) -> None:
        self.subject = subject
        self.excuses = excuses

    def excuse(self, path: Path, reason: str) -> None:
        """Keep why a place is no finding, if anybody asked."""
        if self.excuses is not None:
            self.excuses[path] = reason

    def field(
        self,
        name: str,
        live: Json,
        parent: Node,
        parents: tuple[dict[str, Any], dict[str, Any]],
        owners: Owners,
        path: Path,
    ) -> list[Finding]:
        """Findings for the extra field or map key `name` of a struct.

        `parent` is the node of that struct, `parents` the struct itself on both sides, `owners`
        and `path` are the struct's.
        """
        if live is None:
            return []
        explained = defaults.Explained.NOT
        if parent.shape is Shape.STRUCT:
            explained = defaults.explain(parent, name, live, *parents, path)
            if explained is defaults.Explained.WHOLE and (
                name != "hostPort" or _on_host_network(self.subject.live)
            ):
                if self.excuses is not None:  # most fields come here, so that nothing is made
                    self.excuse((*path, name), defaults.origin_of(parent, name, live))
                return []
        child = parent.child(name)
        owners = at_field(owners, name, atomic=parent.atomic or child.atomic)
        path = (*path, name)
        if explained is defaults.Explained.STRUCT:
            self.excuse(path, "the API server makes the struct; each field in it is judged")
            if self.subject.recall is not None and defaults.is_made_once(parent, name):
                self.subject.recall.note_injected(path, live)  # missed when somebody removes it
            return self._below(live, child, owners, path)
        if self._is_allocated(name, live, parent, owners, path):
            self.excuse(path, "the cluster chooses the value, so Git cannot know it")
            if self.subject.recall is not None:
                self.subject.recall.note_chosen(path, live)
            return []
        if isinstance(live, dict):
            return self._struct(name, live, parent, owners, path)
        if isinstance(live, list) and live and child.shape is Shape.SET:
            return [
                finding
                for index, value in enumerate(live)
                for finding in self.item(
                    value,
                    at_item(owners, value_key(value)),
                    (*path, Item(value_key(value), None, index)),
                )
            ]
        if isinstance(live, list) and live and child.shape is Shape.LIST_MAP:
            return self._list(live, child, owners, path)
        return self._leaf(
            live,
            owners,
            path,
            collection=parent.shape is Shape.MAP,
            kept=zeros.tells(parent, name),
        )

    def item(self, live: Json, owners: Owners, path: Path) -> list[Finding]:
        """Findings for an extra item of a list; it is judged whole."""
        if path[:2] == _FINALIZERS and live in SERVER_FINALIZERS.get(self.subject.key.kind, ()):
            self.excuse(path, "a finalizer that Kubernetes itself puts on this kind")
            if self.subject.recall is not None:
                self.subject.recall.note_injected(path, live)  # missed when somebody removes it
            return []
        if is_deployers_item(owners):
            makers = [entry for entry, _ in owners if entry.deployer]
            told = self._deployers(path, live, makers)
            told.reason += f"; in it {written_into(owners)}"
            return [told]
        return self._leaf(live, owners, path, collection=True)

    def _is_allocated(
        self, name: str, live: Json, parent: Node, owners: Owners, path: Path
    ) -> bool:
        """Whether the cluster chose the value: by the place, the value and who wrote it."""
        if not live or not defaults.is_allocated(parent, name):
            return False
        recall = self.subject.recall
        if recall is not None and recall.is_chosen(path, live):
            return True
        if not self._may_be_chosen(name, live, owners, path) or self._came(owners, path, live):
            return False
        return all(
            entry.deployer or entry.manager in UNKNOWN_MANAGERS or self.subject.is_creator(entry)
            for entry, _ in owners
        )

    def without_repeaters(self, name: str, live: Json, owners: Owners, path: Path) -> Owners:
        """The owners of a struct that count for a field that Git leaves to the cluster.

        Another tool that applies the same takes the field over, with the value that it finds.
        """
        recall = self.subject.recall
        if recall is not None and recall.is_chosen((*path, name), live) is False:
            return owners
        found = self.subject.entries
        return [one for one in owners if not repeats(one[0], found, defaults.ALLOCATED_NAMES)]

    def _may_be_chosen(self, name: str, live: Json, owners: Owners, path: Path) -> bool:
        """Whether the value is one that the cluster chooses in such a place."""
        subject = self.subject
        if name == "secrets":
            return self.subject.are_token_secrets(live)
        if name in _BOUND_BY_CONTROLLER:
            if not owners and not subject.provenance_lost:
                return False
            if name == "claimRef":
                return isinstance(live, dict) and bool(live.get("uid"))
            annotations = subject.live.get("metadata", {}).get("annotations") or {}
            return _BOUND in annotations
        if name == "storageClassName":
            return len(path) == len(("spec", name))  # admission asks no template
        # The cluster places and ranks Pods, never the template of one.
        return name not in ("nodeName", "priority") or subject.key.kind == "Pod"

    def _came(self, owners: Owners, path: Path, live: Json) -> bool:
        """Whether the value came since an earlier look, though no deployer had a reason to write.

        Under a deployer's name, or without any owner in place of the value that the cluster had
        chosen, or where it chooses at creation alone.
        """
        recall = self.subject.recall
        if recall is None:
            return False
        if owners:
            deployed = any(entry.deployer for entry, _ in owners)
            return deployed and recall.forged(path) is not None
        if recall.is_chosen(path, live) is None and path[-1] not in _AT_CREATION:
            return False
        return recall.appeared(path, live) is not None

    def _struct(
        self, name: str, live: dict[str, Any], parent: Node, owners: Owners, path: Path
    ) -> list[Finding]:
        child = parent.child(name)
        found = self._below(live, child, owners, path)
        made = (child.shape is Shape.MAP and not child.atomic) or defaults.is_struct_default(
            parent, name
        )
        if live and made:
            return found
        if live and (
            found or child.shape is not Shape.STRUCT or not zeros.is_hollow(live, child, path)
        ):
            return self._collapsed(found, live, path)
        # An empty struct that nobody owns is the server's; one that somebody set can mean
        # "everything" (a NetworkPolicy peer's namespaceSelector, catalogue row 35), and so does
        # one that the server would keep, whose owner may have wiped his entry. That the server
        # has filled it in makes no difference.
        kept = defaults.short(child.ref) == "v1.LabelSelector" or zeros.tells(parent, name)
        if owners or kept:
            return self._leaf(live, owners, path, collection=False, kept=kept)
        self.excuse(path, "an empty struct that nobody owns")
        return []

    def _below(self, live: dict[str, Any], node: Node, owners: Owners, path: Path) -> list[Finding]:
        """Findings for every member of an extra struct."""
        found: list[Finding] = []
        parents: tuple[dict[str, Any], dict[str, Any]] = ({}, live)
        if node.native:
            parents = (live, live)  # conditional defaults look at their live neighbours
        for name, value in live.items():
            found += self.field(name, value, node, parents, owners, path)
        return found

    def _list(self, live: list[Json], node: Node, owners: Owners, path: Path) -> list[Finding]:
        """An extra list as a whole if its items have the same owners, else item by item."""
        keys = [
            item_key(item, node.keys, node.key_defaults) if isinstance(item, dict) else None
            for item in live
        ]
        reached = [at_item(owners, key) if key else list(owners) for key in keys]
        if None in keys:
            whole = [(entry, None) for entry, below in owners if below is None or below]
            return self._leaf(live, whole, path, collection=True)
        if len({frozenset(entry for entry, _ in of_item) for of_item in reached}) == 1:
            return self._leaf(live, reached[0], path, collection=True)
        return [
            finding
            for index, (item, key, of_item) in enumerate(zip(live, keys, reached, strict=True))
            for finding in self.item(item, of_item, (*path, Item(str(key), None, index)))
        ]

    def _collapsed(self, found: list[Finding], live: dict[str, Any], path: Path) -> list[Finding]:
        """One finding at the struct instead of one per member, if the members agree.

        They agree in their owners too: a rule that ignores one manager must not hide another.
        """
        sorts = {(one.kind, one.change_class, frozenset(one.owners)) for one in found}
        if len(sorts) != 1:
            return found
        first = found[0]
        return [Finding(first.kind, first.change_class, path, live=live, owners=first.owners,
                        reason=first.reason)]  # fmt: skip

    def _leaf(
        self, live: Json, owners: Owners, path: Path, *, collection: bool, kept: bool = False
    ) -> list[Finding]:
        """Findings for an extra that is judged whole; `kept` if its empty value is one."""
        subject = self.subject
        entries = [entry for entry, _ in owners]
        place = names(path)
        foreign = [entry for entry in entries if not entry.deployer]
        if all(entry.manager in UNKNOWN_MANAGERS for entry in entries) and not subject.strict:
            lost = bool(entries) or subject.provenance_lost
            why = trusted.expected_value(subject, place, live, by_anybody=lost)
            if why is not None:
                self.excuse(path, f"Kubernetes itself wrote it: {why}")
                return []
        if not entries:
            return self._unowned(live, path, place, collection=collection, kept=kept)
        recall = subject.recall
        if foreign:
            reasons = [trusted.trusted_write(entry, subject, place, live) for entry in foreign]
            if all(reasons) and not (subject.strict and len(entries) == len(foreign)):
                self.excuse(path, f"a trusted controller wrote it: {reasons[0]}")
                if recall is not None:
                    recall.note_owned(path, live)
                return []
        if any(entry.deployer and entry.applied for entry in entries) or not foreign:
            return [self._deployers(path, live, entries)]
        if recall is not None and recall.was_declared(path, live):
            return [_once_declared(path, live, entries)]
        if all(entry.manager in UNKNOWN_MANAGERS for entry in entries) and self._is_old(
            path, place, live
        ):
            return [self._injected(path, live)]
        change_class = self._foreign_class(place, live, foreign)
        if recall is not None and change_class is ChangeClass.REVIEW:
            recall.note_owned(path, live)
        return [
            Finding(
                ChangeKind.ADDED,
                change_class,
                path,
                live=live,
                owners=foreign,
                reason="added by a manager that is no deployer",
            )
        ]

    def _deployers(self, path: Path, live: Json, entries: list[Entry]) -> Finding:
        """An extra under a deployer's name: Git declared it once, unless history knows better."""
        recall = self.subject.recall
        told = recall.forged(path) if recall is not None else None
        if recall is not None and told is not None:
            recall.note_told(ChangeKind.ADDED, path, told)
            return Finding(
                ChangeKind.ADDED,
                ChangeClass.UNDECLARED,
                path,
                live=live,
                owners=entries,
                reason=f"written under a deployer's name after {told.after}, "
                "though Git has not declared it",
            )
        if recall is not None:
            recall.note_former(path, live)
        return Finding(
            ChangeKind.FORMERLY_DECLARED,
            ChangeClass.DECLARED,
            path,
            live=live,
            owners=entries,
            reason=_applied_by(entries),
        )

    def _is_old(self, path: Path, place: tuple[str, ...], live: Json) -> bool:
        """Whether an earlier look saw the extra as it is, at a place that is not critical."""
        recall, kind = self.subject.recall, self.subject.key.kind
        if recall is None or self.subject.strict or not recall.known(path, live):
            return False
        critical = places.gives_power(kind, place, live)
        return not critical and place != _REPLICAS

    def _injected(self, path: Path, live: Json) -> Finding:
        if self.subject.recall is not None:
            self.subject.recall.note_injected(path, live)
        return Finding(
            ChangeKind.ADDED,
            ChangeClass.INJECTED,
            path,
            live=live,
            reason="nobody owns it and no default is known: a mutating webhook, most likely",
        )

    def _unowned(
        self, live: Json, path: Path, place: tuple[str, ...], *, collection: bool, kept: bool
    ) -> list[Finding]:
        subject = self.subject
        kind = subject.key.kind
        critical = places.gives_power(kind, place, live)
        why = trusted.scaling(subject, live) if place == _REPLICAS else None
        if why is not None:
            self.excuse(path, why)
            return []
        recall = subject.recall
        if recall is not None and recall.was_declared(path, live):
            return [_once_declared(path, live, [])]
        # Writes through /scale own nothing where the field had no owner before.
        critical = critical or place == _REPLICAS
        lost = subject.provenance_lost and collection and not self._is_old(path, place, live)
        if critical or lost or subject.strict:
            reason = (
                "nobody owns it, and no default explains it at a critical place"
                if critical
                else "managedFields are gone, so nobody can be named"
                if lost
                else "nobody owns it, and no default explains it"
            )
            change_class = ChangeClass.UNDECLARED
            if not critical and places.is_review(place):
                change_class = ChangeClass.REVIEW
            return [Finding(ChangeKind.ADDED, change_class, path, live=live, reason=reason)]
        if not kept and (live in ("", 0, False) or live == []):
            self.excuse(path, "an empty value that nobody owns says the same as no value")
            return []
        if recall is None or not recall.known(path, live):
            if subject.elsewhere or _is_converted(subject.key, place):
                return [self._through_another_version(path, place, live)]
            told = recall.appeared(path, live) if recall is not None else None
        else:
            told = None
        if recall is None or told is None:
            return [self._injected(path, live)]
        recall.note_told(ChangeKind.ADDED, path, told)
        return [
            Finding(
                ChangeKind.ADDED,
                ChangeClass.REVIEW if places.is_review(place) else ChangeClass.UNDECLARED,
                path,
                live=live,
                reason=f"nobody owns it; it came after {told.after}, "
                "and no deployer had a reason to write",
            )
        ]

    def _through_another_version(self, path: Path, place: tuple[str, ...], live: Json) -> Finding:
        """An extra without owner on an object that somebody wrote through another apiVersion.

        What this version does not name it may keep in annotations, which nobody owns.
        """
        entries = list(self.subject.elsewhere)
        change_class = ChangeClass.UNDECLARED
        if entries and place[:2] != ("metadata", "annotations"):
            change_class = self._foreign_class(place, live, entries)
        versions = ", ".join(sorted({entry.api_version for entry in entries}))
        return Finding(
            ChangeKind.ADDED,
            change_class,
            path,
            live=live,
            writer=sole_writer(entries, place),
            reason=f"nobody owns it, and somebody wrote through {versions or 'another apiVersion'} "
            "what this one does not name",
        )

    def _foreign_class(
        self, place: tuple[str, ...], live: Json, foreign: list[Entry]
    ) -> ChangeClass:
        kind, subject = self.subject.key.kind, self.subject
        if places.gives_power(kind, place, live):
            return ChangeClass.UNDECLARED
        if places.is_review(place) and not _is_converted(subject.key, place):
            return ChangeClass.REVIEW
        if is_custom(subject.key.group) and all(self.subject.writes_status(e) for e in foreign):
            return ChangeClass.REVIEW
        return ChangeClass.UNDECLARED


def _is_converted(key: ResourceKey, place: tuple[str, ...]) -> bool:
    """Whether an annotation is where `autoscaling/v1` keeps fields that only v2 names."""
    return (
        key.group == "autoscaling"
        and len(place) == len(("metadata", "annotations", "name"))
        and place[1] == "annotations"
        and place[2].startswith(_CONVERTED)
    )


def _applied_by(owners: Iterable[Entry]) -> str:
    """Why what deployers own is held to be declared once."""
    if all(one.manager.startswith("kubectl") for one in owners):
        return f"{BY_KUBECTL}: Git declared it before, or a person applied it"
    return "applied by a deployer, absent from Git"


def _once_declared(path: Path, live: Json, owners: list[Entry]) -> Finding:
    """An extra that Git declared when an earlier look was made."""
    return Finding(
        ChangeKind.FORMERLY_DECLARED,
        ChangeClass.DECLARED,
        path,
        live=live,
        owners=owners,
        reason="declared in Git at an earlier look, absent from Git now",
    )


def _on_host_network(live: dict[str, Any]) -> bool:
    """Whether an object's Pods share the host's network; then the server copies their ports."""
    spec: Any = live
    for name in ("spec", "jobTemplate", "spec", "template", "spec"):
        if isinstance(spec, dict) and isinstance(spec.get(name), dict):
            spec = spec[name]
    return isinstance(spec, dict) and spec.get("hostNetwork") is True


def is_custom(group: str) -> bool:
    """Whether a group is no group of Kubernetes itself."""
    return "." in group and not group.endswith(".k8s.io")
