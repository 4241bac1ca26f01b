"""`driftd render`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from driftd.cli import calls, completing, formats, options
from driftd.model import sensitive

if TYPE_CHECKING:
    from driftd.model.resource import Manifest


@click.command("render", short_help="Print an application's manifests as Git declares them.")
@click.argument("application", metavar="APP", shell_complete=completing.application_names)
@options.repository_flags
@options.cluster_flags
@options.output_format("yaml", "json", "name")
@options.output_flags
def render_command(application: str, output: str, **flags: Any) -> int:
    """Print the manifests of APP (a name or glob) as its sources render them, namespaces resolved.

    Hooks are included, although they are never compared.

    Values of Secrets, and at places that --sensitive names, are masked, so that a pipeline's log
    never holds one.
    """
    from driftd.cli import conditions
    from driftd.cli.progress import Narrator

    chosen = options.look_options(flags, names=(application,))
    narrator = Narrator(quiet=flags["quiet"], verbose=flags["verbose"])
    try:
        rendered = calls.render(chosen, narrator)
    finally:
        narrator.close()
    manifests = [item for one in rendered for item in (*one.manifests, *one.not_compared)]
    if output == "name":
        sys.stdout.writelines(f"{_name(manifest)}\n" for manifest in manifests)
    elif output == "json":
        items = [_document(manifest) for manifest in manifests]
        formats.write_json({"apiVersion": "v1", "kind": "List", "items": items})
    else:
        _write_stream(manifests)
    return conditions.tell(
        (one.entry.application.name, condition) for one in rendered for condition in one.conditions
    )


def _write_stream(manifests: Sequence[Manifest]) -> None:
    from driftd.cli.terminal import printable

    for manifest in manifests:
        origin = manifest.origin.file
        sys.stdout.write(f"---\n# Source: {printable(origin)}\n" if origin else "---\n")
        formats.write_yaml(_document(manifest))


def _document(manifest: Manifest) -> dict[str, Any]:
    import orjson

    document: dict[str, Any] = orjson.loads(manifest.body)
    annotations = (document.get("metadata") or {}).get("annotations")
    if isinstance(annotations, dict):
        annotations.pop(sensitive.LAST_APPLIED, None)
    key = manifest.key
    masked: dict[str, Any] = sensitive.in_force().replaced(key.group, key.kind, (), document, _mask)
    return masked


def _mask(_place: Any, value: Any) -> Any:
    return dict.fromkeys(value, sensitive.MASK) if isinstance(value, dict) else sensitive.MASK


def _name(manifest: Manifest) -> str:
    from driftd.cli.terminal import printable

    key = manifest.key
    kind = f"{key.kind}.{key.group}" if key.group else key.kind
    place = f"{key.namespace}/" if key.namespace else ""
    return printable(f"{kind.lower()}/{place}{key.name}")
