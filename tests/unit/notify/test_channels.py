"""Channels of the settings become receivers."""

from __future__ import annotations

import typing

import pytest

from driftd.errors import ConfigError
from driftd.notify.channels import Means, notifier_of, notifiers_of, open_notifiers
from driftd.notify.wording import told
from driftd.settings import channels as kinds
from driftd.settings.channels import Slack, SlackApp, Teams, Webhook, channels
from driftd.settings.notifications import Notifications
from driftd.settings.receivers import KINDS
from driftd.store.types import Transition
from tests.unit.notify.messages import digest, message

SECRET = "whsec_" + "A" * 44


@pytest.fixture
def everything(tmp_path, hook):
    """One channel of every kind at the real receiver, all secrets in one folder."""

    def file(name: str, content: str) -> str:
        (tmp_path / name).write_text(content)
        return str(tmp_path / name)

    key = file("key", "k" * 32)
    url = file("url", hook.url)
    host = hook.base.removeprefix("http://")
    return Notifications(
        allow_networks=("127.0.0.0/8",),
        webhooks=(Webhook(url=hook.url, secret_file=file("secret", SECRET)),),
        slack=(Slack(url_file=url),),
        slack_apps=(SlackApp(token_file=key, channel="#a", api_url=hook.base),),
        email=(kinds.Email(host="localhost", sender="a@b.c", to=("d@e.f",)),),
        teams=(Teams(url_file=url),),
        pagerduty=(kinds.PagerDuty(routing_key_file=key, url=hook.url),),
        opsgenie=(kinds.Opsgenie(api_key_file=key, url=hook.base),),
        github=(kinds.GitHubStatus(repository="a/b", token_file=key, api_url=hook.base),),
        alertmanager=(kinds.Alertmanager(url=hook.base),),
        apprise=(kinds.Apprise(urls_file=file("urls", f"json://{host}/hook")),),
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_every_kind_of_channel_becomes_a_receiver(everything, clock, hook):
    """No setting is without effect: each channel delivers, under its own name."""
    assert {type(one) for _, one in channels(everything)} == set(typing.get_args(kinds.Channel))
    async with open_notifiers(everything, clock) as notifiers:
        assert set(notifiers) == {one.name for _, one in channels(everything)}
        for name in set(notifiers) - {"email", "slack-app"}:
            hook.requests.clear()
            await notifiers[name].send(message())
            await notifiers[name].send_digest(digest())
            assert len(hook.requests) >= 2, name


async def test_receivers_in_closed_networks_are_not_reached(everything, clock, hook):
    """S-65: every channel goes through the client that judges addresses."""
    closed = Notifications(
        webhooks=everything.webhooks,
        slack=everything.slack,
        slack_apps=everything.slack_apps,
        email=everything.email,
        teams=everything.teams,
        pagerduty=everything.pagerduty,
        opsgenie=everything.opsgenie,
        github=everything.github,
        alertmanager=everything.alertmanager,
    )
    async with open_notifiers(closed, clock) as notifiers:
        for notifier in notifiers.values():
            with pytest.raises(Exception, match="no message may be sent"):
                await notifier.send(message())
    assert hook.requests == []


async def test_a_channels_templates_are_its_own(everything, session, clock, hook):
    """One channel's text is no other's."""

    async def execute(template, _context):
        return template

    own = Slack(url_file=everything.slack[0].url_file, name="own", templates={"drifted": "mine"})
    told_to = Notifications(slack=(own, *everything.slack))
    means = Means(session=session, clock=clock, limit=5, execute=execute)
    notifiers = notifiers_of(told_to, means)
    for one in notifiers.values():
        await one.send(message())
    assert [body["text"] for body in hook.bodies] == ["mine", told(message()).headline]


async def test_a_channel_that_cannot_work_is_found_at_the_start(tmp_path, session, clock):
    """A secret that is missing is an error of configuration that names channel and file."""
    means = Means(session=session, clock=clock, limit=5)
    with pytest.raises(ConfigError, match=r"URL of the Slack webhook from .*none"):
        notifier_of(Slack(url_file=str(tmp_path / "none")), means)


def test_templates_can_be_written_for_every_kind_that_there_is():
    """The settings know the kinds of messages by name."""
    assert set(KINDS) == {"default"} | {kind.value for kind in Transition} - {"none"}
