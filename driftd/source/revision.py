"""Revision names: which are acceptable, and what a wrong one may have meant. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from driftd.errors import SourceError
from driftd.source.url import printable

TAGS = "refs/tags/"
"""What the names of tags begin with."""

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")
_RANGE = re.compile(r"[*^~<>=|]|\bx\b|\s-\s")
_SHORT_ID = re.compile(r"[0-9a-f]{4,63}\Z")


def checked_revision(revision: str, repository: str) -> str:
    """`revision` if it can only be the name of a ref or an object id; empty means `HEAD`.

    Git's expressions (`HEAD:path`, `@{-1}`, `a..b`, options) are refused: only exact names
    resolve. Raises `SourceError`.
    """
    revision = revision or "HEAD"
    segments = revision.split("/")
    if (
        len(revision) > 255
        or revision == "@"
        or revision[0] in "-/"
        or revision[-1] in "/."
        or _FORBIDDEN.search(revision)
        or any(s.startswith(".") or s.endswith(".lock") for s in segments)
    ):
        hint = "name a branch, a tag or a commit id"
        if re.match(r"[v\d*^~<>=]", revision) and _RANGE.search(revision):
            hint = "ranges of versions are for targetRevision of Git sources alone; name a tag"
        raise SourceError(
            f"{repository}: invalid revision {printable(revision)!r}",
            hint=hint,
            reason="InvalidRevision",
        )
    return revision


def is_short_id(revision: str) -> bool:
    """Whether `revision` may be an abbreviated object id."""
    return _SHORT_ID.match(revision) is not None


def ref_candidates(revision: str) -> tuple[str, ...]:
    """The full ref names that a revision may mean, in the order of precedence."""
    if revision.startswith("refs/"):
        return (revision,)
    return (
        f"{TAGS}{revision}",
        f"refs/remotes/origin/{revision}",
        f"refs/heads/{revision}",
        f"refs/remotes/{revision}",
    )


def short_name(ref: str) -> str:
    """A ref as people name it: without `refs/heads/`, `refs/tags/` or the remote."""
    for prefix in ("refs/heads/", "refs/tags/", "refs/remotes/origin/", "refs/remotes/"):
        if ref.startswith(prefix):
            return ref.removeprefix(prefix)
    return ref


def unknown_revision(
    repository: str, revision: str, refs: Iterable[str], *, if_new: str
) -> SourceError:
    """The error for a revision that no ref and no commit has, with near matches as hint.

    `if_new` is what makes a revision known that is new.
    """
    names = sorted({short_name(ref) for ref in refs} - {"HEAD"})
    near = difflib.get_close_matches(revision, names[:20_000], n=3, cutoff=0.5)
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    elif names:
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        hint = f"the repository has {', '.join(names[:5])}{more}; correct the revision, or {if_new}"
    else:
        hint = "the repository has no branches and no tags"
    return SourceError(
        f"{repository}: revision {printable(revision)!r} does not exist",
        hint=hint,
        reason="UnknownRevision",
    )
