"""Kinds that Git declares and the cluster does not serve: why not, and what was probably meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

from driftd.applicationset import misspelt
from driftd.cluster.reader import ApiResource, Discovery
from driftd.model.resource import GVK

_LIKENESS = 0.8
"""How alike two words are (difflib's ratio) that one is taken for a slip of the other."""
_LONGER = 2
"""Letters by which a slip may be longer or shorter: ClusterRole is no slip of Role."""
_NAMED = 2
_KINDS_NAMED = 6


@dataclass(frozen=True, slots=True)
class Unserved:
    """Why a kind is not served, in words."""

    what: str
    remedy: str
    field: str = "kind"
    """The field of the manifest that is probably wrong: `kind` or `apiVersion`."""
    meant: tuple[ApiResource, ...] = ()
    """The served kinds that were probably meant; empty where the kind may be right."""

    is_slip: bool = False
    """Whether the manifest is wrong for certain, or nearly so."""

    @property
    def text(self) -> str:
        """Both in one sentence."""
        return f"{self.what}; {self.remedy}"


def unserved(gvk: GVK, discovery: Discovery, declared_by: str = "") -> Unserved | None:
    """Why the cluster does not serve a kind; None if it does.

    `declared_by` is another application that declares the CustomResourceDefinition of the kind.
    Whether discovery of its group failed, the caller has asked before.
    """
    if discovery.served(gvk.group, gvk.version, gvk.kind) is not None:
        return None
    what = f"the cluster does not serve {gvk.api_version} {gvk.kind}"
    other = discovery.preferred(gvk.group, gvk.kind)
    if other is not None:
        remedy = f"it serves {other.group_version}: change apiVersion in Git"
        return Unserved(what, remedy, "apiVersion", (other,), True)
    if declared_by:
        return Unserved(
            what,
            f"application {declared_by} declares its CustomResourceDefinition, which is not "
            f"installed: sync {declared_by} first",
        )
    slip = misspelt.slip({"apiVersion": gvk.api_version, "kind": gvk.kind})
    if slip:
        field = slip.partition(" ")[0]
        return Unserved(what, f"{slip} What it would declare is not looked at", field, is_slip=True)
    return _elsewhere(what, gvk, discovery) or _misspelt(what, gvk, discovery) or _none(what, gvk)


def _elsewhere(what: str, gvk: GVK, discovery: Discovery) -> Unserved | None:
    """The same kind in other groups: a wrong apiVersion, or a custom kind of the same name."""
    groups = [one for one in _preferred(discovery) if one.kind == gvk.kind and one.listable]
    near = [one for one in groups if _is_slip(gvk.group, one.group)]
    if not near and "." not in gvk.group:
        near = groups  # no CustomResourceDefinition has such a group: the kind cannot be right
    if near:
        names = _or(one.group_version for one in near)
        remedy = f"it serves {gvk.kind} as {names}: change apiVersion in Git"
        return Unserved(what, remedy, "apiVersion", tuple(near), True)
    if not groups:
        return None
    names = _or(f"{gvk.kind} ({one.group_version})" for one in groups)
    remedy = (
        "its CustomResourceDefinition is not installed: install what brings it, or, if "
        f"{names} is meant, correct apiVersion in Git"
    )
    return Unserved(what, remedy, "apiVersion")


def _misspelt(what: str, gvk: GVK, discovery: Discovery) -> Unserved | None:
    """A kind that is spelt nearly like a served one."""
    kinds = [one for one in _preferred(discovery) if one.listable]
    same = [one for one in kinds if one.group == gvk.group]
    found = _nearest(gvk.kind, same)
    wrong = "kind"
    if not found:
        anywhere = "." not in gvk.group
        found = _nearest(
            gvk.kind, [one for one in kinds if anywhere or _is_slip(gvk.group, one.group)]
        )
    if any(one.group_version != gvk.api_version for one in found):
        wrong = "apiVersion and kind"
    if found:
        names = _or(f"{one.kind} ({one.group_version})" for one in found)
        return Unserved(
            what, f"did you mean {names}? Correct {wrong} in Git", "kind", tuple(found), True
        )
    if same and "." not in gvk.group:
        listed = ", ".join(one.kind for one in same[:_KINDS_NAMED])
        more = " …" if len(same) > _KINDS_NAMED else ""
        remedy = f"{gvk.api_version} has {listed}{more}: correct kind or apiVersion in Git"
        return Unserved(what, remedy, is_slip=True)
    return None


def _none(what: str, gvk: GVK) -> Unserved:
    if gvk.group == misspelt.GROUP and gvk.kind in misspelt.KINDS:
        return Unserved(
            what, "is this the cluster that Argo CD runs in? --context or --cluster names another"
        )
    if "." not in gvk.group:
        return Unserved(what, "correct apiVersion and kind in Git", "apiVersion", is_slip=True)
    return Unserved(
        what,
        "its CustomResourceDefinition is not installed: install what brings it, or correct "
        "apiVersion and kind in Git",
    )


def _preferred(discovery: Discovery) -> Iterator[ApiResource]:
    """Each kind at the version that the server prefers."""
    yield from discovery.by_group_kind.values()


def _nearest(kind: str, candidates: Iterable[ApiResource]) -> list[ApiResource]:
    """Those candidates whose kind or plural is most like `kind`; empty where none is near."""
    ranked = [(max(_likeness(kind, one.kind), _plural(kind, one)), one) for one in candidates]
    best = max((rank for rank, _ in ranked), default=0.0)
    return [one for rank, one in ranked if rank == best] if best >= _LIKENESS else []


def _plural(kind: str, candidate: ApiResource) -> float:
    return 1.0 if kind.lower() == candidate.plural else 0.0


def _is_slip(written: str, meant: str) -> bool:
    return bool(written) and _likeness(written, meant) >= _LIKENESS


def _likeness(written: str, meant: str) -> float:
    """How alike two words are, 0 where one is so much longer that it is no slip of the other."""
    if abs(len(written) - len(meant)) > _LONGER:
        return 0.0
    return SequenceMatcher(None, written.lower(), meant.lower()).ratio()


def _or(names: Iterable[str]) -> str:
    found = list(dict.fromkeys(names))
    return " or ".join(found[:_NAMED])
