"""Paths as JSON pointers and in managedFields notation."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from driftd.diff.owners import item_key
from driftd.diff.paths import Item, escape, names, pointer, ssa_path, ssa_segments

NAMES = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["~", "/", "~1", "a.b"]
)
ITEMS = st.builds(
    Item,
    st.dictionaries(st.sampled_from(["name", "port"]), NAMES, min_size=1).map(
        lambda body: item_key(body, ("name", "port"), {})
    ),
    st.none() | st.integers(0, 30),
    st.none() | st.integers(0, 30),
)
PATHS = st.lists(NAMES | ITEMS, max_size=6).map(tuple)


def unescaped(text: str) -> list[str]:
    """The reference tokens of a pointer, by the text of RFC 6901."""
    return [token.replace("~1", "/").replace("~0", "~") for token in text.split("/")[1:]]


@given(st.lists(NAMES, max_size=6))
def test_pointer_round_trip(steps: list[str]) -> None:
    """Every name survives escaping, whatever it contains."""
    text = pointer(steps, live=True)
    assert text is not None
    assert unescaped(text) == steps
    assert text == "".join("/" + escape(step) for step in steps)


@given(PATHS)
def test_pointer_has_the_positions_of_its_side(path: tuple[str | Item, ...]) -> None:
    """A list step is its position on that side; without position there is no pointer."""
    for live in (True, False):
        positions = [
            (step.live_index if live else step.desired_index)
            for step in path
            if isinstance(step, Item)
        ]
        text = pointer(path, live=live)
        if None in positions:
            assert text is None
        else:
            assert text is not None
            told = [
                token
                for token, step in zip(unescaped(text), path, strict=True)
                if isinstance(step, Item)
            ]
            assert told == [str(position) for position in positions]


@given(PATHS)
def test_ssa_path_round_trip(path: tuple[str | Item, ...]) -> None:
    """The managedFields path splits into its segments again, dots and slashes in keys included."""
    segments = ssa_segments(path)
    text = ssa_path(path)
    assert unescaped("/" + text) == (segments or [""])
    for segment, step in zip(segments, path, strict=True):
        if isinstance(step, Item):
            assert orjson.loads(segment[2:])
        else:
            assert segment == "f:" + step


@given(PATHS)
def test_names_hide_list_steps(path: tuple[str | Item, ...]) -> None:
    """Rules see names, and `*` for every list step."""
    for name, step in zip(names(path), path, strict=True):
        assert name == ("*" if isinstance(step, Item) else step)
