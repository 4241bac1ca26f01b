"""Record what `driftd demo` prints: `python -m tests.testbed.demo_text` writes the documents.

The text is that of a real run. Replaced are only times, the revision, and how one types driftd.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
START, END = "<!-- demo: begin -->", "<!-- demo: end -->"
FINDING = re.compile(r"^( {2}>> | {5}\S| {2}(OutOfSync|Missing) | {6}(critical|high|medium|low) )")
"""Lines that say what was found: they do not change from run to run."""
_NORMALISED = (
    (re.compile(r">> \d+\.\d s"), ">> 1.0 s"),
    (re.compile(r"\b\d+s ago"), "5s ago"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "2026-03-04T12:00:00Z"),
    (re.compile(r"(revision\s+)[0-9a-f]{8}"), r"\g<1>3c4e42ca"),
    (re.compile(r"^\S*python\S* -m driftd\.cli\.main", re.MULTILINE), "driftd"),
    (re.compile(r"\d{4}-\d\d-\d\d(?!T)"), "2026-06-02"),
)
_HEAD = """# The demonstration

What `make demo` and `driftd demo` print, recorded from a run by `make record-demo`.

"""


def normalised(text: str) -> str:
    """A run's text without what differs from run to run."""
    for pattern, replacement in _NORMALISED:
        text = pattern.sub(replacement, text)
    return text


def main() -> int:
    """Run the demonstration and write both documents; its exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "driftd.cli.main", "demo"],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "80"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode == 0:
        text = normalised(done.stdout)
        (ROOT / "docs/demo.md").write_text(f"{_HEAD}```text\n{text}```\n")
        readme = ROOT / "README.md"
        before, _, rest = readme.read_text().partition(START)
        after = rest.partition(END)[2]
        excerpt = text.partition("\n\n")[2].partition("\n\n")[0].splitlines()
        shown = excerpt[: next(i for i, line in enumerate(excerpt) if "bob:" in line)]
        block = "\n".join(["", "```text", *shown, "```", ""])
        readme.write_text(f"{before}{START}{block}{END}{after}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
