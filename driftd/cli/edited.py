"""Where "Git" is what edited live objects, such as a HelmRelease, make of it, in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from driftd.cli.field_changes import SECTION_TITLES
from driftd.model.report import ChangeClass

_TYPES: Final = frozenset({"LiveApplicationEdited", "LiveApplicationDiffers"})
_KIND: Final = re.compile(r"the live (\w+) ")
"""What such a condition begins with: the kind of the live object."""


class _Told(Protocol):
    @property
    def type(self) -> str: ...
    @property
    def message(self) -> str: ...


def edited_kind(conditions: Iterable[_Told]) -> str:
    """The kinds of the live objects whose edits decide what is rendered; empty where none does."""
    kinds: dict[str, None] = {}
    for one in conditions:
        if one.type not in _TYPES:
            continue
        found = _KIND.match(one.message)
        kind = found[1] if found else "Application"
        # Of the rest of an Application's spec, such as its syncPolicy, that does not depend.
        if kind != "Application" or "spec.source" in one.message:
            kinds[kind] = None
    return " or ".join(kinds)


def git_or_live(kind: str) -> str:
    """Whose word a declared value is where a live object decides what is rendered.

    Most of it is Git's all the same, and of no single value is it known which.
    """
    return f"Git (or the live {kind}, where that differs)"


def says_otherwise(kind: str) -> str:
    """Why there is a declared difference where what is rendered need not be Git's word."""
    return f"{git_or_live(kind)} says otherwise"


def section_titles(conditions: Iterable[_Told]) -> Mapping[str, str]:
    """The titles of an application's sections of changes, as its conditions have it."""
    kind = edited_kind(conditions)
    if not kind:
        return SECTION_TITLES
    title = f"declared: {says_otherwise(kind)}"
    return {**SECTION_TITLES, ChangeClass.DECLARED: title}
