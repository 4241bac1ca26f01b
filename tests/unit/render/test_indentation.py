"""The line whose indentation is wrong."""

import pytest

from driftd.render.indentation import wrong_line


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("a:\n\tb: 1\n", 2, "a tab"),
        ("a:\n   b: 1\n  c: 2\n", 3, "fits no line above"),
        ("a:\n- b: 1\n   c: 2\n", 3, "deeper than the line above"),
        ("a:\n- b: 1\n c: 2\n", 3, "fits no line above"),
        ("a: 1\n  b: 2\n", 2, "deeper than the line above"),
        ("  a: 1\nb: 2\n", 2, "fits no line above"),
        ("a: |\n  \tx\n b\nc:\n   d: 1\n e: 2\n", 6, "fits no line above"),
    ],
)
def test_wrong(text: str, line: int, why: str) -> None:
    """The first line that cannot be meant is named, with the reason."""
    found, reason = wrong_line(text)
    assert found == line
    assert why in reason


@pytest.mark.parametrize(
    "text",
    [
        "a:\n- b: 1\n  c:\n  - d\n  - e: {f: 1}\n    g: 2\nh: 1\n",
        "a: |\n   x\n  y\n\tz\nb: >-\n  c: d\n   e: f\n",
        "# c\na:\n  # odd\n # comment\n  b: 1\n---\n  c: 1\n",
        "a: one\n  two\n  three\nb: 1\n",
        "- - a: 1\n    b: 2\n  - c\n- d:\n  - e\n",
        "",
    ],
)
def test_right(text: str) -> None:
    """What is indented as YAML allows is not doubted."""
    assert wrong_line(text) == (0, "")
