"""Texts of the operator's own: Go templates, which the sandbox executes.

A template sees the message as receivers of webhooks get it (`{{ .application }}`), masked, and
nothing else. Its first line is the headline, the others are the text; channels escape both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from driftd.errors import DriftdError
from driftd.model.report import is_masked
from driftd.notify.message import Message, MessageNotice
from driftd.notify.wording import MASKED, Told, shortened, told, visible
from driftd.store.types import Transition
from driftd.telemetry.logs import get_logger

LINE_LIMIT: Final = 1000
"""Characters of a line of a text of one's own."""
LINES: Final = 100
_HEADLINE: Final = 300
_DEFAULT: Final = "default"

Execute: TypeAlias = Callable[[str, Mapping[str, Any]], Awaitable[str]]
"""What a template makes of a context. Raises DriftdError."""


class Texts:
    """The words of messages for one channel."""

    def __init__(
        self, channel: str, templates: Mapping[str, str], execute: Execute | None = None
    ) -> None:
        """`execute` may be missing only where nothing of one's own is written."""
        self._channel = channel
        self._templates = templates
        self._execute = execute
        self._log = get_logger("driftd.notify")
        self._known: set[str] = set()
        """Ids of the failures that were told, or are to be."""
        self._troubles: dict[str, Message] = {}

    async def told(self, message: Message) -> Told:
        """The text of one's own if there is one that works, else the built-in one.

        A text that does not work is told in the message itself, and logged.
        """
        usual = told(message)
        template = self._templates.get(str(message.type)) or self._templates.get(_DEFAULT)
        if not template:
            return usual
        try:
            return _with(usual, await self._executed(template, message))
        except DriftdError as error:
            self._log.warning(
                "template failed",
                receiver=self._channel,
                message_type=str(message.type),
                error=error.message,
            )
            note = f"The template of {self._channel} for {message.type} failed: {error}"
            self._fails(template, message, note)
            return msgspec.structs.replace(usual, notes=(*usual.notes, shortened(note, LINE_LIMIT)))

    def troubles(self) -> tuple[Message, ...]:
        """What is still to be told of templates that fail: each of them once for each kind."""
        return tuple(self._troubles.values())

    def trouble_told(self, message: Message) -> None:
        """One of `troubles` has arrived."""
        self._troubles.pop(message.id, None)

    def _fails(self, template: str, message: Message, why: str) -> None:
        named = f"{self._channel}\n{message.type}\n{template}"
        # The same after a restart: who knows ids takes it once.
        name = f"tpl_{hashlib.sha256(named.encode()).hexdigest()[:32]}"
        if name in self._known:
            return
        self._known.add(name)
        self._troubles[name] = msgspec.structs.replace(
            message,
            id=name,
            type=Transition.RULE_TROUBLE,
            conditions=(),
            drifts=(),
            closed=(),
            fights=(),
            notices=(MessageNotice(text=why),),
            action="",
            heals_at="",
            silence="",
        )

    async def _executed(self, template: str, message: Message) -> str:
        if self._execute is None:
            raise DriftdError("there is no sandbox to execute it in")
        text = await self._execute(template, context_of(message))
        if not text.strip():
            raise DriftdError("it gives no text")
        return text


def context_of(message: Message) -> dict[str, Any]:
    """What a template sees: the message's JSON, with every field that it may have.

    What it does not have is null, so that a wrong name is an error and a right one never is.
    """
    found: dict[str, Any] = _whole(message)
    return found


def _whole(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.fields(type(value))
        return {field.encode_name: _whole(getattr(value, field.name)) for field in fields}
    if value is msgspec.UNSET:
        return None
    if is_masked(value):
        return MASKED
    if isinstance(value, tuple | list):
        return [_whole(one) for one in value]
    return msgspec.to_builtins(value)


def _with(usual: Told, text: str) -> Told:
    """The words with a text of one's own; as many lines as are readable."""
    first, *rest = text.strip().splitlines()
    lines = [shortened(visible(line), LINE_LIMIT) for line in rest[:LINES]]
    if len(rest) > LINES:
        lines.append(f"… and {len(rest) - LINES} more lines")
    while lines and not lines[0]:
        del lines[0]
    return msgspec.structs.replace(
        usual, headline=shortened(visible(first), _HEADLINE), own=tuple(lines)
    )
