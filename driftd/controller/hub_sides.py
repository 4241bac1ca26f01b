"""One side of a preview through a hub: what the hub has, and what the change makes otherwise. Pure.

An application whose document is the same at the base and with the change is as the hub has it, on
both sides. One whose document the change adds, alters or removes is on each side as the checkout
declares it there: what the hub has of it is neither the base nor the change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from driftd.applicationset.generators import HUB_HINT
from driftd.controller.catalogued import Catalogued
from driftd.flux.objects import FluxObjects
from driftd.model.application import Application
from driftd.model.condition import Condition, Severity
from driftd.model.flux import FluxObject
from driftd.model.project import AppProject
from driftd.model.tree import Tree

_LINE: Final = re.compile(r":\d+\b")
"""The line of a place in a message: a change that moves it makes no other document."""

FluxKey = tuple[str, str, str]
"""Kind, namespace and name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FluxCheckout:
    """What a checkout has for the hub's cluster; empty without one."""

    prefix: str | None = None
    """Begins the names of the applications, as in a look at the checkout alone; None if unknown."""
    objects: FluxObjects = field(default_factory=FluxObjects)
    """What the root of the cluster declares."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """Why not all that a Kustomization (`NAMESPACE/NAME`) declares is known, where it is not."""
    conditions: tuple[Condition, ...] = ()
    home: Tree | None = None
    """The files that the objects are written in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubCheckout:
    """What the checkout declares at one revision, for Argo CD and for Flux."""

    argo: Catalogued = field(default_factory=Catalogued)
    flux: FluxCheckout = field(default_factory=FluxCheckout)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSide:
    """One of the two sides, with what the checkout declares on both."""

    base: HubCheckout
    change: HubCheckout
    is_base: bool

    @property
    def own(self) -> HubCheckout:
        """The checkout of this side."""
        return self.base if self.is_base else self.change

    @property
    def other(self) -> HubCheckout:
        """The checkout of the other side."""
        return self.change if self.is_base else self.base

    @property
    def conditions(self) -> list[Condition]:
        """What is wrong with the checkout on this side alone: the hub knows of the rest.

        Of a set that the change alters, the hub knows what the base generates.
        """
        known = {_told(one) for one in _conditions(self.other)}
        found = [_at_hub(one) for one in _conditions(self.own) if _told(one) not in known]
        if self.is_base:
            return found
        return [*found, *(_unexpanded(name) for name in sorted(self._open_sets()))]

    @property
    def is_blind(self) -> bool:
        """Whether the checkout may declare what is not known here, and something has changed."""
        blind = any(one.severity is Severity.ERROR for one in _conditions(self.own))
        argo = changed(self.base.argo.applications, self.change.argo.applications)
        return blind and bool(argo or self.changed_flux())

    def applications(
        self,
        live: Iterable[Application],
        beside: Callable[[Application, Application | None], Application],
        told: Callable[[Application, Application | None, Application | None], Application],
    ) -> tuple[Application, ...]:
        """The Applications of this side.

        `beside` takes a live one that stays and its document at the base; `told` one that the
        checkout declares otherwise on the two sides, and of the same name the one of the base
        and the live one.
        """
        base = {one.qualified_name: one for one in self.base.argo.applications}
        names = changed(self.base.argo.applications, self.change.argo.applications)
        own = [one for one in self.own.argo.applications if one.qualified_name in names]
        hidden = self.hidden(live := tuple(live))
        taken: dict[str, Application] = {}
        kept: list[Application] = []
        for one in live:
            name = _name_among(one, self.base, self.change, names)
            if name:
                taken[name] = one
            elif one.qualified_name not in hidden or self.is_base:
                kept.append(beside(one, base.get(one.qualified_name)))
        found = [
            told(one, base.get(one.qualified_name), taken.get(one.qualified_name)) for one in own
        ]
        return (*kept, *found)

    def hidden(self, live: Iterable[Application]) -> dict[str, Condition]:
        """By name the live Applications of sets that the change alters and nobody can expand here.

        What becomes of them is not known; each with that.
        """
        sets = self._open_sets()
        names = changed(self.base.argo.applications, self.change.argo.applications)
        return {
            one.qualified_name: Condition(
                "ComparisonError",
                f"whether the change still declares it is not known: ApplicationSet {owner}, "
                "which makes it, is altered, and only its Argo CD knows what it generates then",
            )
            for one in live
            if sets and one.qualified_name not in names
            for owner in _owners(one)
            if f"{one.namespace}/{owner}" in sets
        }

    def _open_sets(self) -> set[str]:
        """The sets that the change alters and that cannot be expanded on a side."""
        one, other = self.base.argo.unexpanded, self.change.argo.unexpanded
        return {name for name in {*one, *other} if one.get(name) != other.get(name)}

    def projects(self, live: Mapping[str, AppProject]) -> dict[str, AppProject]:
        """The hub's projects; those that the change makes otherwise as the checkout has them."""
        found = dict(live)
        base, change = self.base.argo.projects, self.change.argo.projects
        for name in {*base, *change}:
            one, other = base.get(name), change.get(name)
            if one is not None and other is not None and one.spec == other.spec:
                continue
            own = self.own.argo.projects.get(name)
            if own is not None:
                found[name] = own
            elif not self.is_base:
                found.pop(name, None)
        return found

    def changed_flux(self) -> frozenset[FluxKey]:
        """The objects of Flux, and what they use, that the two sides declare otherwise."""
        base, change = self.base.flux.objects, self.change.flux.objects
        return frozenset(
            key
            for key in {*base.keys(), *change.keys()}
            if _body(base.find(*key)) != _body(change.find(*key))
        )

    def flux_objects(self, live: Sequence[FluxObject]) -> list[FluxObject]:
        """The objects of Flux of this side."""
        names = self.changed_flux()
        found = [one for one in live if (one.kind, one.namespace, one.name) not in names]
        own = (self.own.flux.objects.find(*key) for key in sorted(names))
        return [*found, *(one for one in own if one is not None)]


def changed(base: Iterable[Application], change: Iterable[Application]) -> frozenset[str]:
    """The qualified names of the Applications that two revisions do not declare alike."""
    one = {app.qualified_name: _document(app) for app in base}
    other = {app.qualified_name: _document(app) for app in change}
    return frozenset(name for name in {*one, *other} if one.get(name) != other.get(name))


def _document(app: Application) -> tuple[Any, ...]:
    """What of a document decides what is deployed, or is told of it."""
    metadata = app.raw.get("metadata")
    finalizers = metadata.get("finalizers") if isinstance(metadata, dict) else None
    told = sorted(_told(one) for one in app.conditions)
    return app.spec, app.raw.get("spec"), app.annotations, finalizers or [], app.incomplete, told


def _name_among(
    live: Application, base: HubCheckout, change: HubCheckout, names: frozenset[str]
) -> str:
    """The name by which the checkout declares a live Application otherwise; empty if it does not.

    A document without namespace is of whichever the hub's Argo CD is in.
    """
    if live.qualified_name in names:
        return live.qualified_name
    for one in (*base.argo.applications, *change.argo.applications):
        if one.name == live.name and one.qualified_name in names and not _is_placed(one):
            return one.qualified_name
    return ""


def _is_placed(app: Application) -> bool:
    metadata = app.raw.get("metadata")
    return isinstance(metadata, dict) and bool(metadata.get("namespace"))


def _owners(live: Application) -> Iterator[str]:
    metadata = live.raw.get("metadata")
    owners = metadata.get("ownerReferences") if isinstance(metadata, dict) else None
    for one in owners if isinstance(owners, list) else ():
        if isinstance(one, dict) and one.get("kind") == "ApplicationSet":
            yield str(one.get("name"))


def _at_hub(condition: Condition) -> Condition:
    """A condition without the advice to ask a hub, which has been asked and cannot know."""
    text = condition.message.removesuffix(f"; {HUB_HINT}")
    return Condition(condition.type, text, condition.severity)


def _unexpanded(name: str) -> Condition:
    text = (
        f"ApplicationSet {name}: what the change to it makes of its Applications is not known: "
        "only its Argo CD knows what it generates"
    )
    return Condition("ComparisonError", text)


def _body(found: FluxObject | None) -> Any:
    return found.body if found is not None else None


def _conditions(checkout: HubCheckout) -> tuple[Condition, ...]:
    return (*checkout.argo.conditions, *checkout.flux.conditions)


def _told(condition: Condition) -> tuple[str, str]:
    return condition.type, _LINE.sub(":", condition.message)
