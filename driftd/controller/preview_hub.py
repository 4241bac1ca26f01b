"""What both sides of a preview declare; through a hub, what its checkout has of each of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from driftd.controller.catalogued import Catalogued, read_catalogued
from driftd.controller.declared import Declared, declare
from driftd.controller.flux import checkout_of
from driftd.controller.hub_sides import FluxCheckout, HubCheckout, HubSide
from driftd.controller.options import CheckOptions
from driftd.controller.preview_sides import Side
from driftd.controller.workspace import Progress, Workspace
from driftd.errors import DriftdError
from driftd.model.condition import Condition

_NO_ROOT: Final = Condition(
    "ComparisonError",
    "which root of Flux in the checkout is the hub's cluster is known on one side of the change "
    "alone, so that what its documents make otherwise is not known; compare without --hub",
)


async def declare_sides(
    before: Side, after: Side, options: CheckOptions, progress: Progress
) -> list[Declared]:
    """What is declared at the base and with the change. Raises as `declare` does."""
    hubs = await _hub_sides(before, after, options, progress)
    return [
        await declare(side.workspace, options, progress, may_be_none=True, side=hub)
        for side, hub in zip((before, after), hubs, strict=True)
    ]


async def _hub_sides(
    before: Side, after: Side, options: CheckOptions, progress: Progress
) -> tuple[HubSide, HubSide] | tuple[None, None]:
    """Both sides where a hub is looked through; else neither."""
    if before.workspace.hub is None:
        return None, None
    base, change = [await _checkout(side.workspace, options, progress) for side in (before, after)]
    if (base.flux.prefix is None) != (change.flux.prefix is None):
        known = base.flux if change.flux.prefix is None else change.flux
        # With the root's other side as it is known, nothing passes as added or removed.
        told = (*change.flux.conditions, _NO_ROOT)
        base = replace(base, flux=known)
        change = replace(change, flux=replace(known, conditions=told))
    return (
        HubSide(base=base, change=change, is_base=True),
        HubSide(base=base, change=change, is_base=False),
    )


async def _checkout(workspace: Workspace, options: CheckOptions, progress: Progress) -> HubCheckout:
    hub = workspace.hub
    try:
        argo = await read_catalogued(workspace)
    except DriftdError as error:
        told = f"what the checkout declares is not known: {error.message}"
        argo = Catalogued(conditions=(Condition("ComparisonError", told),))
    flux = FluxCheckout()
    if hub is not None and hub.flux:
        flux = await checkout_of(workspace, options, progress, hub.flux)
    return HubCheckout(argo=argo, flux=flux)
