"""How much one cluster may say, so that a broken or hostile one cannot fill the memory."""

from __future__ import annotations

from typing import Final

import msgspec

from driftd.errors import ClusterError

EXCEEDED: Final = "LimitExceeded"
MEBIBYTE: Final = 1024 * 1024
DISCOVERY_BYTES: Final = 8 * MEBIBYTE
"""Of one discovery document, within `answer`: a thousand kinds take less than one."""
PIECE: Final = MEBIBYTE // 4
"""Bytes of an answer that are taken at a time."""
SMALL: Final = MEBIBYTE
"""Answers beyond so many bytes are read one at a time from each cluster."""


class Limits(msgspec.Struct, frozen=True):
    """What is read of one cluster; what says more is not believed. `clusters.limits` sets them."""

    answer: int = 32 * MEBIBYTE
    """Bytes of one answer, unpacked."""
    list: int = 4096 * MEBIBYTE
    """Bytes of all pages of one list."""
    pages: int = 20_000
    """Pages of one list."""
    kinds: int = 5_000
    """Kinds that discovery shows, and group versions."""


def exceeded(label: str, doing: str, what: str, setting: str) -> ClusterError:
    """The error for a cluster that says more than is read; `setting` is the limit's name."""
    return ClusterError(
        f"{label}: cannot {doing}: {what}",
        reason=EXCEEDED,
        hint=f"clusters.limits.{setting} in the settings of driftd run is the limit",
    )
