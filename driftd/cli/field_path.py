"""Field paths as a person reads them: `containers[name=app].image`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson
from msgspec import UNSET, UnsetType

from driftd.cli.terminal import printable
from driftd.model.report import Change

_POD_TEMPLATES = {
    ("apps", "Deployment"): ("spec", "template", "spec"),
    ("apps", "StatefulSet"): ("spec", "template", "spec"),
    ("apps", "DaemonSet"): ("spec", "template", "spec"),
    ("apps", "ReplicaSet"): ("spec", "template", "spec"),
    ("batch", "Job"): ("spec", "template", "spec"),
    ("batch", "CronJob"): ("spec", "jobTemplate", "spec", "template", "spec"),
}
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
WHOLE_OBJECT = "(whole object)"


def readable(change: Change, *, group: str, kind: str) -> str:
    """The path of `change`, list items named by their keys, a workload's Pod template prefix cut.

    The keys come from `ssaPath`; without one, items are named by index.
    """
    ssa_path = "" if change.ssa_path is UNSET else change.ssa_path
    if change.invalid and isinstance(change.desired, dict):
        ssa_path = with_known_item(ssa_path, change.desired, change.desired_path)
    return readable_path(change.path, ssa_path, group=group, kind=kind)


def readable_path(pointer: str, ssa_path: str, *, group: str, kind: str) -> str:
    """The same of a pointer and, where it is known, the `ssaPath` of the same place."""
    segments = (
        [_from_ssa(_unescape(part)) for part in ssa_path.split("/")]
        if ssa_path
        else [_from_pointer(_unescape(part)) for part in pointer.split("/")[1:]]
    )
    prefix = tuple(f".{name}" for name in _POD_TEMPLATES.get((group, kind), ()))
    if prefix and len(segments) > len(prefix) and tuple(segments[: len(prefix)]) == prefix:
        segments = segments[len(prefix) :]
    return "".join(segments).removeprefix(".") or WHOLE_OBJECT


def with_known_item(ssa_path: str, item: Mapping[str, Any], pointer: str | UnsetType) -> str:
    """The path of an item whose keys Git misspells by its name, else by where it stands.

    Of its keys only what the server fills in is left, which tells no item from another.
    """
    above, _, last = ssa_path.rpartition("/")
    form, _, keys = _unescape(last).partition(":")
    if form != "k" or any(name in item for name in orjson.loads(keys)):
        return ssa_path
    if isinstance(item.get("name"), str):
        step = "k:" + orjson.dumps({"name": item["name"]}).decode()
        return f"{above}/{step.replace('~', '~0').replace('/', '~1')}"
    index = "" if pointer is UNSET else pointer.rpartition("/")[2]
    return f"{above}/i:{index}" if index else ssa_path


def _unescape(segment: str) -> str:
    return segment.replace("~1", "/").replace("~0", "~")


def _from_pointer(segment: str) -> str:
    return f"[{segment}]" if segment.isdigit() else _member(segment)


def _from_ssa(segment: str) -> str:
    tag, colon, rest = segment.partition(":")
    if not colon:
        return _member(segment)
    if tag == "f":
        return _member(rest)
    if tag == "k":
        return f"[{_keys(rest)}]"
    return f"[{printable(rest)}]"


def _keys(text: str) -> str:
    try:
        keys = orjson.loads(text)
    except orjson.JSONDecodeError:
        return printable(text)
    if not isinstance(keys, dict):
        return printable(text)
    shown = (
        f"{name}={value if isinstance(value, str) else orjson.dumps(value).decode()}"
        for name, value in keys.items()
    )
    return printable(",".join(shown))


def _member(name: str) -> str:
    if _PLAIN_NAME.fullmatch(name):
        return f".{name}"
    return f"[{printable(orjson.dumps(name).decode())}]"
