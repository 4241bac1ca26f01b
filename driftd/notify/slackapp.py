"""Slack's Web API: one thread per episode, begun by its onset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from driftd.errors import ConfigError, NotifyError
from driftd.notify.blocks import message_of
from driftd.notify.egress import Answer, call
from driftd.notify.notifier import Receipt, Rejected, accepted, check_url
from driftd.notify.spoken import Spoken
from driftd.notify.templates import Texts
from driftd.notify.wording import Told
from driftd.settings.channels import SlackApp
from driftd.settings.load import read_secret

if TYPE_CHECKING:
    import aiohttp

_METHOD: Final = "chat.postMessage"
_THREAD_GONE: Final = frozenset({"thread_not_found", "message_not_found"})
_MESSAGE_REFUSED: Final = frozenset(
    {"invalid_blocks", "msg_too_long", "no_text", "invalid_blocks_format"}
)


class SlackAppNotifier(Spoken):
    """Posts as a Slack app; its token is read from the file at each attempt.

    Building one raises ConfigError when it cannot work.
    """

    def __init__(
        self, settings: SlackApp, session: aiohttp.ClientSession, limit: float, texts: Texts
    ) -> None:
        super().__init__(texts)
        self._settings = settings
        self._session = session
        self._limit = limit
        self._receiver = f"Slack app {settings.name}"
        check_url(settings.api_url, self._receiver)
        self._token()

    def to(self, recipient: str) -> SlackAppNotifier:
        """See `Addressable.to`: another conversation."""
        if not recipient.strip("#") or not recipient.isprintable() or " " in recipient:
            raise ConfigError(f"{recipient!r} is no conversation of Slack")
        channel = recipient if recipient[0] in "#CDG" else f"#{recipient}"
        settings = msgspec.structs.replace(self._settings, channel=channel)
        return SlackAppNotifier(settings, self._session, self._limit, self._texts)

    async def say(self, told: Told, name: str, earlier: Receipt | None) -> Receipt | None:
        """See `Spoken.say`; the receipt names the thread."""
        body = {**message_of(told), "unfurl_links": False, "unfurl_media": False}
        begun = earlier.data if earlier is not None else {}
        if thread := begun.get("ts"):
            channel = begun.get("channel") or self._settings.channel
            error, _ = await self._post({**body, "channel": channel, "thread_ts": thread})
            if not error:
                return earlier
            if error not in _THREAD_GONE:
                raise self._refusal(error)
        error, answer = await self._post({**body, "channel": self._settings.channel})
        if error:
            raise self._refusal(error)
        ts, channel = str(answer.get("ts", "")), str(answer.get("channel", ""))
        return Receipt({"ts": ts, "channel": channel}) if ts else None

    async def _post(self, body: dict[str, Any]) -> tuple[str, Mapping[str, Any]]:
        """The error that Slack answers with, empty for none, and its answer."""
        from slack_sdk.errors import SlackApiError
        from slack_sdk.web.async_client import AsyncWebClient

        client = AsyncWebClient(
            token=self._token(),
            base_url=self._settings.api_url.rstrip("/") + "/",
            # What fails is tried again from the outbox, not inside of an attempt.
            retry_handlers=[],
            session=_Session(self._session, self._receiver, self._limit),  # type: ignore[arg-type]
        )
        try:
            answer = await client.api_call(_METHOD, json=body)
        except SlackApiError as error:
            data = error.response.data if isinstance(error.response.data, dict) else {}
            return str(data.get("error", "") or "an answer that is none of Slack's"), {}
        return "", answer.data if isinstance(answer.data, dict) else {}

    def _refusal(self, error: str) -> Rejected:
        said = error if error.isprintable() else "an error"
        for_message = error in _MESSAGE_REFUSED
        return Rejected(f"{self._receiver} was refused: {said[:100]}", for_message=for_message)

    def _token(self) -> str:
        return read_secret(self._settings.token_file, "the token of the Slack app")


class _Session:
    """What slack_sdk takes for its HTTP session: requests leave through our own client."""

    closed = False

    def __init__(self, session: aiohttp.ClientSession, receiver: str, limit: float) -> None:
        self._session = session
        self._receiver = receiver
        self._limit = limit

    def request(self, method: str, url: str, **given: Any) -> _Response:
        body = msgspec.json.encode(given["json"])
        headers = {**given["headers"], "Content-Type": "application/json; charset=utf-8"}
        sent = call(
            self._session,
            method,
            url,
            body,
            headers=headers,
            receiver=self._receiver,
            limit=self._limit,
        )
        return _Response(sent, self._receiver)


class _Response:
    """An answer as slack_sdk reads it."""

    content_type = "application/json"

    def __init__(self, sent: Any, receiver: str) -> None:
        self._sent = sent
        self._receiver = receiver
        self._answer: Answer

    async def __aenter__(self) -> Self:
        # A status that is no success is told as that of every other receiver, with Retry-After.
        self._answer = accepted(await self._sent, self._receiver)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is held."""

    @property
    def status(self) -> int:
        return self._answer.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._answer.headers

    async def json(self) -> Any:
        try:
            return msgspec.json.decode(self._answer.body, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise NotifyError(
                f"{self._receiver} answered with what is no JSON of Slack's"
            ) from None
