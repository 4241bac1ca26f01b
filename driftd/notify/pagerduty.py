"""PagerDuty: one incident per application, through the Events API v2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from driftd.notify.digest import Digest
from driftd.notify.incidents import is_over, key_of, severity_of
from driftd.notify.message import Message
from driftd.notify.notifier import check_url, post
from driftd.notify.spoken import Paging
from driftd.notify.templates import Texts
from driftd.notify.wording import Told, shortened, told_of_digest
from driftd.settings.channels import PagerDuty
from driftd.settings.load import read_secret

if TYPE_CHECKING:
    import aiohttp

KEY_LIMIT: Final = 255
SUMMARY_LIMIT: Final = 1024
_SEVERITIES: Final = {
    "critical": "critical",
    "high": "error",
    "medium": "warning",
    "low": "info",
    "info": "info",
}


def event(message: Message, told: Told, routing_key: str) -> dict[str, Any]:
    """The event: a trigger with details, or what resolves it."""
    return {
        "routing_key": routing_key,
        "event_action": "resolve" if is_over(message) else "trigger",
        "dedup_key": key_of(message, KEY_LIMIT),
        "client": "driftd",
        "payload": {
            "summary": shortened(told.headline, SUMMARY_LIMIT),
            "source": message.cluster or "unknown cluster",
            "severity": _SEVERITIES.get(severity_of(message), "error"),
            "timestamp": message.at,
            "component": message.qualified_name,
            "group": message.project,
            "class": str(message.type),
            "custom_details": {
                **{label.lower(): value for label, value in told.facts},
                "text": told.paragraphs(),
            },
        },
    }


def storm(digest: Digest, routing_key: str) -> dict[str, Any]:
    """The event of many messages at once."""
    told = told_of_digest(digest)
    return {
        "routing_key": routing_key,
        "event_action": "trigger",
        "dedup_key": f"driftd/{digest.id}",
        "client": "driftd",
        "payload": {
            "summary": shortened(told.headline, SUMMARY_LIMIT),
            "source": "driftd",
            "severity": _SEVERITIES.get(digest.severity, "error"),
            "timestamp": digest.at,
            "class": "digest",
            "custom_details": {"text": told.paragraphs()},
        },
    }


class PagerDutyNotifier(Paging):
    """Sends events to one integration; its routing key is read at each attempt."""

    def __init__(
        self, settings: PagerDuty, session: aiohttp.ClientSession, limit: float, texts: Texts
    ) -> None:
        super().__init__(texts)
        self._settings = settings
        self._session = session
        self._limit = limit
        self._receiver = f"PagerDuty {settings.name}"
        check_url(settings.url, self._receiver)
        self._key()

    async def keep(self, message: Message, told: Told) -> None:
        """See `Kept.keep`."""
        await self._post(event(message, told, self._key()))

    async def raise_storm(self, digest: Digest) -> None:
        """See `Paging.raise_storm`."""
        await self._post(storm(digest, self._key()))

    async def _post(self, body: dict[str, Any]) -> None:
        await post(
            self._session,
            self._settings.url,
            msgspec.json.encode(body),
            headers={},
            receiver=self._receiver,
            limit=self._limit,
        )

    def _key(self) -> str:
        return read_secret(self._settings.routing_key_file, "the routing key of PagerDuty")
