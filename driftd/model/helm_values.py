"""Which values that an object gives to a chart are secrets, by their own names. Pure.

A HelmRelease and an Application hold values that a chart puts into Secrets. No schema knows them:
only what they are called tells.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from driftd.model.patterns import Item, Step

_RELEASE: Final = ("helm.toolkit.fluxcd.io", "HelmRelease")
_ARGO: Final = frozenset({("argoproj.io", "Application"), ("argoproj.io", "ApplicationSet")})
_CALLED: Final = re.compile(
    r"(password|passwd|passphrase|token|apikey|privatekey|secretkey|credentials?"
    r"|(?<!existing)(?<!pull)secret)\d*$"
)
"""How a secret's name ends; `existingSecret` and `pullSecret` name an object."""
_SEPARATORS: Final = re.compile(r"[-_. ]")
_MEMBER: Final = re.compile(
    r"^[ \t]*(?:-[ \t]+)*[\"']?([\w.-]+)[\"']?[ \t]*:[ \t]+[^\s#]", re.MULTILINE
)
"""A member of a YAML map in block style that has a value in its line."""
_FLOW: Final = re.compile(r"[{,]\s*[\"']?([\w.-]+)[\"']?\s*:")


def gives_values(group: str, kind: str) -> bool:
    """Whether objects of a kind may give values to a chart."""
    return (group, kind) == _RELEASE or (group, kind) in _ARGO


@lru_cache(maxsize=4096)
def is_called_secret(name: str) -> bool:
    """Whether a value's name says that it is a secret, whatever its case and separators."""
    return _CALLED.search(_SEPARATORS.sub("", name).lower()) is not None


def is_secret(group: str, kind: str, place: Sequence[Step]) -> bool:
    """Whether a place of an object is a value for a chart that is called like a secret."""
    if not place or not isinstance(place[-1], str) or not gives_values(group, kind):
        return False
    last = place[-1]
    if (group, kind) == _RELEASE:
        # Below all of spec: a slip in the name `values` must not publish a password.
        return place[0] == "spec" and len(place) > 2 and is_called_secret(last)
    if "helm" in place[:-1] and is_called_secret(last):
        return True
    if last != "value" or tuple(place[-3:-2]) != ("parameters",):
        return False
    above = place[-2]
    return not isinstance(above, Item) or is_called_secret(above.keys.get("name", ""))


def holds_secret(group: str, kind: str, place: Sequence[Step], value: Any) -> bool:
    """Whether a value at a place must not be shown, as `is_secret`; a map or list is looked into.

    Of values that are written as a text, the whole text counts.
    """
    text = isinstance(value, str) and (group, kind) in _ARGO
    if text and tuple(place[-2:]) == ("helm", "values"):
        found = (*_MEMBER.findall(value), *_FLOW.findall(value))
        return any(map(is_called_secret, found))
    nested = value is None or isinstance(value, dict | list | bool)
    return not nested and is_secret(group, kind, place)
