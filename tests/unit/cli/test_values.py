"""How values and their differences read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from driftd.cli.values import (
    Concealed,
    LineDiff,
    Pair,
    difference,
    flow,
    of_field,
    shorten,
    shorten_pair,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def test_what_is_too_long_for_a_line():
    """Lists are compared item by item, other values may take some lines."""
    people = [{"name": f"person-{number}", "kind": "User"} for number in range(4)]
    strangers = [*people, {"name": "system:authenticated", "kind": "Group"}]
    assert difference(people, strangers, width=30, max_lines=14, rows=3) == LineDiff(
        ("  {name: person-3, kind: User}", "+ {name: system:authenticated, kind: Group}"),
        "from item 5",
    )
    container = {"name": "shell", "securityContext": {"privileged": True}}
    shown = difference(UNSET, container, width=30, max_lines=14, rows=3)
    assert shown == Pair("(not in Git)", "{name: shell, securityContext: {privileged: true}}")
    long = difference([], people, width=30, max_lines=14, rows=3)
    assert isinstance(long, Pair)
    assert len(long.live) == 90


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (3, "3"),
        ("3", '"3"'),
        (True, "true"),
        ("true", '"true"'),
        (None, "null"),
        ("", '""'),
        ("nginx:1.27", "nginx:1.27"),
        ("hello world", "hello world"),
        ("a: b", '"a: b"'),
        ("-", '"-"'),
        ({"masked": True}, "«masked»"),
        ({"name": "a", "ports": [80, "80"]}, '{name: a, ports: [80, "80"]}'),
        ({"password": {"masked": True}}, "{password: «masked»}"),
    ],
)
def test_flow(value, shown):
    """Types stay apart: a number, a boolean and strings that look like them read differently."""
    assert flow(value) == shown


@pytest.mark.parametrize(
    ("pointer", "shown"),
    [
        ("/spec/template/spec/volumes/0/configMap/defaultMode", "0640 (416)"),
        ("/spec/template/spec/volumes/1/projected/sources/0/secret/items/2/mode", "0640 (416)"),
        ("/spec/mode", "416"),
        ("/spec/template/spec/volumes/0/items/mode", "416"),
    ],
)
def test_permissions_are_octal(pointer, shown):
    """What a volume gives its files is shown as people write it, beside the number."""
    assert flow(of_field(416, pointer)) == shown
    assert of_field(UNSET, pointer) is UNSET


def test_permissions_inside_a_map_are_octal():
    """Of a whole volume or item too; another field of that name is none."""
    item = {"key": "a", "path": "b", "mode": 256}
    assert flow({"defaultMode": 420, "items": [item], "x": {"mode": 3}}) == (
        "{defaultMode: 0644 (420), items: [{key: a, mode: 0400 (256), path: b}], x: {mode: 3}}"
    )


def test_keys_have_one_order():
    """Git's and the cluster's own order are no difference; what a map is stands first."""
    git = {"args": ["a"], "name": "web", "image": "web:1", "env": {"b": 1, "a": 2}}
    live = {"name": "web", "env": {"a": 2, "b": 1}, "image": "web:1", "args": ["a"]}
    assert flow(git) == flow(live)
    assert flow(live) == "{name: web, image: web:1, args: [a], env: {a: 2, b: 1}}"


def test_masked_values_are_told_to_differ():
    """Masked on both sides, whole or in part, the reader is told that the values differ."""
    masked = {"masked": True}
    assert difference(masked, masked, width=0, max_lines=4) == Concealed()
    inside = difference({"a": masked}, {"a": masked}, width=0, max_lines=4)
    assert inside == Pair("{a: «masked»}", "{a: «masked»}", note="values differ (masked)")
    assert difference(masked, UNSET, width=0, max_lines=4) == Pair(
        "«masked»", "(not in the cluster)"
    )


@given(JSON, JSON)
def test_different_values_never_look_the_same(left, right):
    """Whatever two different JSON values are, the reader sees that they differ."""
    if left == right:
        return
    shown = difference(left, right, width=0, max_lines=400)
    if isinstance(shown, Pair):
        assert shown.git != shown.live
    else:
        assert any(line.startswith(("-", "+")) for line in shown.lines)


@given(st.text(min_size=1), st.text(min_size=1), st.integers(min_value=20, max_value=60))
def test_shortened_pairs_keep_their_difference(left, right, width):
    """Shortening keeps to the width and never hides the first difference."""
    if left == right:
        return
    short = shorten_pair(left, right, width)
    assert max(len(text) for text in short) <= width
    assert short[0] != short[1]


def test_difference_deep_inside_long_values():
    """A digit in the middle of two long lists is shown with what surrounds it."""
    left = ", ".join(str(number) for number in range(400))
    right = left.replace("237", "999")
    git, live = shorten_pair(left, right, 40)
    assert "237" in git
    assert "999" in live


def test_shorten_cuts_the_middle():
    """Both ends of a long value stay."""
    assert shorten("abcdefghijklmnopqrstuvwxyz", 11) == "abcdef…wxyz"


def test_the_order_of_keys_is_no_difference():
    """Both sides list keys in one order, at any depth, so that only values differ in print."""
    desired = [{"ports": [{"protocol": "TCP", "port": 1}], "from": []}]
    live = [{"from": [], "ports": [{"port": 2, "protocol": "TCP"}]}]
    assert difference(desired, live, width=0, max_lines=5) == Pair(
        "[{from: [], ports: [{port: 1, protocol: TCP}]}]",
        "[{from: [], ports: [{port: 2, protocol: TCP}]}]",
    )


def test_absent_sides():
    """An absent value is named as absent on its side, unlike null."""
    assert difference(UNSET, 1, width=0, max_lines=9) == Pair("(not in Git)", "1")
    assert difference(1, UNSET, width=0, max_lines=9) == Pair("1", "(not in the cluster)")
    gone = Pair("(not in Git)", "(gone from the cluster)")
    assert difference(UNSET, UNSET, width=0, max_lines=9) == gone
    assert difference(None, 1, width=0, max_lines=9).git == "null"


def test_whitespace_becomes_visible():
    """Values that differ in whitespace alone show each blank."""
    shown = difference("a b\t", "a  b", width=0, max_lines=9)
    assert shown == Pair('"a·b⇥"', '"a··b"', "only whitespace differs")


def test_line_endings_become_visible():
    """CRLF against LF is shown at the ends of the lines."""
    shown = difference("a\nb\n", "a\r\nb\n", width=0, max_lines=9)
    assert shown == LineDiff(("- a↵", "+ a␍↵", "  b↵"), "from line 1; only whitespace differs")


def test_multi_line_values_as_a_small_diff():
    """Only changed lines and one line around them are shown, numbered."""
    left = "\n".join(str(number) for number in range(50))
    shown = difference(left, left.replace("\n30\n", "\nx\n"), width=0, max_lines=9)
    assert shown == LineDiff(("  29", "- 30", "+ x", "  31"), "from line 31")


def test_the_end_of_the_last_line_is_no_line():
    """Texts that end with a line break show no empty line below their difference."""
    shown = difference("a\nb\n", "a\nc\n", width=0, max_lines=9)
    assert shown.lines == ("  a", "- b", "+ c")


def test_yaml_document_separators_are_not_diff_headers():
    """Lines that begin with `---` or `+++` in the values survive."""
    shown = difference("a\n---\nb", "a\n+++\nb", width=0, max_lines=9)
    assert shown.lines == ("  a", "- ---", "+ +++", "  b")


def test_long_diffs_are_cut_with_a_count():
    """What does not fit is counted, not dropped in silence."""
    left, right = "\n".join("a" * 30), "\n".join("b" * 30)
    shown = difference(left, right, width=0, max_lines=5)
    assert len(shown.lines) == 6
    assert shown.lines[-1] == "… 55 more lines (-o wide)"


def test_huge_texts_stay_cheap():
    """Two entirely different files of 20,000 lines do not start a quadratic comparison."""
    left = "\n".join(f"a{number}" for number in range(20_000))
    right = "\n".join(f"b{number}" for number in range(20_000))
    shown = difference(left, right, width=80, max_lines=10)
    assert "only the first lines are shown" in shown.note
    assert len(shown.lines) <= 11
