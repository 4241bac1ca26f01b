"""Notes and progress on standard error."""

import io

import pytest

from driftd.cli.progress import Narrator


class _Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Let standard error be a terminal from now on; returns what it shows."""

    def connect():
        stream = _Terminal()
        monkeypatch.setattr("sys.stderr", stream)
        return stream

    return connect


def test_progress_is_overwritten_on_a_terminal(terminal):
    """Progress takes one line, and is gone when the report begins."""
    stderr = terminal()
    narrator = Narrator()
    narrator("reading a")
    narrator("reading b")
    narrator.close()
    assert "\n" not in stderr.getvalue()
    assert stderr.getvalue().endswith("\r\x1b[K")


def test_notes_survive_progress(terminal):
    """A note takes the progress line's place and stays."""
    stderr = terminal()
    narrator = Narrator()
    narrator("reading a")
    narrator("note: destination x → context y")
    assert stderr.getvalue() == "\r\x1b[Kreading a\r\x1b[Knote: destination x → context y\n"


def test_verbose_keeps_every_step(terminal):
    """`-v` keeps each step on its own line, even on a terminal."""
    stderr = terminal()
    narrator = Narrator(verbose=True)
    narrator("reading a")
    narrator("reading b")
    assert stderr.getvalue() == "reading a\nreading b\n"


def test_quiet(terminal):
    """`-q` says nothing at all."""
    stderr = terminal()
    narrator = Narrator(quiet=True, verbose=True)
    narrator("reading a")
    narrator("note: b")
    narrator.note("c")
    narrator.close()
    assert stderr.getvalue() == ""


def test_hostile_text(terminal):
    """What a repository put into a name cannot steer the terminal."""
    stderr = terminal()
    Narrator().note("app \x1b[2J")
    assert stderr.getvalue() == "note: app \\x1b[2J\n"
