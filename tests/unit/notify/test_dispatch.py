"""Delivery out of the outbox."""

from __future__ import annotations

import asyncio
import base64
import json

import msgspec
import pytest
from aiohttp import web

from driftd.errors import NotifyError
from driftd.notify.dispatch import Dispatcher
from driftd.notify.egress import Unanswered
from driftd.notify.notifier import Receipt, Rejected
from driftd.notify.webhook import WebhookNotifier
from driftd.settings.notifications import Notifications, Storm, Webhook
from driftd.settings.quantity import Duration
from driftd.telemetry.metrics import Metrics
from tests.unit.notify.told import Flaky, composer, drifted
from tests.unit.reports import change, report, resource
from tests.unit.store.due import pending

pytestmark = pytest.mark.slow

DRIFTED = report(resource("web", change("/spec/replicas", desired=3, live=5)))
CLEAN = report(resource("web"))
SETTINGS = Notifications(max_attempts=3, backoff=Duration("10s"), backoff_limit=Duration("1m"))


class Broken:
    """A receiver whose code fails in an unforeseen way."""

    async def send(self, message, earlier=None):
        raise ZeroDivisionError("secret detail")

    async def send_digest(self, digest):
        raise ZeroDivisionError("secret detail")


@pytest.fixture
def metrics():
    """Metrics of this test alone."""
    return Metrics("0")


@pytest.fixture
def webhook(tmp_path, hook, session, clock):
    """A notifier to the real receiver."""
    path = tmp_path / "secret"
    path.write_text(base64.b64encode(bytes(32)).decode())
    return WebhookNotifier(Webhook(url=hook.url, secret_file=str(path)), session, clock, 5)


def types(hook):
    """What the receiver got, in order."""
    return [json.loads(body)["data"]["type"] for _, body in hook.requests]


async def test_one_message_per_change_of_state_and_none_otherwise(
    store, clock, hook, webhook, metrics
):
    """Drift, the same drift again, recovery, still recovered: two messages."""
    dispatcher = Dispatcher(store, {"webhook": webhook}, SETTINGS, clock, metrics)
    for look in (CLEAN, DRIFTED, DRIFTED, CLEAN, CLEAN):
        await store.record(look, clock.now(), composer(["webhook"]))
        await dispatcher.deliver_due()
        clock.advance(60)
    assert types(hook) == ["drifted", "recovered"]
    exposed = metrics.exposition().decode()
    assert 'driftd_notifications_total{receiver="webhook",result="sent"} 2.0' in exposed


async def test_failures_are_retried_later_with_the_same_id(store, clock, hook, webhook, metrics):
    """An attempt is repeated after 10 s, then 20 s, by virtual time, with one message id."""
    hook.answers += [web.Response(status=500), web.Response(status=503)]
    dispatcher = Dispatcher(store, {"webhook": webhook}, SETTINGS, clock, metrics)
    await store.record(DRIFTED, clock.now(), composer(["webhook"]))
    delivered = []
    for seconds in (0, 9, 1, 19, 1):
        clock.advance(seconds)
        delivered.append(await dispatcher.deliver_due())
    assert delivered == [0, 0, 0, 0, 1]
    assert len(hook.requests) == 3
    assert len({headers["webhook-id"] for headers, _ in hook.requests}) == 1


async def test_the_receiver_may_ask_for_more_time(store, clock, hook, webhook, metrics):
    """`Retry-After` longer than the backoff is respected."""
    hook.answers.append(web.Response(status=429, headers={"Retry-After": "45"}))
    dispatcher = Dispatcher(store, {"webhook": webhook}, SETTINGS, clock, metrics)
    await store.record(DRIFTED, clock.now(), composer(["webhook"]))
    await dispatcher.deliver_due()
    clock.advance(44)
    assert await dispatcher.deliver_due() == 0
    clock.advance(1)
    assert await dispatcher.deliver_due() == 1


async def test_a_message_is_given_up_after_the_last_attempt(store, clock, hook, webhook, metrics):
    """After three failures the message is dead and the next change of state gets through."""
    hook.answers += [web.Response(status=500) for _ in range(3)]
    dispatcher = Dispatcher(store, {"webhook": webhook}, SETTINGS, clock, metrics)
    await store.record(DRIFTED, clock.now(), composer(["webhook"]))
    await store.record(CLEAN, clock.now(), composer(["webhook"]))
    for _ in range(4):
        await dispatcher.deliver_due()
        clock.advance(60)
    assert types(hook) == ["drifted", "drifted", "drifted", "recovered"]
    [dead] = await store.dead(10)
    assert (dead.target, dead.attempts, dead.error) == (
        "webhook",
        3,
        "webhook webhook answered HTTP 500",
    )
    clock.advance(86_400)
    assert await dispatcher.deliver_due() == 0
    exposed = metrics.exposition().decode()
    assert 'driftd_notifications_total{receiver="webhook",result="undeliverable"} 1.0' in exposed


async def test_a_broken_receiver_does_not_stop_the_others(store, clock, hook, webhook, metrics):
    """Each receiver has its own deliveries; an unforeseen error is a failed attempt."""
    dispatcher = Dispatcher(
        store, {"broken": Broken(), "webhook": webhook}, SETTINGS, clock, metrics
    )
    await store.record(DRIFTED, clock.now(), composer(["broken", "webhook", "removed"]))
    assert await dispatcher.deliver_due() == 1
    assert types(hook) == ["drifted"]
    clock.advance(3600)
    [waiting] = await pending(store, clock.now())
    assert (waiting.target, waiting.attempts) == ("broken", 1)


async def test_undelivered_messages_survive_a_crash(store, clock, hook, webhook, metrics):
    """What was recorded before a crash is delivered by the next process."""
    await store.record(DRIFTED, clock.now(), composer(["webhook"]))
    restarted = Dispatcher(store, {"webhook": webhook}, SETTINGS, clock, metrics)
    assert await restarted.deliver_due() == 1
    assert types(hook) == ["drifted"]


async def test_a_storm_is_two_messages_and_a_digest_that_loses_nothing(store, clock, metrics):
    """The first two go out at once, the rest together when it is quiet, each id listed once."""
    one = Flaky()
    dispatcher = Dispatcher(store, {"one": one}, SETTINGS, clock, metrics)
    for number in range(40):
        await drifted(store, clock.now(), f"app{number}")
        await dispatcher.deliver_due()
        clock.advance(0.25)
    assert one.kinds == ["drifted", "drifted"]
    assert await dispatcher.waiting() == 38
    clock.advance(4)
    assert await dispatcher.deliver_due() == 0, "it has not been quiet for long enough"
    clock.advance(1)
    assert await dispatcher.deliver_due() == 38
    assert one.kinds == ["drifted", "drifted", "digest"]
    assert set(one.taken().values()) == {1}
    assert (len(one.taken()), await dispatcher.waiting(), dispatcher.sent) == (40, 0, 40)
    exposed = metrics.exposition().decode()
    assert 'driftd_notification_digests_total{receiver="one"} 1.0' in exposed


async def test_a_storm_without_end_is_a_digest_in_each_half_minute(store, clock, metrics):
    """What waits longest waits thirty seconds, however much goes on."""
    one = Flaky()
    dispatcher = Dispatcher(store, {"one": one}, SETTINGS, clock, metrics)
    for number in range(120):
        await drifted(store, clock.now(), f"app{number:03}")
        await dispatcher.deliver_due()
        clock.advance(1)
    assert one.kinds == ["drifted", "drifted", "digest", "digest", "digest"]
    assert set(one.taken().values()) == {1}


async def test_after_an_hour_away_a_receiver_gets_one_digest(store, clock, metrics):
    """F-38: an outage ends in one digest, with everything in it, and not in a storm."""
    one, other = Flaky(), Flaky()
    one.failures = [NotifyError("cannot reach it")] * 400
    settings = msgspec.structs.replace(SETTINGS, max_attempts=500)
    dispatcher = Dispatcher(store, {"one": one, "other": other}, settings, clock, metrics)
    for number in range(60):
        await drifted(store, clock.now(), f"app{number:02}", "one", "other")
        await dispatcher.deliver_due()
        clock.advance(60)
    tried = 400 - len(one.failures)
    assert tried <= 70, "about one attempt in each longest backoff"
    assert other.kinds == ["drifted"] * 60, "the other receiver has heard of each at once"
    one.failures = []
    clock.advance(60)
    assert await dispatcher.deliver_due() == 60
    assert one.kinds == ["digest"]
    assert (len(one.taken()), set(one.taken().values())) == (60, {1})
    assert await store.count_dead() == 0


async def test_what_may_have_arrived_is_repeated_as_it_was_and_merged_never(store, clock, metrics):
    """A lost answer: the same id goes out again by itself, so one who knows ids hears it once."""
    one = Flaky(lost=[Unanswered("no answer", sent=True)])
    dispatcher = Dispatcher(store, {"one": one}, SETTINGS, clock, metrics)
    for number in range(6):
        await drifted(store, clock.now(), f"app{number}")
        await dispatcher.deliver_due()
    clock.advance(30)
    await dispatcher.deliver_due()
    assert one.kinds == ["drifted", "drifted", "digest"]
    assert one.calls[0].id == one.calls[1].id
    assert (len(one.taken()), set(one.taken().values())) == (6, {1})


async def test_a_digest_whose_answer_is_lost_is_repeated_with_the_same_messages(
    store, clock, metrics
):
    """What comes meanwhile is in the next one: a digest that may be known stays what it was."""
    one = Flaky(lost=[Unanswered("no answer", sent=True)])
    dispatcher = Dispatcher(store, {"one": one}, SETTINGS, clock, metrics)
    for number in range(6):
        await drifted(store, clock.now(), f"app{number}")
    clock.advance(5)
    assert await dispatcher.deliver_due() == 0
    await drifted(store, clock.now(), "late")
    for _ in range(2):
        clock.advance(30)
        await dispatcher.deliver_due()
    assert one.kinds == ["digest", "digest", "drifted"]
    assert one.calls[0].id == one.calls[1].id
    assert set(one.taken().values()) == {1}


async def test_a_message_that_is_refused_for_itself_stops_no_other(store, clock, metrics):
    """A receiver that does not take one message takes the others; the one is given up soon."""
    one = Flaky(failures=[Rejected("HTTP 400", for_message=True)])
    dispatcher = Dispatcher(store, {"one": one}, SETTINGS, clock, metrics)
    await drifted(store, clock.now(), "poison")
    await drifted(store, clock.now(), "fine")
    assert await dispatcher.deliver_due() == 1
    assert [told.application for told in one.calls] == ["fine"]
    one.failures = [Rejected("HTTP 400", for_message=True)] * 2
    for _ in range(3):
        clock.advance(3600)
        await dispatcher.deliver_due()
    [dead] = await store.dead(10)
    assert (dead.application, dead.attempts) == ("argocd/poison", 3)


async def test_a_message_of_yesterday_is_given_up_and_can_be_taken_up_again(store, clock, metrics):
    """After a day without success it is dead, visible, and delivered once somebody says so."""
    one = Flaky(failures=[NotifyError("cannot reach it")] * 5)
    settings = msgspec.structs.replace(SETTINGS, max_attempts=500)
    dispatcher = Dispatcher(store, {"one": one}, settings, clock, metrics)
    await drifted(store, clock.now(), "app")
    await dispatcher.deliver_due()
    assert await store.count_dead() == 0
    clock.advance(86_400)
    await dispatcher.deliver_due()
    [dead] = await store.dead(10)
    assert (dead.target, dead.error, await dispatcher.waiting()) == ("one", "cannot reach it", 0)
    await dispatcher.measure()
    assert "driftd_notifications_dead 1.0" in metrics.exposition().decode()
    one.failures = []
    assert await store.revive(clock.now(), ["other"]) == 0
    assert await store.revive(clock.now(), ["one"]) == 1
    clock.advance(3600)
    assert await dispatcher.deliver_due() == 1
    assert (one.kinds, await store.count_dead()) == (["drifted"], 0)


async def test_a_slow_receiver_delays_no_other(store, clock, metrics):
    """`kick` waits for nobody: what is news for others goes out while one still hangs."""
    slow, fast = Flaky(), Flaky()
    slow.open.clear()
    dispatcher = Dispatcher(store, {"slow": slow, "fast": fast}, SETTINGS, clock, metrics)
    for name in ("first", "second"):
        await drifted(store, clock.now(), name, "slow", "fast")
        await dispatcher.kick()
        async with asyncio.timeout(5):
            await fast.took(name)
    assert slow.calls == []
    slow.open.set()
    async with asyncio.timeout(5):
        await slow.took("second")
    await dispatcher.close()
    assert [one.application for one in slow.calls] == ["first", "second"]


async def test_messages_of_an_episode_get_its_first_receipt(store, clock, metrics):
    """What a receiver gave for the onset comes with what follows, and ends with the episode."""
    one = Flaky()
    settings = msgspec.structs.replace(SETTINGS, storm=Storm(messages=100))
    dispatcher = Dispatcher(store, {"one": one}, settings, clock, metrics)
    for look in (CLEAN, DRIFTED, CLEAN, DRIFTED):
        await store.record(look, clock.now(), composer(["one"]))
        await dispatcher.deliver_due()
        clock.advance(60)
    first, *_ = (told.id for told in one.calls)
    assert one.kinds == ["drifted", "recovered", "drifted"]
    assert one.earlier == [None, Receipt({"thread": first}), None]


async def test_one_sweep_waits_for_no_storm(store, clock, metrics):
    """Where nothing more comes, everything goes out now."""
    one = Flaky()
    dispatcher = Dispatcher(store, {"one": one}, SETTINGS, clock, metrics)
    for number in range(5):
        await drifted(store, clock.now(), f"app{number}")
    assert await dispatcher.deliver_due(final=True) == 5
    assert one.kinds == ["digest"]
