"""Documents that were probably meant for Argo CD, but that Argo CD would not see."""

from __future__ import annotations

import re
from difflib import get_close_matches

from driftd.model.resource import Json

GROUP = "argoproj.io"
VERSION = "v1alpha1"
KINDS = frozenset({"Application", "ApplicationSet", "AppProject"})

_NEAR_GROUP = re.compile(rb"apiVersion:[ \t]*[\"']?argo[a-z]{2,6}\.io/")
_LIKENESS = 0.84
"""How alike two words are (difflib's ratio) that one is taken for a slip of the other."""


def mentions(content: bytes) -> bool:
    """Whether a file may hold a document of Argo CD, or one with a slip in its group."""
    return GROUP.encode() in content or _NEAR_GROUP.search(content) is not None


def slip(document: Json) -> str:
    """What is misspelt in a document and what was probably meant; empty if nothing is.

    Other kinds of the group (Rollout, Workflow) are nobody's slip.
    """
    if not isinstance(document, dict):
        return ""
    api_version, kind = document.get("apiVersion"), document.get("kind")
    if not isinstance(api_version, str) or not isinstance(kind, str):
        return ""
    group, _, version = api_version.partition("/")
    if group != GROUP:
        if kind in KINDS and get_close_matches(group, [GROUP], cutoff=_LIKENESS):
            return _told("apiVersion", api_version, f"{GROUP}/{VERSION}")
        return ""
    if kind not in KINDS:
        near = get_close_matches(kind, sorted(KINDS), n=1, cutoff=_LIKENESS)
        near = near or [name for name in KINDS if name.lower() == kind.lower()]
        return _told("kind", kind, near[0]) if near else ""
    if version != VERSION:
        return _told("apiVersion", api_version, f"{GROUP}/{VERSION}")
    return ""


def _told(field: str, value: str, meant: str) -> str:
    return f"{field} {value[:100]!a} is none of Argo CD's: is {meant} meant?"
