"""What a preview says of the values that make a template fail."""

from __future__ import annotations

import pytest

from driftd.controller.failing_values import cause_of
from driftd.sandbox.results import FailingValue


@pytest.mark.parametrize(
    ("fields", "url", "text"),
    [
        (
            {"added": True, "before": "env", "file": "a.yaml", "line": 3},
            "",
            (
                "a.yaml:3: the change adds the value secrets.env, and without it the chart "
                "renders; at the base it is env: look at the indentation"
            ),
        ),
        (
            {"added": False, "file": "a.yaml", "line": 3},
            "https://git.example.com/v.git",
            (
                "a.yaml:3 of https://git.example.com/v.git: the change gives secrets.env another "
                "value, and with that of the base the chart renders"
            ),
        ),
        (
            {"added": True, "alone": True},
            "",
            "the change adds the value secrets.env, which is enough to make it fail",
        ),
    ],
)
def test_what_is_told(fields: dict[str, object], url: str, text: str) -> None:
    """The place, what the change does to the value, the proof, and what was probably meant."""
    value = FailingValue(**{"key": "secrets.env", "alone": False, "before": "", **fields})
    assert cause_of(value, url) == text
