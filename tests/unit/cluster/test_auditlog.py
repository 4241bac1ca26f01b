"""Audit log files: lines, documents, compressed ones, broken ones, huge ones."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest

from driftd.cluster.auditlog import AuditLog
from driftd.errors import ConfigError
from tests.unit.cluster.audited import azure, cloudwatch, event, gke, text

EVENTS = [event(auditID=f"id-{number}") for number in range(3)]
LINES = "".join(f"{text(one)}\n" for one in EVENTS).encode()


def read(path: Path, data: bytes, since: float | None = None) -> tuple[AuditLog, list[str]]:
    """The log with this content, read, and the ids of its writes."""
    path.write_bytes(data)
    log = AuditLog(path)
    return log, [one.audit_id for one in log.writes(since=since)]


def test_lines(tmp_path: Path) -> None:
    """A log of lines gives its writes in order, and says when it begins."""
    log, found = read(tmp_path / "audit.log", LINES)
    assert found == ["id-0", "id-1", "id-2"]
    assert (log.events, log.broken, log.earliest) == (3, 0, 1772366400.75)


@pytest.mark.parametrize("indent", [None, 1])
def test_documents(tmp_path: Path, indent: int | None) -> None:
    """An EventList, a list of entries, CloudWatch's answer and Azure's records, on many lines."""
    documents = [
        {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": EVENTS},
        [gke(), gke(), gke()],
        cloudwatch(*map(text, EVENTS)),
        {"records": [azure(text(one)) for one in EVENTS]},
    ]
    for document in documents:
        _, found = read(tmp_path / "log.json", json.dumps(document, indent=indent).encode())
        assert len(found) == 3


def test_compressed(tmp_path: Path) -> None:
    """A gzipped log is known by its content; one that ends early says so and gives what it had."""
    _, found = read(tmp_path / "audit.log", gzip.compress(LINES))
    assert found == ["id-0", "id-1", "id-2"]
    whole = gzip.compress(LINES * 400, compresslevel=0)
    log, found = read(tmp_path / "audit.log.gz", whole[: len(whole) // 2])
    assert found
    assert "ends early" in log.cut_off


def test_broken_lines(tmp_path: Path) -> None:
    """Broken lines are counted with the first one's number, and the others are read."""
    data = b"\n" + LINES + b'{"kind":"Event","apiVersion":"audit.k8s.io/v1",\n[nonsense]\n' + LINES
    log, found = read(tmp_path / "audit.log", data)
    assert len(found) == 6
    assert (log.broken, log.first_broken) == (2, 5)


@pytest.mark.parametrize(
    "line",
    [
        '{"kind":"Event","apiVersion":"audit.k8s.io/v1","requestObject":' + "[" * 100_000,
        "[" * 100_000,
        '{"items":' * 50_000,
        text(event(user="alice")),
        text(event(requestObject={"metadata": 7}, objectRef={"resource": 7})),
        text(event(stageTimestamp="9999-99-99T00:00:00Z")),
        text(event(responseStatus=[])),
        text(gke(status="x")),
        text({"protoPayload": {"methodName": "io.k8s.core.v1.x.get"}, "timestamp": None}),
    ],
    ids=lambda line: line[:60],
)
def test_hostile_lines(tmp_path: Path, line: str) -> None:
    """Nesting without end and members of other types are broken lines; the rest is read."""
    log, found = read(tmp_path / "audit.log", f"{line}\n".encode() + LINES)
    assert len(found) == 3
    assert (log.broken, log.first_broken) == (1, 1)


def test_a_line_that_is_being_written(tmp_path: Path) -> None:
    """The unfinished last line of a log in use is no error."""
    log, found = read(tmp_path / "audit.log", LINES + text(event())[:80].encode())
    assert (len(found), log.broken) == (3, 0)


def test_a_line_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line beyond the limit is skipped as broken, and what follows is read."""
    monkeypatch.setattr("driftd.cluster.auditlog.LONGEST", 4_000)
    long = text(event(annotations={"x": "y" * 10_000})).encode() + b"\n"
    log, found = read(tmp_path / "audit.log", LINES + long + LINES)
    assert len(found) == 6
    assert (log.broken, log.first_broken) == (1, 4)


def test_window(tmp_path: Path) -> None:
    """Only writes answered since a moment count, and the log's beginning is still known."""
    late = event(auditID="late", stageTimestamp="2026-03-01T13:00:00Z")
    log, found = read(tmp_path / "audit.log", LINES + text(late).encode() + b"\n", 1772367000.0)
    assert found == ["late"]
    assert log.earliest == 1772366400.75


def test_a_window_of_a_long_log(tmp_path: Path) -> None:
    """Of a long log only the end is read; a broken line there has its number in the whole file."""
    lines = [
        text(
            event(
                auditID=f"id-{number}",
                stageTimestamp=f"2026-03-01T{number // 600:02}:{number // 10 % 60:02}:00Z",
                annotations={"x": "y" * 200},
            )
        )
        for number in range(12_000)
    ]
    lines[11_950] = "{"
    path = tmp_path / "audit.log"
    since = 1772366400.0 + 7.5 * 3600  # half past seven in the evening
    log, found = read(path, "".join(f"{one}\n" for one in lines).encode(), since)
    assert found[0] == "id-11700"
    assert (len(found), log.broken, log.first_broken) == (299, 1, 11_951)
    assert log.earliest is not None
    assert log.earliest <= since
    assert log.events < 4_000


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Twenty megabytes are read in less than five, as lines and as one document."""
    line = text(event(requestObject={"data": {"x": "y" * 20_000}})).encode()
    count = 20_000_000 // len(line)
    lines, document = tmp_path / "lines.log", tmp_path / "document.json"
    with lines.open("wb") as out:
        out.writelines(line + b"\n" for _ in range(count))
    with document.open("wb") as out:
        out.write(b'{\n"items": [\n')
        out.writelines(line + b",\n" for _ in range(count - 1))
        out.write(line + b"]}")
    for path in (lines, document):
        tracemalloc.start()
        assert sum(1 for _ in AuditLog(path).writes()) == count
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 5_000_000


def test_unreadable(tmp_path: Path) -> None:
    """A file that cannot be opened is a ConfigError that names it."""
    with pytest.raises(ConfigError, match="absent"):
        list(AuditLog(tmp_path / "absent").writes())
