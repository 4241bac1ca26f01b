"""Commits and tags as they are stored, for those who verify them: bytes, not interpretations."""

from __future__ import annotations

from collections.abc import Sequence

from driftd.errors import SourceError
from driftd.model.gitobject import Addition, GitObject
from driftd.source.objects import is_object_id
from driftd.source.process import MIB, Git
from driftd.source.url import printable

_LIMIT = 64 * MIB
"""Bytes of all objects that are asked for at once."""


async def read_objects(git: Git, ids: Sequence[str]) -> dict[str, GitObject]:
    """Some objects by their full ids; those that are not there are left out."""
    for oid in ids:
        if not is_object_id(oid):
            raise SourceError(f"{git.name}: {printable(oid)!r} is not a full object id")
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        return {}
    output = await git.run(
        "cat-file", "--batch", "--buffer", stdin="\n".join([*wanted, ""]).encode(), limit=_LIMIT
    )
    found: dict[str, GitObject] = {}
    position = 0
    while position < len(output):
        end = output.find(b"\n", position)
        words = output[position : end if end >= 0 else None].decode("ascii", "replace").split(" ")
        if end < 0:
            break
        position = end + 1
        if len(words) != 3 or not words[2].isdigit():
            continue  # `ID missing`
        size = int(words[2])
        data = output[position : position + size]
        position += size + 1
        if len(data) == size:
            found[words[0]] = GitObject(words[0], words[1], data)
    return found


async def list_ancestors(git: Git, sha: str, limit: int) -> list[str]:
    """Commits from `sha` back, each before all of its parents, at most `limit`."""
    if not is_object_id(sha):
        raise SourceError(f"{git.name}: {printable(sha)!r} is not a full commit id")
    output = await git.run(
        "rev-list", "--topo-order", f"--max-count={limit}", "--end-of-options", sha
    )
    return output.decode("ascii", "replace").split()


async def list_additions(git: Git, sha: str, limit: int) -> list[Addition]:
    """The files that each of the newest commits added, the newest first; at most `limit` commits.

    Of a merge they are those that it brought to its first parent.
    """
    if not is_object_id(sha):
        raise SourceError(f"{git.name}: {printable(sha)!r} is not a full commit id")
    output = await git.run(
        "log",
        "--first-parent",
        "--diff-merges=first-parent",
        f"--max-count={limit}",
        "--no-ext-diff",
        "--no-textconv",
        "--find-renames",
        "--name-status",
        "-z",
        "--format=%x00%H %cs",
        "--end-of-options",
        sha,
        "--",
    )
    words = iter(output.decode("utf-8", "surrogateescape").split("\0"))
    found: list[tuple[str, str, set[str]]] = []
    # A commit begins with an empty word; the first of its statuses has a line break before it.
    for word in words:
        status = word.removeprefix("\n")
        if not status:
            commit, _, date = next(words, "").partition(" ")
            if date:
                found.append((commit, date, set()))
            continue
        name = next(words, "")
        if status[0] in "RC":
            next(words, "")  # the new name of a file that was renamed or copied
        elif status == "A" and found:
            found[-1][2].add(name)
    return [Addition(commit, date, frozenset(files)) for commit, date, files in found]
