"""`driftd baseline`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import UNSET

from driftd.cli import calls, completing, options
from driftd.model.counts import counted

if TYPE_CHECKING:
    from driftd.model.report import DriftReport, ResourceReport
    from driftd.policy.baseline import Baseline, BaselineEntry, LeftOut

_DAYS = 90
_VALUE = 60
"""Characters of a value in a comment."""
_NAMED = 10
"""Findings left out for one reason that are listed by name."""
_TOLD = 3
"""Findings left out that the last note names."""
_REASONS = 3
"""Reasons why nothing was judged that are told."""
_NOTHING = "Nothing was found that a baseline could accept"


@click.command("baseline", short_help="Write today's findings to a file of accepted ones.")
@click.argument("names", metavar="[APP]...", nargs=-1, shell_complete=completing.application_names)
@options.flag(
    "--expires",
    type=click.IntRange(min=1),
    default=_DAYS,
    show_default=True,
    metavar="DAYS",
    help="Number of days, counted from today (UTC), that the entries hold; the file gets the date.",
)
@options.flag("--owner", default="", metavar="NAME", help="Who answers for the entries.")
@options.flag("--reason", default="", metavar="TEXT", help="Why the findings may stay for now.")
@options.flag(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this new file instead of standard output.",
)
@options.baseline_flags
@options.state_flag
@options.repository_flags
@options.cluster_flags
@options.output_flags
def baseline_command(
    names: tuple[str, ...],
    expires: int,
    owner: str,
    reason: str,
    file: Path | None,
    **flags: Any,
) -> int:
    """Look once, and write what differs as a baseline: a YAML file to review and commit, with
    which driftd check --baseline FILE tells only what is new. Only reads clusters.

    An entry holds for one place, class, manager and value, or for one object that is Missing or
    Extra, until it expires. Critical findings are never written, and masked values only with
    --hash-key-file; what is left out is listed at the head of the file. Findings that --baseline
    and --suppressions files accept are not repeated.

    Where nothing differs the file has no entries. Where no application could be judged there is
    no file.

    Exit codes: 0; 2 if something could not be judged or an error happened.
    """
    from driftd.cli.progress import Narrator
    from driftd.errors import ConfigError

    if file is not None and file.exists():
        raise ConfigError(f"{file} exists", hint="name a new file, or remove it first")
    chosen = options.look_options(flags, names=names) | options.baseline_options(flags)
    narrator = Narrator(quiet=flags["quiet"], verbose=flags["verbose"])
    try:
        report, baseline, left_out = calls.baseline(
            chosen, narrator, days=expires, owner=owner, reason=reason
        )
    finally:
        narrator.close()
    if not (baseline.entries or left_out):
        _refuse_unseen(report)
    keyed = flags["hash_key_file"] is not None
    body = _entries(report, baseline, values=not keyed)
    unsynced = "" if flags["hub"] or flags["state"] else _unsynced(report, baseline)
    text = "".join(
        f"{line}\n"
        for line in (
            *_head(report, left_out, unsynced, entries=len(baseline.entries), key=keyed),
            *body,
        )
    )
    if file is None:
        sys.stdout.write(text)
    else:
        _write(file, text)
    narrator.note(
        f"{counted(len(baseline.entries), 'finding')} written, {len(left_out)} left out"
        f"{_told(report, left_out)}"
        if baseline.entries or left_out
        else f"{_NOTHING}: the baseline has no entries"
    )
    if unsynced:
        narrator.note(unsynced)
    if not report.complete:
        narrator.note("something could not be judged; driftd check says what")
    return 0 if report.complete else 2


def _told(report: DriftReport, left_out: Sequence[LeftOut]) -> str:
    """Which findings were left out and why, a few of them by name."""
    from driftd.cli.field_path import readable

    places = {
        (app.name, _label(one), change.path): readable(change, group=one.group, kind=one.kind)
        for app in report.applications
        for one in app.resources
        for change in one.changes
    }
    named = [
        f"{one.application} {one.resource} "
        f"{places.get((one.application, one.resource, one.path), one.path)}".rstrip()
        + f" ({one.reason})"
        for one in left_out[:_TOLD]
    ]
    if len(left_out) > _TOLD:
        named.append(f"and {len(left_out) - _TOLD} more")
    return f": {'; '.join(named)}" if named else ""


def _label(resource: ResourceReport) -> str:
    return f"{resource.kind} {resource.namespace}/{resource.name}".replace(" /", " ")


def _write(file: Path, text: str) -> None:
    from driftd.errors import ConfigError

    try:
        with file.open("x", encoding="utf-8") as target:
            target.write(text)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written ({error.strerror})") from error


def _refuse_unseen(report: DriftReport) -> None:
    """Raise ConfigError where nothing at all was judged: an empty file would pass for "clean"."""
    from driftd.errors import ConfigError
    from driftd.model.report import ApplicationStatus

    if any(one.status is not ApplicationStatus.UNKNOWN for one in report.applications):
        return
    told = [c for one in report.applications for c in one.conditions if c.severity == "error"]
    told += [c for c in report.conditions if c.severity == "error"]
    reasons = list(dict.fromkeys(condition.message for condition in told))
    more = f"; and {len(reasons) - _REASONS} more" if len(reasons) > _REASONS else ""
    raise ConfigError(
        "no application could be judged, so no baseline is written",
        hint="; ".join(reasons[:_REASONS]) + more if reasons else "driftd check says why",
    )


def _head(
    report: DriftReport,
    left_out: tuple[LeftOut, ...],
    unsynced: str = "",
    *,
    entries: int,
    key: bool,
) -> Iterator[str]:
    """Comments: what the file is, and what is not in it."""
    from driftd.cli.terminal import printable

    yield f"# Findings of {report.generated_at} that are accepted until they expire."
    if not (entries or left_out):
        yield f"# {_NOTHING}, so it has no entries; everything new is told."
    yield "# Review it, say who owns each entry and why it may stay, and commit it."
    yield "# Use it with: driftd check --baseline FILE" + (" --hash-key-file KEY" if key else "")
    if unsynced:
        yield printable(f"# {unsynced[0].upper()}{unsynced[1:]}.")
    by_reason: dict[str, list[LeftOut]] = {}
    for one in left_out:
        by_reason.setdefault(one.reason, []).append(one)
    for reason, found in by_reason.items():
        yield printable(f"# Left out, {len(found)} ({reason}):")
        for one in found[:_NAMED]:
            yield printable(f"#   {one.application}: {one.resource} {one.path}").rstrip()
        if len(found) > _NAMED:
            yield f"#   and {len(found) - _NAMED} more"


def _unsynced(report: DriftReport, baseline: Baseline) -> str:
    """How many of the entries may be nothing but commits that nobody has synced yet; or nothing."""
    from driftd.cli.unsynced import writers_of
    from driftd.controller.unsynced import hub_tells

    written = {_identity(entry) for entry in baseline.entries}
    managers: Counter[str] = Counter()
    for app in report.applications:
        for one in app.resources:
            place = (app.name, one.group, one.kind, one.namespace, one.name)
            found = [one.manager] if (*place, str(one.status), "") in written else []
            found += [
                change.manager
                for change in one.changes
                if (*place, str(change.ssa_path), str(change.change_class)) in written
            ]
            managers += writers_of(found, app.deployers)
    if not managers:
        return ""
    are, it = ("is", "it") if managers.total() == 1 else ("are", "them")
    hub = hub_tells(managers)
    done, end = ("synced", "a sync") if hub else ("applied", "being applied")
    tells = "with --hub CONTEXT" if hub else "with a --state FILE kept since before them"
    return (
        f"{managers.total()} of the entries {are} as {', '.join(sorted(managers))} wrote {it}: "
        f"commits that nobody has {done} yet may be among them, which end with {end}; "
        f"{tells} they are Pending and left out"
    )


def _entries(report: DriftReport, baseline: Baseline, *, values: bool) -> Iterator[str]:
    """The document; before each entry a comment that says it in the words of tables.

    Without `values` the comments hold none: whoever keys the hashes does not want them read.
    """
    import msgspec
    import yaml

    yield "apiVersion: driftd.io/v1"
    yield "kind: Baseline"
    yield "entries:" if baseline.entries else "entries: []"
    comments = dict(_comments(report, values=values))
    for entry in baseline.entries:
        # One at a time: PyYAML would write the common date as an anchor and aliases.
        fields = {**msgspec.to_builtins(entry), "expires": entry.expires}
        yield f"  # {comments[_identity(entry)]}"
        text = yaml.safe_dump([fields], sort_keys=False, allow_unicode=True, width=1000)
        yield from (f"  {line}" for line in text.splitlines())


def _comments(report: DriftReport, *, values: bool) -> Iterator[tuple[tuple[str, ...], str]]:
    """What each change is, by what identifies its entry."""
    from driftd.cli.field_path import readable
    from driftd.cli.terminal import printable
    from driftd.cli.values import flow, shorten, sides_of

    for application in report.applications:
        for one in application.resources:
            place = (application.name, one.group, one.kind, one.namespace, one.name)
            yield (*place, str(one.status), ""), printable(_whole(one))
            for change in one.changes:
                text = f"{change.kind}: {readable(change, group=one.group, kind=one.kind)}"
                if values:
                    sides = [
                        "(nothing)" if side is UNSET else shorten(flow(side), _VALUE)
                        for side in sides_of(change)
                    ]
                    text += f"  {sides[0]} → {sides[1]}"
                yield (*place, str(change.ssa_path), str(change.change_class)), printable(text)


def _whole(resource: ResourceReport) -> str:
    where = "in Git, not in the cluster" if resource.status == "Missing" else "not in Git"
    name = f"{resource.namespace}/{resource.name}".removeprefix("/")
    return f"{resource.status}: {resource.kind} {name}, {where}"


def _identity(entry: BaselineEntry) -> tuple[str, ...]:
    place = (entry.application, entry.group, entry.kind, entry.namespace, entry.name)
    if entry.status is not UNSET:
        return (*place, entry.status, "")
    return (*place, str(entry.path), str(entry.change_class))
