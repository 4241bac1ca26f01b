"""A hub's live Applications beside those that the checkout at hand declares or generates.

A look through a hub renders the live Application. Where somebody has edited it, a finding may
rest on the edit and not on Git: the application's conditions say which fields those are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from driftd.cluster.edited import EDITED as OVERRIDDEN
from driftd.controller.workspace import Workspace
from driftd.diff import mask
from driftd.model.application import Application
from driftd.model.condition import Condition, Severity
from driftd.model.resource import Json, ResourceKey
from driftd.source.repositories import git_urls
from driftd.source.url import printable

EDITED: Final = "LiveApplicationDiffers"
"""The condition's type."""
OF_CHANGE: Final = (
    " at the base; what the change makes is told from Git's documents, without what is live"
)
"""What a condition says where a change alters the document, in place of what findings rest on."""
_TOLD = 5
"""Fields that a condition names."""
_LENGTH = 80
"""Characters of a value that it shows."""

_Place = tuple[str, ...]
Difference = tuple[_Place, Json, Json]
"""A place of a spec, Git's value and the live one; None where a side has none."""


def beside_git(
    workspace: Workspace, live: Iterable[Application], declared: Iterable[Application]
) -> tuple[Application, ...]:
    """The live Applications, each with a condition where its spec is not as the checkout has it.

    Also tells the repositories which URLs the checkout's own Applications name, so that it is
    not taken for a repository that only others on the hub name.
    """
    known = {app.qualified_name: app for app in declared}
    note_own(workspace, known.values())
    return tuple(beside(app, known.get(app.qualified_name)) for app in live)


def note_own(workspace: Workspace, declared: Iterable[Application]) -> None:
    """Tell the repositories which URLs the checkout's own Applications name."""
    repositories = workspace.repositories
    table = repositories.table
    remotes = [url for checkout in table.checkouts for url in checkout.remotes]
    own = git_urls(declared) or frozenset(remotes)
    repositories.table = msgspec.structs.replace(table, own=tuple(sorted(own)))


def beside(live: Application, declared: Application | None) -> Application:
    """A live Application, with a condition where its spec is not as it is declared."""
    if declared is None:
        return live
    # Both sides are known here, which says more than who owns which field.
    others = tuple(one for one in live.conditions if one.type != OVERRIDDEN)
    condition = _edit(live, declared)
    told = others if condition is None else (*others, condition)
    return msgspec.structs.replace(live, conditions=told)


def beside_change(app: Application, base: Application | None, live: Application) -> Application:
    """An Application as a change declares it, with a condition where live is not as the base."""
    condition = None if base is None else _edit(live, base, compared=OF_CHANGE)
    if condition is None:
        return app
    return msgspec.structs.replace(app, conditions=(*app.conditions, condition))


def _edit(live: Application, declared: Application, compared: str = "") -> Condition | None:
    found = list(_differences((), _spec(declared), _spec(live)))
    if not found:
        return None
    key = ResourceKey("argoproj.io", "Application", live.namespace, live.name)
    origin = declared.origin or "Git"
    return edit_condition(key, origin, declared.raw, live.raw, found, compared=compared)


def edit_condition(
    key: ResourceKey,
    origin: str,
    declared: Mapping[str, Any],
    raw: Mapping[str, Any],
    found: Sequence[Difference],
    *,
    part: str = "spec",
    which: str = "",
    compared: str = "",
) -> Condition:
    """The warning that a live object is not as `origin` declares it: both values, and who wrote.

    `declared` is Git's object and `raw` the live one, `found` has at least one place of their
    `part`; `which` says which object it is, where it is not the application's own, `compared`
    what the report goes by, where that is not the live object.
    """
    told = [
        f"{_named(part, place)} is {_shown(key, part, place, now)} "
        f"(Git: {_shown(key, part, place, git)}){_written(writers(raw, place, part))}"
        for place, git, now in (_as_written(declared, raw, part, one) for one in found[:_TOLD])
    ]
    more = f"; and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
    compared = compared or (
        f", and the findings here compare with what the live {key.kind} says, not with Git alone"
    )
    text = (
        f"the live {key.kind}{which} is not as {origin} declares it{compared}: "
        f"{'; '.join(told)}{more}"
    )
    return Condition(EDITED, text, Severity.WARNING)


def _as_written(
    declared: Mapping[str, Any], raw: Mapping[str, Any], part: str, found: Difference
) -> Difference:
    """A difference in what the two objects say themselves, without the defaults of a spec.

    As it was found where they do not say it like that: what is in a text, or in another field.
    """
    place = found[0]
    git, live = (_said(one.get(part), place) for one in (declared, raw))
    return found if git == live or _ELSEWHERE in (git, live) else (place, git, live)


_ELSEWHERE: Final = object()


def _said(value: Any, place: _Place) -> Any:
    """What a part of an object has at a place; None if nothing."""
    for number, name in enumerate(place):
        if isinstance(value, list):
            value = _members(place[:number], value)
        if value is None:
            return None
        if not isinstance(value, dict):
            return _ELSEWHERE
        value = value.get(name)
    return value


def _named(part: str, place: _Place) -> str:
    """A place of a spec, for people."""
    return ".".join((part, *place)).replace(".[", "[")


def _spec(application: Application) -> dict[str, Json]:
    """The spec with every default, so that writing one out is no difference."""
    spec: dict[str, Json] = msgspec.json.decode(msgspec.json.encode(application.spec))
    return spec


def _differences(place: _Place, git: Json, live: Json) -> Iterator[Difference]:
    """Places that differ, with Git's value and the live one; None where a side has none."""
    if git == live and type(git) is type(live):
        return
    if _is_empty(place, git) and _is_empty(place, live):
        return
    one, other = _members(place, git), _members(place, live)
    if one is None or other is None:
        yield place, git, live
        return
    for name in dict.fromkeys((*one, *other)):
        yield from _differences((*place, name), one.get(name), other.get(name))


_TOOLS: Final = ("helm", "kustomize", "directory")
"""Options of a source that may be absent as a whole: each of them is then at its default."""


def _is_empty(place: _Place, value: Json) -> bool:
    """Whether a value says nothing: what a source's tool is told by false is its default."""
    if value is False:
        return any(name in _TOOLS for name in place)
    return value is None or value in ("", [], {})


def _members(place: _Place, value: Json) -> dict[str, Any] | None:
    """What a value consists of: fields, or the parameters of Helm by name; None: it is whole."""
    if isinstance(value, dict):
        return value
    if place[-1:] == ("parameters",):
        return {f"[{item['name']}]": item["value"] for item in value or ()}
    if place[-1:] == ("sources",) and isinstance(value, list):
        return {f"[{index}]": item for index, item in enumerate(value)}
    if value is None and place and place[-1] in _TOOLS:
        return {}
    return None


def _shown(key: ResourceKey, part: str, place: _Place, value: Json) -> str:
    """A value of a spec, masked where it may be secret."""
    if value is None or value in ("", []):
        return "not set"
    names = tuple(name.strip("[]") for name in place)
    masked = mask.shown(key, (part, *names), value)
    # Passwords are given as parameters and in values; of these the name says enough.
    if masked == mask.MASKED or any(map(_is_secret, names)) or names[-1].startswith("values"):
        return "«masked»"
    is_url = isinstance(masked, str) and "://" in masked
    text = msgspec.json.encode(printable(masked) if is_url else masked).decode()
    return text if len(text) <= _LENGTH else f"{text[:_LENGTH]}…"


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in ("pass", "secret", "token", "key", "credential"))


def _written(names: Sequence[str]) -> str:
    return f", written by {' and '.join(names)}" if names else ""


def writers(raw: Mapping[str, Any], place: _Place, part: str = "spec") -> tuple[str, ...]:
    """Who owns a field of a live object's spec, or other part; empty where nobody is on record."""
    if part == "data":
        place = place[:1]  # the text of a key is owned as a whole
    entries = (raw.get("metadata") or {}).get("managedFields") or ()
    return tuple(
        dict.fromkeys(
            str(entry.get("manager"))
            for entry in entries
            if entry.get("subresource") != "status" and _owns(entry.get("fieldsV1"), (part, *place))
        )
    )


def _owns(fields: Any, place: _Place) -> bool:
    """Whether a set of fields has a place, or a list above it that is owned as a whole."""
    for name in place:
        if name.startswith("["):
            return True  # Argo CD's lists are owned as a whole
        if not isinstance(fields, dict) or f"f:{name}" not in fields:
            return False
        fields = fields[f"f:{name}"]
    return True
