"""Slack's Web API: threads, refusals, escaping."""

from __future__ import annotations

import json

import pytest
from aiohttp import web

from driftd.errors import ConfigError, NotifyError
from driftd.notify.blocks import message_of
from driftd.notify.dispatch import Dispatcher
from driftd.notify.notifier import Addressable, Receipt, Rejected
from driftd.notify.slackapp import SlackAppNotifier
from driftd.notify.wording import told
from driftd.settings.channels import SlackApp
from driftd.settings.notifications import Notifications
from driftd.telemetry.metrics import Metrics
from tests.unit.notify.messages import digest, hostile, message, recovered, texts
from tests.unit.notify.shapes import SLACK_APP, fits
from tests.unit.notify.told import composer
from tests.unit.reports import change, report, resource


def posted(ts="1700000000.000100", channel="C123"):
    """What Slack answers to a message that it took."""
    return web.json_response({"ok": True, "ts": ts, "channel": channel})


def refused(error):
    """What Slack answers to a message that it did not take."""
    return web.json_response({"ok": False, "error": error})


@pytest.fixture
def app(tmp_path, hook, session):
    """A notifier to the real receiver."""
    path = tmp_path / "token"
    path.write_text("xoxb-s3cr3t\n")
    settings = SlackApp(token_file=str(path), channel="#drift", api_url=f"{hook.base}/api/")
    return SlackAppNotifier(settings, session, 5, texts())


async def test_an_onset_posts_and_what_follows_replies_in_its_thread(app, hook):
    """One thread per episode: the receipt of the onset leads all that follows to it."""
    hook.answers += [posted(), posted("1700000099.000200")]
    receipt = await app.send(message())
    assert receipt == Receipt({"ts": "1700000000.000100", "channel": "C123"})
    assert await app.send(recovered(), receipt) == receipt
    first, second = hook.bodies
    fits(first, SLACK_APP)
    fits(second, SLACK_APP)
    assert hook.paths == ["/api/chat.postMessage"] * 2
    assert (first["channel"], "thread_ts" in first) == ("#drift", False)
    assert (second["channel"], second["thread_ts"]) == ("C123", "1700000000.000100")
    assert first["blocks"] == message_of(told(message()))["blocks"]


async def test_the_token_and_nothing_else_goes_along(app, hook):
    """S-67: the request has the token of its own file and no other credential."""
    hook.answers.append(posted())
    await app.send(message())
    [(headers, _)] = hook.requests
    assert headers["authorization"] == "Bearer xoxb-s3cr3t"
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert "cookie" not in headers


async def test_a_thread_that_is_gone_begins_anew(app, hook):
    """A deleted thread loses no message."""
    hook.answers += [refused("thread_not_found"), posted("1700000500.000300")]
    found = await app.send(recovered(), Receipt({"ts": "1.1", "channel": "C123"}))
    assert found == Receipt({"ts": "1700000500.000300", "channel": "C123"})
    assert "thread_ts" not in hook.bodies[1]


async def test_a_digest_is_a_message_of_its_own(app, hook):
    """A digest is in no thread."""
    hook.answers.append(posted())
    await app.send_digest(digest())
    fits(hook.bodies[0], SLACK_APP)
    assert "thread_ts" not in hook.bodies[0]


async def test_too_many_requests_carry_the_wait_and_are_not_tried_again_inside(app, hook):
    """`Retry-After` is given to the outbox; one attempt is one request."""
    hook.answers.append(web.Response(status=429, headers={"Retry-After": "30"}))
    with pytest.raises(Rejected, match="HTTP 429") as caught:
        await app.send(message())
    assert caught.value.retry_after == 30
    assert len(hook.requests) == 1


@pytest.mark.parametrize(
    ("error", "for_message"), [("invalid_auth", False), ("msg_too_long", True)]
)
async def test_a_refusal_says_why_without_the_token(app, hook, error, for_message):
    """Slack's own word is told; it says whether other messages may be accepted."""
    hook.answers.append(refused(error))
    with pytest.raises(Rejected, match=f"Slack app slack-app was refused: {error}") as caught:
        await app.send(message())
    assert caught.value.for_message is for_message
    assert "s3cr3t" not in caught.value.message


@pytest.mark.parametrize("body", ["", "<html>", "[1]", "{}"])
async def test_an_answer_that_is_none_of_slacks_is_an_error(app, hook, body):
    """A proxy's page with status 200 is no delivery."""
    hook.answers.append(web.Response(text=body, content_type="application/json"))
    with pytest.raises(NotifyError):
        await app.send(message())


async def test_an_endless_answer_is_cut(app, hook):
    """S-66: more than 64 KiB is not read, and is no delivery."""
    hook.answers.append(web.Response(text='{"ok": true, "x": "' + "x" * 200_000 + '"}'))
    with pytest.raises(NotifyError, match="no JSON"):
        await app.send(message())


async def test_redirects_are_not_followed(app, hook):
    """The token goes to the configured address alone."""
    hook.answers.append(web.Response(status=302, headers={"Location": f"{hook.base}/elsewhere"}))
    with pytest.raises(Rejected, match="HTTP 302"):
        await app.send(message())
    assert len(hook.requests) == 1


async def test_hostile_values_are_inert(app, hook):
    """S-62: the recording server sees no control character of Slack's."""
    hook.answers.append(posted())
    await app.send(hostile())
    fits(hook.bodies[0], SLACK_APP)
    assert "<" not in json.dumps(hook.bodies[0]["blocks"])


async def test_other_conversations_can_be_addressed(app, hook):
    """A subscriber's channel is posted to with the same token; nonsense is refused."""
    assert isinstance(app, Addressable)
    hook.answers.append(posted())
    await app.to("team-shop").send(message())
    assert hook.bodies[0]["channel"] == "#team-shop"
    for wrong in ("", "#", "two words", "a\nb"):
        with pytest.raises(ConfigError, match="no conversation"):
            app.to(wrong)


async def test_each_episode_has_a_thread_of_its_own_over_restarts(app, hook, store, clock):
    """Onset, change and recovery stand in one thread, though the process was another one; the
    next onset begins the next thread.
    """
    clean = report(resource("web"))
    looks = [
        report(resource("web", change("/spec/replicas", desired=3, live=5))),
        report(resource("web", change("/spec/replicas", live=5), change("/spec/paused", live=1))),
        clean,
        report(resource("web", change("/spec/replicas", desired=3, live=7))),
        clean,
    ]
    await store.record(clean, clock.now(), composer(["slack"]))
    for number, look in enumerate(looks):
        hook.answers.append(posted(f"170000000{number}.000000"))
        await store.record(look, clock.now(), composer(["slack"]))
        dispatcher = Dispatcher(store, {"slack": app}, Notifications(), clock, Metrics("0"))
        assert await dispatcher.deliver_due() == 1
        clock.advance(60)
    threads = [body.get("thread_ts") for body in hook.bodies]
    first, second = "1700000000.000000", "1700000003.000000"
    assert threads == [None, first, first, None, second]
