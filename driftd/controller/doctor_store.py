"""What `driftd doctor` says of a daemon's store: whether it can be read, and what waits in it.

It is opened as by every command that looks into it: only to read, and none is ever made.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from driftd.model.counts import counted

_MISSING = "nothing is remembered yet; driftd run makes it, unless store.dsn names another one"


class StoreFinding(NamedTuple):
    """One line of the diagnosis."""

    area: Literal["store", "notifications"]
    status: Literal["ok", "warn", "fail"]
    message: str
    remedy: str = ""


async def store_findings(config: Path) -> list[StoreFinding]:
    """What there is to say of the store that the settings in a file name.

    Raises ConfigError for settings that cannot be in force, StoreError for a store that cannot be
    read: it does not answer, is damaged, or has another schema.
    """
    from driftd.errors import ConfigError
    from driftd.settings.load import load, store_dsn
    from driftd.store.engine import newest_revision, require_existing, store_url
    from driftd.store.sql import SqlStore

    dsn = store_dsn(load(config).store)
    url = store_url(dsn)
    place = url.database if url.get_backend_name() == "sqlite" else url.render_as_string()
    try:
        require_existing(dsn)
    except ConfigError as error:
        return [StoreFinding("store", "warn", str(error), _MISSING)]
    async with SqlStore.existing(dsn) as store:
        known = len(await store.applications())
        dead, last = await store.count_dead(), await store.dead(1)
    text = f"{place} answers: schema {newest_revision()}, {counted(known, 'application')}"
    found = [StoreFinding("store", "ok", text)]
    if not dead:
        return [*found, StoreFinding("notifications", "ok", "no message was given up")]
    text = f"{counted(dead, 'message')} given up"
    if last:
        when = f"{last[0].given_up_at:%Y-%m-%d %H:%M} UTC"
        text += f", the last at {when} to {last[0].target}: {last[0].error}"
    remedy = "driftd notify dead lists them, and with --retry takes them up again"
    return [*found, StoreFinding("notifications", "warn", text, remedy)]
