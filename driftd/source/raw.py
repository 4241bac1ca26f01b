"""Commits and tags as they are stored, for those who verify them: bytes, not interpretations."""

from __future__ import annotations

from collections.abc import Sequence

from driftd.errors import SourceError
from driftd.model.gitobject import GitObject
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
