"""Notes and progress on standard error; standard output holds the report alone."""

from __future__ import annotations

import sys

from driftd.cli.terminal import printable, width_of

NOTE = "note: "


class Narrator:
    """What the controller says while it works.

    Notes (texts that begin with `note: `) stay, each printed once. Progress is one line that
    a terminal overwrites; elsewhere it appears only with `verbose`. `quiet` silences both.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self._quiet = quiet
        self._verbose = verbose
        self._noted: set[str] = set()
        self._transient = sys.stderr.isatty() and not verbose
        self._open = False

    def __call__(self, text: str) -> None:
        """Say `text`."""
        if self._quiet:
            return
        if text.startswith(NOTE):
            self.note(text.removeprefix(NOTE))
        elif self._transient:
            line = printable(text)[: width_of(sys.stderr) - 1]
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()
            self._open = True
        elif self._verbose:
            self._write(text)

    def note(self, text: str) -> None:
        """A fact that the reader should know and that stays on the screen."""
        if self._quiet or text in self._noted:
            return
        self._noted.add(text)
        self.close()
        self._write(NOTE + text)

    def close(self) -> None:
        """Take the progress line away."""
        if self._open:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._open = False

    @staticmethod
    def _write(text: str) -> None:
        sys.stderr.write(printable(text) + "\n")
        sys.stderr.flush()
