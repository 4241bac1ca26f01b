"""Delivery out of the outbox."""

from __future__ import annotations

import base64
import json

import pytest
from aiohttp import web

from driftd.notify.dispatch import Dispatcher
from driftd.notify.message import composer
from driftd.notify.webhook import WebhookNotifier
from driftd.settings.notifications import Notifications, Webhook
from driftd.settings.quantity import Duration
from driftd.telemetry.metrics import Metrics
from tests.unit.reports import change, report, resource

DRIFTED = report(resource("web", change("/spec/replicas", desired=3, live=5)))
CLEAN = report(resource("web"))
SETTINGS = Notifications(max_attempts=3, backoff=Duration("10s"), backoff_limit=Duration("1m"))


class Broken:
    """A receiver whose code fails in an unforeseen way."""

    async def send(self, message):
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
    for _ in range(3):
        await dispatcher.deliver_due()
        clock.advance(60)
    assert types(hook) == ["drifted", "drifted", "drifted", "recovered"]
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
    [waiting] = await store.pending(clock.now(), 10)
    assert (waiting.target, waiting.attempts) == ("broken", 1)


async def test_undelivered_messages_survive_a_crash(store, clock, hook, webhook, metrics):
    """What was recorded before a crash is delivered by the next process."""
    await store.record(DRIFTED, clock.now(), composer(["webhook"]))
    restarted = Dispatcher(store, {"webhook": webhook}, SETTINGS, clock, metrics)
    assert await restarted.deliver_due() == 1
    assert types(hook) == ["drifted"]
