"""Argo CD's `kustomize.buildOptions`: which of them change what is rendered. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

import msgspec

from driftd.errors import RenderError
from driftd.model.application import KustomizeSource

KEY = "kustomize.buildOptions"
"""The key of `argocd-cm`; with `.VERSION` behind it, for sources that name that version."""

_RESTRICTORS = {
    "LoadRestrictionsRootOnly": "rootOnly",
    "rootOnly": "rootOnly",
    "LoadRestrictionsNone": "none",
    "none": "none",
}
_PERMISSIONS = frozenset(
    {
        "--as-current-user",
        "--enable-alpha-plugins",
        "--enable-exec",
        "--enable-star",
        "--helm-debug",
        "--network",
    }
)
"""Options that change nothing, or only permit programs, which are refused where they are used."""
_FOR_PROGRAMS = frozenset(
    {
        "--env",
        "--helm-command",
        "--mount",
        "--network-name",
        "-e",
    }
)
"""Options with a value that only such programs would see."""
_WITH_VALUE = _FOR_PROGRAMS | {
    "--helm-api-versions",
    "--helm-kube-version",
    "--load-restrictor",
    "--reorder",
}


class BuildOptions(msgspec.Struct, frozen=True, rename="camel"):
    """The options of `kustomize build` that change what comes out of the kustomizations here."""

    reorder: str = "none"
    """`none` or `legacy`."""
    load_restrictor: str = "rootOnly"
    """`none` lets kustomizations read files anywhere in the repository, and nowhere else."""
    managed_by_label: bool = False
    helm: bool = False
    """Whether kustomizations may inflate charts."""
    helm_kube_version: str = ""
    """What charts are told of a cluster whose version is not known."""
    helm_api_versions: tuple[str, ...] = msgspec.field(default=(), name="helmApiVersions")
    """APIs that charts see beside those of the cluster."""


def build_options(options: Mapping[str, str], source: KustomizeSource | None) -> BuildOptions:
    """The options for one source, from `argocd-cm` by version (`` for all others).

    Raises `RenderError` for an option that Kustomize has not, or that cannot be had here.
    """
    version = source.version if source is not None else ""
    text = options.get(version, options.get("", ""))
    found = BuildOptions()
    for name, value in _parsed(text):
        if name == "--reorder" and value in ("none", "legacy"):
            found = msgspec.structs.replace(found, reorder=value)
        elif name == "--load-restrictor" and value in _RESTRICTORS:
            found = msgspec.structs.replace(found, load_restrictor=_RESTRICTORS[value])
        elif name == "--enable-managedby-label" and value in ("", "true", "false"):
            found = msgspec.structs.replace(found, managed_by_label=value != "false")
        elif name == "--enable-helm" and value in ("", "true", "false"):
            found = msgspec.structs.replace(found, helm=value != "false")
        elif name == "--helm-kube-version":
            found = msgspec.structs.replace(found, helm_kube_version=value)
        elif name == "--helm-api-versions":
            versions = (*found.helm_api_versions, value)
            found = msgspec.structs.replace(found, helm_api_versions=versions)
        elif name not in _PERMISSIONS | _FOR_PROGRAMS:
            raise RenderError(
                f"{KEY}: {name}{value and f' {value}'} is not supported",
                hint="see which options are in docs/reference/sources.md",
                reason="UnsupportedSource",
            )
    return found


def _parsed(text: str) -> Iterator[tuple[str, str]]:
    """Options with their values, from `--name value` and `--name=value`."""
    try:
        words = iter(shlex.split(text))
    except ValueError as error:
        raise RenderError(f"{KEY}: {error}", hint="correct argocd-cm") from None
    for word in words:
        name, separator, value = word.partition("=")
        yield name, value if separator or name not in _WITH_VALUE else next(words, "")
