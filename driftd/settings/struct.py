"""What every settings type is."""

from __future__ import annotations

import msgspec


class SettingsStruct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Base of the settings types."""
