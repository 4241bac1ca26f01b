"""What one look is asked to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from driftd.controller.waiting import DEADLINE
from driftd.model.application import Application


@dataclass(frozen=True, slots=True)
class AuditSource:
    """An audit log file and the cluster that it is of."""

    path: Path
    cluster: str = ""
    """Empty for the only one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """The choices of a look; each but `values` has a flag of `check`, a setting of `run`."""

    repo: Path | None = None
    """The checkout that declares the Applications; None for the current folder."""
    repo_map: Mapping[str, Path] = field(default_factory=dict)
    """repoURL to the checkout that stands for it."""
    revision: str | None = None
    """What `HEAD` of the first checkout means."""
    worktree: bool = False
    """Read the files as they lie on disk."""
    fetch: bool = False
    """Fetch Git repositories that have no checkout."""
    access_file: Path | None = None
    """A settings file whose `repositoryAccess` says how repositories are reached."""
    kubeconfig: Path | None = None
    context: str | None = None
    """Context of the own cluster (`https://kubernetes.default.svc`)."""
    cluster_map: Mapping[str, str] = field(default_factory=dict)
    """Destination server or name to context."""
    hub: str | None = None
    """Context of the cluster that Argo CD runs in."""
    argocd_namespace: str = "argocd"
    namespace: str | None = None
    """Only Applications of this namespace."""
    applications: tuple[str, ...] = ()
    """Names or globs, `name` or `namespace/name`; empty for all."""
    timeout: float = 60.0
    """Seconds that one request to a cluster may take."""
    concurrency: int = 8
    """Lists under way at a time per cluster."""
    baselines: tuple[Path, ...] = ()
    """Files of findings that are accepted for a while."""
    suppressions: tuple[Path, ...] = ()
    """Files of places whose changes are not told for a while."""
    severity: Path | None = None
    """File of severity rules that come before the shipped ones."""
    hash_key_file: Path | None = None
    """Holds the key that the values of baselines are hashed with."""
    values: bool = False
    """Look for the values of charts that decide what differs; it costs renderings."""
    oracle: str = ""
    """The dry run by which clusters are asked (`post`, `put` or `apply`); empty for none."""
    keyring: Path | None = None
    """Folder of public keys that signed commits and tags are checked with."""
    config: Path | None = None
    """The daemon's settings, whose silences and healing are told beside what is found."""
    state: Path | None = None
    """The file through which looks know of the looks before them."""
    pending_deadline: float = DEADLINE
    """Seconds that an application which syncs by itself may be behind Git; 0 for any time."""
    audit_logs: tuple[AuditSource, ...] = ()
    """Files that tell who made changes."""
    audit_window: float | None = None
    """Seconds of them that count, back from now; None for all."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files and folders of the choices, which are read as they lie on disk."""
        logs = (one.path for one in self.audit_logs)
        found = (
            *self.baselines, *self.suppressions, *logs, self.severity, self.access_file,
            self.hash_key_file, self.keyring, self.state, self.kubeconfig,
        )  # fmt: skip
        return tuple(path for path in found if path is not None)

    def chooses(self, application: Application) -> bool:
        """Whether the look includes an application."""
        if not self._in_namespace(application):
            return False
        return not self.applications or any(
            _names(pattern, application) for pattern in self.applications
        )

    def unmatched(self, applications: Iterable[Application]) -> tuple[str, ...]:
        """The names and globs that none of the applications has, in their order."""
        there = [one for one in applications if self._in_namespace(one)]
        return tuple(
            pattern
            for pattern in dict.fromkeys(self.applications)
            if not any(_names(pattern, one) for one in there)
        )

    def _in_namespace(self, application: Application) -> bool:
        return self.namespace is None or application.namespace == self.namespace


def _names(pattern: str, application: Application) -> bool:
    return fnmatchcase(application.name, pattern) or fnmatchcase(
        application.qualified_name, pattern
    )
