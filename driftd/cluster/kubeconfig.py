"""Kubeconfig files, found and merged as kubectl does."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from driftd.cluster.access import ClusterAccess
from driftd.errors import ConfigError
from driftd.model.choices import listed, nearest

DEFAULT_PATH = Path(".kube") / "config"
PATH_FIELDS = {
    "cluster": ("certificate-authority",),
    "user": ("client-certificate", "client-key", "tokenFile"),
}
OTHER_FILE = "name the right kubeconfig with --kubeconfig or KUBECONFIG"
"""The remedy for a file that cannot be used."""


class KubeContext(msgspec.Struct, frozen=True):
    """One context, with the server it leads to."""

    name: str
    cluster: str
    server: str
    namespace: str = ""
    user: str = ""


class Kubeconfig(msgspec.Struct, frozen=True):
    """The merged configuration; printing it shows no credential."""

    files: tuple[str, ...] = ()
    """The files that were looked for, in order; the first one to set a name wins."""
    found: bool = False
    """Whether any of them is there."""
    contexts: tuple[KubeContext, ...] = ()
    current_context: str = ""
    clusters: dict[str, dict[str, Any]] = {}
    users: dict[str, dict[str, Any]] = {}

    def __repr__(self) -> str:
        return f"Kubeconfig(files={self.files}, contexts={[c.name for c in self.contexts]})"

    def __rich_repr__(self) -> Any:
        yield "files", self.files

    def context(self, name: str = "") -> KubeContext:
        """The context `name`, by default the current one.

        Raises ConfigError naming the files and the contexts that exist.
        """
        wanted = name or self.current_context
        if self.problem:
            raise ConfigError(self.problem, hint=OTHER_FILE)
        where = ", ".join(self.files)
        if not wanted:
            raise ConfigError(
                f"kubeconfig ({where}) has no current-context",
                hint=f"name one with --context; {available(self.contexts)}",
            )
        for context in self.contexts:
            if context.name == wanted:
                return context
        raise ConfigError(
            f"context {wanted!r} does not exist in kubeconfig ({where})",
            hint=nearest(self._names, wanted) + available(self.contexts, wanted),
        )

    def require(self, name: str, flag: str) -> None:
        """Raise ConfigError unless there is a context `name`; `flag` is what asks for it."""
        if self.problem:
            raise ConfigError(f"{flag}: {self.problem}", hint=OTHER_FILE)
        if name in self._names:
            return
        raise ConfigError(
            f"{flag}: there is no context {name!r} in kubeconfig ({', '.join(self.files)})",
            reason="UnknownCluster",
            hint=nearest(self._names, name) + available(self.contexts, name),
        )

    @property
    def _names(self) -> list[str]:
        return [context.name for context in self.contexts]

    @property
    def problem(self) -> str:
        """Why there is no context at all; empty if there is one."""
        if self.contexts:
            return ""
        where = ", ".join(self.files) or "nowhere"
        if not self.found:
            return f"there is no kubeconfig (looked for {where})"
        return f"kubeconfig ({where}) has no contexts"

    def access(self, name: str = "") -> ClusterAccess:
        """Server and credentials of a context, by default the current one."""
        context = self.context(name)
        origin = f"kubeconfig ({', '.join(self.files)})"
        cluster = self.clusters.get(context.cluster)
        if cluster is None or not context.server:
            raise ConfigError(
                f"context {context.name!r}: {origin} has no server for its "
                f"cluster {context.cluster!r}",
                hint="add the cluster entry",
            )
        if context.user and context.user not in self.users:
            raise ConfigError(
                f"context {context.name!r}: {origin} has no user {context.user!r}",
                hint="add the user entry",
            )
        return ClusterAccess(
            name=context.name,
            server=context.server,
            cluster=cluster,
            user=self.users.get(context.user, {}),
            origin=f"{origin}, user {context.user!r}",
        )


def available(contexts: Iterable[KubeContext], wanted: str = "") -> str:
    """The contexts that there are, those named like `wanted` first, as a remedy."""
    return f"available contexts: {listed((one.name for one in contexts), wanted)}"


def load_kubeconfig(path: str = "", environ: Mapping[str, str] | None = None) -> Kubeconfig:
    """Read `path`, else every file of `KUBECONFIG`, else `~/.kube/config`.

    As with kubectl a missing file is an error only if it was named by `path`. Raises
    ConfigError naming the file that cannot be read.
    """
    environ = os.environ if environ is None else environ
    if path:
        files = [Path(path).expanduser()]
        if not files[0].is_file():
            raise ConfigError(
                f"kubeconfig {path} does not exist",
                hint="correct --kubeconfig, or clusters.kubeconfig in the settings of driftd run",
            )
    elif environ.get("KUBECONFIG"):
        files = [Path(part) for part in environ["KUBECONFIG"].split(os.pathsep) if part]
    else:
        files = [Path(environ.get("HOME") or Path.home()) / DEFAULT_PATH]
    documents = [(file, _read(file)) for file in files if _is_there(file)]
    return merge(documents, looked_for=[str(file) for file in files])


def merge(
    documents: Sequence[tuple[Path, Mapping[str, Any]]], *, looked_for: Iterable[str] = ()
) -> Kubeconfig:
    """Merge parsed files: the first to set a name or the current context wins."""
    entries: dict[str, dict[str, dict[str, Any]]] = {"cluster": {}, "user": {}, "context": {}}
    current = ""
    for file, document in documents:
        current = current or str(document.get("current-context") or "")
        for kind, merged in entries.items():
            for name, entry in _named(document, kind, file):
                merged.setdefault(name, _absolute(kind, entry, file))
    return Kubeconfig(
        files=tuple(looked_for),
        found=bool(documents),
        contexts=tuple(
            KubeContext(
                name=name,
                cluster=str(entry.get("cluster") or ""),
                server=_server(entries["cluster"].get(str(entry.get("cluster") or ""), {})),
                namespace=str(entry.get("namespace") or ""),
                user=str(entry.get("user") or ""),
            )
            for name, entry in entries["context"].items()
        ),
        current_context=current,
        clusters=entries["cluster"],
        users=entries["user"],
    )


def _server(cluster: Mapping[str, Any]) -> str:
    return str(cluster.get("server") or "").rstrip("/")


def _is_there(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError:
        return True  # in a folder that may not be searched: reading it says so


def _read(file: Path) -> Mapping[str, Any]:
    import yaml

    # Each cluster reads it anew, and the file of a fleet is long: libyaml is ten times as fast.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        document = yaml.load(file.read_text(), Loader=loader)  # noqa: S506 - a safe one
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        raise ConfigError(f"kubeconfig {file} cannot be read: {why}", hint=OTHER_FILE) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"kubeconfig {file} is not UTF-8 text", hint=OTHER_FILE) from error
    except yaml.YAMLError as error:
        # The parser quotes the line, which may hold a token: only its number is told.
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark is not None else ""
        raise ConfigError(
            f"kubeconfig {file} is not valid YAML{line}", hint=f"correct it, or {OTHER_FILE}"
        ) from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError(f"kubeconfig {file} is not a mapping", hint=OTHER_FILE)
    return document


def _named(
    document: Mapping[str, Any], kind: str, file: Path
) -> Iterable[tuple[str, dict[str, Any]]]:
    """The entries of `clusters`, `users` or `contexts`."""
    for item in document.get(f"{kind}s") or ():
        name = item.get("name") if isinstance(item, dict) else None
        entry = (item.get(kind) or {}) if isinstance(item, dict) else None
        if name is None or not isinstance(entry, dict):
            raise ConfigError(
                f"kubeconfig {file}: an entry of {kind}s lacks its name or {kind}",
                hint=f"correct it, or {OTHER_FILE}",
            )
        yield str(name), entry


def _absolute(kind: str, entry: dict[str, Any], file: Path) -> dict[str, Any]:
    """Paths in a kubeconfig are relative to the folder of the file that has them."""
    folder = file.absolute().parent
    result = dict(entry)
    for field in PATH_FIELDS.get(kind, ()):
        if result.get(field):
            result[field] = str(folder / str(result[field]))
    plugin = result.get("exec") if kind == "user" else None
    if isinstance(plugin, dict) and os.sep in str(plugin.get("command") or ""):
        result["exec"] = {**plugin, "command": str(folder / str(plugin["command"]))}
    return result
