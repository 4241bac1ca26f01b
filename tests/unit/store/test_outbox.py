"""Digests and dead letters in the database, on every backend."""

from __future__ import annotations

import pytest

from driftd.store.types import OutboxMessage
from tests.unit.notify.told import drifted
from tests.unit.reports import START, after, change, report, resource
from tests.unit.store.due import pending, refusal

pytestmark = pytest.mark.slow


async def merged(store, *targets):
    """A digest of three messages for the first of the receivers; it, and its members."""
    for number in range(3):
        await drifted(store, START, f"app{number}", *targets)
    members = await store.due(targets[0], START, 10)
    await store.merge(members, OutboxMessage("dig", targets[0], "", b"{}"), START)
    (digest,) = await store.due(targets[0], START, 10)
    return digest, members


async def test_members_of_a_digest_are_due_no_more_and_delivered_with_it(store):
    """One delivery stands for three; the other receiver still has its own three."""
    digest, members = await merged(store, "one", "two")
    assert (digest.id, digest.is_digest, len(members)) == ("dig", True, 3)
    assert (len(await store.due("two", START, 10)), await store.waiting()) == (3, 6)
    await store.mark_delivered(digest, after(1))
    assert (await store.due("one", after(9), 10), await store.waiting()) == ((), 3)
    assert await store.count_dead() == 0


async def test_a_digest_that_was_not_taken_gives_its_messages_back(store):
    """They are due later, each with one attempt more, and the digest is no more."""
    digest, members = await merged(store, "one")
    await store.mark_failed(digest, after(1), refusal(), after(60))
    assert await pending(store, after(59)) == ()
    again = await store.due("one", after(60), 10)
    assert [(one.id, one.attempts) for one in again] == [(one.id, 1) for one in members]
    assert await store.payloads(["dig"]) == {}
    assert await store.waiting() == 3


async def test_a_digest_that_may_have_been_taken_stays_what_it_is(store):
    """It is due again under its id, begun, until its outcome is known."""
    digest, _ = await merged(store, "one")
    await store.begin(digest, after(1))
    await store.mark_failed(digest, after(2), refusal(certain=False), after(60))
    (again,) = await store.due("one", after(60), 10)
    assert (again.id, again.begun, again.attempts) == ("dig", True, 1)


async def test_members_whose_time_is_over_are_given_up_one_by_one(store):
    """A failed digest gives up what has had its attempts, and takes up the rest again."""
    digest, members = await merged(store, "one")
    await store.mark_failed(digest, after(1), refusal(most=1), after(60))
    assert await pending(store, after(60)) == ()
    dead = await store.dead(10)
    assert {one.id for one in dead} == {one.id for one in members}
    assert {(one.error, one.attempts) for one in dead} == {("HTTP 500", 1)}
    assert await store.revive(after(100)) == 3
    assert (len(await store.due("one", after(100), 10)), await store.count_dead()) == (3, 0)


async def test_the_same_digest_is_merged_once(store):
    """Done twice, as after a commit whose answer was lost, it is what it is done once."""
    digest, members = await merged(store, "one")
    await store.merge(members, OutboxMessage("dig", "one", "", b"{}"), START)
    assert await store.due("one", START, 10) == (digest,)


async def test_two_receivers_have_one_digest_each_of_the_same_messages(store):
    """The text is stored once; what becomes of it at one does not concern the other."""
    first, _ = await merged(store, "one", "two")
    members = await store.due("two", START, 10)
    await store.merge(members, OutboxMessage("dig", "two", "", b"{}"), START)
    await store.mark_failed(first, after(1), refusal(), after(60))
    (second,) = await store.due("two", after(1), 10)
    assert await store.payloads(["dig"]) == {"dig": b"{}"}
    await store.mark_delivered(second, after(2))
    assert await store.waiting() == 3


async def test_what_was_held_goes_before_what_may_go_at_once(store):
    """A critical message through quiet hours takes along what waits about its application."""

    def held(change):
        return [OutboxMessage("low", "one", change.application, b"{}", due_at=after(3600))]

    def critical(change):
        return [OutboxMessage("high", "one", change.application, b"{}")]

    web = resource("web", change("/spec/x"))
    await store.record(report(web), START, held)
    assert await pending(store, after(1)) == ()
    await store.record(report(web, resource("db", change("/spec/y"))), after(2), critical)
    assert [one.id for one in await pending(store, after(2))] == ["low", "high"]


async def test_the_severity_of_an_episode_is_its_worst_until_its_end(store):
    """Whoever heard of the worst hears of the end; the next episode begins anew."""
    told = []

    def compose(change):
        told.append((change.transition.value, change.episode_severity))
        return ()

    grave, light = change("/spec/a", severity="critical"), change("/spec/b", severity="low")
    for second, changes in enumerate([(light,), (light, grave), (light,), (), (light,)]):
        await store.record(report(resource("web", *changes)), after(second), compose)
    assert told == [
        ("drifted", "low"),
        ("worsened", "critical"),
        ("changed", "critical"),
        ("recovered", "critical"),
        ("drifted", "low"),
    ]
