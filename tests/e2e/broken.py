"""An application that a test breaks: what lies beside what is bad, and what must be said."""

from __future__ import annotations

from tests.e2e.site import Site, assert_rest_is_right, config_map

GOOD = {"good.yaml": config_map("good")}
"""Lies beside a bad manifest; it is not deployed, so its own verdict is Missing."""


def assert_broken(site: Site, *expected: str) -> None:
    """`broken` is Unknown with one condition that says all of this; the rest is right; exit 2."""
    seen = site.check()
    assert_rest_is_right(seen)
    (message,) = seen.conditions("broken")
    for text in expected:
        assert text in message
    broken = seen.applications["broken"]
    assert (broken["status"], broken["complete"]) == ("Unknown", False)
    assert seen.report["complete"] is False
    assert seen.exit_code == 2
