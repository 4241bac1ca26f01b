"""The two ways in which ApplicationSets match paths of a repository. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from driftd.applicationset.documents import InvalidDocument


def directories(files: Iterable[str]) -> list[str]:
    """Every folder that holds files, directly or further below; hidden ones are none."""
    found: set[str] = set()
    for file in files:
        parts = file.split("/")[:-1]
        for count, name in enumerate(parts, start=1):
            if name.startswith("."):
                break
            found.add("/".join(parts[:count]))
    return sorted(found)


def folder_pattern(pattern: str) -> re.Pattern[str]:
    """A pattern of `git.directories`: `*` and `?` stay within a segment, `**` is no more than `*`.

    Raises `InvalidDocument` for a malformed one.
    """
    return re.compile(_translated(pattern, star="[^/]*", one="[^/]", negations="^"))


def file_pattern(pattern: str) -> re.Pattern[str]:
    """A pattern of `git.files`: `*` and `?` match `/` too; a plain path names a folder's files too.

    Argo CD hands it to `git ls-files`. Raises `InvalidDocument` for a malformed one.
    """
    text = pattern.removeprefix("./")
    below = "" if re.search(r"[*?\[]", text) else "(?:/.*)?"
    return re.compile(
        _translated(text.rstrip("/"), star=".*", one=".", negations="!^") + below, re.DOTALL
    )


def _translated(pattern: str, *, star: str, one: str, negations: str) -> str:
    parts: list[str] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            if not parts or parts[-1] != star:  # repeated stars would only cost time
                parts.append(star)
        elif character == "?":
            parts.append(one)
        elif character == "[":
            text, position = _class(pattern, position, negations)
            parts.append(text)
        elif character == "\\":
            if position == len(pattern):
                raise InvalidDocument(f"{pattern!a} ends with a backslash")
            parts.append(re.escape(pattern[position]))
            position += 1
        else:
            parts.append(re.escape(character))
    return "".join(parts)


def _class(pattern: str, position: int, negations: str) -> tuple[str, int]:
    """The class that begins after `[`, and where the pattern goes on."""
    end = pattern.find("]", position + 1)
    if end < 0:
        raise InvalidDocument(f"{pattern!a} has a [ without ]")
    body = pattern[position:end]
    negated = body[0] in negations and len(body) > 1
    body = body[1:] if negated else body
    escaped = re.sub(r"([\\\[\]^&~|])", r"\\\1", body)
    try:
        re.compile(f"[{escaped}]")
    except re.error:
        raise InvalidDocument(f"{pattern!a} has a class that means nothing") from None
    # No class ever matches the separator.
    return (f"[^/{escaped}]" if negated else f"(?!/)[{escaped}]"), end + 1
