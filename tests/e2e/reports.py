"""What a daemon has stored, read beside it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any


def verdicts(store: Path) -> dict[str, Any]:
    """The last report on each application by its name, as an SQLite store has it."""
    if not store.exists():
        return {}
    with sqlite3.connect(store) as connection:
        rows = connection.execute("SELECT report FROM applications").fetchall()
    reports = [json.loads(row[0]) for row in rows]
    return {one["name"]: one for one in reports}
