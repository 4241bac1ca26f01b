"""What becomes of settings that change while the daemon runs."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from driftd.settings.githooks import GitWebhooks
from driftd.settings.shape import keys
from driftd.settings.types import AuditWebhook, Settings, Tracing

AT_START: Final = (
    "store.dsn",
    "store.dsnFile",
    "server.listen",
    *(f"auditWebhook.{key}" for key, _ in keys(AuditWebhook)),
    *(f"gitWebhooks.{key}" for key, _ in keys(GitWebhooks)),
    *(f"tracing.{key}" for key, _ in keys(Tracing)),
)
"""Settings that hold for the life of the process: what it stores, and where it is asked."""


class Change(NamedTuple):
    """New settings beside those in force."""

    settings: Settings
    """What can be in force now: the new ones, but for `AT_START`."""
    applied: tuple[str, ...]
    """The keys that differ and can be changed now."""
    at_start: tuple[str, ...]
    """The keys that differ and wait for the next start."""


def change(old: Settings, new: Settings) -> Change:
    """What of the new settings can be in force now."""
    before, after = _plain(old), _plain(new)
    differ = [key for key, _ in keys() if _at(before, key) != _at(after, key)]
    return Change(
        settings=msgspec.structs.replace(
            new,
            store=msgspec.structs.replace(
                new.store, dsn=old.store.dsn, dsn_file=old.store.dsn_file
            ),
            audit_webhook=old.audit_webhook,
            git_webhooks=old.git_webhooks,
            tracing=old.tracing,
            server=msgspec.structs.replace(new.server, listen=old.server.listen),
        ),
        applied=tuple(key for key in differ if key not in AT_START),
        at_start=tuple(key for key in differ if key in AT_START),
    )


def _plain(settings: Settings) -> Any:
    return msgspec.to_builtins(settings, enc_hook=lambda value: value.text)


def _at(document: Any, key: str) -> Any:
    for part in key.split("."):
        document = document[part]
    return document
