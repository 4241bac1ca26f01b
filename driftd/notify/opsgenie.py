"""Opsgenie: one alert per application, through the Alert API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec

from driftd.notify.digest import Digest
from driftd.notify.incidents import is_over, key_of, severity_of
from driftd.notify.message import Message
from driftd.notify.notifier import check_url, post
from driftd.notify.spoken import Paging
from driftd.notify.templates import Texts
from driftd.notify.wording import Told, shortened, told_of_digest
from driftd.settings.channels import Opsgenie
from driftd.settings.load import read_secret

if TYPE_CHECKING:
    import aiohttp

ALIAS_LIMIT: Final = 512
MESSAGE_LIMIT: Final = 130
DESCRIPTION_LIMIT: Final = 15_000
_NOTE_LIMIT: Final = 1000
_TAG_LIMIT: Final = 50
_PRIORITIES: Final = {"critical": "P1", "high": "P2", "medium": "P3", "low": "P4", "info": "P5"}


def alert(message: Message, told: Told, teams: tuple[str, ...] = ()) -> dict[str, Any]:
    """The alert of something that is wrong."""
    found: dict[str, Any] = {
        "message": shortened(told.headline, MESSAGE_LIMIT),
        "alias": key_of(message, ALIAS_LIMIT),
        "description": shortened("\n".join(told.paragraphs()), DESCRIPTION_LIMIT),
        "entity": shortened(message.qualified_name, ALIAS_LIMIT),
        "source": "driftd",
        "priority": _PRIORITIES.get(severity_of(message), "P2"),
        "tags": ["driftd", shortened(str(message.type), _TAG_LIMIT)],
        "details": {label.lower(): value for label, value in told.facts},
    }
    return found | _responders(teams)


def storm(digest: Digest, teams: tuple[str, ...] = ()) -> dict[str, Any]:
    """The alert of many messages at once."""
    told = told_of_digest(digest)
    found: dict[str, Any] = {
        "message": shortened(told.headline, MESSAGE_LIMIT),
        "alias": f"driftd/{digest.id}",
        "description": shortened("\n".join(told.paragraphs()), DESCRIPTION_LIMIT),
        "source": "driftd",
        "priority": _PRIORITIES.get(digest.severity, "P2"),
        "tags": ["driftd", "digest"],
    }
    return found | _responders(teams)


def _responders(teams: tuple[str, ...]) -> dict[str, Any]:
    return {"responders": [{"type": "team", "name": name} for name in teams]} if teams else {}


class OpsgenieNotifier(Paging):
    """Opens and closes alerts; the key is read at each attempt."""

    def __init__(
        self, settings: Opsgenie, session: aiohttp.ClientSession, limit: float, texts: Texts
    ) -> None:
        super().__init__(texts)
        self._settings = settings
        self._session = session
        self._limit = limit
        self._receiver = f"Opsgenie {settings.name}"
        check_url(settings.url, self._receiver)
        self._headers()

    async def keep(self, message: Message, told: Told) -> None:
        """See `Kept.keep`."""
        if is_over(message):
            alias = quote(key_of(message, ALIAS_LIMIT), safe="")
            note = {"source": "driftd", "note": shortened(told.headline, _NOTE_LIMIT)}
            await self._post(f"/{alias}/close?identifierType=alias", note)
        else:
            await self._post("", alert(message, told, self._settings.teams))

    async def raise_storm(self, digest: Digest) -> None:
        """See `Paging.raise_storm`."""
        await self._post("", storm(digest, self._settings.teams))

    async def _post(self, path: str, body: dict[str, Any]) -> None:
        await post(
            self._session,
            f"{self._settings.url.rstrip('/')}/v2/alerts{path}",
            msgspec.json.encode(body),
            headers=self._headers(),
            receiver=self._receiver,
            limit=self._limit,
        )

    def _headers(self) -> dict[str, str]:
        key = read_secret(self._settings.api_key_file, "the API key of Opsgenie")
        return {"Authorization": f"GenieKey {key}"}
