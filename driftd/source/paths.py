"""Which file names of a Git tree are acceptable. Pure."""

from __future__ import annotations

import re

from driftd.errors import SourceError

_MAX_NAME = 255
_MAX_PATH = 4096
# Code points that HFS+ leaves out when it compares names, so `.g\u200cit` would open `.git`.
_IGNORED_BY_HFS = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
_GIT_SHORT_NAME = re.compile(r"git~[0-9]+\Z")
_PLAIN = re.compile(
    rb"(?:[A-Za-z0-9_-][A-Za-z0-9_.@+=,-]{0,126}[A-Za-z0-9_-]/|[A-Za-z0-9_-]/)*"
    rb"[A-Za-z0-9_-](?:[A-Za-z0-9_.@+=,-]{0,126}[A-Za-z0-9_-])?\Z"
)


def checked_path(raw: bytes) -> str:
    """The path of a tree entry as text.

    Refuses what no file system should be shown: `.git` in any disguise, `.` and `..`, empty
    names, trailing dots and spaces, backslashes, control characters, names over 255 bytes,
    paths over 4,096 bytes, and anything that is not UTF-8. Raises `SourceError` naming it.
    """
    if len(raw) < 1024 and _PLAIN.match(raw):
        return raw.decode("ascii")
    try:
        path = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise _refused(raw, "is not UTF-8") from None
    if len(raw) > _MAX_PATH:
        raise _refused(raw, f"is longer than {_MAX_PATH} bytes")
    for name in path.split("/"):
        if problem := _problem(name):
            raise _refused(raw, problem)
    return path


def _problem(name: str) -> str:
    """What is wrong with one path segment; empty if nothing."""
    if name in {"", ".", ".."}:
        return f"has the segment {name!r}"
    if len(name.encode()) > _MAX_NAME:
        return f"has a name longer than {_MAX_NAME} bytes"
    if "\\" in name:
        return "has a backslash"
    if any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in name):
        return "has control characters"
    bare = _IGNORED_BY_HFS.sub("", name).casefold().rstrip(". ").split(":")[0]
    if bare == ".git" or _GIT_SHORT_NAME.match(bare):
        return "would be taken for a .git folder"
    if name[-1] in ". ":
        return "has a name that ends in a dot or space"
    return ""


def _refused(raw: bytes, problem: str) -> SourceError:
    shown = ascii(raw[:200].decode("utf-8", "backslashreplace"))[1:-1]
    return SourceError(
        f"file name {shown!r} in the repository {problem}",
        hint="rename or remove the file",
        reason="InvalidPath",
    )
