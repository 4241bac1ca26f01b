"""`driftd apps` and `driftd clusters`: what a check would look at, without looking."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from driftd.cli import calls, completing, options

if TYPE_CHECKING:
    from driftd.controller.declared import Declared, Entry

Row = dict[str, Any]
_NAMED = 4
"""Applications of a destination that a table names."""
_LISTED = 60
"""Applications beyond which a table counts them."""


@click.command("apps", short_help="List the applications that the repository declares.")
@click.argument("names", metavar="[APP]...", nargs=-1, shell_complete=completing.application_names)
@options.flag(
    "--app",
    multiple=True,
    metavar="NAME",
    shell_complete=completing.application_names,
    help="Only this application; globs allowed. Repeatable.",
)
@options.repository_flags
@options.cluster_flags
@options.output_format("table", "wide", "json", "yaml", "name")
@options.output_flags
def apps_command(names: tuple[str, ...], app: tuple[str, ...], output: str, **flags: Any) -> int:
    """List the applications that the repository declares, generated ones included.

    A table of more than 60 counts them by destination and project.

    Exit codes: 0; 2 if something is invalid.
    """
    quiet = flags["quiet"]
    declared = _declared(flags, options.applications(names, app))
    rows = [_application(entry) for entry in declared.entries]
    columns = ["name", "project", "cluster", "destination", "source"]
    if any(row["kind"] != "Application" for row in rows):
        columns[1:2] = ["kind"] if all(not row["project"] for row in rows) else ["kind", "project"]
    if output == "wide":
        columns[1:1] = ["namespace"]
        columns += ["revision", "declaredIn", "sync"]
    if output == "name":
        sys.stdout.writelines(f"{_printable(row['name'])}\n" for row in rows)
    elif output == "table" and len(rows) > _LISTED:
        _write(_counted(rows), ["cluster", "destination", "project", "applications"], output)
        if not quiet:
            click.echo(
                f"note: {len(rows)} applications, counted by destination and project; -o wide "
                "lists each, -o name their names",
                err=True,
            )
    else:
        _write(rows, columns, output)
    return _conditions(declared)


@click.command(
    "clusters", short_help="List the destinations and the contexts they are read through."
)
@options.repository_flags
@options.cluster_flags
@options.output_format("table", "wide", "json", "yaml", "name")
@options.output_flags
def clusters_command(output: str, **flags: Any) -> int:
    """List the destinations of all applications and the contexts they are read through.

    Exit codes: 0; 2 if a destination has no context, or something is invalid.
    """
    declared = _declared(flags, ())
    rows = _destinations(declared.entries)
    if output == "name":
        sys.stdout.writelines(
            f"{_printable(row['context'] or row['destination'])}\n" for row in rows
        )
    else:
        if output == "table":
            rows = [row | {"applications": _some(row["applications"])} for row in rows]
        _write(rows, ["destination", "context", "applications"], output)
    unmapped = any(not row["context"] for row in rows)
    return max(_conditions(declared), 2 if unmapped else 0)


def _declared(flags: dict[str, Any], names: tuple[str, ...]) -> Declared:
    from driftd.cli.progress import Narrator

    narrator = Narrator(quiet=flags.pop("quiet"), verbose=flags.pop("verbose"))
    try:
        return calls.catalog(options.look_options(flags, names=names), narrator)
    finally:
        narrator.close()


def _application(entry: Entry) -> Row:
    application = entry.application
    spec = application.spec
    return {
        "name": application.name,
        "namespace": application.namespace,
        "kind": application.flux.kind if application.flux else "Application",
        # Flux has no projects.
        "project": "" if application.flux else spec.project,
        "cluster": entry.cluster,
        "destination": entry.destination.server or entry.destination.name,
        "destinationNamespace": spec.destination.namespace,
        "source": [source.path or source.chart or source.ref for source in spec.all_sources],
        "repository": [source.repo_url for source in spec.all_sources],
        "revision": [source.target_revision or "HEAD" for source in spec.all_sources],
        "declaredIn": application.origin,
        "sync": _sync(spec.sync_policy.automated),
        "conditions": [
            {"type": condition.type, "message": condition.message} for condition in entry.conditions
        ],
    }


def _counted(rows: Sequence[Row]) -> list[Row]:
    """How many applications each destination and project has, and a few of their names."""
    groups: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for row in rows:
        groups[row["cluster"], row["destination"], row["project"]].append(row["name"])
    return [
        {
            "cluster": cluster,
            "destination": destination,
            "project": project,
            "applications": _some(sorted(names)),
        }
        for (cluster, destination, project), names in sorted(groups.items())
    ]


def _sync(automated: Any) -> str:
    if automated is None or automated.enabled is False:
        return "manual"
    parts = ["automated"]
    if automated.prune:
        parts.append("prune")
    if automated.self_heal:
        parts.append("selfHeal")
    return ", ".join(parts)


def _destinations(entries: Sequence[Entry]) -> list[Row]:
    grouped: dict[tuple[str, str], list[str]] = defaultdict(list)
    for entry in entries:
        destination = entry.destination
        grouped[destination.server or destination.name, entry.cluster].append(
            entry.application.name
        )
    return [
        {"destination": destination, "context": context, "applications": sorted(names)}
        for (destination, context), names in sorted(grouped.items())
    ]


def _write(rows: Sequence[Row], titles: Sequence[str], output: str) -> None:
    from driftd.cli import formats

    if output == "json":
        formats.write_json(rows)
    elif output == "yaml":
        formats.write_yaml(rows)
    else:
        from driftd.cli.terminal import columns

        cells = [[_cell(row[title]) for title in titles] for row in rows]
        sys.stdout.writelines(f"{line}\n" for line in columns(titles, cells))


def _some(names: Sequence[str]) -> str:
    """A few names, or how many there are beside the first ones; `-o wide` lists all."""
    if len(names) <= _NAMED:
        return ", ".join(names)
    return f"{len(names)}: {', '.join(names[: _NAMED - 1])} and {len(names) - _NAMED + 1} more"


def _cell(value: Any) -> str:
    text = ", ".join(value) if isinstance(value, list) else str(value)
    return text or "-"


def _conditions(declared: Declared) -> int:
    """Print what is wrong on standard error; 2 if any of it is an error."""
    from driftd.cli.conditions import tell

    found = [("", condition) for condition in declared.conditions]
    for entry in declared.entries:
        found += [(entry.application.name, condition) for condition in entry.conditions]
    return tell(found)


def _printable(text: str) -> str:
    from driftd.cli.terminal import printable

    return printable(text)
