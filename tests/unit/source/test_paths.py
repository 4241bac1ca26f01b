"""Names of tree entries: the quick check never accepts what the thorough one refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.errors import SourceError
from driftd.source.paths import _PLAIN, _problem, checked_path

_BYTES = st.binary(max_size=30)
_PIECES = (
    b".git",
    b".",
    b"..",
    b"/",
    b"git~1",
    b"a",
    b"-",
    b" ",
    b"\\",
    b"\xe2\x80\x8c",
    b"\n",
    b"+",
)
_NAMES = st.lists(st.sampled_from(_PIECES), max_size=8).map(b"".join)


@given(_BYTES | _NAMES)
def test_the_quick_check_agrees_with_the_thorough_one(raw: bytes) -> None:
    """Whatever matches the pattern for plain names has no problem in any segment."""
    if _PLAIN.match(raw):
        assert [_problem(name) for name in raw.decode().split("/") if _problem(name)] == []
        assert checked_path(raw) == raw.decode()


@given(_BYTES | _NAMES)
def test_accepted_names_are_harmless(raw: bytes) -> None:
    """An accepted path has no segment that climbs, hides a `.git` folder, or cannot be shown."""
    refused: SourceError | None = None
    try:
        path = checked_path(raw)
    except SourceError as error:
        refused = error
    if refused is not None:
        assert str(refused).isprintable()
        return
    assert path.encode() == raw
    assert "\\" not in path
    for name in path.split("/"):
        assert name not in {"", ".", ".."}
        assert name.replace("\u200c", "").casefold() not in {".git", "git~1"}


def test_plain_long_paths_are_quick() -> None:
    """A path at the limit is accepted and one over it refused, without backtracking."""
    assert checked_path(b"/".join([b"a" * 100] * 40))
    with pytest.raises(SourceError, match="longer than 4096 bytes"):
        checked_path(b"/".join([b"a" * 100] * 41))
    with pytest.raises(SourceError):
        checked_path(b"a" * 1000 + b"\n")
