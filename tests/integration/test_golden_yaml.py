"""driftd reads the documents of `tests/golden/yaml` as Kubernetes' own libraries do.

Each begins with a line `#### what it is`; where that ends with `(escaped)`, the text has
backslashes as in a string of Python. What is right is asked anew on every run.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from driftd.model.tree import Tree
from driftd.sandbox.pool import SandboxPool
from driftd.sandbox.results import ParseResult
from tests.testbed.upstream import read

FOLDER = Path(__file__).parent.parent / "golden/yaml"
STREAMS = "streams.txt"
ESCAPED = " (escaped)"


def _documents(file: Path) -> dict[str, bytes]:
    found = {}
    for part in file.read_text().split("#### ")[1:]:
        title, _, text = part.partition("\n")
        data = text.encode()
        if title.endswith(ESCAPED):
            data = codecs.escape_decode(text.removesuffix("\n").encode())[0]  # type: ignore[attr-defined]
        found[title.removesuffix(ESCAPED)] = data
    return found


SINGLE = {
    f"{file.stem}: {title}": text
    for file in sorted(FOLDER.glob("*.txt"))
    if file.name != STREAMS
    for title, text in _documents(file).items()
}
STREAM = _documents(FOLDER / STREAMS)


@pytest.fixture(scope="module")
def readings() -> dict[bytes, dict[str, Any]]:
    """What Kubernetes' libraries make of each text."""
    texts = [*SINGLE.values(), *STREAM.values()]
    return dict(zip(texts, read(texts), strict=True))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[SandboxPool]:
    """One worker for all documents."""
    async with SandboxPool(size=1) as pool:
        yield pool


async def _parse(sandbox: SandboxPool, title: str, text: bytes) -> ParseResult:
    return await sandbox.parse(Tree(title, {"a.yaml": text}), ["a.yaml"], project="team")


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("title", SINGLE)
async def test_reads_a_document(
    title: str, sandbox: SandboxPool, readings: dict[bytes, dict[str, Any]]
) -> None:
    """The same value or an error too; a duplicate key warns, and the last one counts."""
    text = SINGLE[title]
    expected = readings[text]
    result = await _parse(sandbox, title, text)
    if expected["error"] or not isinstance(expected["json"], dict | None):
        assert result.documents == ()
        assert len(result.errors) == 1
        return
    assert result.errors == ()
    wanted = [] if expected["json"] is None else [_canonical(expected["json"])]
    assert [_canonical(json.loads(bytes(d.object))) for d in result.documents] == wanted
    repeated = "already set in map" in expected["strict"]
    assert [w for w in result.warnings if "duplicate key" in w.message] == list(result.warnings)
    assert bool(result.warnings) is repeated


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("title", STREAM)
async def test_reads_a_stream(
    title: str, sandbox: SandboxPool, readings: dict[bytes, dict[str, Any]]
) -> None:
    """The same documents, numbers included; where Kubernetes stops, an error is told.

    Where Kubernetes gives up with a whole stream, driftd has the documents that can be read.
    """
    expected = readings[STREAM[title]]
    result = await _parse(sandbox, f"stream {title}", STREAM[title])
    found = [_canonical(json.loads(bytes(d.object))) for d in result.documents]
    wanted = [_canonical(value) for value in expected["stream"] if isinstance(value, dict)]
    if expected["streamError"]:
        assert result.errors
        assert set(wanted) <= set(found)
    else:
        assert found == wanted
        assert bool(result.errors) is (len(wanted) < len(expected["stream"]))


def test_there_are_enough() -> None:
    """At least a hundred hard documents are held to the libraries, every fifth is refused."""
    assert len(SINGLE) + len(STREAM) >= 200
    assert len(set(SINGLE.values())) == len(SINGLE)
