"""Documents that were probably meant for Flux, but whose kind Flux does not have. Pure."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import msgspec

from driftd.flux.specs import KINDS, flux_object
from driftd.model.flux import FluxObject

_APPLIED = ("Kustomization", "HelmRelease")
_LIKENESS = 0.84
"""How alike two words are (difflib's ratio) that one is taken for a slip of the other."""


class Slip(msgspec.Struct, frozen=True):
    """A document with a slip in its kind or group."""

    meant: FluxObject
    """The document as it was probably meant."""
    why: str
    """What is wrong, and what to do."""


def slip_of(body: Any, origin: str, namespace: str = "") -> Slip | None:
    """What a document was probably meant to be; None where it is Flux's or somebody else's.

    Only the kinds that lead to objects count: Kustomization and HelmRelease.
    """
    kind, why = _meant(body)
    if not why:
        return None
    right = {**body, "kind": kind, "apiVersion": f"{KINDS[kind]}/v1"}
    meant = flux_object(right, origin, namespace)
    return Slip(meant, why) if meant is not None else None


def _meant(body: Any) -> tuple[str, str]:
    if not isinstance(body, dict):
        return "", ""
    kind, version = body.get("kind"), body.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(version, str):
        return "", ""
    group = version.rpartition("/")[0]
    if kind in KINDS:
        right = KINDS[kind]
        if kind in _APPLIED and group != right and _near(group, right):
            return kind, _told("apiVersion", version, f"{right}/{version.rpartition('/')[2]}")
        return "", ""
    for applied in _APPLIED:
        if (group == KINDS[applied] or _near(group, KINDS[applied])) and _near(kind, applied):
            return applied, _told("kind", kind, applied)
    return "", ""


def _near(written: str, right: str) -> bool:
    same = written.lower() == right.lower()
    return same or bool(get_close_matches(written, [right], cutoff=_LIKENESS))


def _told(field: str, value: str, meant: str) -> str:
    return f"{field} {value[:100]!a} is none of Flux's: did you mean {meant}? Correct it in Git"
