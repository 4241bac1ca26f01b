"""What to do after a look that found drift: `driftd explain` of it, and what mends Unknowns."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence

import click
from click.core import ParameterSource
from msgspec import UNSET

from driftd.cli import order
from driftd.cli.findings import one_line
from driftd.cli.terminal import printable
from driftd.model.condition import Severity
from driftd.model.counts import counted
from driftd.model.remedies import is_of_git, remedy_of
from driftd.model.report import (
    MISNAMED,
    ApplicationReport,
    DriftReport,
    ResourceReport,
    ResourceStatus,
)

LEAD = "what to do: "
UNKNOWN_LEAD = "where Unknown: "
DOCTOR = "driftd doctor"
_INDENT = 4
_OWN = frozenset({"output", "no_color", "quiet", "verbose"})
"""Flags that say how a command prints, which each command is told for itself."""


def next_command(report: DriftReport, context: click.Context) -> tuple[str, ...]:
    """The words of the command that explains the worst finding, each quoted for a shell.

    It has those flags of the look's command line that decide what an explanation sees. Empty
    where nothing has drifted.
    """
    from driftd.cli.commands.explain import explain_command

    for app in order.applications(report.applications):
        for resource in order.resources(app.resources):
            if resource.is_drift and resource.ignored_by is UNSET:
                names = (_application(app, report, context), _object(resource, app))
                # What Git declares may begin like a flag.
                guard = ("--",) if any(name.startswith("-") for name in names) else ()
                words = (*_given(context, explain_command), *guard, *names)
                return ("driftd", "explain", *(printable(shlex.quote(word)) for word in words))
    return ()


def carried_on(context: click.Context) -> dict[str, str]:
    """The flags that the commands which an explanation suggests carry on, by command."""
    from driftd.cli.commands.baseline import baseline_command
    from driftd.cli.commands.doctor import doctor_command
    from driftd.cli.commands.render import render_command

    commands = {
        "driftd baseline": baseline_command,
        DOCTOR: doctor_command,
        "driftd render": render_command,
    }
    found = {
        name: " ".join(printable(shlex.quote(word)) for word in _given(context, command))
        for name, command in commands.items()
    }
    if context.get_parameter_source("kubeconfig") is ParameterSource.COMMANDLINE:
        file = context.params.get("kubeconfig", context.meta.get("driftd.kubeconfig"))
        found["kubectl"] = f"--kubeconfig {printable(shlex.quote(str(file)))}"
    return found


def doctor_command_of(context: click.Context) -> str:
    """The command that says what a look lacks, with the flags of the look that it has too."""
    return f"{DOCTOR} {carried_on(context)[DOCTOR]}".rstrip()


def unknown_step(report: DriftReport, doctor: str) -> str:
    """What to do about the first cause of what is Unknown that says it; empty where nothing is.

    The causes are errors of applications and the reasons of objects, the worst application first.
    `doctor` is the command that says what is lacking where a cause has no remedy.
    """
    causes = list(dict.fromkeys(_causes(report)))
    if not causes:
        return ""
    name, text = next((one for one in causes if remedy_of(one[1])[1]), causes[0])
    remedy = remedy_of(text)[1]
    if not remedy:
        remedy = "correct that in Git" if is_of_git(text) else f"{doctor} says what is lacking"
    others = len({text for _, text in causes}) - 1
    more = f" ({counted(others, 'other cause')} above)" if others else ""
    return printable(f"{name}: {one_line(remedy)}{more}")


def _causes(report: DriftReport) -> Iterator[tuple[str, str]]:
    for app in order.applications(report.applications):
        if not app.complete:
            for condition in app.conditions:
                if condition.severity is Severity.ERROR:
                    yield app.name, condition.message
            for resource in order.resources(app.resources):
                reason = "" if resource.reason is UNSET else resource.reason
                # What is declared under another kind has its cause there, not here.
                derived = not reason or reason.startswith(MISNAMED)
                if resource.status is ResourceStatus.UNKNOWN and not derived:
                    yield app.name, reason


def folded(words: Sequence[str], width: int) -> Iterator[str]:
    """A command in lines of at most `width` columns, joined as a shell joins them."""
    line = LEAD.rstrip()
    for word in words:
        if len(line) + len(word) + 3 > width and line != LEAD.rstrip():
            yield f"{line} \\"
            line = " " * _INDENT + word
        else:
            line = f"{line} {word}"
    yield line


def _application(app: ApplicationReport, report: DriftReport, context: click.Context) -> str:
    """The name alone where it was enough for the look."""
    asked = (*context.params.get("names", ()), *context.params.get("app", ()))
    repeated = Counter(one.name for one in report.applications)[app.name] > 1
    if app.namespace and (repeated or any("/" in pattern for pattern in asked)):
        return f"{app.namespace}/{app.name}"
    return app.name


def _object(resource: ResourceReport, app: ApplicationReport) -> str:
    """`KIND[.GROUP]/[NAMESPACE/]NAME`: as short as no other object of the application has it."""
    same = [
        one
        for one in app.resources
        if one.name == resource.name and one.kind.lower() == resource.kind.lower()
    ]
    kind = resource.kind.lower()
    if resource.group and any(one.group != resource.group for one in same):
        kind = f"{kind}.{resource.group}"
    elsewhere = any(one.namespace != resource.namespace for one in same)
    place = f"{resource.namespace}/" if resource.namespace and elsewhere else ""
    return f"{kind}/{place}{resource.name}"


def _given(context: click.Context, command: click.Command) -> Iterator[str]:
    """The flags of the command line that another command has too, as they were given."""
    for option in command.params:
        name = option.name or ""
        if not isinstance(option, click.Option) or name in _OWN:
            continue
        if context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        flag = next(one for one in option.opts if one.startswith("--"))
        value = context.params.get(name, context.meta.get(f"driftd.{name}"))
        for one in value if isinstance(value, tuple) else (value,):
            if one is True:
                yield flag
            elif one not in (None, False):
                yield from (flag, f"{one:g}s" if isinstance(one, float) else str(one))
