"""Which receiver delivers to which channel of the settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from driftd.clock import Clock
from driftd.notify.alertmanager import AlertmanagerNotifier
from driftd.notify.apprise import AppriseNotifier
from driftd.notify.egress import open_session
from driftd.notify.email import EmailNotifier
from driftd.notify.github import AppLogin, GitHubNotifier, Login
from driftd.notify.notifier import Notifier
from driftd.notify.opsgenie import OpsgenieNotifier
from driftd.notify.pagerduty import PagerDutyNotifier
from driftd.notify.slack import SlackNotifier
from driftd.notify.slackapp import SlackAppNotifier
from driftd.notify.teams import TeamsNotifier
from driftd.notify.templates import Execute, Texts
from driftd.notify.webhook import WebhookNotifier
from driftd.settings.channels import (
    Alertmanager,
    Apprise,
    Channel,
    Email,
    GitHubStatus,
    Opsgenie,
    PagerDuty,
    Slack,
    SlackApp,
    Teams,
    Webhook,
    channels,
)
from driftd.settings.notifications import Notifications

if TYPE_CHECKING:
    import aiohttp


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What receivers deliver with."""

    session: aiohttp.ClientSession
    clock: Clock
    limit: float
    """Seconds of one attempt."""
    allow: tuple[str, ...] = ()
    """Networks that are open beside the public ones, for what connects by itself."""
    execute: Execute | None = None
    """Executes templates; needed where settings have any."""
    login: Login | None = None
    """Logs in as a GitHub App; needed where settings name one."""


@asynccontextmanager
async def open_notifiers(
    told: Notifications, clock: Clock, execute: Execute | None = None
) -> AsyncIterator[dict[str, Notifier]]:
    """Every receiver by its name, with a client of their own that is closed at the end.

    Raises ConfigError for a secret that cannot be read.
    """
    limit = told.timeout.seconds
    login = AppLogin(clock)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_session(told.allow_networks, limit=limit))
        stack.push_async_callback(login.close)
        means = Means(
            session=session,
            clock=clock,
            limit=limit,
            allow=told.allow_networks,
            execute=execute,
            login=login,
        )
        yield notifiers_of(told, means)


def notifiers_of(told: Notifications, means: Means) -> dict[str, Notifier]:
    """Every receiver by its name. Raises ConfigError for a secret that cannot be read."""
    return {one.name: notifier_of(one, means) for _, one in channels(told)}


def notifier_of(channel: Channel, means: Means) -> Notifier:
    """What delivers to one channel. Raises ConfigError."""
    texts = Texts(channel.name, getattr(channel, "templates", {}), means.execute)
    return _MAKERS[type(channel)](channel, means, texts)


_Maker = Callable[[Any, Means, Texts], Notifier]
_MAKERS: Final[dict[type[Any], _Maker]] = {
    Webhook: lambda one, by, _: WebhookNotifier(one, by.session, by.clock, by.limit),
    Slack: lambda one, by, texts: SlackNotifier(one, by.session, by.limit, texts),
    SlackApp: lambda one, by, texts: SlackAppNotifier(one, by.session, by.limit, texts),
    Email: lambda one, by, texts: EmailNotifier(one, by.allow, by.clock, by.limit, texts),
    Teams: lambda one, by, texts: TeamsNotifier(one, by.session, by.limit, texts),
    PagerDuty: lambda one, by, texts: PagerDutyNotifier(one, by.session, by.limit, texts),
    Opsgenie: lambda one, by, texts: OpsgenieNotifier(one, by.session, by.limit, texts),
    GitHubStatus: lambda one, by, texts: GitHubNotifier(one, by.session, by.limit, texts, by.login),
    Alertmanager: lambda one, by, texts: AlertmanagerNotifier(one, by.session, by.limit, texts),
    Apprise: lambda one, by, texts: AppriseNotifier(one, by.limit, texts),
}
