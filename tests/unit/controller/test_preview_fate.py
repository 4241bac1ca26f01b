"""What the cluster holds where Git changes a field."""

from __future__ import annotations

import pytest
from msgspec import UNSET, UnsetType

from driftd.controller.preview_fate import on_cluster
from driftd.model.preview import OnCluster
from driftd.model.report import Change, ChangeClass, ChangeKind
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
    ],
    ids=["already", "as base", "order", "only order", "drift", "whole item", "no drift"],
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
