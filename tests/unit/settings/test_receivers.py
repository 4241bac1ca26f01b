"""What is wrong with channels, as far as the settings alone show it."""

from __future__ import annotations

import pytest

from driftd.settings.channels import (
    Alertmanager,
    Apprise,
    Email,
    GitHubStatus,
    Opsgenie,
    PagerDuty,
    Slack,
    SlackApp,
    Teams,
    Webhook,
)
from driftd.settings.consistency import findings
from driftd.settings.github import GitHubAppLogin
from driftd.settings.notifications import Notifications
from driftd.settings.quantity import Duration
from driftd.settings.receivers import TEMPLATE_LIMIT, problems_of
from driftd.settings.types import Settings

APP = GitHubAppLogin(app_id="1", private_key_file="/k")


def mail(**fields):
    """A mail server that is right but for the fields."""
    return Email(**({"host": "m", "sender": "a@b.c", "to": ("d@e.f",)} | fields))


@pytest.mark.parametrize(
    ("channel", "key", "said"),
    [
        (Webhook(url="ftp://a", secret_file="/s"), "url", "must be an http(s):// URL"),
        (Webhook(url="https://a:b@c", secret_file="/s"), "url", "holds a password"),
        (PagerDuty(routing_key_file="/k", url="x"), "url", "must be an http(s):// URL"),
        (Opsgenie(api_key_file="/k", url="https://u:p@h"), "url", "holds a password"),
        (SlackApp(token_file="/t", channel="#"), "channel", "is empty"),
        (SlackApp(token_file="/t", channel="#a", api_url="a"), "apiUrl", "must be an http(s)"),
        (Slack(url_file="/u", templates={"dritfed": "x"}), "templates.dritfed", "no kind"),
        (
            Teams(url_file="/u", templates={"drifted": "x" * (TEMPLATE_LIMIT + 1)}),
            "templates.drifted",
            "is longer than",
        ),
        (mail(host=""), "host", "is empty"),
        (mail(port=0), "port", "between 1 and 65535"),
        (mail(to=()), "to", "names nobody"),
        (mail(to=("a@b\nBcc: c@d",)), "to", "plain addresses"),
        (mail(sender="driftd"), "sender", "plain addresses"),
        (mail(username="me"), "passwordFile", "is missing"),
        (mail(password_file="/p"), "username", "is missing"),
        (mail(username="a", password_file="/p", tls="none"), "tls", "readable on the way"),
        (GitHubStatus(repository="a", token_file="/t"), "repository", "must be owner/name"),
        (GitHubStatus(repository="a/b"), "", "needs either tokenFile or app"),
        (GitHubStatus(repository="a/b", token_file="/t", app=APP), "", "needs either"),
        (Alertmanager(url="https://a", username="u"), "passwordFile", "is missing"),
        (
            Alertmanager(url="https://a", username="u", password_file="/p", bearer_token_file="/t"),
            "bearerTokenFile",
            "one login is enough",
        ),
        (Alertmanager(url="https://a", firing=Duration("1s")), "firing", "at least 1m"),
        (Alertmanager(url="https://a", labels={"a-b": "c"}), "labels.a-b", "no name of a label"),
    ],
)
def test_what_cannot_work_is_named_with_its_key(channel, key, said):
    """Each problem names the setting, and no secret."""
    [(found, message, _)] = problems_of(channel)
    assert (found, said in message) == (key, True), message


@pytest.mark.parametrize(
    "channel",
    [
        mail(username="me", password_file="/p"),
        mail(tls="none"),
        GitHubStatus(repository="a/b", app=APP),
        Alertmanager(url="http://alertmanager:9093", labels={"team": "a"}),
        Apprise(urls_file="/u"),
        SlackApp(token_file="/t", channel="C0123"),
        Slack(url_file="/u", templates={"default": "{{ .type }}", "recovered": "x"}),
    ],
)
def test_what_can_work_is_no_problem(channel):
    """Usual settings are taken as they are."""
    assert list(problems_of(channel)) == []


def test_names_are_unique_among_all_kinds():
    """Two receivers of one name would share their messages."""
    told = Notifications(
        slack=(Slack(url_file="/u", name="ops"),), teams=(Teams(url_file="/u", name="ops"),)
    )
    [found] = findings(Settings(notifications=told))
    assert found.key == "notifications.teams[0].name"
    assert "this one and notifications.slack[0]" in found.message
