"""Replaces pointers of Git LFS by what they point to, where an operator has asked for it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace

import msgspec

from driftd.aio import gather_isolated
from driftd.errors import SourceError
from driftd.model.tree import Tree
from driftd.source.egress import Egress, Reach, origin_of
from driftd.source.helmrepo import verified
from driftd.source.objects import TreeLimits, too_large
from driftd.source.process import MIB
from driftd.source.url import parse, printable

_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-[^\n]*\n)*"
    rb"oid sha256:([0-9a-f]{64})\nsize (\d{1,12})\n\Z"
)
_LARGEST_POINTER = 1024
_BATCH = 100
_AT_A_TIME = 4
_TYPE = "application/vnd.git-lfs+json"


class _Action(msgspec.Struct, frozen=True):
    href: str
    header: dict[str, str] = {}


class _Actions(msgspec.Struct, frozen=True):
    download: _Action | None = None


class _Problem(msgspec.Struct, frozen=True):
    code: int = 0


class _Object(msgspec.Struct, frozen=True):
    oid: str
    actions: _Actions = _Actions()
    error: _Problem | None = None


class _Batch(msgspec.Struct, frozen=True):
    objects: tuple[_Object, ...] = ()


async def with_lfs(
    tree: Tree, url: str, egress: Egress, reach: Reach | None, limits: TreeLimits
) -> Tree:
    """The tree with the content of its pointers, sizes and digests verified.

    `reach` is how the repository's server is talked to; None when that is not https. Raises
    SourceError.
    """
    pointers = {
        path: (found[1].decode(), int(found[2]))
        for path, data in tree.files.items()
        if len(data) <= _LARGEST_POINTER and (found := _POINTER.match(data))
    }
    if not pointers:
        return tree
    name = f"Git LFS of {printable(parse(url).url)}"
    if reach is None:
        raise SourceError(
            f"{name}: files of Git LFS are fetched over https alone",
            hint="name the repository by its https URL",
            reason="UnsupportedSource",
        )
    sizes = dict(pointers.values())
    known = sum(map(len, tree.files.values()))
    if known + sum(size for _, size in pointers.values()) > limits.size:
        raise too_large(name, limits)
    base = f"{parse(url).url.rstrip('/').removesuffix('.git')}.git/info/lfs/objects/batch"
    wanted = list(sizes)
    content: dict[str, bytes] = {}
    for start in range(0, len(wanted), _BATCH):
        part = wanted[start : start + _BATCH]
        content |= await _fetched(part, sizes, base, name, egress, reach)
    files = {**tree.files, **{path: content[oid] for path, (oid, _) in pointers.items()}}
    digest = hashlib.sha256(" ".join(sorted(pointers)).encode()).hexdigest()
    return msgspec.structs.replace(tree, id=f"{tree.id}+lfs:{digest[:16]}", files=files)


async def _fetched(
    oids: list[str], sizes: Mapping[str, int], url: str, name: str, egress: Egress, reach: Reach
) -> dict[str, bytes]:
    question = {
        "operation": "download",
        "transfers": ["basic"],
        "objects": [{"oid": oid, "size": sizes[oid]} for oid in oids],
    }
    answer = await egress.ask(
        url,
        reach,
        what=name,
        limit=4 * MIB,
        method="POST",
        headers={"Accept": _TYPE, "Content-Type": _TYPE},
        body=msgspec.json.encode(question),
    )
    try:
        batch = msgspec.json.decode(answer.body, type=_Batch)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise SourceError(f"{name}: the server's answer cannot be read") from None
    found = {one.oid: one.actions.download for one in batch.objects if one.error is None}

    async def one(oid: str) -> bytes:
        action = found.get(oid)
        if action is None:
            raise SourceError(
                f"{name}: the server has no object {oid[:12]}…",
                hint="push it with `git lfs push`",
                reason="MissingObject",
            )
        others = {key: t for key, t in action.header.items() if key.lower() != "authorization"}
        given = "".join(t for key, t in action.header.items() if key not in others)
        # What the server hands out for another place is meant for that place.
        place = Reach(origin_of(action.href), given)
        if place.origin == reach.origin:
            place = replace(reach, authorization=given or reach.authorization)
        what = f"{name}: object {oid[:12]}…"
        data = await egress.ask(
            action.href, place, what=what, limit=sizes[oid], headers=others, seconds=120.0
        )
        return verified(data.body, oid, what)

    contents = await gather_isolated(one, oids, limit=_AT_A_TIME, isolate=SourceError)
    for content in contents:
        if isinstance(content, Exception):
            raise content
    return {oid: data for oid, data in zip(oids, contents, strict=True) if isinstance(data, bytes)}
