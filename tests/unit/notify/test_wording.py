"""What messages say in words."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from driftd.model.report import ChangeKind
from driftd.notify.message import MessageNotice
from driftd.notify.wording import Tone, told, told_of_digest, value_of, visible
from driftd.store.types import Transition
from tests.unit.notify.messages import (
    KINDS,
    REPLICAS,
    digest,
    example,
    hostile,
    message,
    of_kind,
    recovered,
)
from tests.unit.reports import change, resource

GOLDEN = Path(__file__).parents[2] / "golden" / "notifications.txt"


def shown(found):
    """A message as plain text."""
    return "\n".join([f"[{found.tone}] {found.headline}", *found.paragraphs(), found.place, ""])


def test_every_kind_reads_as_written_down():
    """Golden: one message of each kind, an everyday one, and a digest, word by word."""
    parts = [f"# {kind}\n{shown(told(of_kind(kind)))}" for kind in KINDS]
    parts.append(f"# example\n{shown(told(example()))}")
    parts.append(f"# digest\n{shown(told_of_digest(digest(12)))}")
    text = "\n".join(parts)
    if os.environ.get("REWRITE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_items_in_another_order_are_named():
    """A list whose order alone differs is told by its items' names."""
    keys = ['k:{"name":"web"}', 'k:{"name":"proxy"}']
    moved = change("/spec/x", kind=ChangeKind.REORDERED, desired=keys, live=keys[::-1])
    line = told(message(resource("web", moved))).lines[0]
    assert (line.desired, line.live) == ('["web","proxy"]', '["proxy","web"]')


def test_the_worst_comes_first_and_what_is_new_before_what_is_known():
    """What a reader must see is never among what is left out."""
    mild = [resource(f"a{i}", change("/spec/a", severity="low")) for i in range(9)]
    found = message(*mild, resource("z", change("/spec/z", severity="critical")))
    assert told(found).lines[0].path == "/spec/z"
    later = msgspec.structs.replace(
        found, counts=msgspec.structs.replace(found.counts, opened=1), drifts=found.drifts
    )
    assert told(later).lines[0].severity == "low", "the only new one"
    assert told(later).lines[1].path == "/spec/z"


def test_everything_is_on_one_line_and_printable():
    """No text of a message can break the line that a channel puts it on."""
    found = told(hostile())
    texts = [found.headline, found.place, *found.paragraphs()]
    for line in found.lines:
        texts += [line.what, line.path, line.change, line.byline]
    assert all(text.isprintable() for text in texts)
    assert max(map(len, texts)) < 2000


def test_what_is_told_beside_drift_names_its_object():
    """A notice says where it belongs, and is no cause for alarm."""
    notice = MessageNotice(
        text="it is owned by argocd",
        kind="Deployment",
        namespace="shop",
        name="web",
        path="/spec/replicas",
    )
    found = told(msgspec.structs.replace(of_kind(Transition.HEAL_REFUSED), notices=(notice,) * 7))
    assert found.tone is Tone.INFO
    assert found.reasons[0] == "Deployment shop/web /spec/replicas: it is owned by argocd"
    assert (len(found.reasons), found.hidden) == (5, 2)


def test_what_driftd_does_and_how_to_silence_it_stand_at_the_end():
    """A reader knows what comes next."""
    found = msgspec.structs.replace(
        message(), action="driftd puts it back", heals_at="2026-03-01T12:02:00Z"
    )
    notes = told(found).notes
    assert notes[0] == "driftd puts it back (heals at 2026-03-01T12:02:00Z)"
    assert notes[1] == f"Silence it: {found.silence}"
    assert "argocd/shop" in found.silence


def test_a_recovery_says_whose_hand_it_was():
    """How a drift ended is told with it."""
    found = recovered()
    [closed] = found.closed
    healed = msgspec.structs.replace(closed, ended="healed", ended_by="driftd")
    found = msgspec.structs.replace(found, closed=(healed,))
    assert told(found).lines[0].said == "was put back by driftd"
    synced = msgspec.structs.replace(closed, ended="synced", ended_by="argocd-controller")
    found = msgspec.structs.replace(found, closed=(synced,))
    assert told(found).lines[0].said == "was put back by argocd-controller"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (msgspec.UNSET, "(absent)"),
        ({"masked": True}, "••••"),
        ("", '""'),
        (None, "null"),
        (True, "true"),
        ({"a": [1, 2]}, '{"a":[1,2]}'),
        ("a\nb\u202ec", "a b c"),
        ("x" * 500, "x" * 119 + "…"),
    ],
)
def test_values_are_short_and_plain(value, text):
    """Values are JSON or text, cut, without what cannot be seen."""
    assert value_of(value) == text


def test_invisible_characters_become_spaces():
    """Marks that turn the direction of writing, and zero bytes, are not shown."""
    assert visible("a\u202e\x00 \t b\u200b") == "a b"
    assert REPLICAS.manager in str(told(message()).lines[0])


def test_critical_values_are_cut_later():
    """What is grave in a critical value is told where others are cut."""
    value = {"image": "i" * 120, "securityContext": {"privileged": True}}
    for level, seen in (("critical", True), ("high", False)):
        drift = msgspec.structs.replace(REPLICAS, live=value, severity=level)
        line = told(message(resource("web", drift))).lines[0]
        assert ("privileged" in line.live) is seen
