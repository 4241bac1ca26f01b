"""The page of severity rules, made from the rules themselves."""

from __future__ import annotations

from driftd.cli import severity_page
from driftd.model.severities import read, shipped_file


def test_every_rule_has_a_row() -> None:
    """Each shipped rule is told with its level and reason, and which are guarded."""
    rows = severity_page.text().splitlines()
    for rule in shipped_file().rules:
        (row,) = [one for one in rows if one.startswith(f"| `{rule.id}` | {rule.level}")]
        assert f"| {rule.reason} |" in row
        assert (", guarded |" in row) is rule.guarded
    for one in shipped_file().objects:
        assert any(row.startswith(f"| `{one.id}` | {one.status} |") for row in rows)


def test_the_example_is_valid() -> None:
    """The file that the page shows is one that driftd reads."""
    example = severity_page.text().partition("```yaml\n")[2].partition("```")[0]
    assert [rule.id for rule in read(example, "example", own=True).rules] == [
        "mesh-proxy",
        "payment-config",
        "scaled-to-zero",
    ]
