"""The Flux objects of one cluster, by what they are called, and the values they refer to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from driftd.errors import DriftdError
from driftd.flux.specs import ValuesFrom
from driftd.flux.written import place_of
from driftd.model.choices import nearest
from driftd.model.condition import Condition, Severity
from driftd.model.flux import FluxObject
from driftd.model.tree import Tree

LiveConfigMap: TypeAlias = Callable[[str, str], Awaitable["dict[str, str] | None"]]
"""Namespace and name to the data of a live ConfigMap, None if there is none; raises DriftdError."""


class FluxObjects:
    """Objects of one cluster; of two with one name the last counts."""

    def __init__(self, objects: Iterable[FluxObject] = ()) -> None:
        self._objects: dict[tuple[str, str, str], FluxObject] = {}
        for one in objects:
            self.add(one)

    def add(self, one: FluxObject) -> None:
        """Take an object, in place of an earlier one of its name."""
        self._objects[one.kind, one.namespace, one.name] = one

    def instead(self, one: FluxObject) -> FluxObjects:
        """These objects, with `one` in place of that of its name."""
        return FluxObjects([*self._objects.values(), one])

    def find(self, kind: str, namespace: str, name: str) -> FluxObject | None:
        """The object of a kind, namespace and name."""
        return self._objects.get((kind, namespace, name))

    def keys(self) -> frozenset[tuple[str, str, str]]:
        """Kind, namespace and name of every object."""
        return frozenset(self._objects)

    def names(self, kind: str, namespace: str) -> list[str]:
        """The names of all objects of a kind in a namespace."""
        return sorted(key[2] for key in self._objects if key[:2] == (kind, namespace))

    def of_kind(self, kind: str) -> Iterator[FluxObject]:
        """All objects of a kind, by namespace and name."""
        for key in sorted(self._objects):
            if key[0] == kind:
                yield self._objects[key]


@dataclass(slots=True)
class Layer:
    """What one reference gives: data, or (None) a Secret's that is not read."""

    reference: ValuesFrom
    data: dict[str, str] | None
    keys: tuple[str, ...] | None = None
    """The keys of a Secret that is declared in Git, whose values are encrypted or not read."""
    origin: str = ""
    """The file that declares it; empty for a live object."""
    place: str = ""
    """The same with the line of the key that a HelmRelease takes, where that is found."""


@dataclass(slots=True)
class References:
    """Everything that a list of references gives, weakest first."""

    layers: list[Layer] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)
    taken_absent: list[str] = field(default_factory=list)
    """Optional Secrets that are not read: what they would overwrite stays, new names may be set."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the ConfigMaps that Flux objects refer to: those in Git, then the live ones.

    Secrets are never read: of one that Git declares the keys are known, no value.
    """

    objects: FluxObjects
    live: LiveConfigMap
    home: Tree | None = None
    """The files that the objects are written in, for the lines that messages name."""

    async def read(
        self, references: Sequence[ValuesFrom], by: FluxObject, place: str
    ) -> References:
        """What the references of an object give; `place` names the field in conditions."""
        namespace = by.namespace
        result = References()
        for reference in references:
            if reference.kind == "Secret":
                self._secret(reference, namespace, place, result)
            else:
                await self._config_map(reference, by, place, result)
        return result

    def _secret(
        self, reference: ValuesFrom, namespace: str, place: str, result: References
    ) -> None:
        declared = self.objects.find("Secret", namespace, reference.name)
        if declared is None and reference.optional:
            text = (
                f"{place}: the optional Secret {namespace}/{reference.name} is not read "
                "and is taken to be absent"
            )
            result.conditions.append(Condition("FluxValuesWarning", text, Severity.INFO))
            result.taken_absent.append(reference.name)
            return
        result.layers.append(Layer(reference, None, _keys(declared) if declared else None))

    async def _config_map(
        self, reference: ValuesFrom, by: FluxObject, place: str, result: References
    ) -> None:
        namespace = by.namespace
        name = f"ConfigMap {namespace}/{reference.name}"
        declared = self.objects.find("ConfigMap", namespace, reference.name)
        problem = ""
        data: dict[str, str] | None = None
        if declared is not None:
            data = _strings(declared.body.get("data"))
        else:
            try:
                data = await self.live(namespace, reference.name)
            except DriftdError as error:
                problem = f"it is not in Git, and the live one cannot be read: {error.message}"
        if data is not None:
            origin = declared.origin if declared is not None else ""
            place = place_of(declared, self.home, reference.values_key) if declared else ""
            result.layers.append(Layer(reference, data, origin=origin, place=place))
        elif problem or not reference.optional:
            problem = problem or "it is neither in Git nor in the cluster"
            at = place_of(by, self.home, "name", reference.name)
            remedy = (
                nearest(self.objects.names("ConfigMap", namespace), reference.name).strip()
                or f"correct the name in {by.origin} or create the ConfigMap"
            )
            text = f"{at}: {place}: {name}: {problem}; {remedy}"
            result.conditions.append(Condition("ComparisonError", text))


def _keys(secret: FluxObject) -> tuple[str, ...]:
    keys: list[str] = []
    for part in ("data", "stringData"):
        values = secret.body.get(part)
        keys += values if isinstance(values, dict) else ()
    return tuple(sorted(set(keys)))


def _strings(data: Any) -> dict[str, str]:
    return {k: v for k, v in data.items() if isinstance(v, str)} if isinstance(data, dict) else {}
