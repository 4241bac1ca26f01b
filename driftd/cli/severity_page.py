"""`docs/reference/severity.md`: how severity is decided, and every shipped rule."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

import msgspec
from msgspec import UNSET

from driftd.model.severities import SeverityRule, When, shipped_file


def text() -> str:
    """The page as Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield (files("driftd.cli") / "pages" / "severity.md").read_text("utf-8")
    yield "| Rule | Level | Reason | Speaks of |"
    yield "|---|---|---|---|"
    file = shipped_file()
    for rule in file.rules:
        level = f"{rule.level}, guarded" if rule.guarded else rule.level
        subject = "; ".join(_subject(rule))
        yield f"| `{rule.id}` | {level} | {rule.reason} | {subject} |"
    yield ""
    yield "## Whole objects"
    yield ""
    yield "| Rule | Status | Level | Reason | Kinds |"
    yield "|---|---|---|---|---|"
    for one in file.objects:
        kinds = _codes(one.kinds)
        yield f"| `{one.id}` | {one.status} | {one.level} | {one.reason} | {kinds} |"
    yield "| `other` | Missing, Extra | medium | | everything else |"


def _subject(rule: SeverityRule) -> Iterator[str]:
    if rule.kinds:
        yield _codes(rule.kinds)
    if rule.paths:
        yield _codes(rule.paths)
    if rule.changes or rule.classes:
        yield ", ".join(map(str, (*rule.changes, *rule.classes)))
    if rule.when is not UNSET:
        yield ", ".join(_tests(rule.when))
    if not (rule.kinds or rule.paths or rule.changes or rule.classes):
        yield "everything else"


def _tests(when: When) -> Iterator[str]:
    for name, values in (("Git", when.desired), ("live", when.live), ("live not", when.live_not)):
        if values is not UNSET:
            yield f"{name} {' or '.join(_value(one) for one in values)}"
    if when.same_image is not UNSET:
        yield "images of one name" if when.same_image else "images of two names"


def _value(value: object) -> str:
    if value is None:
        return "absent"
    return f"`{msgspec.json.encode(value).decode()}`"


def _codes(texts: tuple[str, ...]) -> str:
    return ", ".join(f"`{one}`" for one in texts)
