"""Slack's Block Kit: what a message looks like there, and the escaping that Slack asks for."""

from __future__ import annotations

from typing import Any, Final

from driftd.notify.wording import Line, Told, Tone

TEXT_LIMIT: Final = 3000
"""Characters of a text in a section."""
HEADER_LIMIT: Final = 150
FIELD_LIMIT: Final = 2000
BLOCK_LIMIT: Final = 50

_SIGNS: Final = {Tone.BAD: "🔴", Tone.GOOD: "🟢", Tone.BLIND: "⚪", Tone.INFO: "🔵"}
_MILD: Final = frozenset({"medium", "low", "info"})
_ESCAPES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def message_of(told: Told) -> dict[str, Any]:
    """`text` (what a telephone shows) and `blocks` of a message."""
    sign = "🟠" if told.tone is Tone.BAD and told.severity in _MILD else _SIGNS[told.tone]
    header = fitted(f"{sign} {told.headline}", HEADER_LIMIT)
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain(header)}]
    if told.own is not None:
        blocks += [_section(part) for part in _parts("\n".join(told.own))]
    else:
        if told.brief:
            blocks += [_section(part) for part in _parts(_listed(tuple(map(str, told.lines))))]
        else:
            blocks += [block for line in told.lines for block in _line(line)]
        if told.hidden > 0:
            blocks.append(_context(f"… and {told.hidden} more"))
        if told.reasons:
            blocks += [_section(part) for part in _parts(_listed(told.reasons))]
        blocks += [_context(note) for note in told.notes]
    # The last place is for the facts: these are what a message is found by.
    del blocks[BLOCK_LIMIT - 1 :]
    blocks.append(_context(told.place))
    return {"text": fitted(told.headline, TEXT_LIMIT), "blocks": blocks}


def escape(text: str) -> str:
    """Slack's three control characters, without which nobody can be mentioned or linked."""
    return "".join(_ESCAPES.get(c, c) for c in text)


def fitted(text: str, limit: int) -> str:
    """A text escaped, and cut so that no escape is broken and it is no longer than `limit`."""
    whole = escape(text)
    if len(whole) <= limit:
        return whole
    found, length = [], 1
    for c in text:
        escaped = _ESCAPES.get(c, c)
        length += len(escaped)
        if length > limit:
            break
        found.append(escaped)
    return "".join(found) + "…"


def _line(line: Line) -> list[dict[str, Any]]:
    if line.said:
        blocks = [_section(line.sentence)]
    else:
        # A name may hold what Slack takes for formatting: between backticks nothing else counts.
        what = f"`{_code(line.what)}`" + (f"  `{_code(line.path)}`" if line.path else "")
        blocks = [
            {
                "type": "section",
                "text": {"type": "mrkdwn", "text": fitted(what, TEXT_LIMIT)},
                "fields": [
                    _plain(fitted(f"Git\n{line.desired}", FIELD_LIMIT)),
                    _plain(fitted(f"Cluster\n{line.live}", FIELD_LIMIT)),
                ],
            }
        ]
    return [*blocks, _context(line.byline)] if line.byline else blocks


def _code(text: str) -> str:
    return text.replace("`", "'")


def _listed(lines: tuple[str, ...]) -> str:
    return "\n".join(f"• {line}" for line in lines)


def _parts(text: str) -> list[str]:
    """A long text in pieces that each fit into a section, however much of it is escaped."""
    found, part, length = [], "", 0
    for c in text:
        size = len(_ESCAPES.get(c, c))
        if length + size > TEXT_LIMIT:
            found.append(part)
            part, length = "", 0
        part += c
        length += size
    return [*found, part] if part.strip() else found


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _plain(fitted(text, TEXT_LIMIT))}


def _context(text: str) -> dict[str, Any]:
    return {"type": "context", "elements": [_plain(fitted(text, FIELD_LIMIT))]}
