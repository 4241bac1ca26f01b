"""Fetched charts on disk: what has a digest is fetched once, what has none is asked for anew.

Indexes are kept with the server's tag of their version, and sent again only if that changed.
Packed charts, artifacts and manifests are kept by their SHA-256, under the repository and the login
that they were fetched with: who cannot read a repository learns nothing from what others fetched.
"""

from __future__ import annotations

import asyncio
import hashlib

import msgspec

from driftd.sealed import SealedFolder


class _Index(msgspec.Struct, frozen=True, array_like=True):
    etag: str
    body: bytes


_index = msgspec.msgpack.Decoder(_Index)


class KeptCharts:
    """What one repository's server has sent, as one login sees it."""

    def __init__(self, folder: SealedFolder | None, url: str, share: str) -> None:
        """Without a folder nothing is kept. `share` says who may read the repository."""
        self._folder = folder
        self._place = f"{url}\0{share}"

    async def index(self) -> tuple[str, bytes] | None:
        """The index that was kept last, after its tag; None if there is none."""
        body = await self._read("index")
        if body is None:
            return None
        try:
            found = _index.decode(body)
        except msgspec.DecodeError:
            return None
        return found.etag, found.body

    async def keep_index(self, etag: str, body: bytes) -> None:
        """Keep an index, if its server can tell whether it has changed."""
        if etag:
            await self._write("index", msgspec.msgpack.encode(_Index(etag, body)))

    async def content(self, digest: str) -> bytes | None:
        """What has this SHA-256 (hex, with or without `sha256:`), if it is kept."""
        expected = digest.removeprefix("sha256:").lower()
        body = await self._read(expected) if expected else None
        if body is not None and hashlib.sha256(body).hexdigest() != expected:
            return None
        return body

    async def keep_content(self, digest: str, body: bytes) -> None:
        """Keep what was verified to have this digest; without one, nothing could be told later."""
        expected = digest.removeprefix("sha256:").lower()
        if expected:
            await self._write(expected, body)

    async def _read(self, what: str) -> bytes | None:
        if self._folder is None:
            return None
        return await asyncio.to_thread(self._folder.read, self._name(what))

    async def _write(self, what: str, body: bytes) -> None:
        if self._folder is not None:
            await asyncio.to_thread(self._folder.write, self._name(what), body)

    def _name(self, what: str) -> str:
        return hashlib.sha256(f"{self._place}\0{what}".encode()).hexdigest()
