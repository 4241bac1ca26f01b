"""Applications of a preview of which the same is to be told, but for their own names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import UNSET

from driftd.cli.preview_findings import alike, names_of
from driftd.model.counts import counted
from driftd.model.preview import ApplicationPreview, FieldChange, ObjectPreview

_MASKS = ("<application>", "<namespace>", "<stem>")
Group = tuple[tuple[ApplicationPreview, ...], tuple[ApplicationPreview, ...]]
"""Applications that are told together, and those of which the first one is an example."""


def folded(applications: Iterable[ApplicationPreview]) -> list[Group]:
    """The groups of `alike`, those that differ in the applications' own names alone as one.

    An application's own names are its name, its namespace and what both have in common
    (`auth` of `auth-prod` in `svc-auth`). Everything else has to be the same: conditions, fields,
    objects and their values; only the lines that set them may differ, the drift beside them, and
    of which objects it is that the same labels or annotations change.
    """
    found: dict[object, list[tuple[ApplicationPreview, ...]]] = {}
    for number, apps in enumerate(alike(applications)):
        plain = len(apps) > 1 or not (apps[0].resources or apps[0].changes or apps[0].conditions)
        key = b"" if plain else _masked(apps[0])
        # Of masked values nobody can say that they are the same.
        alone = plain or b'"masked":true' in key
        found.setdefault(number if alone else key, []).append(apps)
    return [
        (groups[0], tuple(app for group in groups[1:] for app in group))
        for groups in found.values()
    ]


def like_it(others: Sequence[ApplicationPreview], most: int | None, wide: str) -> str:
    """That the same is to be told of other applications; `wide` is the format that tells each."""
    names = names_of(others, most)
    more = "" if names.endswith("(-o wide)") else f" ({wide})"
    number = counted(len(others), "more application")
    if any(one.resources for one in others):
        return f"the same fields, from and to the same values, change in {number}: {names}{more}"
    return f"the same, but for the application's own name, in {number}: {names}{more}"


def _masked(app: ApplicationPreview) -> bytes:
    """What is told of an application, its own names replaced."""
    space = app.destination.namespace
    masks: dict[str, str] = {}
    for name, mask in zip((app.name, space, _common(app.name, space)), _MASKS, strict=True):
        if name:
            masks.setdefault(name, mask)
    longest = "|".join(re.escape(one) for one in sorted(masks, key=len, reverse=True))
    pattern = re.compile(rf"(?<![A-Za-z0-9])(?:{longest})(?![A-Za-z0-9])")

    def masked(value: object) -> bytes:
        text = msgspec.json.encode(value).decode()
        return pattern.sub(lambda found: masks[found[0]], text).encode()

    rest = msgspec.structs.replace(app, resources=(), changes=_placeless(app.changes))
    return b"\n".join((masked(rest), *sorted({masked(_bare(one)) for one in app.resources})))


def _bare(one: ObjectPreview) -> ObjectPreview:
    """An object as what happens to it: of labels and the like it is the same for all kinds."""
    bare = msgspec.structs.replace(
        one,
        origin=UNSET,
        changes=_placeless(one.changes),
        untouched_drift=0,
        reverted_drift=0,
        reverted_ignored=0,
    )
    if one.changes and all(each.path.startswith("/metadata/") for each in one.changes):
        return msgspec.structs.replace(bare, group="", version="", kind="", namespace="", name="")
    return bare


def _placeless(changes: Sequence[FieldChange]) -> tuple[FieldChange, ...]:
    """Changes without the lines that set them: those differ where the values do not."""
    return tuple(msgspec.structs.replace(one, origin=UNSET) for one in changes)


def _common(name: str, namespace: str) -> str:
    """The longest run of words that two names share.

    >>> _common("order-history-prod", "svc-order-history")
    'order-history'
    """
    words, padded = name.split("-"), f"-{namespace}-"
    runs = (
        "-".join(words[start:end])
        for start in range(len(words))
        for end in range(start + 1, len(words) + 1)
    )
    return max((run for run in runs if run and f"-{run}-" in padded), key=len, default="")
