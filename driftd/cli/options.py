"""Flags that several commands share; each one can be set by `DRIFTD_<FLAG>` too."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from driftd.cli import completing

Command = TypeVar("Command", bound=Callable[..., Any])

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")


class Duration(click.ParamType[float]):
    """Seconds: a number, or hours, minutes and seconds as in `1m30s`."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse `value`; zero and nonsense are usage errors."""
        if isinstance(value, int | float):
            return float(value)
        match = _DURATION.fullmatch(value)
        parts = [float(part or 0) for part in match.groups()] if match else []
        seconds = sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))
        if seconds <= 0:
            self.fail(f"{value!r} is not a duration such as 30s, 2m or 1m30s", param, ctx)
        return seconds


class Sections(click.ParamType[tuple[str, ...]]):
    """Names of report sections, separated by commas."""

    name = "sections"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Check each name; `all` stands for every section."""
        from driftd.cli.order import OPTIONAL_SECTIONS

        if isinstance(value, tuple):
            return value
        names = [name.strip() for name in value.split(",") if name.strip()]
        unknown = [name for name in names if name not in (*OPTIONAL_SECTIONS, "all")]
        if unknown or not names:
            known = ", ".join((*OPTIONAL_SECTIONS, "all"))
            self.fail(f"{value!r}: choose from {known}", param, ctx)
        return OPTIONAL_SECTIONS if "all" in names else tuple(names)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The sections that begin so; after a comma those that were not named yet."""
        from driftd.cli.order import OPTIONAL_SECTIONS

        before, comma, start = incomplete.rpartition(",")
        named = before.split(",")
        return [
            CompletionItem(f"{before}{comma}{name}")
            for name in (*OPTIONAL_SECTIONS, "all")
            if name.startswith(start) and name not in named
        ]


def flag(*names: str, **attributes: Any) -> Callable[[Command], Command]:
    """A click option that `DRIFTD_<LONG NAME>` sets too."""
    long = next(name for name in names if name.startswith("--"))
    variable = "DRIFTD_" + long.split("/")[0].removeprefix("--").replace("-", "_").upper()
    return click.option(*names, envvar=variable, **attributes)


def pairs(values: tuple[str, ...], *, option: str, shape: str) -> dict[str, str]:
    """`KEY=VALUE` arguments as a mapping; the last `=` separates, since URLs may hold some.

    Raises `click.BadParameter` for an argument without both sides.
    """
    mapping = {}
    for value in values:
        key, equals, target = value.rpartition("=")
        if not (equals and key and target):
            raise click.BadParameter(f"{value!r} is not {shape}", param_hint=f"'{option}'")
        mapping[key] = target
    return mapping


def repositories(values: tuple[str, ...]) -> tuple[Path | None, dict[str, Path]]:
    """What `--repo PATH` and `--repo URL=PATH` say: the checkout, and the checkout of each URL.

    Raises `click.BadParameter` for two checkouts without URL and for folders that do not exist.
    """
    checkout: Path | None = None
    mapping: dict[str, Path] = {}
    for value in values:
        if "=" not in value or Path(value).is_dir():
            if checkout is not None:
                raise click.BadParameter(
                    f"{value!r} is a second checkout without URL; name it as URL=PATH",
                    param_hint="'--repo'",
                )
            checkout = _folder(value)
            continue
        for url, path in pairs((value,), option="--repo", shape="PATH or URL=PATH").items():
            mapping[url] = _folder(path)
    return checkout, mapping


def _folder(path: str) -> Path:
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise click.BadParameter(f"{path!r} is not a folder", param_hint="'--repo'")
    return folder


_REPOSITORY_FLAGS = (
    flag(
        "--repo",
        multiple=True,
        metavar="PATH|URL=PATH",
        help="Git checkout that declares the applications (default: the current folder); "
        "URL=PATH reads that repository from PATH. Repeatable.",
    ),
    flag(
        "--revision",
        metavar="REV",
        help="Commit, tag or branch to read instead of the checkout's HEAD.",
    ),
    flag(
        "--fetch/--no-fetch",
        default=False,
        help="Fetch Git repositories of sources that no checkout is known for.",
    ),
    flag(
        "--access-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Settings file whose repositoryAccess says how private repositories of Git, Helm "
        "and OCI are reached.",
    ),
    flag(
        "--worktree/--no-worktree",
        default=False,
        help="Read the files as they are on disk, uncommitted changes included.",
    ),
    flag(
        "--keyring",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="FOLDER",
        help="Public keys (GPG: *.asc, *.gpg; SSH: allowed_signers) for the signatures of commits "
        "and tags that AppProjects demand, beside those of the hub.",
    ),
)
_CLUSTER_FLAGS = (
    flag(
        "--kubeconfig",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Kubeconfig file (default: KUBECONFIG, then ~/.kube/config).",
    ),
    flag(
        "--context",
        metavar="CONTEXT",
        shell_complete=completing.context_names,
        help="Kubeconfig context of the cluster that Argo CD runs in: what the destination "
        "https://kubernetes.default.svc means.",
    ),
    flag(
        "--cluster",
        multiple=True,
        metavar="SERVER|NAME=CONTEXT",
        shell_complete=completing.context_names,
        help="Read the destination SERVER or NAME through this kubeconfig context. Repeatable.",
    ),
    flag(
        "--hub",
        metavar="CONTEXT",
        shell_complete=completing.context_names,
        help="Read live Applications and cluster Secrets of the Argo CD in this context.",
    ),
    flag(
        "--argocd-namespace",
        default="argocd",
        show_default=True,
        metavar="NAMESPACE",
        help="Argo CD's own namespace.",
    ),
    flag(
        "-n",
        "--namespace",
        metavar="NAMESPACE",
        help="Only Applications of this namespace (default: all).",
    ),
)
_RUN_FLAGS = (
    flag(
        "--timeout",
        type=Duration(),
        default="60s",
        show_default=True,
        metavar="DURATION",
        help="Longest wait for one cluster.",
    ),
    flag(
        "--concurrency",
        type=click.IntRange(min=1),
        default=8,
        show_default=True,
        metavar="N",
        help="Requests that one cluster gets at the same time, at most.",
    ),
)


def _hide(context: click.Context, _flag: click.Parameter, entries: tuple[str, ...]) -> None:
    from driftd.errors import ConfigError
    from driftd.model import sensitive

    try:
        sensitive.use(entries)
    except ConfigError as error:
        raise click.BadParameter(error.message) from None
    context.meta["driftd.sensitive"] = entries


_OUTPUT_FLAGS = (
    flag(
        "--sensitive",
        multiple=True,
        metavar="KIND:PATH",
        callback=_hide,
        expose_value=False,
        help="Mask values at this place too, as those of Secrets: ConfigMap:data.password, "
        "GROUP/KIND:PATH, globs allowed. Repeatable.",
    ),
    flag("--no-color", is_flag=True, help="No colours (NO_COLOR works too)."),
    flag("-q", "--quiet", is_flag=True, help="No notes and no progress on standard error."),
    flag("-v", "--verbose", is_flag=True, help="Progress on standard error, a line for each step."),
)


def _all(flags: tuple[Callable[[Any], Any], ...], command: Command) -> Command:
    for decorate in reversed(flags):
        command = decorate(command)
    return command


def repository_flags(command: Command) -> Command:
    """`--repo`, `--revision`, `--worktree`, `--keyring`."""
    return _all(_REPOSITORY_FLAGS, command)


def cluster_flags(command: Command) -> Command:
    """`--kubeconfig`, `--context`, `--cluster`, `--hub`, `--argocd-namespace`, `--namespace`."""
    return _all((*_CLUSTER_FLAGS, *_RUN_FLAGS), command)


def output_flags(command: Command) -> Command:
    """`--no-color`, `--quiet`, `--verbose`."""
    return _all(_OUTPUT_FLAGS, command)


def output_format(*formats: str) -> Callable[[Command], Command]:
    """`-o`; the first of `formats` is the default."""
    return flag(
        "-o",
        "--output",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="Format of standard output.",
    )


report_flags = (
    output_format(
        "table", "wide", "plain", "json", "yaml", "name", "markdown", "junit", "sarif", "github"
    ),
    flag(
        "--show",
        type=Sections(),
        default=(),
        metavar="SECTIONS",
        help="Also print what is not drift, separated by commas: review, injected, rewritten, "
        "pending, ignored, or all, which also lists every name (driftd help classes).",
    ),
    flag("--no-exit-code", is_flag=True, help="Exit 0 instead of 1 when drift is found."),
)

severity_flag = flag(
    "--severity",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Severity rules that come before the shipped ones.",
)

_BASELINE_FLAGS = (
    flag(
        "--baseline",
        multiple=True,
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Do not count findings that this file, written by driftd baseline, accepts. "
        "Repeatable.",
    ),
    flag(
        "--suppressions",
        multiple=True,
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Do not count changes at places, and objects, that this file names; what is critical "
        "counts all the same unless the file says otherwise. Repeatable.",
    ),
    flag(
        "--hash-key-file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="File with the key that values in baselines are hashed with (HMAC-SHA256).",
    ),
)


_AUDIT_FLAGS = (
    flag(
        "--audit-log",
        multiple=True,
        metavar="[CLUSTER=]FILE",
        help="Name the people behind changes from this audit log (JSON lines, EventList, exports "
        "of GKE, EKS and AKS; also .gz). CLUSTER as in the report, where there are several. "
        "Repeatable.",
    ),
    flag(
        "--audit-window",
        type=Duration(),
        metavar="DURATION",
        help="Only audit events of the last DURATION count (default: all).",
    ),
)


def audit_flags(command: Command) -> Command:
    """`--audit-log` and `--audit-window`."""
    return _all(_AUDIT_FLAGS, command)


oracle_flag = flag(
    "--oracle",
    type=click.Choice(("post", "put", "apply")),
    help="Also ask each cluster what it would make of Git's manifests, by dry runs: post creates "
    "them under other names, put replaces, apply is a server-side apply. Tells the values that "
    "overridden defaults had and what admission makes. Stores nothing, but takes the rights of "
    "the real write: create, update or patch on every declared kind.",
)


def audit_options(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The flags of audit logs as fields of `CheckOptions`; those given.

    Raises `click.BadParameter` for files that do not exist.
    """
    from driftd.controller.options import AuditSource

    sources = []
    for value in flags["audit_log"]:
        cluster, equals, path = ("", "", value) if Path(value).exists() else value.partition("=")
        if equals and not cluster:
            raise click.BadParameter(
                f"{value!r} is not FILE or CLUSTER=FILE", param_hint="'--audit-log'"
            )
        file = Path(path if equals else value).expanduser()
        if not file.is_file():
            raise click.BadParameter(f"{str(file)!r} is not a file", param_hint="'--audit-log'")
        sources.append(AuditSource(file, cluster if equals else ""))
    fields = {"audit_logs": tuple(sources), "audit_window": flags["audit_window"]}
    return {name: value for name, value in fields.items() if value}


def baseline_flags(command: Command) -> Command:
    """`--baseline`, `--suppressions`, `--hash-key-file` and `--severity`."""
    return _all((*_BASELINE_FLAGS, severity_flag), command)


def daemon_flags(command: Command) -> Command:
    """`--baseline`, `--suppressions` and `--severity` of the daemon, beside its settings."""
    return _all((*_BASELINE_FLAGS[:2], severity_flag), command)


state_flag = flag(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File in which looks remember what they saw: finds what only a comparison with the last "
    "look can tell. Made by the first look (driftd help state).",
)


config_flag = flag(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Settings of the daemon (driftd run): tells what its silences, its healing and its store "
    "have to say about this. The store is only read.",
)


pending_flag = flag(
    "--pending-deadline",
    type=Duration(),
    default="1h",
    show_default=True,
    metavar="DURATION",
    help="With --state: how long Git may be ahead of an application that syncs by itself before "
    "that is drift.",
)


def baseline_options(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The flags of `baseline_flags` as fields of `CheckOptions`; those given."""
    fields = {
        "baselines": tuple(flags["baseline"]),
        "suppressions": tuple(flags["suppressions"]),
        "hash_key_file": flags["hash_key_file"],
        "severity": flags["severity"],
        "state": flags.get("state"),
        "config": flags.get("config"),
        "pending_deadline": flags.get("pending_deadline"),
    }
    return {name: value for name, value in fields.items() if value}


def report_output(command: Command) -> Command:
    """`-o`, `--show`, `--no-exit-code` and the common output flags."""
    return _all((*report_flags, *_OUTPUT_FLAGS), command)


def applications(arguments: tuple[str, ...], option: tuple[str, ...]) -> tuple[str, ...]:
    """Names and globs of applications from positional arguments and `--app`, without repeats."""
    return tuple(dict.fromkeys((*arguments, *option)))


def look_options(flags: Mapping[str, Any], *, names: tuple[str, ...] = ()) -> dict[str, Any]:
    """The flags of repository and cluster as the fields of the controller's `CheckOptions`.

    Raises `click.UsageError` for flags that contradict each other or cannot be understood.
    """
    if flags["worktree"] and flags["revision"]:
        raise click.UsageError(
            "--worktree reads the files on disk and --revision a commit: give one of them",
            ctx=click.get_current_context(silent=True),
        )
    checkout, repo_map = repositories(flags["repo"])
    clusters = pairs(flags["cluster"], option="--cluster", shape="SERVER=CONTEXT or NAME=CONTEXT")
    return {
        "repo": checkout,
        "repo_map": repo_map,
        "revision": flags["revision"],
        "worktree": flags["worktree"],
        "fetch": flags["fetch"],
        "access_file": flags["access_file"],
        "keyring": flags["keyring"],
        "kubeconfig": flags["kubeconfig"],
        "context": flags["context"],
        "cluster_map": clusters,
        "hub": flags["hub"],
        "argocd_namespace": flags["argocd_namespace"],
        "namespace": flags["namespace"],
        "applications": names,
        "timeout": flags["timeout"],
        "concurrency": flags["concurrency"],
    }
