"""The command and settings blocks of the documentation."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
GENERATED = ("docs/reference/cli.md",)
"""Made from the code, with synopses instead of commands."""
_FENCE = re.compile(r"^([ ]*)```(\w*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`(driftd [^`]+)`")
SHELL = ("sh", "bash", "shell", "console")


@dataclass(frozen=True, slots=True)
class Block:
    """One block, with where it stands."""

    file: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """The commands of a shell block; continued lines are joined, outputs left out."""
        lines = self.text.replace("\\\n", " ").splitlines()
        if self.language == "console":
            return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def documents() -> list[Path]:
    """Every page that people read."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "deploy" / "README.md"]
    pages += sorted((ROOT / "docs").rglob("*.md"))
    return [page for page in pages if str(page.relative_to(ROOT)) not in GENERATED]


def blocks() -> list[Block]:
    """Every fenced block."""
    return [block for page in documents() for block in _blocks(page)]


def spans() -> list[Block]:
    """Every `driftd …` command inside a sentence or a table."""
    found = []
    for page in documents():
        text = _FENCE.sub(lambda match: "\n" * match.group().count("\n"), page.read_text())
        for match in _SPAN.finditer(text):
            command = match.group(1).replace("\\|", "|")
            found.append(Block(_name(page), _line(text, match.start()), "sh", command))
    return found


def _blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for match in _FENCE.finditer(text):
        body = textwrap.dedent(match.group(3))
        yield Block(_name(page), _line(text, match.start()), match.group(2), body)


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
