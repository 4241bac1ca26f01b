"""Signed webhooks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import msgspec
import pytest
from aiohttp import web

from driftd.errors import ConfigError, NotifyError
from driftd.notify.message import build
from driftd.notify.notifier import Rejected
from driftd.notify.webhook import WebhookNotifier, sign, signing_key
from driftd.settings.channels import Webhook
from driftd.store.episodes import Before, state_change
from tests.unit.notify.messages import KINDS, digest, of_kind
from tests.unit.notify.shapes import EVENT, fits
from tests.unit.reports import START, change, report, resource

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
MESSAGE = build(
    state_change(Before(), [], report(resource("web", change("/spec/replicas"))), START)
)


@pytest.fixture
def settings(tmp_path, hook):
    """A webhook to the receiver with its secret in a file."""
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n")
    return Webhook(url=hook.url, secret_file=str(path))


async def test_the_receiver_can_verify_the_signature(settings, session, clock, hook):
    """Id, timestamp and body verify as Standard Webhooks says, computed here independently."""
    await WebhookNotifier(settings, session, clock, 5).send(MESSAGE)
    [(headers, body)] = hook.requests
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["webhook-timestamp"] == str(int(START.timestamp()))
    assert headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert json.loads(body)["id"] == headers["webhook-id"] == MESSAGE.id


async def test_the_plain_signature_is_of_the_body_under_the_text_of_the_secret(
    settings, session, clock, hook
):
    """`X-Signature` is what receivers of GitHub's kind compute, here independently."""
    await WebhookNotifier(settings, session, clock, 5).send(MESSAGE)
    [(headers, body)] = hook.requests
    expected = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert headers["x-signature"] == f"sha256={expected}"


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_is_a_cloud_event(settings, session, clock, hook, kind):
    """Attributes say what and where; the data is the whole message."""
    found = of_kind(kind)
    await WebhookNotifier(settings, session, clock, 5).send(found)
    [event] = hook.bodies
    fits(event, EVENT)
    assert event["type"] == f"io.driftd.application.{kind}"
    assert event["source"] == "/driftd/clusters/production"
    assert event["subject"] == "argocd/shop"
    assert event["data"] == json.loads(msgspec.json.encode(found))


async def test_a_digest_is_one_event(settings, session, clock, hook):
    """A digest is an event of its own type with its own id."""
    await WebhookNotifier(settings, session, clock, 5).send_digest(digest())
    [event] = hook.bodies
    fits(event, EVENT)
    assert (event["type"], event["id"]) == ("io.driftd.digest", digest().id)
    assert event["data"]["applications"] == 3


async def test_headers_are_those_that_are_meant(settings, session, clock, hook):
    """S-67: a request carries no credential, cookie or header beyond the configured ones."""
    hook.answers.append(web.Response(headers={"Set-Cookie": "a=b"}))
    notifier = WebhookNotifier(settings, session, clock, 5)
    await notifier.send(MESSAGE)
    await notifier.send(MESSAGE)
    for headers, _ in hook.requests:
        assert set(headers) == {
            "host", "content-type", "content-length", "user-agent", "x-signature",
            "webhook-id", "webhook-timestamp", "webhook-signature",
        }  # fmt: skip


def test_the_published_example_of_standard_webhooks_verifies():
    """The specification's own example gives the signature that it states."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    found = sign(signing_key(secret, "f"), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", ["hunter2", "whsec_", base64.b64encode(b"short").decode()])
def test_a_weak_secret_is_refused_without_printing_it(secret):
    """Secrets that are not 24 to 64 bytes of base64 are refused with a remedy."""
    with pytest.raises(ConfigError, match="/etc/secret") as caught:
        signing_key(secret, "/etc/secret")
    assert "openssl rand" in caught.value.message
    assert secret == "whsec_" or secret not in caught.value.message


async def test_a_refusal_names_status_and_wait_but_not_the_url(settings, session, clock, hook):
    """Anything but 2xx is an error; `Retry-After` is carried; the URL may be a secret."""
    hook.answers.append(web.Response(status=429, text="slow down", headers={"Retry-After": "7"}))
    with pytest.raises(Rejected, match="HTTP 429: slow down") as caught:
        await WebhookNotifier(settings, session, clock, 5).send(MESSAGE)
    assert caught.value.retry_after == 7
    assert "s3cr3t" not in caught.value.message


async def test_redirects_are_not_followed(settings, session, clock, hook):
    """A redirect is a refusal: the signed message goes nowhere else."""
    hook.answers.append(web.Response(status=307, headers={"Location": hook.url}))
    with pytest.raises(Rejected, match="HTTP 307"):
        await WebhookNotifier(settings, session, clock, 5).send(MESSAGE)
    assert len(hook.requests) == 1


async def test_an_unreachable_receiver_is_a_notify_error(settings, session, clock):
    """A closed port is an error of delivery, not a crash, and the URL stays secret."""
    closed = Webhook(url="http://127.0.0.1:1/s3cr3t", secret_file=settings.secret_file)
    with pytest.raises(NotifyError, match="cannot reach webhook webhook") as caught:
        await WebhookNotifier(closed, session, clock, 5).send(MESSAGE)
    assert "s3cr3t" not in caught.value.message


async def test_a_receiver_that_does_not_answer_is_left_after_the_limit(
    settings, session, clock, hook
):
    """A receiver that accepts and stays silent costs one limit, not the daemon."""
    hook.answering.clear()
    with pytest.raises(NotifyError, match=r"did not answer within 0\.05 s"):
        await WebhookNotifier(settings, session, clock, 0.05).send(MESSAGE)
    hook.answering.set()


async def test_what_cannot_work_is_found_at_the_start(tmp_path, settings, session, clock):
    """A wrong URL and a missing secret are errors of configuration, before the first alert."""
    for url in ("nonsense s3cr3t", "ftp://s3cr3t", "http://", "http://[s3cr3t"):
        with pytest.raises(ConfigError, match="not an http or https URL") as caught:
            WebhookNotifier(Webhook(url=url, secret_file=settings.secret_file), session, clock, 5)
        assert "s3cr3t" not in caught.value.message
    missing = Webhook(url=settings.url, secret_file=str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="cannot read the webhook secret"):
        WebhookNotifier(missing, session, clock, 5)
