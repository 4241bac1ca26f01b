"""A remote repository, read through a bare mirror that holds only the commits asked for."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import shlex
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, TypeVar

import msgspec

from driftd.errors import Disposition, SourceError
from driftd.model.gitobject import AnnotatedTag, GitObject
from driftd.model.tree import Tree
from driftd.source.egress import Reach
from driftd.source.guard import Guard, guarded, pinned_https, pinned_ssh
from driftd.source.objects import (
    CommitInfo,
    TreeLimits,
    is_object_id,
    missing_blobs,
    read_commit,
    read_tree,
)
from driftd.source.process import MIB, Git, GitFailed, OutputLimit
from driftd.source.raw import list_ancestors, read_objects
from driftd.source.revision import TAGS, checked_revision, is_short_id, unknown_revision
from driftd.source.url import RepositoryURL, parse, printable

_KEPT_TREES = 4
_T = TypeVar("_T")
_DAMAGE = (
    ".lock': File exists",
    "corrupt",
    "bad object",
    "missing",
    "unable to read",
    "not a git repository",
    "index-pack died",
    "pack has",
    "inflate",
)
"""What git says of a repository on disk that is not whole."""
_ADVERTISEMENT_BYTES = 16 * MIB


class GitCredential(msgspec.Struct, frozen=True, kw_only=True):
    """How to log in to one origin (scheme, host and port); sent nowhere else, never printed."""

    username: str = ""
    password: str = ""
    """Password or token, for https."""
    bearer_token: str = ""
    """Instead of user name and password, for https."""
    ca_file: str = ""
    """Certificate authorities to trust instead of the system's, for https."""
    client_certificate_file: str = ""
    """Certificate and key that the server asks for, for https."""
    insecure: bool = False
    """Verify neither certificates nor host keys."""
    proxy: str = ""
    no_proxy: str = ""
    ssh_key_file: str = ""
    known_hosts_file: str = ""
    """Instead of the user's own `known_hosts`; host keys are never learnt on first use."""

    def __repr__(self) -> str:
        return f"GitCredential(username={self.username!r})"


Login: TypeAlias = Callable[[], Awaitable[GitCredential]]
"""Gives the credential of the moment, as tokens that end need."""


More: TypeAlias = Callable[[Tree], Awaitable[Tree]]
"""A tree with what it only names: submodules, files of Git LFS."""


class MirrorLimits(msgspec.Struct, frozen=True):
    """What fetching may cost."""

    timeout: float = 120.0
    """Seconds for one fetch."""
    listing_timeout: float = 30.0
    """Seconds for one listing of refs."""
    disk: int = 1024 * MIB
    """Bytes of one mirror."""
    tree: TreeLimits = TreeLimits()


class GitMirror:
    """A remote repository over https or ssh.

    Refs are listed at the remote, then exactly one commit is fetched, without history and
    without blobs that are larger than a tree may be. Objects are verified on arrival.
    """

    def __init__(
        self,
        url: str,
        cache: Path,
        *,
        credential: GitCredential | Login | None = None,
        limits: MirrorLimits | None = None,
        share: str = "",
        paths: Sequence[str] = (),
        more: More | None = None,
        guard: Guard = guarded,
    ) -> None:
        """`cache` is the folder for all mirrors; `credential` may be asked for at each use.

        Mirrors of one URL share what they fetched if `share` is equal: who may read it. Of
        `paths`, if there are any, files are fetched and read alone. `more` adds to each tree.
        `guard` says where git may connect to.
        Raises `SourceError` for a URL not allowed.
        """
        self._url = parse(url)
        self.name = printable(self._url.url)
        self._limits = limits or MirrorLimits()
        digest = hashlib.sha256(f"{self._url.url}\0{share}".encode()).hexdigest()[:32]
        self._path = cache / f"{digest}.git"
        self._paths = tuple(path.strip("/") for path in paths)
        self._more = more
        self._guard = guard
        self._credential = credential or GitCredential()
        self._reader = Git(self.name, self._path)
        self._trees: dict[str, Tree] = {}
        self._busy = asyncio.Lock()

    async def _network(self) -> Git:
        """Git with what it needs to log in, and with nothing of it in an argument."""
        given = self._credential
        credential = given if isinstance(given, GitCredential) else await given()
        reach = Reach(self._url.origin, proxy=credential.proxy, no_proxy=credential.no_proxy)
        addresses = await self._guard(self._url, reach)
        config, environment = _access(self._url, credential, addresses)
        environment["GIT_SSH_VARIANT"] = "ssh"
        return Git(
            self.name,
            self._path,
            protocols="https:ssh",
            config=config,
            environment=environment,
        )

    async def resolve(self, revision: str) -> str:
        """The commit id of HEAD, a tag, a branch or a full commit id, at the remote.

        Raises `SourceError`; short commit ids cannot be resolved at a remote.
        """
        revision = checked_revision(revision, self.name)
        if is_object_id(revision):
            return revision
        names = (
            (revision,)
            if revision == "HEAD" or revision.startswith("refs/")
            else (f"refs/tags/{revision}", f"refs/heads/{revision}")
        )
        asked = [name for known in names for name in (known, f"{known}^{{}}")]
        found = await self._advertised(*asked)
        for name in names:
            # An annotated tag is advertised twice: itself, and with ^{} what it points to.
            if sha := found.get(f"{name}^{{}}") or found.get(name):
                return sha
        if is_short_id(revision):
            raise SourceError(
                f"{self.name}: {revision} is no branch or tag, and a remote does not resolve "
                "abbreviated commit ids",
                hint="give the full commit id",
                reason="UnknownRevision",
            )
        refs = await self._advertised()
        known = [ref for ref in refs if not ref.endswith("^{}")]
        raise unknown_revision(self.name, revision, known, if_new="push it if it is new")

    async def tree(self, sha: str) -> Tree:
        """All files of a commit, fetched if the mirror does not have it yet."""
        tree = await self._with_commit(sha, self._tree)
        return tree if self._more is None else await self._more(tree)

    async def commit_info(self, sha: str) -> CommitInfo:
        """Author, date and subject of a commit, fetched if need be."""
        return await self._with_commit(sha, lambda sha: read_commit(self._reader, sha))

    async def annotated_tag(self, revision: str) -> AnnotatedTag | None:
        """The annotated tag that a revision names, fetched; None where it names something else."""
        revision = revision or "HEAD"
        if revision == "HEAD" or is_object_id(revision):
            return None
        candidates = (revision,) if revision.startswith("refs/") else (f"{TAGS}{revision}",)
        ref = candidates[0]
        # Annotated tags alone are advertised a second time, with what they point to.
        found = await self._advertised(ref, f"{ref}^{{}}")
        if not ref.startswith(TAGS) or f"{ref}^{{}}" not in found or ref not in found:
            return None
        async with self._busy:
            await self._fetch(found[ref], f"refs/driftd-tags/{found[ref]}", depth=1)
        return AnnotatedTag(ref.removeprefix(TAGS), found[ref])

    async def objects(self, ids: Sequence[str]) -> Mapping[str, GitObject]:
        """Some objects that were fetched, as stored; those that are not there are left out."""
        async with self._busy:
            return await read_objects(self._reader, ids)

    async def ancestors(self, sha: str, limit: int) -> Sequence[str]:
        """Commits from `sha` back, each before all of its parents, at most `limit`.

        The history is fetched without files, as far as the server can leave them out.
        """
        async with self._busy:
            await self._fetch(sha, f"refs/driftd/{sha}", depth=limit, filtered="tree:0")
            return await list_ancestors(self._reader, sha, limit)

    async def is_branch(self, name: str) -> bool:
        """Whether a short name means a branch at the remote: a tag of that name comes first."""
        branch, tag = f"refs/heads/{name}", f"{TAGS}{name}"
        found = await self._advertised(branch, tag)
        return branch in found and tag not in found

    async def is_cut(self) -> bool:
        """False: `ancestors` fetches as much of the history as it is asked for."""
        return False

    async def _tree(self, sha: str) -> Tree:
        if sha not in self._trees:
            if self._paths:
                await self._fetch_blobs(sha)
            tree = await read_tree(self._reader, sha, self._limits.tree, self._paths)
            while len(self._trees) >= _KEPT_TREES:
                del self._trees[next(iter(self._trees))]
            self._trees[sha] = tree
        return self._trees[sha]

    async def _with_commit(self, sha: str, read: Callable[[str], Awaitable[_T]]) -> _T:
        if not is_object_id(sha):
            raise SourceError(f"{self.name}: {printable(sha)!r} is not a full commit id")
        async with self._busy:
            try:
                return await self._read(sha, read)
            except SourceError as error:
                # What fails at the remote is explained already.
                local = isinstance(error, GitFailed)
                if not local and not any(words in str(error) for words in _DAMAGE):
                    raise
                # Left by a git that was killed, or by a failing disk: nothing in it is needed.
                await self._discard()
                return await self._read(sha, read)

    async def _read(self, sha: str, read: Callable[[str], Awaitable[_T]]) -> _T:
        if sha not in self._trees:
            await self._ensure(sha)
        return await read(sha)

    async def _ensure(self, sha: str) -> None:
        """Have the commit in the mirror, under a ref of its own so that nothing prunes it."""
        if await asyncio.to_thread(self._size) > self._limits.disk // 2:
            # Old commits are never asked for again: starting over is the cheapest clean-up.
            await self._discard()
        if not (self._path / "HEAD").exists():
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            await self._reader.run(
                "init", "--quiet", "--bare", "--template=", "--", str(self._path)
            )
        kept = f"refs/driftd/{sha}"
        if await self._reader.run("for-each-ref", "--format=%(objectname)", "--", kept):
            return
        await self._fetch(sha, kept, depth=1, filtered="blob:none" if self._paths else "")
        kind = await self._reader.run("cat-file", "-t", sha)
        if kind.strip() != b"commit":
            await self._reader.run("update-ref", "-d", kept)
            raise SourceError(f"{self.name}: {sha} is not a commit", reason="UnknownRevision")

    async def _fetch_blobs(self, sha: str) -> None:
        """Fetch the files that are read and not there yet."""
        lacking = await missing_blobs(self._reader, sha, self._limits.tree, self._paths)
        if not lacking:
            return
        try:
            await (await self._network()).run(
                "fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head",
                "--no-filter", "--stdin", "--end-of-options", self._url.url,
                stdin="\n".join([*lacking, ""]).encode(),
                # Single files are asked for, so there is no history to agree on.
                config={"fetch.negotiationAlgorithm": "noop"},
                timeout=self._limits.timeout, watch=self._over_quota,
            )  # fmt: skip
        except GitFailed as error:
            raise _explained(error, self.name) from None

    async def _fetch(self, oid: str, kept: str, *, depth: int, filtered: str = "") -> None:
        """Fetch one object with `depth` commits, under a ref; what is aborted is thrown away."""
        chosen = filtered or f"blob:limit={self._limits.tree.size}"
        try:
            await (await self._network()).run(
                "fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head",
                f"--depth={depth}", f"--filter={chosen}", "--end-of-options",
                self._url.url, f"+{oid}:{kept}",
                timeout=self._limits.timeout, watch=self._over_quota,
            )  # fmt: skip
        except GitFailed as error:
            raise _explained(error, self.name) from None
        except SourceError:
            await self._discard()  # aborted halfway: no partial pack may stay behind
            raise
        if reason := await asyncio.to_thread(self._over_quota):
            await self._discard()
            raise SourceError(f"{self.name}: {reason}", reason="LimitExceeded")

    async def tags(self) -> list[str]:
        """The names of all tags of the remote, without `refs/tags/`. Raises `SourceError`."""
        return [
            ref.removeprefix(TAGS)
            for ref in await self._advertised()
            if ref.startswith(TAGS) and not ref.endswith("^{}")
        ]

    async def _advertised(self, *patterns: str) -> dict[str, str]:
        """What the remote's refs point to: those of exactly these names, else all."""
        try:
            output = await (await self._network()).run(
                "ls-remote", "--quiet", "--end-of-options", self._url.url, *patterns,
                timeout=self._limits.listing_timeout, limit=_ADVERTISEMENT_BYTES,
            )  # fmt: skip
        except OutputLimit:
            raise SourceError(
                f"{self.name}: the remote has too many refs", reason="LimitExceeded"
            ) from None
        except GitFailed as error:
            raise _explained(error, self.name) from None
        refs: dict[str, str] = {}
        for line in output.decode("utf-8", "replace").splitlines():
            sha, _, name = line.partition("\t")
            if is_object_id(sha) and (not patterns or name in patterns):
                refs[name] = sha
        return refs

    async def _discard(self) -> None:
        await asyncio.to_thread(shutil.rmtree, self._path, ignore_errors=True)

    def _over_quota(self) -> str:
        """Why a fetch has to stop; empty while the mirror is within its disk quota."""
        if self._size() <= self._limits.disk:
            return ""
        return f"the fetch exceeded the disk quota of {self._limits.disk // MIB} MiB"

    def _size(self) -> int:
        """Bytes of the mirror on disk."""
        size = 0
        for folder, _, files in os.walk(self._path):
            for file in files:
                try:
                    size += os.lstat(os.path.join(folder, file)).st_size
                except FileNotFoundError:
                    continue  # git renames its temporary packs
        return size


def _access(
    url: RepositoryURL, credential: GitCredential, addresses: tuple[str, ...]
) -> tuple[dict[str, str], dict[str, str]]:
    """Configuration and environment that carry a credential; nothing of it is in an argument."""
    config = pinned_https(url, addresses) if url.scheme == "https" else {}
    environment: dict[str, str] = {}
    if credential.no_proxy:
        environment["no_proxy"] = environment["NO_PROXY"] = credential.no_proxy
    if url.scheme != "https":
        environment["GIT_SSH_COMMAND"] = shlex.join(
            _ssh(credential, os.environ, pinned_ssh(url, addresses))
        )
        return config, environment
    username = credential.username or url.user
    password = credential.password or url.password
    header = f"http.{url.origin}/.extraHeader"
    if username or password:
        pair = base64.b64encode(f"{username or 'git'}:{password}".encode()).decode()
        config[header] = f"Authorization: Basic {pair}"
    elif credential.bearer_token:
        config[header] = f"Authorization: Bearer {credential.bearer_token}"
    if credential.ca_file:
        config["http.sslCAInfo"] = credential.ca_file
    if credential.client_certificate_file:
        config["http.sslCert"] = config["http.sslKey"] = credential.client_certificate_file
    if credential.insecure:
        config["http.sslVerify"] = "false"
    if credential.proxy:
        config["http.proxy"] = credential.proxy
    return config, environment


def _ssh(
    credential: GitCredential, environment: Mapping[str, str], pinned: Mapping[str, str]
) -> list[str]:
    """The ssh command: no configuration file, known hosts only, never a question."""
    command = ["ssh", "-F", "/dev/null"]
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
        "PermitLocalCommand": "no",
        "ProxyCommand": "none",
        "ForwardAgent": "no",
        "ConnectTimeout": "15",
    }
    known_hosts = credential.known_hosts_file
    if not known_hosts and "HOME" in environment:
        known_hosts = str(Path(environment["HOME"]) / ".ssh" / "known_hosts")
    if credential.insecure:
        options |= {"StrictHostKeyChecking": "no", "UserKnownHostsFile": "/dev/null"}
    elif known_hosts:
        options["UserKnownHostsFile"] = f'"{known_hosts}"'
    if credential.known_hosts_file:
        options["GlobalKnownHostsFile"] = "/dev/null"
    if credential.ssh_key_file:
        options["IdentitiesOnly"] = "yes"
        options["IdentityFile"] = f'"{credential.ssh_key_file}"'
    for name, value in (options | dict(pinned)).items():
        command += ["-o", f"{name}={value}"]
    return command


def _explained(error: GitFailed, name: str) -> SourceError:
    """A failed connection with the remedy."""
    said = str(error)
    remedies = {
        "Authentication failed": "check the credential of this repository",
        "could not read Username": "the repository needs a credential",
        "Permission denied": "check the SSH key of this repository",
        "Host key verification failed": "compare the host's key with what its owner says and add "
        "it to known_hosts (in a hub: argocd-ssh-known-hosts-cm)",
        "certificate": "check the certificate authority of this repository",
        "redirect": "use the URL that the server redirects to",
        "not found": "check the URL, and whether the credential may read it",
    }
    for words, hint in remedies.items():
        if words in said:
            explained = SourceError(said, hint=hint, reason="Unreachable")
            break
    else:
        explained = SourceError(
            said, hint=f"check that {name} can be reached", reason="Unreachable"
        )
        explained.disposition = Disposition.TRANSIENT
    return explained
