"""Microsoft Teams: Adaptive Cards to a workflow that takes web requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from driftd.notify.notifier import Receipt, check_url, post
from driftd.notify.spoken import Spoken
from driftd.notify.templates import Texts
from driftd.notify.wording import Line, Told, Tone
from driftd.settings.channels import Teams
from driftd.settings.load import read_secret

if TYPE_CHECKING:
    import aiohttp

SIZE_LIMIT: Final = 28 * 1024
"""Bytes that a workflow takes."""
_STYLES: Final = {
    Tone.BAD: "attention",
    Tone.GOOD: "good",
    Tone.BLIND: "warning",
    Tone.INFO: "accent",
}


def card(told: Told) -> dict[str, Any]:
    """The request's body with the card in it.

    All text stands in text runs: unlike text blocks these know no Markdown, so that nothing in a
    message can become a link, and mentions take an entity that this card never has.
    """
    body: list[dict[str, Any]] = [
        {
            "type": "Container",
            "style": _STYLES[told.tone],
            "bleed": True,
            "items": [_text(_run(told.headline, weight="Bolder", size="Medium"))],
        }
    ]
    if told.own is not None:
        body += [_text(_run(line)) for line in told.own if line]
    else:
        body += [_line(line) for line in told.lines]
        if told.hidden > 0:
            body.append(_text(_run(f"… and {told.hidden} more", isSubtle=True)))
        body += [_text(_run(f"• {reason}")) for reason in told.reasons]
        body += [_text(_run(note, isSubtle=True)) for note in told.notes]
    place = [_text(_run(told.place, isSubtle=True, size="Small"))]
    # What is too long loses its last paragraphs, not the message.
    while len(msgspec.json.encode(_request([*body, *place]))) > SIZE_LIMIT and len(body) > 1:
        body.pop()
    return _request([*body, *place])


def _request(body: list[dict[str, Any]]) -> dict[str, Any]:
    content = {
        "type": "AdaptiveCard",
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": body,
    }
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": content,
    }
    return {"type": "message", "attachments": [attachment]}


def _line(line: Line) -> dict[str, Any]:
    where = [_run(line.what, weight="Bolder")]
    if line.path:
        where.append(_run(f"  {line.path}", fontType="Monospace"))
    if line.said:
        change = [_run(line.said)]
    else:
        change = [
            _run(line.desired, fontType="Monospace"),
            _run(" → "),
            _run(line.live, fontType="Monospace", weight="Bolder"),
        ]
    items = [_text(*where), {**_text(*change), "spacing": "None"}]
    if line.said:
        items = [_text(*where, _run(" "), *change)]
    if line.byline:
        by = _text(_run(line.byline, isSubtle=True, size="Small"))
        items.append({**by, "spacing": "None"})
    return {"type": "Container", "separator": True, "items": items}


def _text(*runs: dict[str, Any]) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": list(runs)}


def _run(text: str, **look: Any) -> dict[str, Any]:
    return {"type": "TextRun", "text": text, **look}


class TeamsNotifier(Spoken):
    """Posts cards to one workflow; its URL is read from the file at each attempt."""

    def __init__(
        self, settings: Teams, session: aiohttp.ClientSession, limit: float, texts: Texts
    ) -> None:
        super().__init__(texts)
        self._settings = settings
        self._session = session
        self._limit = limit
        self._receiver = f"Teams workflow {settings.name}"
        self._url()

    async def say(self, told: Told, name: str, earlier: Receipt | None) -> None:
        """See `Spoken.say`; workflows know no threads."""
        await post(
            self._session,
            self._url(),
            msgspec.json.encode(card(told)),
            headers={},
            receiver=self._receiver,
            limit=self._limit,
        )

    def _url(self) -> str:
        url = read_secret(self._settings.url_file, "the URL of the Teams workflow")
        check_url(url, self._receiver)
        return url
