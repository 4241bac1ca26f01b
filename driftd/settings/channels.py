"""Settings of channels: the receivers that are told. Secrets stand in files that these name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from driftd.settings.github import GitHubAppLogin
from driftd.settings.quantity import Duration
from driftd.settings.struct import SettingsStruct

if TYPE_CHECKING:
    from driftd.settings.notifications import Notifications


class Webhook(SettingsStruct, frozen=True, kw_only=True):
    """A receiver of signed CloudEvents."""

    url: str
    secret_file: str
    """File with the signing secret: 24 to 64 random bytes, base64, optional `whsec_` prefix."""
    name: str = "webhook"


class Slack(SettingsStruct, frozen=True, kw_only=True):
    """A Slack incoming webhook; its URL is a secret."""

    url_file: str
    name: str = "slack"
    templates: dict[str, str] = {}
    """Texts of one's own by kind of message (Go templates)."""


class SlackApp(SettingsStruct, frozen=True, kw_only=True):
    """A Slack app that posts to one conversation, one thread per episode."""

    token_file: str
    """File with the bot token, which needs the scope `chat:write`."""
    channel: str
    """Id of the conversation, or its name with `#`."""
    api_url: str = "https://slack.com/api/"
    name: str = "slack-app"
    templates: dict[str, str] = {}


class Email(SettingsStruct, frozen=True, kw_only=True):
    """A mail server and whom it delivers to."""

    host: str
    sender: str
    to: tuple[str, ...]
    port: int = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    ca_file: str = ""
    """PEM of the certificate authorities to trust; empty for the system's."""
    username: str = ""
    password_file: str = ""
    name: str = "email"
    templates: dict[str, str] = {}


class Teams(SettingsStruct, frozen=True, kw_only=True):
    """A workflow of Microsoft Teams that takes web requests; its URL is a secret."""

    url_file: str
    name: str = "teams"
    templates: dict[str, str] = {}


class PagerDuty(SettingsStruct, frozen=True, kw_only=True):
    """An integration of PagerDuty's Events API v2."""

    routing_key_file: str
    url: str = "https://events.pagerduty.com/v2/enqueue"
    name: str = "pagerduty"
    templates: dict[str, str] = {}


class Opsgenie(SettingsStruct, frozen=True, kw_only=True):
    """An API integration of Opsgenie."""

    api_key_file: str
    url: str = "https://api.opsgenie.com"
    teams: tuple[str, ...] = ()
    """Names of the teams that respond; empty leaves it to the integration."""
    name: str = "opsgenie"
    templates: dict[str, str] = {}


class GitHubStatus(SettingsStruct, frozen=True, kw_only=True):
    """Commit statuses in one repository of GitHub: one per application and revision."""

    repository: str
    """`owner/name`."""
    token_file: str = ""
    """File with a token that may write commit statuses."""
    app: GitHubAppLogin | None = None
    """Instead of a token: a GitHub App with the permission to write commit statuses."""
    api_url: str = "https://api.github.com"
    name: str = "github"
    templates: dict[str, str] = {}


class Alertmanager(SettingsStruct, frozen=True, kw_only=True):
    """An Alertmanager (API v2)."""

    url: str
    username: str = ""
    password_file: str = ""
    bearer_token_file: str = ""
    firing: Duration = Duration("7d")
    """How long an alert lasts that nobody resolves."""
    labels: dict[str, str] = {}
    """Labels that every alert has beside its own."""
    name: str = "alertmanager"
    templates: dict[str, str] = {}


class Apprise(SettingsStruct, frozen=True, kw_only=True):
    """Other services, by the URLs of Apprise (the extra `apprise`); they hold secrets."""

    urls_file: str
    """File with one URL per line."""
    name: str = "apprise"
    templates: dict[str, str] = {}


Channel = (
    Webhook
    | Slack
    | SlackApp
    | Email
    | Teams
    | PagerDuty
    | Opsgenie
    | GitHubStatus
    | Alertmanager
    | Apprise
)


def channels(told: Notifications) -> Iterator[tuple[str, Channel]]:
    """Every receiver with its key below `notifications`, such as `slack[0]`."""
    lists: tuple[tuple[str, Sequence[Channel]], ...] = (
        ("webhooks", told.webhooks),
        ("slack", told.slack),
        ("slackApps", told.slack_apps),
        ("email", told.email),
        ("teams", told.teams),
        ("pagerduty", told.pagerduty),
        ("opsgenie", told.opsgenie),
        ("github", told.github),
        ("alertmanager", told.alertmanager),
        ("apprise", told.apprise),
    )
    for kind, found in lists:
        for index, one in enumerate(found):
            yield f"{kind}[{index}]", one
