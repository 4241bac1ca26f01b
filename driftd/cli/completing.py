"""Names for shell completion: read from files near at hand, never from a cluster."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from driftd.cli.completing_sets import set_names

_BUDGET = 0.3
"""Seconds after which a large repository is left with the names found so far."""
_LARGEST = 262_144
"""Bytes of a file beyond which it is not looked into."""
_SUFFIXES = (".yaml", ".yml")
_KIND = re.compile(r"^kind:[ \t]*[\"']?([A-Za-z0-9]+)[\"']?[ \t]*(?:#.*)?$", re.MULTILINE)
_NO_OBJECTS: Final = frozenset({"Application", "ApplicationSet", "AppProject", "Kustomization"})
_NAME = re.compile(
    r"^metadata:[ \t]*(?:#.*)?\n(?:(?:[ \t]+.*|[ \t]*#.*|[ \t]*)\n)*?"
    r"[ ]+name:[ \t]*[\"']?([a-z0-9][a-z0-9.-]*)[\"']?[ \t]*(?:#.*)?$",
    re.MULTILINE,
)


def application_names(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Applications that documents of the checkout declare, and those that sets make of a list or
    of folders.
    """
    taken = set(ctx.params.get(param.name or "") or ())
    names: set[str] = set()
    folder = _folder(ctx)
    for kind, document in _documents(folder):
        if kind == "Application":
            names.update(_name(document))
        elif kind == "ApplicationSet":
            names.update(set_names(document, folder))
    return _items(names - taken, incomplete)


def resource_names(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """`kind/name` of the objects in documents of the checkout, of whichever application."""
    found = {
        f"{kind.lower()}/{name}"
        for kind, document in _documents(_folder(ctx))
        if kind not in _NO_OBJECTS
        for name in _name(document)
    }
    return _items(found, incomplete)


def context_names(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Contexts of the kubeconfig; after the last `=` of `SERVER=CONTEXT` too."""
    before, equals, start = incomplete.rpartition("=")
    names = {f"{before}{equals}{name}" for name in _contexts(ctx.params.get("kubeconfig"))}
    return _items(names, f"{before}{equals}{start}")


def help_topics(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Topics and commands that `driftd help` explains."""
    from driftd.cli.main import COMMANDS
    from driftd.cli.topic_pages import TOPICS

    return _items({*TOPICS, *COMMANDS}, incomplete)


def _items(names: set[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


def _folder(ctx: click.Context) -> Path:
    folders = [value for value in ctx.params.get("repo") or () if "=" not in value]
    return Path(folders[0] if folders else ".")


def _documents(folder: Path) -> Iterator[tuple[str, str]]:
    """Kind and text of each YAML document below `folder`, as far as the time goes."""
    deadline = time.monotonic() + _BUDGET
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if time.monotonic() > deadline:
                return
            if name.endswith(_SUFFIXES):
                yield from _documents_in(Path(root, name))


def _documents_in(file: Path) -> Iterator[tuple[str, str]]:
    try:
        if not file.is_file() or file.stat().st_size > _LARGEST:
            return
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return  # a completion has nobody to tell; driftd check names the file
    for document in re.split(r"^---.*$", text, flags=re.MULTILINE):
        kind = _KIND.search(document)
        if kind:
            yield kind[1], document


def _name(document: str) -> Iterator[str]:
    name = _NAME.search(document)
    if name:
        yield name[1]


def _contexts(kubeconfig: Path | None) -> Iterator[str]:
    import yaml

    listed = str(kubeconfig or os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for file in filter(None, listed.split(os.pathsep)):
        try:
            document = yaml.load(Path(file).read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - a safe loader
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue
        contexts = document.get("contexts") if isinstance(document, dict) else None
        for context in contexts if isinstance(contexts, list) else ():
            if isinstance(context, dict) and isinstance(context.get("name"), str):
                yield context["name"]
