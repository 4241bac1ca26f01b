"""Whatever Apprise reaches (the extra `apprise`).

Apprise connects by itself: what the settings say of networks does not bind it, and its URLs hold
secrets, so neither they nor what it says of them is ever logged.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any, Final

from driftd.errors import ConfigError, NotifyError
from driftd.notify.notifier import Receipt, Rejected
from driftd.notify.spoken import Spoken
from driftd.notify.templates import Texts
from driftd.notify.wording import Told, Tone
from driftd.settings.channels import Apprise
from driftd.settings.load import read_secret

TEXT_LIMIT: Final = 8000
_TYPES: Final = {
    Tone.BAD: "warning",
    Tone.GOOD: "success",
    Tone.BLIND: "failure",
    Tone.INFO: "info",
}
_GRACE: Final = 5.0
"""Seconds beyond the limit after which a thread that hangs is left to itself."""
_CALLS: Final = re.compile(r"@(?=(?:everyone|here|channel|all|room)\b)|<(?=[@!#&])")
_BREAK: Final = "\u200b"
_LOGGERS: Final = ("apprise", "requests", "urllib3")
"""What they say repeats URLs."""


def plain(text: str) -> str:
    """A text that calls nobody: what chats take for a mention is broken by an invisible space."""
    return _CALLS.sub(lambda found: found[0] + _BREAK, text)


class AppriseNotifier(Spoken):
    """Hands messages to Apprise in a thread; its URLs are read from the file at each attempt.

    Building one raises ConfigError where the extra is missing or a URL is none of Apprise's.
    """

    def __init__(self, settings: Apprise, limit: float, texts: Texts) -> None:
        super().__init__(texts)
        self._settings = settings
        self._limit = limit
        self._receiver = f"Apprise {settings.name}"
        self._services()

    async def say(self, told: Told, name: str, earlier: Receipt | None) -> None:
        """See `Spoken.say`."""
        services = self._services()
        text = "\n".join([*told.paragraphs(), told.place])[:TEXT_LIMIT]
        sent = asyncio.to_thread(
            services.notify,
            body=plain(text),
            title=plain(told.headline),
            notify_type=_TYPES[told.tone],
            body_format="text",
            timeout=self._limit,
        )
        try:
            delivered = bool(await asyncio.wait_for(sent, self._limit + _GRACE))
        except TimeoutError:
            raise NotifyError(f"{self._receiver} did not end within {self._limit:g} s") from None
        except Exception as error:  # noqa: BLE001 - its errors quote URLs
            raise NotifyError(f"{self._receiver} failed: {type(error).__name__}") from None
        if not delivered:
            raise Rejected(f"{self._receiver}: at least one service did not take the message")

    def _services(self) -> Any:
        try:
            import apprise
        except ImportError:
            raise ConfigError(
                f"{self._receiver} needs the package apprise, which is not installed",
                hint="install driftd with its extra: driftd[apprise]",
            ) from None
        for name in _LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        file = self._settings.urls_file
        urls = read_secret(file, "the URLs of Apprise").splitlines()
        asset = apprise.AppriseAsset(secure_logging=True, storage_mode="memory", async_mode=False)
        services = apprise.Apprise(asset=asset)
        for number, url in enumerate(urls, 1):
            if url.strip() and not url.lstrip().startswith("#") and not services.add(url.strip()):
                raise ConfigError(
                    f"line {number} of {file} is no URL that Apprise knows",
                    hint="its documentation lists them by service",
                )
        if not len(services):
            raise ConfigError(f"{file} holds no URL", hint="write one URL of Apprise per line")
        return services
