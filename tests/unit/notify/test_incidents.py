"""Tools that keep incidents: PagerDuty, Opsgenie, Alertmanager and GitHub's commit statuses."""

from __future__ import annotations

import base64
import json
import subprocess
from datetime import datetime, timedelta

import msgspec
import pytest
from aiohttp import web

from driftd.errors import ConfigError, NotifyError
from driftd.model.report import ApplicationStatus
from driftd.notify.alertmanager import AlertmanagerNotifier
from driftd.notify.github import AppLogin, GitHubNotifier
from driftd.notify.incidents import key_of
from driftd.notify.notifier import Rejected
from driftd.notify.opsgenie import OpsgenieNotifier
from driftd.notify.pagerduty import PagerDutyNotifier
from driftd.settings.channels import Alertmanager, GitHubStatus, Opsgenie, PagerDuty
from driftd.settings.github import GitHubAppLogin
from driftd.settings.quantity import Duration
from driftd.store.types import Transition
from tests.unit.notify.messages import (
    KINDS,
    digest,
    hostile,
    message,
    of_kind,
    recovered,
    texts,
)
from tests.unit.notify.shapes import (
    ALERTS,
    GITHUB,
    OPSGENIE,
    OPSGENIE_CLOSE,
    PAGERDUTY,
    fits,
)

BESIDE = (
    Transition.RULE_TROUBLE,
    Transition.SILENCE_EXPIRED,
    Transition.PAUSE_FORGOTTEN,
    Transition.HISTORY_REWRITTEN,
)
KEPT = [kind for kind in KINDS if kind not in BESIDE]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
KEY = "s3cr3t" + "0" * 26


def private_key(folder):
    """The file of an RSA key."""
    file = folder / "app.pem"
    subprocess.run(["openssl", "genrsa", "-out", file, "2048"], check=True, capture_output=True)
    return file


@pytest.fixture
def secret(tmp_path):
    """A file with a key."""
    path = tmp_path / "key"
    path.write_text(KEY + "\n")
    return str(path)


@pytest.fixture
def pagerduty(secret, hook, session):
    """PagerDuty at the real receiver."""
    settings = PagerDuty(routing_key_file=secret, url=f"{hook.base}/v2/enqueue")
    return PagerDutyNotifier(settings, session, 5, texts())


@pytest.fixture
def opsgenie(secret, hook, session):
    """Opsgenie at the real receiver."""
    settings = Opsgenie(api_key_file=secret, url=hook.base, teams=("platform",))
    return OpsgenieNotifier(settings, session, 5, texts())


@pytest.fixture
def alertmanager(hook, session):
    """Alertmanager at the real receiver."""
    settings = Alertmanager(url=f"{hook.base}/am/", labels={"team": "platform"})
    return AlertmanagerNotifier(settings, session, 5, texts())


@pytest.fixture
def github(secret, hook, session):
    """GitHub at the real receiver."""
    settings = GitHubStatus(repository="example/gitops", token_file=secret, api_url=hook.base)
    return GitHubNotifier(settings, session, 5, texts())


@pytest.mark.parametrize("kind", KEPT)
async def test_every_kind_of_incident_has_the_shape_that_pagerduty_takes(pagerduty, hook, kind):
    """One key per application; only a healthy application resolves."""
    await pagerduty.send(of_kind(kind))
    [event] = hook.bodies
    fits(event, PAGERDUTY)
    over = kind in (Transition.RECOVERED, Transition.HEALED)
    assert event["event_action"] == ("resolve" if over else "trigger")
    assert event["dedup_key"] == "driftd/production/argocd/shop"


@pytest.mark.parametrize(
    ("severity", "theirs"),
    [("critical", "critical"), ("high", "error"), ("medium", "warning"), ("low", "info")],
)
async def test_severities_are_pagerdutys_own(pagerduty, hook, severity, theirs):
    """Severities are mapped, and what is not known is an error."""
    await pagerduty.send(msgspec.structs.replace(message(), severity=severity))
    await pagerduty.send(msgspec.structs.replace(message(), severity=""))
    assert [one["payload"]["severity"] for one in hook.bodies] == [theirs, "error"]


async def test_what_has_no_end_opens_no_incident(pagerduty, opsgenie, alertmanager, github, hook):
    """A rule in trouble or a silence's end would stay open for ever: they are not sent."""
    for kind in BESIDE:
        for notifier in (pagerduty, opsgenie, alertmanager, github):
            assert await notifier.send(of_kind(kind)) is None
    assert hook.requests == []


async def test_a_storm_pages_once_and_still_resolves(pagerduty, opsgenie, hook):
    """A digest is one incident for all that is wrong; what is over is resolved by its own key."""
    await pagerduty.send_digest(digest(5))
    resolved, paged = hook.bodies
    fits(resolved, PAGERDUTY)
    fits(paged, PAGERDUTY)
    assert resolved["dedup_key"] == "driftd/production/argocd/app-4"
    assert (resolved["event_action"], paged["event_action"]) == ("resolve", "trigger")
    assert paged["dedup_key"] == f"driftd/{digest(5).id}"
    hook.requests.clear()
    hook.paths.clear()
    await opsgenie.send_digest(digest(5))
    assert hook.paths == [
        "/v2/alerts/driftd%2Fproduction%2Fargocd%2Fapp-4/close?identifierType=alias",
        "/v2/alerts",
    ]
    fits(hook.bodies[1], OPSGENIE)


async def test_a_digest_goes_on_where_the_tool_stopped_it(github, hook):
    """Tools limit what they take in a minute: another attempt sends what was not sent yet."""
    hook.answers += [web.Response(status=201), web.Response(status=201)]
    hook.answers.append(web.Response(status=403, headers={"Retry-After": "60"}))
    with pytest.raises(Rejected) as caught:
        await github.send_digest(digest(5))
    assert caught.value.retry_after == 60
    await github.send_digest(digest(5))
    contexts = [body["context"].rpartition("/")[2] for body in hook.bodies]
    assert contexts == ["app-0", "app-1", "app-2", "app-2", "app-3", "app-4"]
    await github.send_digest(digest(5))
    assert len(hook.bodies) == 11, "what is delivered is forgotten"


@pytest.mark.parametrize("kind", KEPT)
async def test_every_kind_of_incident_has_the_shape_that_opsgenie_takes(opsgenie, hook, kind):
    """Alerts open with an alias and close by it."""
    await opsgenie.send(of_kind(kind))
    [(headers, _)] = hook.requests
    assert headers["authorization"] == f"GenieKey {KEY}"
    over = kind in (Transition.RECOVERED, Transition.HEALED)
    fits(hook.bodies[0], OPSGENIE_CLOSE if over else OPSGENIE)
    alias = "driftd%2Fproduction%2Fargocd%2Fshop"
    path = f"/v2/alerts/{alias}/close?identifierType=alias" if over else "/v2/alerts"
    assert hook.paths == [path]
    if not over:
        assert hook.bodies[0]["responders"] == [{"type": "team", "name": "platform"}]
        assert hook.bodies[0]["priority"] == "P2"


def firing(alerts):
    """The names and severities of what is firing at the time of the message."""
    return [
        (one["labels"]["alertname"], one["labels"]["severity"])
        for one in alerts
        if datetime.fromisoformat(one["endsAt"]) > datetime.fromisoformat(one["startsAt"])
    ]


@pytest.mark.parametrize("kind", KEPT)
async def test_every_kind_of_incident_has_the_shape_that_alertmanager_takes(
    alertmanager, hook, kind
):
    """Exactly one alert of an application fires, or none when it is over."""
    await alertmanager.send(of_kind(kind))
    assert hook.paths == ["/am/api/v2/alerts"]
    [alerts] = hook.bodies
    fits(alerts, ALERTS)
    over = kind in (Transition.RECOVERED, Transition.HEALED)
    name = "ApplicationUnknown" if kind is Transition.UNKNOWN else "ApplicationDrifted"
    assert firing(alerts) == ([] if over else [(name, "high")])


async def test_a_severity_that_changes_resolves_the_alert_of_the_old_one(alertmanager, hook):
    """Labels tell alerts apart: every message names all that may have been firing."""
    await alertmanager.send(message())
    await alertmanager.send(msgspec.structs.replace(message(), severity="critical"))
    first, second = hook.bodies
    assert firing(second) == [("ApplicationDrifted", "critical")]
    identities = [
        sorted(json.dumps(one["labels"], sort_keys=True) for one in a) for a in hook.bodies
    ]
    assert identities[0] == identities[1]
    assert len(set(identities[0])) == len(first) == 10


async def test_an_alert_lasts_as_long_as_the_settings_say(hook, session, secret):
    """Without an end of its own Alertmanager would resolve it after five minutes."""
    settings = Alertmanager(
        url=hook.base, firing=Duration("2h"), username="a", password_file=secret
    )
    await AlertmanagerNotifier(settings, session, 5, texts()).send(message())
    [alert] = [one for one in hook.bodies[0] if one["endsAt"] != one["startsAt"]]
    lasted = datetime.fromisoformat(alert["endsAt"]) - datetime.fromisoformat(alert["startsAt"])
    assert lasted == timedelta(hours=2)
    login = base64.b64encode(f"a:{KEY}".encode()).decode()
    assert hook.requests[0][0]["authorization"] == f"Basic {login}"


async def test_a_token_opens_alertmanager_too(hook, session, secret):
    """A bearer token from a file."""
    settings = Alertmanager(url=hook.base, bearer_token_file=secret)
    await AlertmanagerNotifier(settings, session, 5, texts()).send(message())
    assert hook.requests[0][0]["authorization"] == f"Bearer {KEY}"


async def test_a_digest_is_one_request_to_alertmanager(alertmanager, hook):
    """Alertmanager groups by itself: all applications go in one request."""
    await alertmanager.send_digest(digest(5))
    [alerts] = hook.bodies
    fits(alerts, ALERTS)
    assert len(firing(alerts)) == 4
    assert {one["labels"]["application"] for one in alerts} == {f"app-{i}" for i in range(5)}


@pytest.mark.parametrize(
    ("found", "state", "said"),
    [
        (message(), "failure", "1 field drifted from Git"),
        (recovered(), "success", "in sync with Git again"),
        (of_kind(Transition.UNKNOWN), "error", "cannot be judged"),
    ],
)
async def test_a_commit_gets_one_status_per_application(github, hook, found, state, said):
    """The status names cluster and application, at the revision that was compared."""
    await github.send(found)
    assert hook.paths == [f"/repos/example/gitops/statuses/{COMMIT}"]
    fits(hook.bodies[0], GITHUB)
    assert hook.bodies[0] == {
        "state": state,
        "description": said,
        "context": "driftd/production/argocd/shop",
    }
    assert hook.requests[0][0]["authorization"] == f"Bearer {KEY}"


async def test_revisions_of_other_repositories_are_no_failure(github, hook):
    """Chart versions are left out, and commits that the repository does not have are refused."""
    other = "f" * 40
    hook.answers.append(web.Response(status=422, text=f"No commit found for SHA: {other}"))
    found = msgspec.structs.replace(message(), revisions=(other, "1.2.3", COMMIT, COMMIT))
    await github.send(found)
    assert [path[-40:] for path in hook.paths] == [other, COMMIT]
    hook.answers.append(web.Response(status=422, text="Validation Failed"))
    with pytest.raises(Rejected, match="HTTP 422"):
        await github.send(message())
    hook.requests.clear()
    await github.send(msgspec.structs.replace(message(), revisions=("1.2.3",)))
    assert hook.requests == []


async def test_a_github_app_logs_in_with_its_key(tmp_path, hook, session, clock):
    """The installation's token is asked for once and used for all statuses."""
    key = private_key(tmp_path)
    token = {"token": "ghs_installed", "expires_at": "2026-03-01T13:00:00Z"}
    hook.answers.append(web.json_response(token, status=201))
    app = GitHubAppLogin(app_id="1", private_key_file=str(key), installation_id="7")
    settings = GitHubStatus(repository="example/gitops", app=app, api_url=hook.base)
    login = AppLogin(clock)
    try:
        notifier = GitHubNotifier(settings, session, 5, texts(), login)
        await notifier.send(message())
        await notifier.send(recovered())
    finally:
        await login.close()
    assert hook.paths[0] == "/app/installations/7/access_tokens"
    assert len(hook.paths) == 3
    assert hook.requests[1][0]["authorization"] == "Bearer ghs_installed"
    assert hook.requests[2][0]["authorization"] == "Bearer ghs_installed"


async def test_a_login_that_fails_is_told_without_the_key(tmp_path, hook, session, clock):
    """A refused App is an error of delivery."""
    key = private_key(tmp_path)
    hook.answers.append(web.Response(status=401, text="bad credentials"))
    app = GitHubAppLogin(app_id="1", private_key_file=str(key), installation_id="7")
    settings = GitHubStatus(repository="example/gitops", app=app, api_url=hook.base)
    login = AppLogin(clock)
    try:
        with pytest.raises(NotifyError, match="GitHub github cannot log in") as caught:
            await GitHubNotifier(settings, session, 5, texts(), login).send(message())
    finally:
        await login.close()
    assert "PRIVATE" not in caught.value.message


async def test_hostile_names_keep_every_limit(pagerduty, opsgenie, alertmanager, github, hook):
    """S-63: keys, labels and summaries stay within what the tools take, on one line."""
    for notifier, shape in (
        (pagerduty, PAGERDUTY),
        (opsgenie, OPSGENIE),
        (alertmanager, ALERTS),
        (github, GITHUB),
    ):
        hook.requests.clear()
        await notifier.send(hostile())
        fits(hook.bodies[0], shape)
    over = msgspec.structs.replace(hostile(), status=ApplicationStatus.SYNCED)
    hook.paths.clear()
    await opsgenie.send(over)
    assert hook.paths[0].count("/") == 4


def test_a_key_is_stable_and_short():
    """The same application has the same key, however long its name is; others have others."""
    long = msgspec.structs.replace(message(), application="a" * 300)
    longer = msgspec.structs.replace(message(), application="a" * 301)
    assert key_of(long, 255) == key_of(long, 255) != key_of(longer, 255)
    assert len(key_of(long, 255)) <= 255


async def test_what_cannot_work_is_found_at_the_start(tmp_path, session):
    """Missing keys are errors of configuration, before the first incident."""
    none = str(tmp_path / "none")
    with pytest.raises(ConfigError, match="routing key"):
        PagerDutyNotifier(PagerDuty(routing_key_file=none), session, 5, texts())
    with pytest.raises(ConfigError, match="API key of Opsgenie"):
        OpsgenieNotifier(Opsgenie(api_key_file=none), session, 5, texts())
    with pytest.raises(ConfigError, match="token for GitHub"):
        GitHubNotifier(GitHubStatus(repository="a/b", token_file=none), session, 5, texts())
    settings = Alertmanager(url="https://a.example", bearer_token_file=none)
    with pytest.raises(ConfigError, match="token for Alertmanager"):
        AlertmanagerNotifier(settings, session, 5, texts())
