"""What each TLS connection holds of memory, beside what waits unread.

asyncio gives each one 256 KiB to read into, and asks OpenSSL for as much with each read, though
a TLS record has 16 KiB at most: for twenty clusters with a dozen watches and reads each these are
60 MB, and each event of a watch allocates as much twice over.
"""

from __future__ import annotations

from asyncio.sslproto import SSLProtocol
from typing import Final

READ: Final = 32 * 1024
"""Bytes that a TLS connection reads at a time: two records."""


def use(size: int = READ) -> None:
    """Let TLS connections that are made from now on read `size` bytes at a time."""
    if getattr(SSLProtocol, "max_size", 0) > size:
        SSLProtocol.max_size = size
