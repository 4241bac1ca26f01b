"""A Helm repository over http: its index, and the packed charts that the index names."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import quote, urljoin

import msgspec

from driftd.errors import SourceError
from driftd.source.archive import ArchiveLimits
from driftd.source.egress import Egress, Reach, origin_of
from driftd.source.kept import KeptCharts
from driftd.source.process import MIB
from driftd.source.url import printable

INDEX_BYTES = 50 * MIB
_SENT_BYTES = 16 * MIB
"""How much of an index is handed to the sandbox at most."""
_INDEX_SECONDS = 60.0
_ARCHIVE_SECONDS = 120.0


class ChartVersion(msgspec.Struct, frozen=True):
    """A version of a chart as an index names it; `version` is empty where none fits."""

    version: str
    urls: tuple[str, ...] = ()
    digest: str = ""
    """SHA-256 of the packed chart, in hex; empty if the index has none."""
    near: tuple[str, ...] = ()
    """The highest versions that there are."""
    count: int = 0


class HelmRepository:
    """One repository, as one set of credentials sees it."""

    def __init__(
        self, url: str, reach: Reach, egress: Egress, kept: KeptCharts | None = None
    ) -> None:
        """`kept` has what this repository has sent before."""
        self._kept = kept or KeptCharts(None, url, "")
        self.name = printable(url)
        self._base = url.rstrip("/") + "/"
        self._reach = reach
        self._egress = egress
        self._index: bytes | None = None
        self._etag = ""
        self._fresh = False

    def forget(self) -> None:
        """Ask for the index anew at the next use; the server may say that it is unchanged."""
        self._fresh = False

    async def index(self) -> bytes:
        """`index.yaml`. Raises SourceError."""
        if self._index is None and (before := await self._kept.index()) is not None:
            self._etag, self._index = before
        if self._index is None or not self._fresh:
            known = {"If-None-Match": self._etag} if self._index is not None and self._etag else {}
            answer = await self._egress.ask(
                urljoin(self._base, "index.yaml"),
                self._reach,
                what=f"index of {self.name}",
                limit=INDEX_BYTES,
                seconds=_INDEX_SECONDS,
                headers=known,
                accepted=frozenset({200, 304} if known else {200}),
            )
            if answer.status == 200:
                self._index, self._etag = answer.body, answer.headers.get("etag", "")
                await self._kept.keep_index(self._etag, self._index)
            self._fresh = True
        assert self._index is not None  # noqa: S101 - 304 is accepted only with one in hand
        return self._index

    async def archive(
        self, chart: str, found: ChartVersion, *, pass_credentials: bool, limits: ArchiveLimits
    ) -> bytes:
        """The packed chart of an index entry, its digest verified. Raises SourceError.

        One that was kept with that digest is not asked for. The credential goes to the
        repository's own origin alone, unless `pass_credentials` says to send it wherever the
        index leads, as Helm's option of that name does.
        """
        known = await self._kept.content(found.digest)
        if known is not None:
            return known
        what = f"chart {printable(chart)} {printable(found.version)} of {self.name}"
        url = urljoin(self._base, found.urls[0])
        reach = self._reach
        if pass_credentials and origin_of(url) != reach.origin:
            reach = Reach(origin_of(url), authorization=reach.authorization)
        answer = await self._egress.ask(
            url, reach, what=what, limit=limits.packed, seconds=_ARCHIVE_SECONDS
        )
        data = verified(answer.body, found.digest, what)
        await self._kept.keep_content(found.digest, data)
        return data


def verified(data: bytes, digest: str, what: str) -> bytes:
    """`data` if it has this SHA-256 (hex, with or without `sha256:`; empty: unknown)."""
    expected = digest.removeprefix("sha256:").lower()
    actual = hashlib.sha256(data).hexdigest()
    if expected and actual != expected:
        raise SourceError(
            f"{what}: its digest is sha256:{actual[:12]}…, not the sha256:"
            f"{printable(expected[:12])}… that was announced",
            hint="the chart was replaced or tampered with: publish it anew under another version",
            reason="DigestMismatch",
        )
    return data


def section(index: bytes, chart: str) -> bytes | None:
    """The part of an index that is one chart's, as an index of its own; None if it is not found.

    Indexes have many megabytes, of which one chart is little. This reads lines and indents only,
    which is how they are written by every known tool; what does not look so is parsed as a whole.
    """
    start = re.search(rb"^entries:[ \t]*\r?$", index, re.MULTILINE)
    if start is None:
        return None
    name = re.escape(chart.encode())
    head = re.compile(rb"^( +)([\"']?)" + name + rb"\2:[ \t]*\r?\n", re.MULTILINE)
    ends = re.compile(rb"^[^\s#]", re.MULTILINE)
    stop = ends.search(index, start.end())
    limit = stop.start() if stop else len(index)
    first = re.compile(rb"^( +)[^\s#-]", re.MULTILINE).search(index, start.end(), limit)
    if first is None:
        return None
    for found in head.finditer(index, start.end(), limit):
        if len(found[1]) == len(first[1]):
            indent = len(found[1])
            after = re.compile(rb"^ {0,%d}[^\s#-]" % indent, re.MULTILINE)
            end = after.search(index, found.end(), limit)
            return b"entries:\n" + index[found.start() : end.start() if end else limit]
    return None


def sendable(index: bytes, chart: str, name: str) -> bytes:
    """What of an index the sandbox gets. Raises SourceError when that would be too much."""
    part = section(index, chart) or index
    if len(part) > _SENT_BYTES:
        raise SourceError(
            f"index of {name}: the entries of {printable(chart)} are larger than "
            f"{_SENT_BYTES // MIB} MiB",
            reason="LimitExceeded",
        )
    return part


def quoted(text: str) -> str:
    """A path segment of a URL."""
    return quote(text, safe="")
