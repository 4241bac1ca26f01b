"""Alertmanager (API v2): an alert per application, firing until driftd says that it is over."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from driftd.clock import rfc3339
from driftd.model.report import ApplicationStatus
from driftd.model.severities import ORDER
from driftd.notify.digest import Digest
from driftd.notify.incidents import is_incident, is_over, severity_of
from driftd.notify.message import Message
from driftd.notify.notifier import check_url, post
from driftd.notify.spoken import Kept, message_of_entry
from driftd.notify.templates import Texts
from driftd.notify.wording import Told, shortened
from driftd.settings.channels import Alertmanager
from driftd.settings.load import read_secret

if TYPE_CHECKING:
    import aiohttp

DRIFTED: Final = "ApplicationDrifted"
UNKNOWN: Final = "ApplicationUnknown"
_TEXT_LIMIT: Final = 8000


def alerts(
    message: Message, told: Told, firing: timedelta, labels: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """What is firing, and with it all that the same application may have been firing before.

    Labels are what Alertmanager tells alerts apart by. The severity is one of them, since routes
    need it, so every alert of another severity is resolved by name; nobody has to remember it.
    """
    now = datetime.fromisoformat(message.at)
    name = UNKNOWN if message.status is ApplicationStatus.UNKNOWN else DRIFTED
    current = None if is_over(message) else (name, severity_of(message))
    annotations = {
        "summary": told.headline,
        "description": shortened("\n".join(told.paragraphs()), _TEXT_LIMIT),
    }
    return [
        {
            "labels": {**(labels or {}), **_labels(message), "alertname": alert, "severity": level},
            "annotations": annotations,
            "startsAt": message.at,
            "endsAt": rfc3339(now + firing) if (alert, level) == current else message.at,
        }
        for alert, level in _all()
    ]


def _all() -> Iterator[tuple[str, str]]:
    for name in (DRIFTED, UNKNOWN):
        for level in ORDER:
            yield name, level


def _labels(message: Message) -> dict[str, str]:
    found = {
        "application": message.application,
        "namespace": message.namespace,
        "project": message.project,
        "cluster": message.cluster or "unknown",
        "owner": message.owner,
    }
    return {name: value for name, value in found.items() if value}


class AlertmanagerNotifier(Kept):
    """Posts alerts to one Alertmanager; its login is read at each attempt."""

    def __init__(
        self, settings: Alertmanager, session: aiohttp.ClientSession, limit: float, texts: Texts
    ) -> None:
        super().__init__(texts)
        self._settings = settings
        self._session = session
        self._limit = limit
        self._receiver = f"Alertmanager {settings.name}"
        check_url(settings.url, self._receiver)
        self._headers()

    async def keep(self, message: Message, told: Told) -> None:
        """See `Kept.keep`."""
        await self._post(self._alerts(message, told))

    async def send_digest(self, digest: Digest) -> None:
        """See `Notifier.send_digest`: the alerts of all applications in one request."""
        found: list[dict[str, Any]] = []
        for entry in digest.every:
            message = message_of_entry(entry)
            if is_incident(message):
                found += self._alerts(message, await self._texts.told(message))
        if found:
            await self._post(found)

    def _alerts(self, message: Message, told: Told) -> list[dict[str, Any]]:
        settings = self._settings
        return alerts(message, told, settings.firing.delta, settings.labels)

    async def _post(self, found: list[dict[str, Any]]) -> None:
        await post(
            self._session,
            f"{self._settings.url.rstrip('/')}/api/v2/alerts",
            msgspec.json.encode(found),
            headers=self._headers(),
            receiver=self._receiver,
            limit=self._limit,
        )

    def _headers(self) -> dict[str, str]:
        settings = self._settings
        if settings.bearer_token_file:
            token = read_secret(settings.bearer_token_file, "the token for Alertmanager")
            return {"Authorization": f"Bearer {token}"}
        if not settings.username:
            return {}
        password = read_secret(settings.password_file, "the password for Alertmanager")
        login = base64.b64encode(f"{settings.username}:{password}".encode()).decode()
        return {"Authorization": f"Basic {login}"}
