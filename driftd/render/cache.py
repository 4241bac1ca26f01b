"""Renderings on disk: what is decided by the same things is rendered once.

A rendering is decided by its parameters (the source as it is written, the application's names,
the cluster's versions, the options), by the worker (its sources name every engine and limit), and
by the places of the trees that it looked at, which the worker tells. The first two name a list of
such places; what lies there in the trees at hand names the rendering. So a commit that changes
nothing there costs a few digests, whatever else it changes.

The files are sealed (`driftd.sealed`); one that somebody has changed is thrown away and told.
Nothing here ever raises: a disk that fails is a cache that misses.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

from driftd.model.tree import Tree
from driftd.sandbox.pool import RenderQuestion
from driftd.sandbox.results import RenderResult
from driftd.sealed import SealedFolder

FORMAT = "1"
"""Changes with every change of what the files hold."""
LIMIT = 512 << 20
"""Bytes that the folder may hold unless another limit is given."""
DAMAGED = "a cached rendering was damaged or tampered with; it is thrown away and rendered anew"

_DIGEST = 32
_READ_SETS = 8
_VIEWS = 8

_result = msgspec.json.Decoder(RenderResult)

Make = Callable[[], Awaitable[msgspec.Raw]]


class _ReadSet(msgspec.Struct, frozen=True, array_like=True):
    """All that a rendering looked at, by the name of the reference."""

    reads: dict[str, tuple[str, ...]]
    revision_read: bool


_read_sets = msgspec.msgpack.Decoder(list[_ReadSet])


class _View:
    """What lies where in a tree, by digest."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._known: dict[str, bytes] = {}
        self._folders: dict[str, dict[str, str]] | None = None

    def at(self, read: str) -> bytes:
        """What the tree says to one read of a rendering."""
        found = self._known.get(read)
        if found is None:
            found = self._known[read] = self._look(read)
        return found

    def _look(self, read: str) -> bytes:
        kind, _, path = read.partition(":")
        if kind == "a":
            return _digest(*(name.encode() for name in sorted(self._tree.files)))
        if kind == "l":
            names = self._names().get(path, {})
            return _digest(*(f"{names[name]}{name}".encode() for name in sorted(names)))
        if (content := self._tree.files.get(path)) is not None:
            return _digest(b"file", content)
        if (target := self._tree.links.get(path)) is not None:
            return _digest(b"link", target.encode())
        return b"folder" if path in self._names() else b"nothing"

    def _names(self) -> dict[str, dict[str, str]]:
        """Every folder with its names and what each is."""
        if self._folders is None:
            folders: dict[str, dict[str, str]] = {"": {}}
            for kind, paths in (("f", self._tree.files), ("k", self._tree.links)):
                for path in paths:
                    _place(folders, path, kind)
            self._folders = folders
        return self._folders


def _place(folders: dict[str, dict[str, str]], path: str, kind: str) -> None:
    while True:
        parent, _, name = path.rpartition("/")
        known = parent in folders
        folders.setdefault(parent, {})[name] = kind
        if known:
            return
        path, kind = parent, "d"


class RenderCache:
    """Renderings in a folder of this user's, the ones used last within a limit of bytes.

    The same rendering asked for several times at once is made once.
    """

    def __init__(self, folder: Path, *, worker: str, limit: int = LIMIT) -> None:
        """`worker` names the sandbox worker: what it renders, another one may render otherwise."""
        self._files = SealedFolder(folder, "renderings", limit)
        self._worker = worker
        self._views: OrderedDict[str, _View] = OrderedDict()
        self._under_way: dict[tuple[object, ...], _Shared] = {}
        self.hits = 0

    @property
    def alarms(self) -> int:
        """How many files were not what had been written."""
        return self._files.alarms

    @property
    def problem(self) -> str:
        """Why nothing is kept; empty if renderings are."""
        return self._files.problem

    async def render(self, question: RenderQuestion, make: Make) -> RenderResult:
        """The answer to a question: one that is kept, else what `make` says, which may raise."""
        asked = self._name(question)
        kept, damaged = self._kept(asked, question)
        if kept is not None:
            self.hits += 1
            return kept
        identity = (asked, question.revision, *(tree.id for _, tree in question.roles()))
        shared = self._under_way.get(identity)
        if shared is None or shared.over:
            shared = self._under_way[identity] = _Shared(self._make(asked, question, make))
        try:
            result = await shared.wait()
        finally:
            if shared.over and self._under_way.get(identity) is shared:
                del self._under_way[identity]
        if damaged:
            result = msgspec.structs.replace(result, warnings=(*result.warnings, DAMAGED))
        return result

    async def _make(self, asked: str, question: RenderQuestion, make: Make) -> RenderResult:
        raw = bytes(await make())
        result = _result.decode(raw)
        if not result.errors and self._files.usable:
            read = _ReadSet(result.reads, result.revision_read)
            name = self._rendering_name(asked, read, question)
            await asyncio.to_thread(self._keep, asked, read, name, raw)
        return result

    def _name(self, question: RenderQuestion) -> str:
        """The digest of everything but trees and revision."""
        fixed = {
            name: value
            for name, value in question.params.items()
            if name not in ("tree", "refs", "revision")
        }
        encoded = msgspec.msgpack.encode(fixed, order="sorted")
        refs = msgspec.msgpack.encode(sorted(question.refs))
        return _digest(FORMAT.encode(), self._worker.encode(), encoded, refs).hex()

    def _rendering_name(self, asked: str, read: _ReadSet, question: RenderQuestion) -> str:
        """The digest of a question and of what lies at the places that decide it."""
        digest = hashlib.blake2b(asked.encode(), digest_size=_DIGEST)
        for role, tree in question.roles():
            view = self._view(tree)
            for one in read.reads.get(role, ()):
                digest.update(f"\0{len(role)} {role} {len(one)} {one}\0".encode())
                digest.update(view.at(one))
        if read.revision_read:
            digest.update(question.revision.encode())
        return digest.hexdigest()

    def _view(self, tree: Tree) -> _View:
        view = self._views.get(tree.id)
        if view is None:
            view = self._views[tree.id] = _View(tree)
            if len(self._views) > _VIEWS:
                self._views.popitem(last=False)
        self._views.move_to_end(tree.id)
        return view

    def _kept(self, asked: str, question: RenderQuestion) -> tuple[RenderResult | None, bool]:
        """The rendering if it is here, and whether something was found that is not what it was."""
        before = self.alarms
        for read in self._read_sets(asked):
            name = self._rendering_name(asked, read, question)
            body = self._files.read(name)
            if body is None:
                continue
            try:
                return _result.decode(body), False
            except msgspec.DecodeError:
                self._files.discard(name)
        return None, self.alarms > before

    def _read_sets(self, asked: str) -> list[_ReadSet]:
        body = self._files.read(asked)
        if body is None:
            return []
        try:
            return _read_sets.decode(body)
        except msgspec.DecodeError:
            self._files.discard(asked)
            return []

    def _keep(self, asked: str, read: _ReadSet, name: str, raw: bytes) -> None:
        known = self._read_sets(asked)
        self._files.write(name, raw)
        if read not in known:
            recent = [read, *known][:_READ_SETS]
            self._files.write(asked, msgspec.msgpack.encode(recent))


class _Shared:
    """One piece of work that several wait for; it is cancelled when nobody waits any more."""

    def __init__(self, work: Awaitable[RenderResult]) -> None:
        self._task = asyncio.ensure_future(work)
        self._waiting = 0

    @property
    def over(self) -> bool:
        """Whether nobody can join any more."""
        return self._task.done() or self._task.cancelling() > 0

    async def wait(self) -> RenderResult:
        self._waiting += 1
        try:
            return await asyncio.shield(self._task)
        finally:
            self._waiting -= 1
            if not self._waiting and not self._task.done():
                self._task.cancel()
                await asyncio.wait({self._task})


def user_folder(environment: Mapping[str, str]) -> Path:
    """Where `driftd check` keeps renderings: below the user's cache folder."""
    base = environment.get("XDG_CACHE_HOME", "")
    root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return root / "driftd" / "renders"


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=_DIGEST)
    for part in parts:
        digest.update(len(part).to_bytes(8))
        digest.update(part)
    return digest.digest()
