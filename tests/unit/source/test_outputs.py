"""The files that a process writes its output to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from driftd.source.outputs import own_outputs

PROGRAM = """
import sys
from driftd.source.outputs import own_outputs
sys.stderr.write("".join(f"{path}\\n" for path in own_outputs()))
"""


def test_a_file_that_the_shell_has_made(tmp_path: Path) -> None:
    """A redirected output is found by its path; a pipe has none."""
    out = tmp_path / "with space.yaml"
    with out.open("w") as target:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            stdout=target,
            stderr=subprocess.PIPE,
            check=True,
            text=True,
            cwd=Path(__file__).parents[3],
        )
    assert done.stderr.splitlines() == [str(out)]


def test_closed_outputs() -> None:
    """Closed streams are no error."""
    done = subprocess.run(
        ["sh", "-c", '"$0" -c "$1" >&- 2>&-; exit $?', sys.executable,
         "from driftd.source.outputs import own_outputs; assert list(own_outputs()) == []"],
        check=False,
        cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert done.returncode == 0
    assert all(isinstance(path, Path) for path in own_outputs())
