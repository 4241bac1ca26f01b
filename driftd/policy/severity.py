"""How much a change matters, and why."""

from __future__ import annotations

from typing import Any, Final, Literal

from driftd.model import places
from driftd.model.report import Change, ChangeClass, ChangeKind

Level = Literal["critical", "high", "medium", "low", "info"]

ORDER: Final[tuple[Level, ...]] = ("critical", "high", "medium", "low", "info")
"""Worst first."""

_HIGH_FIELDS: Final = {
    "image": "an image decides what runs",
    "command": "a command decides what runs",
    "args": "arguments decide what runs",
    "replicas": "how many Pods run",
    "selector": "which Pods are meant",
    "data": "configuration that programs read",
    "ports": "where traffic arrives",
    "rules": "what is let through",
    "env": "configuration that programs read",
}
_INFORMATION: Final = {
    ChangeClass.INJECTED: "a webhook, as far as known",
    ChangeClass.PENDING: "Git is ahead of the cluster",
    ChangeClass.REVIEW: "harmless as far as known",
    ChangeClass.REWRITTEN: "stored so on admission",
}
_ALWAYS_INFORMATION: Final = frozenset({ChangeClass.INJECTED, ChangeClass.PENDING})


def severity(kind: str, change: Change) -> tuple[Level, str]:
    """The level of a change to an object of `kind`, and why, in short words.

    Critical places give power or traffic away; a reorder or a label seldom hurts. An image of
    another name is critical, another tag or digest of the same image is high.
    """
    place = tuple(_name(token) for token in _tokens(change.path))
    if change.change_class in _ALWAYS_INFORMATION:
        return "info", _INFORMATION[change.change_class]
    reason = places.critical_reason(kind, place) or places.reason_inside(kind, place, change.live)
    if is_image(place) and reason and _same_name(change.desired, change.live):
        return "high", "another version of the same image"
    if reason:
        return "critical", reason
    if change.change_class in _INFORMATION:
        return "info", _INFORMATION[change.change_class]
    if change.kind is ChangeKind.REORDERED:
        return "low", "only the order differs"
    if place[:1] == ("metadata",):
        return "low", "only metadata"
    reason = next((_HIGH_FIELDS[name] for name in place if name in _HIGH_FIELDS), "")
    return ("high", reason) if reason else ("medium", "a setting of the object")


def is_image(place: tuple[str, ...]) -> bool:
    """Whether a place (names, list steps as `*`) is the image of a container."""
    return len(place) > 2 and place[-3] in places.CONTAINER_LISTS and place[-2:] == ("*", "image")


def _same_name(desired: Any, live: Any) -> bool:
    """Whether two images differ in nothing but a known tag or digest."""
    if not (isinstance(desired, str) and isinstance(live, str)):
        return False
    (name, version), (other, another) = _image(desired), _image(live)
    return bool(name == other and version and another)


def _image(reference: str) -> tuple[str, str]:
    """Registry with repository, and tag or digest; a colon before a slash is the registry's."""
    name, _, digest = reference.partition("@")
    folder, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    return f"{folder}{slash}{last}", digest or tag


def _tokens(pointer: str) -> list[str]:
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]


def _name(token: str) -> str:
    return "*" if token.isdigit() else token
