"""The pages of `driftd help TOPIC`: Markdown files beside this module, as a terminal shows them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from importlib.resources import files

TOPICS = {
    "inference": "How repositories, clusters and deployers are found without flags.",
    "classes": "Declared, undeclared, review, injected, rewritten, pending.",
    "severity": "Critical, high, medium, low, info.",
    "exit-codes": "0, 1, 2 and the others.",
    "formats": "What -o prints, and for whom.",
    "environment": "Variables that driftd reads.",
    "permissions": "What driftd does on clusters, and what it needs.",
    "baseline": "Accepting today's findings for a while.",
    "suppressions": "Accepting a place, whatever its value.",
    "state": "What looks remember of the looks before them.",
    "signatures": "Revisions that must be signed.",
    "preview": "What merging a change does.",
    "flux": "Kustomizations and HelmReleases.",
    "notifications": "Who is told, how, and how often.",
}
"""Each topic with its summary, in the order of need."""

_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")
_BLOCKS = re.compile(r"^```[\s\S]*?^```$|^\S(?:.|\n(?!\n))*", re.MULTILINE)
_ITEM = re.compile(r"(\d+\.|-) ")


def source(topic: str) -> str:
    """The page of a topic as Markdown."""
    return (files("driftd.cli") / "topics" / f"{topic}.md").read_text(encoding="utf-8")


def rendered(markdown: str, width: int) -> str:
    """Markdown of our own pages as plain text of at most `width` columns.

    Headings, paragraphs, lists, examples, and tables whose first column is a term.
    """
    blocks = _BLOCKS.findall(markdown)
    return "\n\n".join("\n".join(_block(block, width)) for block in blocks) + "\n"


def _block(block: str, width: int) -> Iterator[str]:
    lines = block.splitlines()
    if lines[0].startswith("```"):  # a file stays as it is, to be copied
        yield from (f"    {line}".rstrip() for line in lines[1:-1])
    elif lines[0].startswith("#"):
        yield _plain(lines[0].lstrip("# ")).upper()
    elif lines[0].startswith("|"):
        yield from _table(lines, width)
    elif _ITEM.match(lines[0]):
        for line in lines:
            item = _ITEM.match(line)
            indent = " " * (2 + len(item[0])) if item else "  "
            yield textwrap.fill("  " + _plain(line), width, subsequent_indent=indent)
    else:
        yield textwrap.fill(_plain(" ".join(lines)), width, break_on_hyphens=False)


def _table(lines: list[str], width: int) -> Iterator[str]:
    """A row for each line; the second column is wrapped, since it has the text."""
    rows = [[_plain(cell.strip()) for cell in line.strip("|").split("|")] for line in lines]
    rows = [rows[0], *rows[2:]]
    if rows[0][1] == "Run":  # commands stay whole, to be copied
        for term, command in rows[1:]:
            yield textwrap.fill(f"  {term}", width, subsequent_indent="  ")
            yield f"    {command}"
        return
    longest = max(len(row[0]) for row in rows)
    rest = [max(len(row[number]) for row in rows) for number in range(2, len(rows[0]))]
    beside = width - 2 - longest - 2 - sum(size + 2 for size in rest)
    for row in rows:
        if beside < width // 3:  # terms as long as commands: the text goes below
            yield f"  {row[0]}"
            text = ", ".join(cell for cell in row[1:] if cell)
            yield textwrap.fill(text, width, initial_indent="    ", subsequent_indent="    ")
            continue
        body = textwrap.wrap(row[1], beside, break_on_hyphens=False) or [""]
        tail = "".join(f"  {cell:<{size}}" for cell, size in zip(row[2:], rest, strict=True))
        yield f"  {row[0]:<{longest}}  {body[0]:<{beside if tail else 0}}{tail}".rstrip()
        yield from (" " * (longest + 4) + line for line in body[1:])


def _plain(text: str) -> str:
    return _LINK.sub(r"\1", text).replace("`", "")
