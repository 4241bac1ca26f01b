"""`driftd render`."""

from __future__ import annotations

import sys
from typing import Any

import click

from driftd.cli import calls, formats, options


@click.command("render", short_help="Print an application's manifests as Git declares them.")
@click.argument("application", metavar="APP")
@options.repository_flags
@options.cluster_flags
@options.output_format("yaml", "json", "name")
@options.output_flags
def render_command(application: str, output: str, **flags: Any) -> int:
    """Print the manifests of APP as its sources render them, with resolved namespaces.

    Values of Secrets are masked, so that a pipeline's log never holds one.
    """
    from driftd.cli.progress import Narrator

    chosen = options.look_options(flags, names=(application,))
    narrator = Narrator(quiet=flags["quiet"], verbose=flags["verbose"])
    try:
        manifests = calls.render(chosen, application, narrator)
    finally:
        narrator.close()
    if output == "name":
        for manifest in manifests:
            sys.stdout.write(f"{_name(manifest)}\n")
        return 0
    documents = [_document(manifest) for manifest in manifests]
    if output == "json":
        formats.write_json({"apiVersion": "v1", "kind": "List", "items": documents})
        return 0
    for manifest, document in zip(manifests, documents, strict=True):
        if manifest.origin.file:
            sys.stdout.write(f"---\n# Source: {_comment(manifest.origin.file)}\n")
        else:
            sys.stdout.write("---\n")
        formats.write_yaml(document)
    return 0


def _document(manifest: Any) -> dict[str, Any]:
    import orjson

    document: dict[str, Any] = orjson.loads(manifest.body)
    if manifest.key.group == "" and manifest.key.kind == "Secret":
        _mask(document)
    return document


def _mask(secret: dict[str, Any]) -> None:
    for field in ("data", "stringData"):
        values = secret.get(field)
        if isinstance(values, dict):
            secret[field] = dict.fromkeys(values, "«masked»")
    annotations = (secret.get("metadata") or {}).get("annotations")
    if isinstance(annotations, dict):
        annotations.pop("kubectl.kubernetes.io/last-applied-configuration", None)


def _name(manifest: Any) -> str:
    from driftd.cli.terminal import printable

    key = manifest.key
    kind = f"{key.kind}.{key.group}" if key.group else key.kind
    place = f"{key.namespace}/" if key.namespace else ""
    return printable(f"{kind.lower()}/{place}{key.name}")


def _comment(text: str) -> str:
    from driftd.cli.terminal import printable

    return printable(text)
