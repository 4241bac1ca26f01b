"""Remote Git repositories, each reached as the table of accesses says."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import msgspec

from driftd.clock import Clock
from driftd.model.repository import AccessTable, RepositoryAccess
from driftd.model.tree import Tree
from driftd.source.access import (
    CredentialFiles,
    find_access,
    git_origins,
    reach_of,
    share_of,
    trusted_certificate,
)
from driftd.source.egress import Egress, Reach
from driftd.source.githubapp import GitHubTokens
from driftd.source.guard import guarded, unguarded
from driftd.source.lfs import with_lfs
from driftd.source.mirror import GitCredential, GitMirror, Login, MirrorLimits, More
from driftd.source.process import Git
from driftd.source.submodules import with_submodules
from driftd.source.url import RepositoryURL, identity, parse, printable

_Key: TypeAlias = tuple[str, RepositoryAccess | None]


class Remotes:
    """Makes mirrors, one for each repository and login; to be closed at the end.

    Applications of projects that log in differently share nothing that was fetched.
    """

    def __init__(
        self,
        cache: Path,
        egress: Egress,
        clock: Clock,
        table: AccessTable | None = None,
        limits: MirrorLimits | None = None,
    ) -> None:
        """`cache` is the folder for all mirrors."""
        self.table = table or AccessTable()
        self._cache = cache
        self._egress = egress
        self._tokens = GitHubTokens(egress, clock)
        self._limits = limits or MirrorLimits()
        self._files = CredentialFiles()
        self._mirrors: dict[_Key, GitMirror] = {}

    def close(self) -> None:
        """Remove the files of credentials."""
        self._files.close()

    def mirror(self, url: str, project: str = "") -> GitMirror:
        """The repository of a URL, for applications of a project. Raises SourceError."""
        return self._opened(url, project, find_access(self.table, url, "git", project))

    def _opened(self, url: str, project: str, access: RepositoryAccess | None) -> GitMirror:
        key = (identity(url), access)
        if key not in self._mirrors:
            self._mirrors[key] = GitMirror(
                url,
                self._cache,
                credential=self._credential(url, access),
                limits=self._limits,
                share=share_of(access),
                paths=access.paths if access is not None else (),
                more=self._more(url, project, access),
                guard=self._guard,
            )
        return self._mirrors[key]

    async def _guard(self, url: RepositoryURL, reach: Reach) -> tuple[str, ...]:
        """Where git may connect to, by the table of now: what it names may lie on this machine."""
        named = url.origin in git_origins(self.table)
        return await (unguarded if named else guarded)(url, reach)

    def _more(self, url: str, project: str, access: RepositoryAccess | None) -> More | None:
        """What is added to each tree: submodules and files of Git LFS, if they are asked for."""
        if access is None or not (access.submodules or access.lfs):
            return None
        limits = self._limits.tree

        async def more(tree: Tree) -> Tree:
            if access.lfs:
                tree = await with_lfs(
                    tree, url, self._egress, await self._reach(url, access), limits
                )
            if access.submodules:
                reader = Git(printable(url), self._cache)
                tree = await with_submodules(
                    tree, url, reader, lambda inner: self._plain(inner, project), limits
                )
            return tree

        return more

    def _plain(self, url: str, project: str) -> GitMirror:
        """A submodule's repository: as the table says, but with nothing added to its trees."""
        access = find_access(self.table, url, "git", project)
        if access is not None:
            access = msgspec.structs.replace(access, submodules=False, lfs=False, paths=())
        return self._opened(url, project, access)

    async def _reach(self, url: str, access: RepositoryAccess) -> Reach | None:
        """How the server of a repository is talked to beside git; None for ssh."""
        origin = parse(url).origin
        if not origin.startswith("https://"):
            return None
        if access.github_app is not None:
            token = await self._tokens.token(access.github_app, url, access)
            access = msgspec.structs.replace(access, username="x-access-token", password=token)
        return reach_of(origin, access)

    def _credential(self, url: str, access: RepositoryAccess | None) -> GitCredential | Login:
        if access is None:
            ca = trusted_certificate(self.table, url)
            return GitCredential(
                ca_file=self._file(ca), known_hosts_file=self._file(self.table.known_hosts)
            )
        app = access.github_app
        if app is None:
            return self._written(access, access.username, access.password)

        async def login() -> GitCredential:
            token = await self._tokens.token(app, url, access)
            return self._written(access, "x-access-token", token)

        return login

    def _written(self, access: RepositoryAccess, username: str, password: str) -> GitCredential:
        certificate = access.client_certificate
        if certificate:
            certificate = f"{certificate.strip()}\n{access.client_key.strip()}\n"
        return GitCredential(
            username=username,
            password=password,
            bearer_token=access.bearer_token,
            ca_file=self._file(access.ca),
            client_certificate_file=self._file(certificate),
            ssh_key_file=self._file(access.ssh_private_key),
            known_hosts_file=self._file(access.known_hosts),
            insecure=access.insecure,
            proxy=access.proxy,
            no_proxy=access.no_proxy,
        )

    def _file(self, content: str) -> str:
        return self._files.write(content) if content else ""
