"""A cluster's live Kustomizations and HelmReleases beside those that the checkout declares.

A look through a hub renders the live object, as Flux does. Where somebody has edited that, a
finding may rest on the edit and not on Git.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from driftd.cluster.edited import edited_beside_flux
from driftd.controller.live_applications import OF_CHANGE, Difference, edit_condition, writers
from driftd.flux.specs import HelmReleaseSpec, InvalidSpec, KustomizationSpec, spec_of
from driftd.model.application import Application
from driftd.model.condition import Condition
from driftd.model.flux import CONTROLLERS, GROUPS, FluxObject, LiveEdit
from driftd.model.resource import Json, ResourceKey

_SPECS: Final[Mapping[str, type[KustomizationSpec | HelmReleaseSpec]]] = {
    "Kustomization": KustomizationSpec,
    "HelmRelease": HelmReleaseSpec,
}
_WHEN: Final = ("suspend",)
"""Fields that decide when Flux works and not what it deploys."""
_APPLIES: Final = CONTROLLERS["Kustomization"]

EDITED: Final = "was edited beside Git"

_Place = tuple[str, ...]


def with_edits(application: Application, live: FluxObject, git: FluxObject | None) -> Application:
    """The application of a live object, with a condition where that was edited beside Git.

    `git` is the object as the checkout declares it, if one does; without, the owners of the live
    object's fields have to do.
    """
    if application.flux is None:
        return application
    told, how = _beside(live, git)
    if told is None:
        return application
    edit = LiveEdit(
        kind=live.kind,
        namespace=live.namespace,
        name=live.name,
        how=how,
        applied_by=application.flux.applied_by,
    )
    flux = msgspec.structs.replace(application.flux, edited=(*application.flux.edited, edit))
    conditions = (*application.conditions, told)
    return msgspec.structs.replace(application, flux=flux, conditions=conditions)


def beside_change(
    application: Application, base: FluxObject | None, live: FluxObject | None
) -> Application:
    """An application as a change declares it, with a condition where live is not as the base."""
    if base is None or live is None or _spec(base) is None or _spec(live) is None:
        return application
    told, _ = _beside(live, base, compared=OF_CHANGE)
    if told is None:
        return application
    return msgspec.structs.replace(application, conditions=(*application.conditions, told))


def _beside(
    live: FluxObject, git: FluxObject | None, compared: str = ""
) -> tuple[Condition | None, str]:
    """What is to be told of a live object, and how it came about."""
    declared = _spec(git) if git is not None else None
    now = _spec(live)
    if git is None or declared is None or now is None:
        owned = edited_beside_flux(live.kind, live.body)
        return (owned[0], EDITED) if owned else (None, "")
    found = list(differences((), declared, now))
    if not found:
        return None, ""
    key = ResourceKey(GROUPS[live.kind], live.kind, live.namespace, live.name)
    how = how_it_came([writers(live.body, place) for place, _, _ in found])
    return edit_condition(key, git.origin, git.body, live.body, found, compared=compared), how


def how_it_came(owners: Iterable[Sequence[str]]) -> str:
    """How a live object came to say something else than Git; `owners` has each field's managers.

    What its own deployer wrote may be an older commit.
    """
    by_hand = any(names and _APPLIES not in names for names in owners)
    return EDITED if by_hand else "is not what Git declares"


def _spec(found: FluxObject) -> dict[str, Any] | None:
    """The fields that decide what is deployed, with every default; None where one is wrong."""
    try:
        spec = msgspec.json.decode(msgspec.json.encode(spec_of(found, _SPECS[found.kind])))
    except InvalidSpec:
        return None
    return {name: value for name, value in spec.items() if name not in _WHEN}


def differences(place: _Place, git: Json, live: Json) -> Iterator[Difference]:
    """Places that differ, with Git's value and the live one; None where a side has none."""
    if git is None and isinstance(live, dict):
        git = {}
    if live is None and isinstance(git, dict):
        live = {}
    if isinstance(git, dict) and isinstance(live, dict):
        for name in dict.fromkeys((*git, *live)):
            yield from differences((*place, name), git.get(name), live.get(name))
    elif msgspec.json.encode(git, order="sorted") != msgspec.json.encode(live, order="sorted"):
        yield place, git, live
