"""Where documents begin, counted as the sandbox counts them."""

from __future__ import annotations

import pytest

from driftd.render.lines import document_lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", ()),
        ("a: 1\n", (1,)),
        ("# note\n\na: 1\n", (3,)),
        ("a: 1\n---\nb: 1\n", (1, 3)),
        ("---\n# licence\n---\na: 1\n---\n\n---\nb: 1\n", (4, 8)),
        ("--- {a: 1}\n---\tb\n", (1, 2)),
        ("%YAML 1.2\n---\na: 1\n...\n# end\nb: 1\n", (1, 3)),
        ("a: 1\n--- # note\nb: 1\n---  \n\nc: 1", (1, 3, 6)),
        ("a: 1\n...", (1,)),
        ("a: |\n  ---\n  b\n----\nc: 1\n", (1, 4)),
        ("a: 1\r\n---\r\nb: 1\r\n", (1, 3)),
        ("\ufeff---\na: 1\n", (2,)),
        ('\n{"a": 1}\n{"b": 2}\n', (2,)),
    ],
)
def test_lines(text: str, lines: tuple[int, ...]) -> None:
    """Comments, blank lines and empty documents are no document."""
    assert document_lines(text.encode()) == lines
