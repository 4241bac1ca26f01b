"""What the cluster holds where Git changes a field."""

from __future__ import annotations

import pytest
from msgspec import UNSET, UnsetType

from driftd.controller.preview_fate import on_cluster, survives
from driftd.model.preview import OnCluster
from driftd.model.report import Change, ChangeClass, ChangeKind
from tests.unit.controller.builders import application, config_map, desired, manifest
from tests.unit.reports import change, resource

ITEM = 'spec/containers/k:{"name":"web"}'
IMAGE = f"{ITEM}/image"


def at(place: str, **fields: object) -> Change:
    """A change at a place in managedFields notation."""
    return change("/x", ssa_path=place, **fields)


ORDER = at("spec/containers", kind=ChangeKind.REORDERED, manager="kubectl-edit")


@pytest.mark.parametrize(
    ("before", "after", "stands", "who"),
    [
        ([], [], OnCluster.ALREADY, None),
        ([], [at(IMAGE, live="a:1")], OnCluster.AS_BASE, None),
        ([ORDER], [ORDER, at(IMAGE, live="a:1")], OnCluster.AS_BASE, None),
        ([ORDER], [ORDER], OnCluster.ALREADY, None),
        (
            [at(IMAGE, live="a:9", manager="kubectl-edit")],
            [at(IMAGE, live="a:9", manager="kubectl-edit")],
            OnCluster.DRIFTED,
            ("a:9", "kubectl-edit"),
        ),
        (
            [at(IMAGE, live="a:9", manager="kubectl-edit")],
            [at(ITEM, live={"name": "web"}, manager="argocd-controller")],
            OnCluster.DRIFTED,
            ("a:9", "kubectl-edit"),
        ),
        (
            [at(IMAGE, live="a:2", change_class=ChangeClass.REVIEW)],
            [at(IMAGE, live="a:2")],
            UNSET,
            None,
        ),
        (
            [at(IMAGE, live="a:0", manager="argocd-controller")],
            [at(IMAGE, live="a:0", manager="argocd-controller")],
            UNSET,
            None,
        ),
        ([at(IMAGE, ignored_by="rule")], [at(IMAGE, ignored_by="rule")], UNSET, None),
    ],
    ids=[
        "already",
        "as base",
        "order",
        "only order",
        "drift",
        "whole item",
        "no drift",
        "not synced yet",
        "ignored",
    ],
)
def test_how_live_stands_to_a_changed_field(
    before: list[Change],
    after: list[Change],
    stands: OnCluster | UnsetType,
    who: tuple[str, str] | None,
) -> None:
    """Only drift at the field itself is overwritten, and its own writer is named."""
    found, seen = on_cluster(resource("web", *before), resource("web", *after), at(IMAGE))
    assert found is stands
    assert (None if seen is None else (seen.live, seen.manager)) == who


def test_what_ignore_rules_let_pass_is_overwritten_where_syncs_do_not_know_them() -> None:
    """With the writer and the rule, for what Git declares; additions that are ignored stay."""
    there = at(IMAGE, live="a:9", manager="kubectl", ignored_by="rule")
    added = at(IMAGE, change_class=ChangeClass.UNDECLARED, ignored_by="rule")
    web = resource("web", there)
    found, seen = on_cluster(web, web, at(IMAGE), ignored=True)
    assert found is OnCluster.DRIFTED
    assert seen is not None
    assert (seen.live, seen.manager, seen.ignored_by) == ("a:9", "kubectl", "rule")
    other = resource("web", added)
    assert on_cluster(other, other, at(IMAGE), ignored=True) == (UNSET, None)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ("Prune=false", True),
        ("Replace=true, Prune=false", True),
        ("NoPrune=false", False),
        ("Prune=falsehood", False),
    ],
)
def test_an_option_is_one_of_a_list(options: str, kept: bool) -> None:
    """An object is kept by its sync option, not by a text that has the option inside."""
    body = config_map("odd")
    body["metadata"]["annotations"] = {"argocd.argoproj.io/sync-options": options}
    prunes = {"automated": {"prune": True}}
    entry = desired(app=application(syncPolicy=prunes)).entry
    assert survives(entry, entry, manifest(body))[0] is kept
