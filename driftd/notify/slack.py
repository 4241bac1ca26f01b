"""Slack incoming webhooks: one short message per change of state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from driftd.notify.blocks import message_of
from driftd.notify.notifier import Receipt, check_url, post
from driftd.notify.spoken import Spoken
from driftd.notify.templates import Texts
from driftd.notify.wording import Told
from driftd.settings.channels import Slack
from driftd.settings.load import read_secret

if TYPE_CHECKING:
    import aiohttp


class SlackNotifier(Spoken):
    """Posts messages to one incoming webhook; its URL is read from the file at each attempt.

    Building one raises ConfigError when the URL cannot work.
    """

    def __init__(
        self, settings: Slack, session: aiohttp.ClientSession, limit: float, texts: Texts
    ) -> None:
        super().__init__(texts)
        self._settings = settings
        self._session = session
        self._limit = limit
        self._receiver = f"Slack webhook {settings.name}"
        self._url()

    async def say(self, told: Told, name: str, earlier: Receipt | None) -> None:
        """See `Spoken.say`; incoming webhooks know no threads."""
        await post(
            self._session,
            self._url(),
            msgspec.json.encode(message_of(told)),
            headers={},
            receiver=self._receiver,
            limit=self._limit,
        )

    def _url(self) -> str:
        url = read_secret(self._settings.url_file, "the URL of the Slack webhook")
        check_url(url, self._receiver)
        return url
