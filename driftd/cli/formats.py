"""The `-o` formats of a report on standard output."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

import msgspec
from msgspec import UNSET

from driftd.clock import SystemClock, rfc3339
from driftd.model.report import DiffReport, DriftReport, ResourceReport, ResourceStatus

_GO_NUMBER: Final = re.compile(
    r"[-+]?_*(\.[0-9_]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE]_*[-+]?[0-9_]+)?$"
    r"|[-+]?_*0_*[xXoObB]_*[-+]?[0-9a-fA-F_]+$"
)
_GO_BOOLEAN: Final = re.compile(r"[yYnN]$")
_QUIET = frozenset({ResourceStatus.SYNCED, ResourceStatus.NOT_CHECKED, ResourceStatus.PENDING})


def write_report(
    report: DriftReport | DiffReport,
    flags: Mapping[str, Any],
    *,
    following: Sequence[str] = (),
    doctor: str = "",
) -> None:
    """`report` as `--output`, `--show`, `--no-exit-code` and `--no-color` in `flags` say.

    `following` are the words of the command that people may go on with; only formats for people
    have it. Without `doctor`, the command that says what a look lacks, they are not told what to do
    about what is Unknown either.
    """
    if flags["output"] not in {"table", "wide", "plain", "name"}:
        as_utf8()
    if flags["output"] == "json":
        write_json(report)
    elif flags["output"] == "yaml":
        write_yaml(report)
    elif flags["output"] == "name":
        write_names(report)
    elif flags["output"] == "plain":
        from driftd.cli.plain import plain
        from driftd.cli.terminal import in_ascii

        show = frozenset(flags["show"])
        report_drift = not flags["no_exit_code"]
        for line in plain(
            report, show=show, report_drift=report_drift, following=following, doctor=doctor
        ):
            sys.stdout.write(f"{in_ascii(line)}\n")
    elif flags["output"] == "junit":
        from driftd.cli.junit import junit

        sys.stdout.write(junit(report))
    elif flags["output"] == "sarif":
        from driftd.cli.sarif import sarif

        sys.stdout.write(sarif(report, show=frozenset(flags["show"])))
    elif flags["output"] == "github":
        from driftd.cli.github import github

        sys.stdout.write(github(report, repository=os.environ.get("GITHUB_REPOSITORY", "")))
    elif flags["output"] == "markdown":
        from driftd.cli.markdown import markdown

        sys.stdout.write(markdown(report))
    else:
        _write_table(report, flags, following, doctor)


def as_utf8() -> None:
    """Write for programs in UTF-8 whatever the locale: their formats are defined so."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")


def _write_table(
    report: DriftReport | DiffReport,
    flags: Mapping[str, Any],
    following: Sequence[str],
    doctor: str,
) -> None:
    from driftd.cli.order import OPTIONAL_SECTIONS
    from driftd.cli.table import View, print_diff, print_report
    from driftd.cli.terminal import console_for

    view = View(
        show=frozenset(flags["show"]),
        names=set(flags["show"]) >= set(OPTIONAL_SECTIONS),
        wide=flags["output"] == "wide",
        report_drift=not flags["no_exit_code"],
        following=tuple(following),
        doctor=doctor,
    )
    console = console_for(sys.stdout, color=not flags["no_color"])
    if isinstance(report, DriftReport):
        print_report(console, report, view)
    else:
        print_diff(console, report, view, now=rfc3339(SystemClock().now()))


def write_json(value: Any) -> None:
    """`value` (a msgspec type or JSON value) as indented JSON."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2)
    sys.stdout.write(text.decode() + "\n")


def write_yaml(value: Any) -> None:
    """`value` as one YAML document, keys in the order of the types."""
    import yaml

    plain = msgspec.to_builtins(value)
    yaml.dump(plain, sys.stdout, Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=100)


@cache
def _dumper() -> Any:
    """Writes texts in quotes that kubectl, Argo CD and Flux would read as something else.

    PyYAML quotes what YAML 1.1 calls a number or boolean. go-yaml, which they use, goes further:
    `08`, `1e3` (a commit may look so), `0o17` and `y` are no texts to it (its `resolve.go`).
    """
    import yaml

    base = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    dumper: Any = type("Dumper", (base,), {})
    dumper.add_implicit_resolver("tag:yaml.org,2002:float", _GO_NUMBER, list("+-.0123456789"))
    dumper.add_implicit_resolver("tag:yaml.org,2002:bool", _GO_BOOLEAN, list("yYnN"))
    return dumper


def write_names(report: DriftReport | DiffReport) -> None:
    """One line for each object that is not fine: `STATUS APPLICATION/KIND.GROUP/[NAMESPACE/]NAME`.

    An application that is Unknown as a whole is named alone; `driftd diff` has no application.
    Conditions, and why objects are Unknown, go to standard error.
    """
    from driftd.cli.conditions import tell_report
    from driftd.cli.terminal import printable

    for line in _names(report):
        sys.stdout.write(printable(line) + "\n")
    sys.stdout.flush()
    tell_report(report)


def _names(report: DriftReport | DiffReport) -> Iterator[str]:
    if isinstance(report, DiffReport):
        for resource in filter(_counts, report.resources):
            yield f"{resource.status} {_name(resource)}"
        return
    for app in report.applications:
        listed = [resource for resource in app.resources if _counts(resource)]
        if not listed and not app.complete:
            yield f"{app.status} {app.name}"
        for resource in listed:
            yield f"{resource.status} {app.name}/{_name(resource)}"


def _counts(resource: ResourceReport) -> bool:
    return resource.status not in _QUIET and resource.ignored_by is UNSET


def _name(resource: ResourceReport) -> str:
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    place = f"{resource.namespace}/" if resource.namespace else ""
    return f"{kind.lower()}/{place}{resource.name}"
