"""What a change to a live object is made of: its maker, its edit, and where it must be found.

A change maker looks at one live object and at what Git declares for it, and answers with an
edit and the place where it must be found, or with None where it has nothing to change.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from tests.e2e.edits import Edit

DECLARED, UNDECLARED, REVIEW = "declared", "undeclared", "review"
MISSING = "Missing"
PODS = ("Deployment", "StatefulSet", "DaemonSet", "CronJob")
"""Kinds with a Pod template that can change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a change maker sees."""

    live: Any
    desired: Any
    autoscaled: bool
    """Whether an autoscaler in Git targets the object."""
    rng: random.Random

    @property
    def template(self) -> str:
        """Where the Pod template is; empty if the object has none."""
        if self.live["kind"] == "CronJob":
            return "/spec/jobTemplate/spec/template"
        return "/spec/template" if self.live["kind"] in PODS else ""

    @property
    def pod(self) -> Any:
        """The Pod template's spec."""
        return self.at(f"{self.template}/spec")

    def at(self, path: str) -> Any:
        """The live value at a JSON pointer; None if it is absent."""
        return value_at(self.live, path)

    def declares(self, path: str) -> bool:
        """Whether Git says something at the pointer. Order in Git and live is still the same."""
        return value_at(self.desired, path) is not None

    def container(self, having: str = "") -> str:
        """The pointer of a random container (that has a field); empty if there is none."""
        containers = enumerate(self.pod["containers"])
        fitting = [index for index, body in containers if not having or body.get(having)]
        path = f"{self.template}/spec/containers"
        return f"{path}/{self.rng.choice(fitting)}" if fitting else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An edit and what must be found."""

    paths: tuple[str, ...]
    """Each must be met: by this path, one above or one below it."""
    change_class: str
    operations: tuple[dict[str, Any], ...] = ()
    """Made by a random manager in a random way, unless `edit` is given."""
    edit: Edit | None = None
    manager: str = ""
    """The manager that `edit` writes as."""
    traced: bool = True
    """Whether managedFields can tell who did it: removals and reorders leave no trace."""
    also: tuple[str, ...] = ()
    """What the server changes along with it: may be found too."""


Maker: TypeAlias = Callable[[Subject], Made | None]


class Catalogue(dict[str, tuple[tuple[str, ...], Maker]]):
    """Kinds and maker of every change, by its name."""

    def change(self, *kinds: str) -> Callable[[Maker], Maker]:
        """Put a maker for these kinds into the catalogue."""

        def register(maker: Maker) -> Maker:
            self[maker.__name__.replace("_", " ")] = (kinds, maker)
            return maker

        return register


def value_at(document: Any, path: str) -> Any:
    """The value at an RFC 6901 pointer; None if it is absent."""
    for token in path.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            document = document.get(name)
        elif isinstance(document, list) and name.isdecimal() and int(name) < len(document):
            document = document[int(name)]
        else:
            return None
    return document


def escaped(name: str) -> str:
    """A name as a step of a pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def put(subject: Subject, path: str, value: Any, **more: Any) -> Made | None:
    """Set a field to a value; its class follows from whether Git declares it."""
    if subject.at(path) == value:
        return None
    operation = {"op": "add", "path": path, "value": value}
    change_class = DECLARED if subject.declares(path) else UNDECLARED
    return Made(**{"paths": (path,), "change_class": change_class,
                   "operations": (operation,), **more})  # fmt: skip


def append(subject: Subject, path: str, item: Any, **more: Any) -> Made:
    """Append to a list whose items have keys; the item must be found, or the new list."""
    items = subject.at(path)
    if items is None:
        operation, place = {"op": "add", "path": path, "value": [item]}, path
    else:
        operation = {"op": "add", "path": f"{path}/-", "value": item}
        place = f"{path}/{len(items)}"
    return Made(**{"paths": (place,), "change_class": UNDECLARED,
                   "operations": (operation,), **more})  # fmt: skip


def append_whole(subject: Subject, path: str, item: Any, *, found: str = "") -> Made:
    """Append to an atomic list: that list must be found, or the one around it (`found`)."""
    place = found or path
    change_class = DECLARED if subject.declares(place) else UNDECLARED
    return append(subject, path, item, paths=(place,), change_class=change_class)


def entry(subject: Subject, path: str, name: str, value: str, **more: Any) -> Made | None:
    """Set a key of a map that may not be there yet."""
    place = f"{path}/{escaped(name)}"
    if subject.at(path) is None:
        operation = {"op": "add", "path": path, "value": {name: value}}
        more = {"paths": (place,), "change_class": UNDECLARED, "operations": (operation,), **more}
        return Made(**more)
    return put(subject, place, value, **more)


def remove(subject: Subject, path: str, *, found: str = "") -> Made | None:
    """Remove a declared field. Inside an atomic list (`found`) that leaves a trace."""
    if not subject.declares(path) or subject.at(path) is None:
        return None
    operation = {"op": "remove", "path": path}
    return Made(
        paths=(found or path,),
        change_class=DECLARED,
        operations=(operation,),
        traced=bool(found),
    )
