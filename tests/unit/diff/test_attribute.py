"""Who made a change, as far as managedFields tell."""

from __future__ import annotations

from typing import Any

from driftd.diff.attribute import attribute
from driftd.diff.owners import Entry

DEPLOYERS = frozenset({"argocd-controller"})


def owner(manager: str, time: str | None = None, **more: Any) -> Entry:
    """An owner of the place."""
    raw = {"manager": manager, "operation": "Update", "time": time, "fieldsV1": {"f:a": {}}, **more}
    return Entry(raw, DEPLOYERS)


def test_without_owner_nobody_is_named() -> None:
    """Removals leave no trace, and the API server's own names are nobody's."""
    assert attribute([]) is None
    assert attribute([owner("before-first-apply"), owner("ancient-changes")]) is None


def test_sole_owner_is_exact() -> None:
    """The one entry that owns the place made the change."""
    found = attribute([owner("alice", "2026-01-01T00:00:00Z", subresource="scale")])
    assert found is not None
    assert (found.manager, found.operation, found.subresource, found.time, found.confidence) == (
        "alice", "Update", "scale", "2026-01-01T00:00:00Z", "exact",
    )  # fmt: skip


def test_latest_foreign_owner_of_several_is_likely() -> None:
    """Somebody else before a deployer, the later one before the earlier one."""
    found = attribute(
        [
            owner("argocd-controller", "2026-03-01T00:00:00Z"),
            owner("alice", "2026-01-01T00:00:00Z"),
            owner("bob", "2026-02-01T00:00:00Z"),
            owner("scaler"),
        ]
    )
    assert found is not None
    assert (found.manager, found.confidence) == ("bob", "likely")


def test_deployers_are_named_when_nobody_else_is() -> None:
    """What only a deployer owns was written under its name."""
    found = attribute([owner("argocd-controller"), owner("before-first-apply")])
    assert found is not None
    assert (found.manager, found.confidence) == ("argocd-controller", "likely")
