"""What does not fit a type, in the words of somebody who writes YAML and not Python."""

from __future__ import annotations

import re

_TYPES = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a map",
    "null": "nothing",
}
_LACKS = re.compile(r"Object missing required field `(.+)`")
_WRONG = re.compile(r"Expected `(.+)`, got `(.+)`")


def plain(path: str, text: str) -> str:
    """What msgspec says of a field (`text`), as a sentence; empty where it says something else."""
    if match := _LACKS.fullmatch(text):
        return f"{path}.{match[1]} is missing"
    if match := _WRONG.fullmatch(text):
        return f"{path} must be {_words(match[1])}, not {_words(match[2])}"
    return ""


def _words(types: str) -> str:
    words = [_TYPES.get(name.strip(), name.strip()) for name in types.split("|")]
    return " or ".join(word for word in words if word != "nothing" or len(words) == 1)
