"""Packed charts: what is read of them, and what is refused."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable

import pytest

from driftd.errors import SourceError
from driftd.source.archive import ArchiveLimits, unpack, without_top


def tar(
    *members: tuple[str, bytes], change: Callable[[tarfile.TarInfo], None] | None = None
) -> bytes:
    """An archive of these files; `change` edits each header."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            if change is not None:
                change(member)
            archive.addfile(member, io.BytesIO(data) if member.isreg() else None)
    return buffer.getvalue()


def test_plain_gzipped_and_joined_archives_are_read() -> None:
    """A tar with or without gzip, in one stream or several."""
    data = tar(("web/Chart.yaml", b"name: web"), ("./web/a", b""))
    expected = {"web/Chart.yaml": b"name: web", "web/a": b""}
    half = len(data) // 2
    joined = gzip.compress(data[:half]) + gzip.compress(data[half:])
    for packed in (data, gzip.compress(data), joined):
        assert unpack(packed, "c") == expected
    assert without_top(expected, "c") == {"Chart.yaml": b"name: web", "a": b""}


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/etc/passwd",
        "web/../../x",
        "web//x",
        "web/.git/config",
        "web/a\\b",
        "web/\x07",
        "x" * 300,
    ],
)
def test_paths_that_lead_elsewhere_are_refused(name: str) -> None:
    """S-21: no name of an archive leaves it or hides."""
    with pytest.raises(SourceError) as error:
        unpack(tar((name, b"x")), "chart web")
    assert str(error.value).startswith("chart web: ")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_are_refused(kind: bytes) -> None:
    """S-21: an archive holds plain files and folders alone."""

    def change(member: tarfile.TarInfo) -> None:
        member.type, member.linkname, member.size = kind, "/etc/passwd", 0

    with pytest.raises(SourceError, match="no plain file"):
        unpack(tar(("web/values.yaml", b""), change=change), "c")


def test_bombs_are_refused() -> None:
    """S-21: too many files, too large ones, too much in all, and too well packed ones."""
    limits = ArchiveLimits(packed=100_000, size=3 << 20, file=1 << 20, files=10, ratio=50)
    big = b"x" * 600_000
    for members, words in (
        ([(f"web/{n}", b"") for n in range(11)], "10 files"),
        ([("web/big", b"x" * (1 << 20) + b"x")], "1 MiB in one file"),
    ):
        with pytest.raises(SourceError, match=words):
            unpack(tar(*members), "c", ArchiveLimits(file=1 << 20, files=10))
    with pytest.raises(SourceError, match="MiB unpacked"):
        unpack(gzip.compress(tar(*((f"web/{n}", big) for n in range(8)))), "c", limits)
    with pytest.raises(SourceError, match="0 MiB packed"):
        unpack(b"x" * 100_001, "c", limits)
    with pytest.raises(SourceError, match="MiB unpacked"):
        unpack(b"x" * (4 << 20), "c", ArchiveLimits(size=3 << 20))


@pytest.mark.parametrize(
    "data",
    [b"", b"not an archive", gzip.compress(b"neither"), gzip.compress(tar(("a/b", b"x")))[:-20]],
    ids=["empty", "text", "gzipped text", "cut off"],
)
def test_what_is_no_archive_is_said(data: bytes) -> None:
    """Broken bytes are an error of the source, never an exception of a library."""
    with pytest.raises(SourceError, match="archive"):
        unpack(data, "c")


def test_a_chart_lies_in_one_folder() -> None:
    """Packed charts have one folder with Chart.yaml."""
    for files in ({"Chart.yaml": b""}, {"a/Chart.yaml": b"", "b/x": b""}, {"a/x": b""}):
        with pytest.raises(SourceError, match=r"Chart\.yaml|beside the chart's folder"):
            without_top(files, "c")
