"""What manifests become when somebody edits them is read as Kubernetes' own library reads it.

The plain YAML of manifests has a reader of its own, which must leave everything to the library
that it does not know. Documents of the tests, with lines moved, indented, lost and odd characters
put in between, are read by both.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from driftd.model.tree import Tree
from driftd.sandbox.pool import SandboxPool
from tests.testbed.upstream import read

TESTS = Path(__file__).resolve().parents[1]
SOURCES = ("golden/yaml/*.txt", "golden/render/**/*.yaml", "fixtures/kubernetes-gitops/**/*.yaml")
COUNT = 8000
LARGEST = 3000
ODD = (
    "\n", " ", "  ", "- ", ": ", ":", "#", " #", "|", "|-\n", "|+\n", ">\n", '"', "'", "''", "[",
    "]", "{", "}", ",", "-", "0", "010", "1.5", "1e3", "12:30", "0x1F", "1_000", "10m", "-1",
    "true", "null", "No", "y", "~", "&a ", "*a", "!!str ", "...", "\\n", "\\", "\\u0041", "<", "&",
    "\n\n", "\n  ", "? ", "%", "@", "\t", "\r\n", "é", "\u2028", "key: v\n", "a: ", "- b: c\n",
    "T", "=",
    "2001-01-01", "2001-01-01T00:00:00Z", "+", ".", "/", "<<", "<<: *a\n", "\ufeff", "\0", ".inf",
)  # fmt: skip


def _documents() -> list[str]:
    texts = (
        part
        for source in SOURCES
        for file in sorted(TESTS.glob(source))
        if file.is_file()
        for part in file.read_text(errors="replace").replace("#### ", "---\n# ").split("---\n")
    )
    return [text for text in dict.fromkeys(texts) if 0 < len(text) <= LARGEST]


def _mutated(documents: list[str]) -> Iterator[str]:
    dice = random.Random(17)  # noqa: S311 - a test repeats itself
    while True:
        text = dice.choice(documents)
        for _ in range(dice.randint(1, 4)):
            lines = text.splitlines(keepends=True) or [""]
            at, line = dice.randint(0, len(text)), dice.randrange(len(lines))
            match dice.randrange(5):
                case 0:
                    text = text[:at] + dice.choice(ODD) + text[at:]
                case 1:
                    text = text[:at] + text[at + dice.randint(1, 6) :]
                case 2:
                    other = dice.randrange(len(lines))
                    lines[line], lines[other] = lines[other], lines[line]
                    text = "".join(lines)
                case 3:
                    lines[line] = " " * dice.randint(1, 3) + lines[line]
                    text = "".join(lines)
                case _:
                    lines[line] = lines[line].removeprefix(" ")
                    text = "".join(lines)
        # One document of YAML each, which is more than comments.
        content = [line for line in text.split("\n") if not line.strip().startswith("#")]
        start = "".join(content).lstrip("\ufeff \t\r\n")
        if start and not start.startswith("{") and "---" not in text and "..." not in text:
            yield text


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


async def test_reads_what_edits_leave() -> None:
    """The same value, the same refusal, and a warning exactly where a key is there twice."""
    mutated = _mutated(_documents())
    texts = [next(mutated) for _ in range(COUNT)]
    wanted = read([text.encode() for text in texts])
    files = {f"{number:04}.yaml": text.encode() for number, text in enumerate(texts)}
    async with SandboxPool(size=1) as pool:
        result = await pool.parse(Tree("mutated", files), list(files), project="team")
    found = {document.file: json.loads(bytes(document.object)) for document in result.documents}
    refused = {problem.file for problem in result.errors}
    warned = {one.file for one in result.warnings if "duplicate key" in one.message}
    values = 0
    for file, expected in zip(files, wanted, strict=True):
        value = expected["json"]
        if expected["error"] or not isinstance(value, dict | None):
            assert (file in refused, file in found) == (True, False), files[file]
        elif value is not None:
            values += 1
            assert _canonical(found[file]) == _canonical(value), files[file]
            assert (file in warned) is ("already set in map" in expected["strict"]), files[file]
        else:
            assert file not in found, files[file]
            assert file not in refused, files[file]
    assert values >= COUNT // 3
    assert len(refused) >= COUNT // 10
