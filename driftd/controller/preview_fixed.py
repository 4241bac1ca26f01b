"""What a change of fields that cannot be changed in place comes to: a refusal, or a new object.

The API server refuses it, unless who deploys the object deletes it and creates it anew. Pure.

- Argo CD: with the object's sync option `Force=true` (of its own: among the Application's, nobody
  reads it) `kubectl apply` does so where the server refuses, `kubectl replace` always; neither for
  a server-side apply, nor what `Replace=true` updates in place (gitops-engine, `applyObject`).
- A Kustomization of Flux: with `spec.force`, or the object's mark (fluxcd/pkg/ssa,
  `shouldForceApply`).
- A HelmRelease: never; Helm 3 and 4 replace with `force`, which the server refuses as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import orjson
from msgspec import UNSET

from driftd.controller.annotated import sync_options_of
from driftd.controller.preview_fate import survives
from driftd.controller.preview_pairs import Touched
from driftd.model.application import Application
from driftd.model.preview import Effect, FieldChange
from driftd.model.resource import Manifest
from driftd.policy.merging import RECREATED, loss_of

_FORCE: Final = "kustomize.toolkit.fluxcd.io/force"
_UPDATED: Final = frozenset({"CustomResourceDefinition", "Namespace"})
"""Kinds that Argo CD never replaces: it updates them in place."""


def settled(
    item: Touched, fields: Sequence[FieldChange], *, free: bool
) -> tuple[tuple[FieldChange, ...], str]:
    """The changes of an object with what they set off, and why it is refused; empty if it is not.

    `free` says that every field may be set, as of an object that the cluster does not have.
    """
    fixed = [one for one in fields if one.effect is Effect.RECREATE]
    if not fixed or item.new is None:
        return tuple(fields), ""
    source = item.moved_from
    if source is not None and not survives(source.before, source.after, item.old)[0]:
        return tuple(fields), ""  # it may be gone before the other creates it
    if free or item.new.unchecked is not None:
        return tuple(_without(one) for one in fields), ""
    application = item.owner.entry.application
    how = _forced(application, item)
    if how:
        flux = application.flux
        who = "Argo CD" if flux is None else "Flux"
        text = f": {who} deletes the object and creates it anew ({how})"
        return tuple(_because(one, text) for one in fields), ""
    whys = dict.fromkeys(_plain(one) for one in fixed)
    refusal = f"the API server refuses the change: {', '.join(whys)}; {_remedy(application, item)}"
    told = (_because(one, "") if one.effect is Effect.RECREATE else _without(one) for one in fields)
    return tuple(told), refusal


def _plain(one: FieldChange) -> str:
    return str(one.effect_reason).removesuffix(RECREATED)


def _because(one: FieldChange, text: str) -> FieldChange:
    if one.effect is not Effect.RECREATE:
        return one
    return msgspec.structs.replace(one, effect_reason=_plain(one) + text)


def _without(one: FieldChange) -> FieldChange:
    return msgspec.structs.replace(one, effect=UNSET, effect_reason=UNSET)


def _forced(application: Application, item: Touched) -> str:
    """What has an object deleted and created anew; empty if nothing does."""
    assert item.new is not None  # noqa: S101 - the caller has looked
    flux = application.flux
    if flux is not None:
        if flux.kind == "HelmRelease":
            return ""
        if flux.force:
            return "spec.force: true"
        marked = any(_is_marked(one) for one in (item.new, item.old))
        return f"{_FORCE}: enabled" if marked else ""
    own = sync_options_of(item.new)
    if "Force=true" not in own:
        return ""
    options = frozenset(application.spec.sync_policy.sync_options)
    if _is_on("Replace", own, options):
        return "" if item.key.kind in _UPDATED else "Force=true with Replace=true"
    return "" if _is_on("ServerSideApply", own, options) else "Force=true"


def _is_on(name: str, own: frozenset[str], options: frozenset[str]) -> bool:
    """Whether a sync option is set, by the object or else by its Application."""
    return f"{name}=true" in own or (f"{name}=true" in options and f"{name}=false" not in own)


def _is_marked(manifest: Manifest | None) -> bool:
    """Whether an annotation or a label has Flux force the object; case does not count."""
    metadata = orjson.loads(manifest.body).get("metadata") if manifest else None
    if not isinstance(metadata, dict):
        return False
    given = (metadata.get(name) for name in ("annotations", "labels"))
    return any(
        isinstance(one, dict) and str(one.get(_FORCE, "")).lower() == "enabled" for one in given
    )


def _remedy(application: Application, item: Touched) -> str:
    """How the object is created anew."""
    flux = application.flux
    who = "Argo CD" if flux is None else "Helm" if flux.kind == "HelmRelease" else "Flux"
    loss = loss_of(item.key.kind)
    text = f"delete it, and {who} creates it anew" + (f" ({loss})" if loss else "")
    if flux is None:
        force = "give it the sync options Force=true,Replace=true"
        if item.key.kind in _UPDATED:
            return text
    elif flux.kind == "HelmRelease":
        return f"{text}: spec.upgrade.force does not"
    else:
        force = f"annotate it with {_FORCE}: enabled"
    return f"{text}; or {force}, and {who} does both"
