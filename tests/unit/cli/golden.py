"""Golden text files: `REWRITE_GOLDEN=1` rewrites them, a reviewer reads the diff."""

import os
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "golden" / "cli"


def check(name, text):
    """Compare `text` with the golden file `name`, or rewrite that file."""
    path = FOLDER / name
    if os.environ.get("REWRITE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
