"""A local Git repository, read through the git command line without touching its files."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from driftd.errors import SourceError
from driftd.model.gitobject import Addition, AnnotatedTag, GitObject
from driftd.model.tree import Tree
from driftd.source.objects import (
    CommitInfo,
    TreeLimits,
    is_object_id,
    link_targets,
    read_commit,
    read_tree,
    too_large,
    too_many_files,
)
from driftd.source.paths import checked_path
from driftd.source.process import MIB, Git, GitFailed, OutputLimit
from driftd.source.raw import list_additions, list_ancestors, read_objects
from driftd.source.revision import (
    TAGS,
    checked_revision,
    is_short_id,
    ref_candidates,
    unknown_revision,
)
from driftd.source.url import printable

NO_REPOSITORY = "NoRepository"
"""The reason of the error about a folder that lies in no repository."""
_KEPT_TREES = 4

_ANCESTOR = re.compile(r"(?P<name>[^~^]+)(?P<steps>(?:[~^]\d{0,4}){1,9})\Z")
"""A revision and the way back from it: `main~2`, `HEAD^`."""


_FETCH = "run git fetch there if it is new"


class GitRepository:
    """A repository on this machine: a checkout (its `.git` beside the files) or a bare one.

    Nothing of its content is executed and nothing in it is written, its index included.
    """

    def __init__(self, git: Git, path: Path, limits: TreeLimits | None = None) -> None:
        """Use `GitRepository.open`; `path` is the top of the checkout or the bare repository."""
        self.path = path
        self.name = git.name
        self._git = git
        self._limits = limits or TreeLimits()
        self._trees: dict[str, Tree] = {}
        self._reading = asyncio.Lock()

    @classmethod
    def open(cls, path: str | Path, limits: TreeLimits | None = None) -> GitRepository:
        """The repository that holds `path` (a folder). Raises `SourceError` if there is none."""
        shown = str(path)
        start = Path(path).expanduser()
        if not start.is_dir():
            raise SourceError(
                f"{printable(shown)} is not a folder",
                hint="give a Git checkout (--repo, or repositories in the settings of driftd run)",
            )
        start = start.resolve()
        if _is_bare(start):
            return cls(Git(shown, start), start, limits)
        for folder in (start, *start.parents):
            git_dir = _git_dir_of(folder)
            if git_dir is not None:
                return cls(Git(shown, git_dir, work_tree=folder), folder, limits)
        raise SourceError(
            f"{printable(shown)} is not in a Git repository",
            hint="run inside a checkout, or give one with --repo",
            reason=NO_REPOSITORY,
        )

    @property
    def bare(self) -> bool:
        """Whether there is no work tree."""
        return self._git.work_tree is None

    async def resolve(self, revision: str) -> str:
        """The commit id of a revision: HEAD, tag, branch of origin, local branch, or commit id.

        Empty means HEAD. Raises `SourceError` naming the repository, the revision and what
        it may have meant.
        """
        revision = checked_revision(revision, self.name)
        if revision == "HEAD":
            return await self._commit("HEAD", revision)
        if is_object_id(revision):
            return await self._commit(revision, revision)
        candidates = ref_candidates(revision)
        found = await self._refs(*candidates)
        for candidate in candidates:
            if candidate in found:
                return await self._commit(found[candidate], revision)
        if is_short_id(revision):
            return await self._commit(revision, revision)
        raise unknown_revision(self.name, revision, await self._refs(), if_new=_FETCH)

    async def ancestor(self, expression: str) -> str:
        """The commit id of a revision as people type it: also `main~2`, `HEAD^`.

        Applications cannot name such a revision, so `resolve` does not read it. Raises as that.
        """
        found = _ANCESTOR.match(expression)
        if found is None:
            return await self.resolve(expression)
        start = await self.resolve(found["name"])
        return await self._commit(f"{start}{found['steps']}", expression)

    async def _commit(self, name: str, revision: str) -> str:
        try:
            output = await self._git.run(
                "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"
            )
        except GitFailed:
            if revision == "HEAD":
                raise SourceError(
                    f"{self.name}: the repository has no commit yet",
                    hint="commit the manifests first, or use --worktree",
                    reason="UnknownRevision",
                ) from None
            raise unknown_revision(self.name, revision, await self._refs(), if_new=_FETCH) from None
        return output.decode().strip()

    async def _refs(self, *names: str) -> dict[str, str]:
        """Ref names with what they point to: exactly those given, else all."""
        output = await self._git.run(
            "for-each-ref", "--format=%(objectname) %(refname)", "--", *(names or ("refs/",))
        )
        pairs = (line.partition(" ") for line in output.decode("utf-8", "replace").splitlines())
        refs = {name: oid for oid, _, name in pairs}
        return {n: refs[n] for n in names if n in refs} if names else refs

    async def tags(self) -> list[str]:
        """The names of all tags, without `refs/tags/`."""
        return [ref.removeprefix(TAGS) for ref in await self._refs() if ref.startswith(TAGS)]

    async def branch(self) -> str:
        """The branch that is checked out; empty when HEAD is detached."""
        try:
            output = await self._git.run("symbolic-ref", "--quiet", "--short", "HEAD")
        except GitFailed:
            return ""
        return output.decode("utf-8", "replace").strip()

    async def default_branch(self) -> str:
        """The remote's default branch, as far as the checkout knows it; empty if it does not.

        That is what `origin/HEAD` points to, else `main` or `master` of origin.
        """
        try:
            output = await self._git.run("symbolic-ref", "--quiet", "refs/remotes/origin/HEAD")
            return output.decode("utf-8", "replace").strip().removeprefix("refs/remotes/origin/")
        except GitFailed:
            names = ("main", "master")
            found = await self._refs(*(f"refs/remotes/origin/{name}" for name in names))
            return next((n for n in names if f"refs/remotes/origin/{n}" in found), "")

    async def is_branch(self, name: str) -> bool:
        """Whether there is a branch of this short name, here or at origin."""
        return bool(await self._refs(f"refs/heads/{name}", f"refs/remotes/origin/{name}"))

    async def shadowed(self, name: str) -> tuple[str, str] | None:
        """The commits of origin's branch `name`, which counts, and of the local one.

        None unless both are there and no tag of that name is.
        """
        tag, remote, local = (
            f"{TAGS}{name}", f"refs/remotes/origin/{name}", f"refs/heads/{name}",
        )  # fmt: skip
        found = await self._refs(tag, remote, local)
        if tag in found or remote not in found or local not in found:
            return None
        return found[remote], found[local]

    async def merge_base(self, one: str, other: str) -> str:
        """The best common ancestor of two commits; empty if there is none (or it is cut off)."""
        try:
            output = await self._git.run("merge-base", "--end-of-options", one, other)
        except GitFailed:
            return ""
        return output.decode().strip()

    async def ahead(self, base: str, tip: str) -> int:
        """How many commits `tip` has that `base` does not."""
        output = await self._git.run("rev-list", "--count", "--end-of-options", f"{base}..{tip}")
        return int(output.decode().strip() or 0)

    async def tree(self, sha: str) -> Tree:
        """All files of a commit, `sha` being its full id; the last few are kept in memory."""
        if not is_object_id(sha):
            raise SourceError(f"{self.name}: {printable(sha)!r} is not a full commit id")
        async with self._reading:
            if sha not in self._trees:
                tree = await read_tree(self._git, sha, self._limits)
                while len(self._trees) >= _KEPT_TREES:
                    del self._trees[next(iter(self._trees))]
                self._trees[sha] = tree
            return self._trees[sha]

    async def commit_info(self, sha: str) -> CommitInfo:
        """Author, date and subject of a commit."""
        if not is_object_id(sha):
            raise SourceError(f"{self.name}: {printable(sha)!r} is not a full commit id")
        return await read_commit(self._git, sha)

    async def annotated_tag(self, revision: str) -> AnnotatedTag | None:
        """The annotated tag that a revision names; None where it names something else."""
        revision = revision or "HEAD"
        if revision == "HEAD" or is_object_id(revision) or is_expression(revision):
            return None
        candidates = ref_candidates(checked_revision(revision, self.name))
        found = await self._refs(*candidates)
        ref = next((one for one in candidates if one in found), "")
        if not ref.startswith(TAGS):
            return None
        kind = await self._git.run("cat-file", "-t", found[ref])
        name = ref.removeprefix(TAGS)
        return AnnotatedTag(name, found[ref]) if kind.strip() == b"tag" else None

    async def objects(self, ids: Sequence[str]) -> Mapping[str, GitObject]:
        """Some objects by their full ids, as stored; those that are not there are left out."""
        return await read_objects(self._git, ids)

    async def ancestors(self, sha: str, limit: int) -> Sequence[str]:
        """Commits from `sha` back, each before all of its parents, at most `limit`."""
        return await list_ancestors(self._git, sha, limit)

    async def additions(self, sha: str, limit: int) -> Sequence[Addition]:
        """The files that each of the newest commits added, from `sha` back."""
        return await list_additions(self._git, sha, limit)

    async def is_cut(self) -> bool:
        """Whether the checkout is shallow: its oldest commits have parents that it lacks."""
        output = await self._git.run("rev-parse", "--is-shallow-repository")
        return output.strip() != b"false"

    async def remotes(self) -> list[str]:
        """The URLs of the repository's remotes, `origin` first."""
        try:
            output = await self._git.run(
                "config", "--local", "-z", "--get-regexp", r"^remote\..*\.url$"
            )
        except GitFailed:
            return []  # git says "none configured" with exit code 1
        pairs = [entry.partition("\n") for entry in output.decode("utf-8", "replace").split("\0")]
        remotes = [(key != "remote.origin.url", url) for key, _, url in pairs if url]
        return [url for _, url in sorted(remotes, key=lambda pair: pair[0])]

    async def uncommitted(self, beside: Iterable[Path] = ()) -> bool:
        """Whether the checkout has changed or untracked files that a commit would not have.

        Files and folders of `beside` do not count, wherever they lie.
        """
        top = self._git.work_tree
        if top is None:
            return False
        left_out = [f":(exclude,top,literal){path}" for path in _inside(top, beside)]
        try:
            output = await self._git.run(
                "status", "--porcelain", "-z", "--no-renames", "--ignore-submodules=all",
                "--untracked-files=normal", "--", *((":(top)", *left_out) if left_out else ()),
                enough=lambda chunk: bool(chunk), config=await self._filters_off(),
            )  # fmt: skip
        except OutputLimit:
            return True
        return bool(output)

    async def work_tree(self) -> tuple[Tree, str]:
        """The files as they lie in the checkout, ignored ones left out, and their revision.

        The revision is `<HEAD's id>-dirty`, HEAD's id alone when nothing differs.
        """
        top = self._git.work_tree
        if top is None:
            raise SourceError(f"{self.name}: a bare repository has no work tree")
        listing = await self._git.run(
            "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--full-name",
            config=await self._filters_off(), limit=64 * MIB,
        )  # fmt: skip
        names = sorted(set(listing.split(b"\0")) - {b""})
        if len(names) > self._limits.files:
            raise too_many_files(self.name, self._limits)
        paths = [checked_path(name.rstrip(b"/")) for name in names]
        tree = await asyncio.to_thread(_read_files, top, paths, self._limits, self.name)
        head = await self.resolve("HEAD")
        return tree, f"{head}-dirty" if await self.uncommitted() else head

    async def _filters_off(self) -> dict[str, str]:
        """Settings that empty every content filter, so comparing files starts no program."""
        try:
            output = await self._git.run(
                "config", "-z", "--name-only", "--get-regexp",
                r"^filter\..*\.(clean|smudge|process|required)$",
            )  # fmt: skip
        except GitFailed:
            return {}
        keys = [key for key in output.decode("utf-8", "replace").split("\0") if key]
        return {key: "false" if key.endswith(".required") else "" for key in keys}


def _inside(top: Path, paths: Iterable[Path]) -> Iterator[str]:
    """Those of some paths that lie in a folder, as seen from it; links, and what they lead to."""
    for path in paths:
        named = path.expanduser().absolute()
        for place in dict.fromkeys((named.parent.resolve() / named.name, named.resolve())):
            if place != top and place.is_relative_to(top):
                yield place.relative_to(top).as_posix()


def _is_bare(folder: Path) -> bool:
    return all((folder / part).exists() for part in ("HEAD", "objects", "refs"))


def _git_dir_of(folder: Path) -> Path | None:
    """The repository of a checkout: `.git` itself, or where a linked work tree's file points."""
    dot_git = folder / ".git"
    if dot_git.is_dir():
        return dot_git if _is_bare(dot_git) else None
    if not dot_git.is_file():
        return None
    text = dot_git.read_bytes()[:4096].decode("utf-8", "replace").strip()
    if not text.startswith("gitdir: "):
        return None
    git_dir = (folder / text.removeprefix("gitdir: ")).resolve()
    return git_dir if (git_dir / "HEAD").exists() else None


def _read_files(top: Path, paths: list[str], limits: TreeLimits, name: str) -> Tree:
    """Reads files below `top` without ever following a symbolic link."""
    files: dict[str, bytes] = {}
    links: dict[str, str] = {}
    submodules: list[str] = []
    folders: dict[str, bool] = {"": True}
    total = 0
    digest = hashlib.sha256()
    for path in paths:
        if not _is_real_folder(top, path.rpartition("/")[0], folders):
            continue
        full = top / path
        try:
            status = full.lstat()
            mode = status.st_mode
            if total + status.st_size > limits.size and stat.S_ISREG(mode):
                raise too_large(name, limits, path)
            if stat.S_ISLNK(mode):
                content = os.readlink(os.fsencode(full))
                links[path] = content.decode("utf-8", "surrogateescape")
            elif stat.S_ISREG(mode):
                content = _read_file(full)
                files[path] = content
            else:
                if stat.S_ISDIR(mode):
                    submodules.append(path)
                continue
        except FileNotFoundError:
            continue  # deleted in the work tree
        except OSError as error:
            raise SourceError(f"{name}: cannot read {printable(path)}: {error.strerror}") from None
        total += len(content)
        kind = "link" if path in links else "file"
        digest.update(f"{kind} {len(path.encode())} {len(content)}\n{path}\n".encode())
        digest.update(content)
    tree_id = f"worktree-{digest.hexdigest()}"
    return Tree(tree_id, files, link_targets(links), tuple(submodules))


def _read_file(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def _is_real_folder(top: Path, folder: str, known: dict[str, bool]) -> bool:
    """Whether `folder` and all above it up to `top` are folders, not links to elsewhere."""
    if folder not in known:
        parent = folder.rpartition("/")[0]
        full = top / folder
        known[folder] = (
            _is_real_folder(top, parent, known) and full.is_dir() and not full.is_symlink()
        )
    return known[folder]


def is_expression(revision: str) -> bool:
    """Whether a revision is the way back from another one, which only people write."""
    return _ANCESTOR.match(revision) is not None
