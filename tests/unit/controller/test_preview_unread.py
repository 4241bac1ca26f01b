"""Clusters that a preview goes without."""

from __future__ import annotations

from driftd.controller.preview_unread import unread_clusters


def test_a_cause_is_told_once() -> None:
    """Roots of Flux that one context could be share the reason why none of them is read."""
    found = list(
        unread_clusters(
            {
                "connection refused; is the server up?": ["staging", "production"],
                "no context": ["east"],
                "too far": [f"c{number}" for number in range(7)],
            }
        )
    )
    shared, alone, many = [one.message for one in found]
    assert shared == (
        "clusters production, staging are not read (connection refused): rendered without their "
        "APIs, compared without their schemas and their live objects; is the server up?"
    )
    assert alone == (
        "cluster east is not read (no context): rendered without its APIs, compared without its "
        "schemas and its live objects"
    )
    assert many.startswith("clusters c0, c1, c2, c3, c4 and 2 more are not read (too far): ")
