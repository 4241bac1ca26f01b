"""The files that settings name: whether each is there, can be read and is not empty."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from driftd.settings.consistency import Finding, dsn_problem
from driftd.settings.problems import Weight
from driftd.settings.struct import SettingsStruct
from driftd.settings.types import Settings


def missing(settings: Settings) -> Iterator[Finding]:
    """What is wrong with files and folders that the settings name; contents are never told."""
    for key, path in _secrets(settings, ""):
        why = _unreadable(Path(path), text=key not in ("hashKeyFile", "store.keyFile"))
        if why:
            hint = "mount the secret there, readable for driftd"
            yield Finding(key, f"{path} {why}", hint)
        elif key == "store.dsnFile":
            problem = dsn_problem(Path(path).read_text(encoding="utf-8").strip())
            if problem:
                yield Finding(key, f"the DSN in {path} {problem}")
    named = [(f"baselines[{i}]", one) for i, one in enumerate(settings.baselines)]
    named += [(f"suppressions[{i}]", one) for i, one in enumerate(settings.suppressions)]
    named += [
        ("severity", settings.severity),
        ("clusters.kubeconfig", settings.clusters.kubeconfig),
    ]
    for key, path in named:
        why = _unreadable(Path(path)) if path else ""
        if why:
            yield Finding(key, f"{path} {why}")
    yield from _folders(settings)
    for index, log in enumerate(settings.audit_logs):
        logs = Path(log.file)
        if not (any(logs.parent.glob(logs.name)) if "*" in logs.name else logs.exists()):
            # Logs come and go; the daemon looks for them at each change.
            yield Finding(
                f"auditLogs[{index}].file", f"{log.file} names no file now", weight=Weight.WARNING
            )


def _folders(settings: Settings) -> Iterator[Finding]:
    for index, one in enumerate(settings.repositories):
        if one.path and not Path(one.path).is_dir():
            yield Finding(f"repositories[{index}].path", f"{one.path} is no folder")
    if settings.keyring and not Path(settings.keyring).is_dir():
        yield Finding("keyring", f"{settings.keyring} is no folder")
    if settings.sandbox.cache and not _may_be_made(Path(settings.sandbox.cache)):
        yield Finding("sandbox.cache", f"{settings.sandbox.cache} is no folder that can be written")
    scheme, _, path = settings.store.dsn.partition(":///")
    if scheme.partition("+")[0] == "sqlite" and path and not settings.store.dsn_file:
        folder = Path(path.partition("?")[0]).parent
        if not os.access(folder, os.W_OK | os.X_OK):
            yield Finding("store.dsn", f"{folder} is no folder that can be written")


def _secrets(value: SettingsStruct, at: str) -> Iterator[tuple[str, str]]:
    """Each `…File` setting that is set, in tables and in entries of lists too."""
    for field in msgspec.structs.fields(value):
        key = f"{at}.{field.encode_name}".lstrip(".")
        yield from _named(getattr(value, field.name), key)


def _named(inner: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(inner, SettingsStruct):
        yield from _secrets(inner, key)
    elif isinstance(inner, tuple):
        for index, one in enumerate(inner):
            if isinstance(one, SettingsStruct):
                yield from _secrets(one, f"{key}[{index}]")
    elif key.endswith("File") and inner:
        yield key, str(inner)


def _unreadable(path: Path, *, text: bool = True) -> str:
    try:
        content = path.read_bytes()
        if text:
            content.decode("utf-8")
    except UnicodeDecodeError:
        return "is not UTF-8 text"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if content.strip() else "is empty"


def _may_be_made(folder: Path) -> bool:
    """Whether a folder is there or can be made, and files in it."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
