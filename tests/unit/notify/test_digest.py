"""Digests as data."""

from __future__ import annotations

import msgspec
import pytest

from driftd.errors import NotifyError
from driftd.notify.digest import ENTRY_LIMIT, Digest, digest_of
from driftd.notify.message import build
from driftd.notify.spoken import Paging
from driftd.notify.webhook import digest_event
from driftd.store.episodes import Before, state_change
from tests.unit.notify.messages import recovered, texts
from tests.unit.reports import START, after, change, report, resource


def drifted(name, severity, at=0.0):
    """The message of a first look at a drifted application."""
    look = report(resource("web", change("/spec/x", severity=severity)), name=name)
    return build(state_change(Before(), [], look, after(at)))


def test_a_digest_lists_every_message_and_the_worst_application_first():
    """Nothing is lost in it, and who reads only the first line reads the worst."""
    messages = [drifted("a", "low"), drifted("b", "critical", 1), drifted("c", "medium", 2)]
    found = digest_of(messages, after(10))
    assert found.messages == tuple(one.id for one in messages)
    assert [one.application for one in found.entries] == ["b", "c", "a"]
    assert (found.severity, found.applications, found.types) == ("critical", 3, {"drifted": 3})
    assert (found.since, found.at) == ("2026-03-01T12:00:00Z", "2026-03-01T12:00:10Z")
    assert found.entries[0].first == "Deployment shop/web /spec/x"


def test_messages_of_one_application_are_one_entry_of_which_the_last_decides():
    """Drift that is over by the time of the digest is told as over, with both ids."""
    first = state_change(Before(), [], report(resource("web", change("/spec/x"))), START)
    end = state_change(Before(status=first.status), first.open, report(resource("web")), after(5))
    messages = [build(first), build(end)]
    [entry] = digest_of(messages, after(10)).entries
    assert (entry.type, entry.status, entry.open) == ("recovered", "Synced", 0)
    assert (entry.opened, entry.closed) == (1, 1)
    assert entry.messages == tuple(one.id for one in messages)


def test_a_digest_stays_short_and_counts_what_it_leaves_out():
    """Thousands of applications are counted and named by id; the worst are told one by one."""
    messages = [drifted(f"a{i:04}", "low") for i in range(ENTRY_LIMIT + 5)]
    found = digest_of(messages, START)
    assert (len(found.entries), found.applications) == (ENTRY_LIMIT, ENTRY_LIMIT + 5)
    assert len(found.messages) == ENTRY_LIMIT + 5


def test_the_same_messages_make_the_same_digest():
    """The id is made of the messages, so that a repetition can be told from news."""
    one, two = drifted("a", "low"), drifted("b", "low")
    assert digest_of([one, two], START).id == digest_of([one, two], after(60)).id
    assert digest_of([one], START).id != digest_of([two], START).id


class Tool(Paging):
    """A tool that wakes people; what was brought to it."""

    def __init__(self) -> None:
        super().__init__(texts())
        self.kept: list[str] = []
        self.storms = 0
        self.refuses = ""

    async def keep(self, message, told):
        if message.application == self.refuses:
            raise NotifyError("too many requests")
        self.kept.append(message.application)

    async def raise_storm(self, digest):
        self.storms += 1


def stormy(count: int) -> Digest:
    """A digest of applications that are in sync again, after one that is not; as it is stored."""
    end = recovered()
    over = [
        msgspec.structs.replace(end, id=f"msg_{i:032}", application=f"a{i:04}")
        for i in range(count)
    ]
    found = digest_of([drifted("wrong", "low"), *over], after(60))
    return msgspec.json.decode(msgspec.json.encode(found), type=Digest)


async def test_every_incident_that_is_over_is_ended_however_many_there_are():
    """Beyond those that a digest names too, each once over all attempts; one alarm for the rest."""
    tool, digest = Tool(), stormy(ENTRY_LIMIT + 50)
    tool.refuses = f"a{ENTRY_LIMIT + 20:04}"
    with pytest.raises(NotifyError):
        await tool.send_digest(digest)
    assert len(tool.kept) == ENTRY_LIMIT + 20
    tool.refuses = ""
    await tool.send_digest(digest)
    assert sorted(tool.kept) == [f"a{i:04}" for i in range(ENTRY_LIMIT + 50)]
    assert tool.storms == 1


def test_receivers_get_no_more_entries_than_people_read():
    """What is kept for tools is in no webhook."""
    data = digest_event(stormy(ENTRY_LIMIT + 5))["data"]
    sent = msgspec.json.decode(msgspec.json.encode(data))
    assert len(sent["entries"]) == ENTRY_LIMIT
    assert "further" not in sent
    assert "further" not in msgspec.json.decode(msgspec.json.encode(stormy(3)))
