"""What the files hold that settings name: whether a daemon could begin with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from driftd.cluster.kubeconfig import load_kubeconfig
from driftd.controller.baselines import load_baseline, load_suppressions, read_key
from driftd.controller.severities import load_severities
from driftd.errors import ConfigError
from driftd.notify.webhook import signing_key
from driftd.settings.consistency import Finding
from driftd.settings.load import read_secret
from driftd.settings.types import Settings


def unfit(settings: Settings) -> Iterator[Finding]:
    """What is wrong inside the files that the settings name; files that are not there are not told.

    No content of a secret is in any text.
    """
    key: bytes | None = None
    if _is_there(settings.hash_key_file):
        try:
            key = read_key(Path(settings.hash_key_file))
        except ConfigError as error:
            yield Finding("hashKeyFile", str(error), error.hint)
    for index, file in enumerate(settings.baselines):
        yield from _tried(f"baselines[{index}]", file, lambda path: load_baseline(path, key))
    for index, file in enumerate(settings.suppressions):
        yield from _tried(f"suppressions[{index}]", file, load_suppressions)
    yield from _tried("severity", settings.severity, load_severities)
    for index, hook in enumerate(settings.notifications.webhooks):
        at = f"notifications.webhooks[{index}].secretFile"
        yield from _tried(at, hook.secret_file, _signing_key)
    yield from _contexts(settings)


def _signing_key(path: Path) -> None:
    signing_key(read_secret(str(path), "the webhook secret"), str(path))


def _contexts(settings: Settings) -> Iterator[Finding]:
    clusters = settings.clusters
    wanted = {f"clusters.destinations.{name}": to for name, to in clusters.destinations.items()}
    if clusters.hub_context:
        wanted["clusters.hubContext"] = clusters.hub_context
    named = bool(clusters.kubeconfig)
    if not (wanted or named) or (named and not _is_there(clusters.kubeconfig)):
        return
    try:
        kubeconfig = load_kubeconfig(clusters.kubeconfig)
    except ConfigError as error:
        yield Finding("clusters.kubeconfig", str(error), error.hint)
        return
    for key, context in wanted.items():
        try:
            kubeconfig.require(context, key)
        except ConfigError as error:
            yield Finding(key, str(error).removeprefix(f"{key}: "), error.hint)


def _tried(key: str, file: str, load: Callable[[Path], Any]) -> Iterator[Finding]:
    if not _is_there(file):
        return
    try:
        load(Path(file))
    except ConfigError as error:
        yield Finding(key, str(error), error.hint)


def _is_there(file: str) -> bool:
    return bool(file) and Path(file).is_file()
