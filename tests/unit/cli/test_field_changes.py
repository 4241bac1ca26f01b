"""The lines of one change."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.cli.field_changes import change_lines
from driftd.model.report import Change, ChangeClass, ChangeKind, ResourceReport, ResourceStatus

RESOURCE = ResourceReport(
    group="apps",
    version="v1",
    kind="Deployment",
    namespace="shop",
    name="web",
    status=ResourceStatus.OUT_OF_SYNC,
)


@pytest.mark.parametrize(
    ("expected", "told"),
    [
        (30, "(the API server would give 30)"),
        ({"a": "b"}, "(the API server would give {a: b})"),
        ({"masked": True}, "(the API server would give another value)"),
    ],
)
def test_what_an_oracle_expects_stands_beside_the_change(expected: Any, told: str) -> None:
    """The value that the server would give, in one line; a masked one is not shown."""
    change = Change(
        kind=ChangeKind.ADDED,
        change_class=ChangeClass.UNDECLARED,
        path="/spec/replicas",
        live=5,
        expected=expected,
    )
    lines = change_lines([change], RESOURCE, now="2026-03-01T12:00:00Z", wide=False, width=120)
    assert any(told in line.plain for _, line in lines)


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("applied by a deployer, absent from Git", "(Git declared it before, no longer)"),
        ("applied with kubectl, absent from Git: Git or a person", "(kubectl apply set it)"),
    ],
)
def test_a_persons_apply_is_not_called_gits_word(reason: str, told: str) -> None:
    """Whether Git or a person was behind kubectl, the cluster does not tell."""
    change = Change(
        kind=ChangeKind.FORMERLY_DECLARED, change_class=ChangeClass.DECLARED, path="/data/HAND",
        live="x", reason=reason,
    )  # fmt: skip
    lines = change_lines([change], RESOURCE, now="2026-03-01T12:00:00Z", wide=False, width=120)
    text = "\n".join(line.plain for _, line in lines)
    assert told in text
    assert ("Git declared" in text) is ("kubectl" not in told)
