"""What receivers of words are told beside their messages."""

from __future__ import annotations

import pytest

from driftd.errors import DriftdError, NotifyError
from driftd.notify.spoken import Spoken
from driftd.notify.wording import told
from driftd.store.types import Transition
from tests.unit.notify.messages import message, recovered, texts


class Chat(Spoken):
    """A receiver that keeps what is said, and refuses after so many messages."""

    def __init__(self, templates: dict[str, str]) -> None:
        async def fail(template, _context):
            if template == "good":
                return "well"
            raise DriftdError("no entry for key x")

        super().__init__(texts(templates, fail))
        self.said = []
        self.most = 99

    async def say(self, told, name, earlier):
        if len(self.said) >= self.most:
            raise NotifyError("too many requests")
        self.said.append((name, told))


async def test_a_failing_template_is_told_once_as_rule_trouble():
    """After the message itself, in built-in words; not again with the next one of its kind."""
    chat = Chat({"drifted": "bad", "recovered": "good"})
    for one in (message(), message(), recovered()):
        await chat.send(one)
    (first, second, *_), words = zip(*chat.said, strict=True)
    assert len(words) == 4
    assert second.startswith("tpl_")
    assert second != first
    assert "a rule is in trouble" in words[1].headline
    assert "The template of test for drifted failed: no entry for key x" in str(words[1])
    assert words[3].headline == "well"


async def test_each_kind_and_template_is_told():
    """Also where one template is for every kind, and where that of `rule-trouble` fails too."""
    chat = Chat({"default": "bad"})
    for one in (message(), recovered(), message()):
        await chat.send(one)
    troubles = [words for name, words in chat.said if name.startswith("tpl_")]
    assert len(troubles) == 2
    assert all("a rule is in trouble" in words.headline for words in troubles)


async def test_a_trouble_that_cannot_be_told_costs_no_message():
    """The message counts as delivered; what is left comes with the next one, under the same id."""
    chat = Chat({"drifted": "bad"})
    chat.most = 1
    await chat.send(message())
    assert len(chat.said) == 1
    chat.most = 99
    await chat.send(recovered())
    assert [name.startswith("tpl_") for name, _ in chat.said] == [False, False, True]
    again = Chat({"drifted": "bad"})
    await again.send(message())
    assert again.said[1][0] == chat.said[2][0]


@pytest.mark.parametrize("kind", [Transition.DRIFTED, Transition.RECOVERED])
async def test_templates_that_work_are_told_of_by_nobody(kind):
    """Nothing is added where nothing fails."""
    chat = Chat({"default": "good"})
    await chat.send(message() if kind is Transition.DRIFTED else recovered())
    assert [words.headline for _, words in chat.said] == ["well"]
    plain = Chat({})
    await plain.send(message())
    assert [words for _, words in plain.said] == [told(message())]
