"""How `driftd explain` lays its lines out."""

from __future__ import annotations

from driftd.cli.commands.explain import folded

ORIGIN = (
    "  declared in  apps/ledger.yaml of https://github.com/example/repo.git at revision 3c4e42ca"
)


def test_a_long_line_goes_on_below_its_text() -> None:
    """A titled line is folded at words, under what stands beside the title."""
    assert folded(ORIGIN, 70).splitlines() == [
        "  declared in  apps/ledger.yaml of https://github.com/example/repo.git",
        "               at revision 3c4e42ca",
    ]


def test_a_sentence_is_indented_where_it_goes_on() -> None:
    """A line without title gets two spaces; a word that is too long stays whole."""
    assert folded("Healing would do: nothing: Argo CD is active", 30).splitlines() == [
        "Healing would do: nothing:",
        "  Argo CD is active",
    ]
    assert folded("x" * 50, 30) == "x" * 50


def test_short_lines_and_pipes_stay_as_they_are() -> None:
    """Nothing is changed that fits, or where no width is asked for."""
    assert folded(ORIGIN, 0) == ORIGIN
    assert folded("  Git       a  b", 30) == "  Git       a  b"
