"""Reads packed charts and artifacts (tar, gzip) into memory, within limits and without links."""

from __future__ import annotations

import io
import tarfile
import zlib

import msgspec

from driftd.errors import SourceError
from driftd.source.paths import checked_path
from driftd.source.process import MIB
from driftd.source.url import printable

_RATIO_FROM = MIB
"""Below this size, how well an archive is packed does not matter."""


class ArchiveLimits(msgspec.Struct, frozen=True):
    """What an archive may hold."""

    packed: int = 10 * MIB
    """Bytes of the archive itself."""
    size: int = 100 * MIB
    """Bytes of it unpacked."""
    file: int = 5 * MIB
    """Bytes of one file."""
    files: int = 20_000
    ratio: int = 200
    """How many times larger than packed it may be, beyond the first MiB."""


def unpack(data: bytes, name: str, limits: ArchiveLimits | None = None) -> dict[str, bytes]:
    """The files of a tar archive, gzipped or not, by their paths in it.

    `name` is the archive in messages. Raises SourceError for links, devices, paths that leave the
    archive, and more than `limits` allow.
    """
    limits = limits or ArchiveLimits()
    if len(data) > limits.packed:
        raise _too_much(name, f"{limits.packed // MIB} MiB packed")
    if data[:2] == b"\x1f\x8b":
        data = _gunzip(data, name, limits)
    elif len(data) > limits.size:
        raise _too_much(name, f"{limits.size // MIB} MiB unpacked")
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            members = 0
            while (member := archive.next()) is not None:
                members += 1
                if members > limits.files:
                    raise _too_much(name, f"{limits.files:,} files")
                if member.isdir():
                    continue
                path = _checked(member, name, limits)
                content = archive.extractfile(member)
                files[path] = content.read() if content is not None else b""
    except (tarfile.TarError, EOFError, ValueError, OverflowError, zlib.error) as error:
        raise SourceError(
            f"{name}: it is no readable archive ({type(error).__name__})", reason="InvalidArchive"
        ) from None
    if not files:
        raise SourceError(f"{name}: the archive is empty", reason="InvalidArchive")
    return files


def _checked(member: tarfile.TarInfo, name: str, limits: ArchiveLimits) -> str:
    """The path of a file that may be taken. Raises SourceError."""
    shown = printable(member.name)
    if not member.isreg() or member.issparse():
        raise SourceError(
            f"{name}: {shown} in the archive is no plain file, and links and devices are not read",
            hint="pack the chart with `helm package`",
            reason="InvalidArchive",
        )
    if member.size > limits.file:
        raise _too_much(name, f"{limits.file // MIB} MiB in one file ({shown})")
    path = member.name.removeprefix("./")
    try:
        return checked_path(path.encode("utf-8", "surrogateescape"))
    except SourceError as error:
        raise SourceError(f"{name}: {error}", reason="InvalidArchive") from None


def without_top(files: dict[str, bytes], name: str) -> dict[str, bytes]:
    """A chart's files without the folder that packed charts lie in. Raises SourceError."""
    inside: dict[str, bytes] = {}
    tops = {path.partition("/")[0] for path in files}
    for path, content in files.items():
        top, slash, rest = path.partition("/")
        if not slash or len(tops) > 1:
            raise SourceError(
                f"{name}: {printable(path)} in the archive lies beside the chart's folder",
                hint="pack the chart with `helm package`",
                reason="InvalidArchive",
            )
        del top
        inside[rest] = content
    if "Chart.yaml" not in inside:
        raise SourceError(f"{name}: the archive holds no Chart.yaml", reason="InvalidArchive")
    return inside


def _gunzip(data: bytes, name: str, limits: ArchiveLimits) -> bytes:
    """The unpacked bytes; no more of them are ever made than may be."""
    most = min(limits.size, max(_RATIO_FROM, len(data) * limits.ratio))
    whole = bytearray()
    try:
        while data:
            unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
            whole += unpacker.decompress(data, most - len(whole) + 1)
            if len(whole) > most:
                raise _too_much(name, f"{most // MIB} MiB unpacked")
            if not unpacker.eof:
                raise SourceError(f"{name}: the archive is cut off", reason="InvalidArchive")
            data = unpacker.unused_data.lstrip(b"\0")
    except zlib.error:
        raise SourceError(f"{name}: the archive is broken", reason="InvalidArchive") from None
    return bytes(whole)


def _too_much(name: str, what: str) -> SourceError:
    return SourceError(f"{name}: the archive has more than {what}", reason="LimitExceeded")
