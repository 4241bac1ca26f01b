"""What a message says to do about what it tells: its remedy. Pure."""

from __future__ import annotations

import re

SAYS = re.compile(r"\.? (?:Kustomize|The parser) says: ")
"""What begins the words of a renderer, after driftd's own."""
_RENDERED = re.compile(r"^(?:source \S+: |Application \S+ declares Applications and cannot be )")
"""How messages begin that quote a renderer."""
_STEP = re.compile(
    r"(?:add|allow|begin|check|choose|close|correct|delete|did|give|indent|install|keep|make|move|name|"
    r"quote|remove|rename|render|restore|run|set|split|use|vendor|write)\b"
)
"""How a remedy of driftd's own begins."""
_LEFT_OUT = re.compile(r"; (?:it|the object) is left out$")


def own_words(text: str) -> str:
    """A message without a renderer's words for an error, which follow driftd's own.

    They name other lines (a parser, where it noticed) or the whole way to the file (Kustomize).
    """
    said = SAYS.search(text)
    return text[: said.start()] if said else text


def is_of_git(text: str) -> bool:
    """Whether a message is about what Git holds, in driftd's words or a renderer's."""
    return bool(_RENDERED.search(text) or _LEFT_OUT.search(text))


def remedy_of(text: str) -> tuple[str, str]:
    """What a message says and what to do about it, which may be empty.

    Its message may end with the remedy. But renderers have semicolons in their own words, which
    are no step: what they say stays whole.
    """
    quoted = SAYS.search(text)
    own = text[: quoted.start()] if quoted else text
    if quoted is None and not is_of_git(text):
        message, _, remedy = text.partition("; ")
        return message, remedy
    end = _LEFT_OUT.search(own)
    own = own[: end.start()] if end else own
    head, _, last = own.rpartition("; ")
    if not head or not _STEP.match(last):
        return text, ""
    return head + (text[quoted.start() :] if quoted else end.group() if end else ""), last
