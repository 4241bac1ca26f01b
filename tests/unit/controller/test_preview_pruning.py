"""Deletions of an application of which the API server refuses another object."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from driftd.controller.preview_fate import ABSENT, PRUNES
from driftd.controller.preview_pairs import Pair
from driftd.controller.preview_pruning import with_pruning
from driftd.model.flux import FluxSpec
from driftd.model.preview import Action, ApplicationAction, ObjectPreview
from tests.unit.controller.builders import application, config_map, desired

LAST = "PruneLast=true"
UNTRIED = "SkipDryRunOnMissingResource=true"
KEPT = "nothing is deleted as long as the sync fails: ConfigMap new is refused"
FIRST = f"{PRUNES}, also while ConfigMap new is refused: Argo CD prunes before it applies"


def resource(name: str, action: Action, reason: str = PRUNES) -> ObjectPreview:
    """A ConfigMap of namespace `shop`."""
    return ObjectPreview(
        group="", version="v1", kind="ConfigMap", name=name, namespace="shop", action=action,
        severity="high", severity_reason="the object is deleted", reason=reason,
    )  # fmt: skip


def annotated(name: str, key: str, text: str) -> dict[str, Any]:
    """A ConfigMap with an annotation of Argo CD."""
    body = config_map(name)
    body["metadata"]["annotations"] = {f"argocd.argoproj.io/{key}": text} if key else {}
    return body


def left(
    *, flux: str = "", options: tuple[str, ...] = (), old: tuple[str, str] = ("", ""),
    new: tuple[str, str] = ("", ""), no_kind: bool = False, reason: str = PRUNES,
    second: Action = Action.REFUSE,
) -> ObjectPreview:  # fmt: skip
    """What becomes of a deletion beside a new object that is refused."""
    app = application(syncPolicy={"automated": {"prune": True}, "syncOptions": list(options)})
    if flux:
        app = structs.replace(app, flux=FluxSpec(kind=flux, object_name="shop", render={}))
    before = desired(annotated("old", *old), app=app)
    after = desired(annotated("new", *new), app=app)
    pair = Pair(before.entry, after.entry, old=before, new=after)
    refused = resource("new", second, "it is wrong")
    if no_kind:
        pair.unserved[refused.key] = ""
    found = (resource("old", Action.DELETE, reason), refused)
    told = with_pruning(pair.report(ApplicationAction.CHANGE, found), pair)
    assert told.resources[1] == refused
    return told.resources[0]


@pytest.mark.parametrize(
    "how",
    [
        {"flux": "Kustomization"},
        {"flux": "HelmRelease"},
        {"no_kind": True},
        {"options": (LAST,)},
        {"old": ("sync-options", f"Validate=false, {LAST}")},
        {"no_kind": True, "new": ("sync-wave", "2")},
    ],
)
def test_what_is_not_deleted_as_long_as_something_is_refused(how: Any) -> None:
    """Flux deletes last, Argo CD with PruneLast; a kind that is not served ends its dry run."""
    one = left(**how)
    assert (one.action, one.reason, one.severity) == (Action.LEAVE, KEPT, "medium")
    assert one.severity_reason == "nothing deletes it"


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({}, FIRST),
        ({"no_kind": True, "options": (UNTRIED,)}, FIRST),
        ({"no_kind": True, "new": ("sync-options", UNTRIED)}, FIRST),
        ({"new": ("sync-wave", "-1")}, PRUNES),
        ({"old": ("sync-wave", "3")}, PRUNES),
        ({"reason": "it is not on the cluster"}, "it is not on the cluster"),
        ({"flux": "Kustomization", "reason": ABSENT}, ABSENT),
        ({"second": Action.CREATE}, PRUNES),
    ],
)
def test_what_is_deleted_all_the_same(how: Any, reason: str) -> None:
    """It prunes before it applies; with sync waves that depends on them, and is left open."""
    one = left(**how)
    assert (one.action, one.reason, one.severity) == (Action.DELETE, reason, "high")


@pytest.mark.parametrize(
    ("flux", "action", "told"),
    [
        ("Kustomization", Action.CHANGE, True),
        ("Kustomization", Action.LEAVE, False),
        ("HelmRelease", Action.CHANGE, False),
        ("", Action.CHANGE, False),
    ],
)
def test_flux_applies_nothing_else(flux: str, action: Action, told: bool) -> None:
    """A Kustomization with a refused object is not applied at all; Helm and Argo CD go on."""
    app = application()
    if flux:
        app = structs.replace(app, flux=FluxSpec(kind=flux, object_name="shop", render={}))  # type: ignore[arg-type]
    side = desired(annotated("new", "", ""), app=app)
    pair = Pair(side.entry, side.entry, old=side, new=side)
    found = (resource("other", action, "why"), resource("new", Action.REFUSE, "it is wrong"))
    reason = with_pruning(pair.report(ApplicationAction.CHANGE, found), pair).reason
    text = "as long as ConfigMap new is refused, Flux applies nothing else of this Kustomization"
    assert str(reason).startswith(text) is told
