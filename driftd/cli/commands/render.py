"""`driftd render`."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from driftd.cli import calls, completing, formats, options
from driftd.errors import ConfigError
from driftd.model import sensitive

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from driftd.controller.manifests import Shown
    from driftd.model.resource import Manifest

_Object: TypeAlias = "tuple[Shown, Manifest, str]"
_VERSION = re.compile(r"v?(\d+\.\d+(?:\.\d+)?)")


def _version(_context: click.Context, _flag: click.Parameter, value: str | None) -> str:
    if not value:
        return ""
    found = _VERSION.fullmatch(value)
    if found is None:
        raise click.BadParameter(f"{value!r} is not a version such as 1.35 or v1.35.2")
    return f"v{found[1]}" if found[1].count(".") == 2 else f"v{found[1]}.0"


@click.command("render", short_help="Print an application's manifests as Git declares them.")
@click.argument("application", metavar="APP", shell_complete=completing.application_names)
@click.argument("objects", metavar="[KIND/NAME]...", nargs=-1)
@options.flag(
    "--trace/--no-trace",
    default=False,
    help="Also tell, for each object, the source and the lines of Git that set its fields: base, "
    "overlay, patch. Of a chart it tells the template and where the values are.",
)
@options.flag(
    "--kube-version",
    metavar="VERSION",
    callback=_version,
    help="The Kubernetes version that charts are told, instead of the cluster's.",
)
@options.repository_flags
@options.cluster_flags
@options.output_format("yaml", "json", "name")
@options.output_flags
def render_command(
    application: str,
    objects: tuple[str, ...],
    output: str,
    *,
    trace: bool,
    kube_version: str,
    **flags: Any,
) -> int:
    """Print the manifests of APP (a name or glob) as its sources render them, namespaces resolved.

    With KIND/NAME or KIND/NAMESPACE/NAME those objects alone. Hooks are included and marked,
    although they are never compared.

    Values of Secrets, and at places that --sensitive names, are masked, so that a pipeline's log
    never holds one: `masked: true` stands in their place, which the API server refuses.

    Exit codes: 0 everything rendered; 2 something did not, or an error happened.
    """
    from driftd.cli import conditions
    from driftd.cli.progress import Narrator

    chosen = options.look_options(flags, names=(application,))
    narrator = Narrator(quiet=flags["quiet"], verbose=flags["verbose"])
    try:
        shown = calls.render(chosen, narrator, kube_version=kube_version, trace=trace)
    finally:
        narrator.close()
    chosen_objects = _chosen(shown, objects)
    if output == "name":
        _write_names(chosen_objects, trace=trace)
    elif output == "json":
        _write_list(chosen_objects, trace=trace)
    else:
        _write_stream(chosen_objects, trace=trace)
    return conditions.tell(
        (one.desired.entry.application.name, condition)
        for one in shown
        for condition in one.desired.conditions
    )


def _objects(shown: Sequence[Shown]) -> Iterator[_Object]:
    """Every object with its application and why it is never compared (empty if it is)."""
    from driftd.controller.manifests import why_not_compared

    for one in shown:
        for manifest in one.desired.manifests:
            yield one, manifest, manifest.unchecked.reason if manifest.unchecked else ""
        for manifest in one.desired.not_compared:
            yield one, manifest, why_not_compared(manifest)


def _chosen(shown: Sequence[Shown], names: Sequence[str]) -> list[_Object]:
    """The objects, or those that are named; each name must be that of one at least."""
    from driftd.controller.kind_names import names_kind

    every = list(_objects(shown))
    if not names:
        return every
    found: set[int] = set()
    for text in names:
        kind, _, place = text.partition("/")
        namespace, _, name = place.rpartition("/")
        matching = {
            index
            for index, (_, manifest, _) in enumerate(every)
            if manifest.key.name == name
            and namespace in ("", manifest.key.namespace)
            and names_kind(kind, manifest.key.group, manifest.key.kind, None)
        }
        if not matching:
            hint = "driftd render APP -o name lists them"
            raise ConfigError(f"no object {text} is rendered", hint=hint)
        found |= matching
    return [every[index] for index in sorted(found)]


def _write_names(objects: Sequence[_Object], *, trace: bool) -> None:
    for _, manifest, _ in objects:
        place = f"  {_file(manifest)}" if trace and manifest.origin.file else ""
        sys.stdout.write(f"{_name(manifest)}{place}\n")


def _write_list(objects: Sequence[_Object], *, trace: bool) -> None:
    from driftd.source.url import printable

    if not trace:
        items = [_document(manifest) for _, manifest, _ in objects]
        formats.write_json({"apiVersion": "v1", "kind": "List", "items": items})
        return
    traced = []
    for one, manifest, reason in objects:
        item: dict[str, Any] = {"application": one.desired.entry.application.name}
        source = one.sources.get(manifest.origin.source)
        if source is not None:
            item["source"] = {
                "index": manifest.origin.source,
                "repoURL": printable(source.repo_url),
                "revision": source.revision,
                "path": source.path,
            }
        origin = manifest.origin
        if origin.file:
            item["origin"] = {"file": origin.file} | ({"line": origin.line} if origin.line else {})
        places = one.places.get(manifest.key, ())
        item["setBy"] = [{"file": place.file, "line": place.line} for place in places]
        if values := one.values.get(manifest.key):
            item["values"] = list(values)
        if reason:
            item["notCompared"] = reason
        traced.append({**item, "object": _document(manifest)})
    formats.write_json({"apiVersion": "driftd.io/v1", "kind": "RenderTrace", "items": traced})


def _write_stream(objects: Sequence[_Object], *, trace: bool) -> None:
    from driftd.cli.terminal import printable

    for one, manifest, reason in objects:
        comments = [f"Source: {_file(manifest, line=trace)}"] if manifest.origin.file else []
        if trace:
            comments += _traced(one, manifest)
        if reason:
            comments.append(f"Not compared: {reason}")
        sys.stdout.write("---\n")
        sys.stdout.writelines(f"# {printable(text)}\n" for text in comments)
        formats.write_yaml(_document(manifest))


def _traced(one: Shown, manifest: Manifest) -> Iterator[str]:
    from driftd.source.url import printable

    source = one.sources.get(manifest.origin.source)
    if source is not None:
        number = f" {manifest.origin.source + 1}" if len(one.sources) > 1 else ""
        yield (
            f"Application source{number}: {source.path} of {printable(source.repo_url)} at "
            f"{_short(source.revision)}"
        )
    files: dict[str, list[int]] = {}
    for place in one.places.get(manifest.key, ()):
        files.setdefault(place.file, []).append(place.line)
    for file, lines in files.items():
        yield f"Set by: {file}:{_ranges(lines)}"
    for values in one.values.get(manifest.key, ()):
        yield f"Values: {values}"


def _short(revision: str) -> str:
    commit, dash, rest = revision.partition("-")
    return f"{commit[:12]}{dash}{rest}"


def _ranges(lines: Sequence[int]) -> str:
    """Sorted line numbers as people write them: `3-7,12`."""
    runs: list[list[int]] = []
    for line in lines:
        if runs and line == runs[-1][-1] + 1:
            runs[-1][1:] = [line]
        else:
            runs.append([line])
    return ",".join("-".join(map(str, run)) for run in runs)


def _file(manifest: Manifest, *, line: bool = True) -> str:
    origin = manifest.origin
    return f"{origin.file}:{origin.line}" if line and origin.line else origin.file


def _document(manifest: Manifest) -> dict[str, Any]:
    import orjson

    body: dict[str, Any] = orjson.loads(manifest.body)
    # The manifest is canonical, its keys sorted; people look for these first.
    first = ("apiVersion", "kind", "metadata")
    document = dict(sorted(body.items(), key=lambda item: (item[0] not in first, item[0])))
    annotations = (document.get("metadata") or {}).get("annotations")
    if isinstance(annotations, dict):
        annotations.pop(sensitive.LAST_APPLIED, None)
    key = manifest.key
    masked: dict[str, Any] = sensitive.in_force().replaced(key.group, key.kind, (), document, _mask)
    return masked


def _mask(_place: Any, value: Any) -> Any:
    """A stand-in that no API server takes for text: what is printed may be piped to an apply."""
    if isinstance(value, dict):
        return {name: {"masked": True} for name in value}
    return {"masked": True}


def _name(manifest: Manifest) -> str:
    from driftd.cli.terminal import printable

    key = manifest.key
    kind = f"{key.kind}.{key.group}" if key.group else key.kind
    place = f"{key.namespace}/" if key.namespace else ""
    return printable(f"{kind.lower()}/{place}{key.name}")
