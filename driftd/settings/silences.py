"""Settings of silences and of pauses that nobody ends."""

from __future__ import annotations

from driftd.settings.quantity import Duration
from driftd.settings.struct import SettingsStruct


class Silences(SettingsStruct, frozen=True, kw_only=True):
    """What is recorded and not told for a while."""

    file: str = ""
    """Where `driftd silence` writes; empty: beside an SQLite store."""
    maximum: Duration = Duration("7d")
    """The longest silence; what ends later does not count."""
    pause_reminder: Duration = Duration("24h")
    """Age at which a pause of an application is told, once; a freeze again after each such time.
    `0s` means never."""
