"""Reads trees and commits from a Git object store with two processes, within limits."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from driftd.errors import SourceError
from driftd.model.tree import Tree
from driftd.source.paths import checked_path
from driftd.source.process import MIB, Git, GitFailed, OutputLimit
from driftd.source.url import printable

_OBJECT_ID = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
_FOLDER, _GITLINK = "040000", "160000"
_LISTING_BYTES_PER_FILE = 1024
_READ_TIMEOUT = 60.0


class TreeLimits(msgspec.Struct, frozen=True):
    """What a repository may hold at one revision."""

    files: int = 20_000
    size: int = 100 * MIB
    """Bytes of all files together."""


class CommitInfo(msgspec.Struct, frozen=True):
    """Who changed what, when: one commit for people."""

    sha: str
    author: str
    email: str
    date: datetime
    """The author date, in UTC."""
    subject: str


class _Entry(msgspec.Struct, frozen=True):
    path: str
    mode: str
    oid: str


def is_object_id(text: str) -> bool:
    """Whether `text` is a full SHA-1 or SHA-256 object id."""
    return _OBJECT_ID.match(text) is not None


async def read_tree(git: Git, sha: str, limits: TreeLimits, paths: Sequence[str] = ()) -> Tree:
    """All files of one commit, or those below some folders alone.

    Raises `SourceError` for an unsafe path, a missing object, or more than `limits` allow.
    """
    tree_id, listed = await asyncio.gather(
        git.run("rev-parse", "--verify", "--end-of-options", f"{sha}^{{tree}}"),
        _list(git, sha, limits),
    )
    folders = {entry.path: entry.oid for entry in listed if entry.mode == _FOLDER}
    entries = [x for x in listed if x.mode != _FOLDER and _below(x.path, paths)]
    wanted = [entry for entry in entries if entry.mode != _GITLINK]
    blobs = await _read_blobs(git, wanted, limits)
    files: dict[str, bytes] = {}
    links: dict[str, str] = {}
    for entry in wanted:
        if entry.mode == "120000":
            links[entry.path] = blobs[entry.oid].decode("utf-8", "surrogateescape")
        else:
            files[entry.path] = blobs[entry.oid]
    gitlinks = {entry.path: entry.oid for entry in entries if entry.mode == _GITLINK}
    name = tree_id.decode().strip()
    return Tree(
        f"{name} {' '.join(sorted(paths))}" if paths else name,
        files,
        link_targets(links),
        tuple(gitlinks),
        gitlinks=gitlinks,
        folders=folders,
        git=name,
    )


async def missing_blobs(
    git: Git, sha: str, limits: TreeLimits, paths: Sequence[str]
) -> tuple[str, ...]:
    """Ids of the files below some folders that a partial clone does not have yet."""
    listed = await _list(git, sha, limits)
    wanted = dict.fromkeys(
        x.oid for x in listed if x.mode not in {_FOLDER, _GITLINK} and _below(x.path, paths)
    )
    if not wanted:
        return ()
    # Asking for the objects themselves would have git fetch them one by one.
    output = await git.run(
        "rev-list", "--objects", "--no-object-names", "--missing=print", "--end-of-options",
        f"{sha}^{{tree}}",
        limit=4 * limits.files * 100, timeout=_READ_TIMEOUT,
    )  # fmt: skip
    lacking = {line[1:] for line in output.decode("ascii", "replace").split() if line[0] == "?"}
    return tuple(oid for oid in wanted if oid in lacking)


def _below(path: str, folders: Sequence[str]) -> bool:
    """Whether a file counts; those at the root always do, since tools are configured there."""
    return not folders or "/" not in path or any(path.startswith(f"{x}/") for x in folders)


def link_targets(links: dict[str, str]) -> dict[str, str]:
    """Symbolic links whose target is readable text; the others point nowhere and stay out."""
    return {path: target for path, target in links.items() if target and target.isprintable()}


def too_many_files(name: str, limits: TreeLimits) -> SourceError:
    """The error for a repository with more files than allowed."""
    return SourceError(
        f"{name}: more than {limits.files:,} files in the repository",
        hint="split the repository, or keep generated files out of it",
        reason="LimitExceeded",
    )


def too_large(name: str, limits: TreeLimits, path: str = "") -> SourceError:
    """The error for a repository with more bytes than allowed; `path` is where it overflowed."""
    at = f" (reached at {path})" if path else ""
    return SourceError(
        f"{name}: more than {limits.size // MIB} MiB of files in the repository{at}",
        hint="keep large files out of the repository",
        reason="LimitExceeded",
    )


async def _list(git: Git, sha: str, limits: TreeLimits) -> list[_Entry]:
    seen = 0
    # Folders are listed too; there are never more of them than files in them.
    most = 2 * limits.files

    def over(chunk: bytes) -> bool:
        nonlocal seen
        seen += chunk.count(b"\0")
        return seen > most

    try:
        listing = await git.run(
            "ls-tree", "-r", "-t", "-z", "--full-tree", "--end-of-options", sha,
            enough=over, limit=most * _LISTING_BYTES_PER_FILE, timeout=_READ_TIMEOUT,
        )  # fmt: skip
    except OutputLimit:
        raise too_many_files(git.name, limits) from None
    entries: list[_Entry] = []
    for line in listing.split(b"\0")[:-1]:
        head, _, raw = line.partition(b"\t")
        mode, _, oid = head.decode("ascii").split(" ")
        entries.append(_Entry(checked_path(raw), mode, oid))
    if sum(entry.mode != _FOLDER for entry in entries) > limits.files:
        raise too_many_files(git.name, limits)
    return entries


async def _read_blobs(git: Git, entries: list[_Entry], limits: TreeLimits) -> dict[str, bytes]:
    if not entries:
        return {}
    paths: dict[str, str] = {}
    for entry in entries:
        paths.setdefault(entry.oid, entry.path)
    order = list(paths)
    try:
        output = await git.run(
            "cat-file", "--batch", "--buffer",
            stdin="\n".join([*order, ""]).encode(),
            limit=limits.size + 100 * len(order), timeout=_READ_TIMEOUT,
        )  # fmt: skip
    except OutputLimit as error:
        path = paths[order[_complete(error.output, len(order))]]
        raise too_large(git.name, limits, path) from None
    except GitFailed as error:
        lacking = next((path for oid, path in paths.items() if oid in str(error)), "")
        if not lacking:
            raise
        raise _missing(git, lacking) from None
    blobs = _split(git, output, paths)
    total = 0
    for entry in entries:
        total += len(blobs[entry.oid])
        if total > limits.size:
            raise too_large(git.name, limits, entry.path)
    return blobs


def _split(git: Git, output: bytes, paths: dict[str, str]) -> dict[str, bytes]:
    """The blobs of `cat-file --batch`, by object id."""
    blobs: dict[str, bytes] = {}
    position = 0
    for oid, path in paths.items():
        end = output.find(b"\n", position)
        words = output[position:end].split(b" ")
        if end < 0 or len(words) != 3 or words[0].decode() != oid:
            raise _missing(git, path)
        start = end + 1
        position = start + int(words[2]) + 1
        blobs[oid] = output[start : position - 1]
    return blobs


def _missing(git: Git, path: str) -> SourceError:
    return SourceError(
        f"{git.name}: the content of {printable(path)} is missing from the repository",
        hint="the file is too large, or the clone is partial: fetch it completely",
        reason="MissingObject",
    )


def _complete(output: bytes, most: int) -> int:
    """How many blobs arrived whole, at most `most - 1`."""
    position = count = 0
    while count < most - 1:
        end = output.find(b"\n", position)
        words = output[position:end].split(b" ") if end >= 0 else []
        if len(words) != 3:
            return count
        position = end + 1 + int(words[2]) + 1
        if position > len(output):
            return count
        count += 1
    return count


async def read_commit(git: Git, sha: str) -> CommitInfo:
    """Author, date and subject of a commit, from its object (no mailmap, no signature check)."""
    text = (await git.run("cat-file", "commit", sha, limit=MIB)).decode("utf-8", "replace")
    head, _, message = text.partition("\n\n")
    author = next((x for x in head.splitlines() if x.startswith("author ")), "")
    match = re.match(r"author (?P<name>.*?) ?<(?P<email>[^>]*)> (?P<time>\d{1,11})", author)
    subject = printable(message.strip().splitlines()[0]) if message.strip() else ""
    if match is None:
        return CommitInfo(sha, "", "", datetime.fromtimestamp(0, UTC), subject)
    date = datetime.fromtimestamp(int(match["time"]), UTC)
    return CommitInfo(sha, printable(match["name"]), printable(match["email"]), date, subject)
