"""Outcomes and errors as exit codes."""

import os
import subprocess
import sys

import click
import pytest

from driftd.cli import exit_code
from driftd.errors import ConfigError, RenderError


def _raise(error):
    def command():
        raise error

    return command


@pytest.mark.parametrize(
    ("complete", "drift", "report_drift", "code"),
    [
        (True, False, True, 0),
        (True, True, True, 1),
        (True, True, False, 0),
        (False, False, True, 2),
        (False, True, True, 2),
        (False, True, False, 2),
    ],
)
def test_of_report(complete, drift, report_drift, code):
    """2 beats 1 beats 0; `--no-exit-code` turns 1, and only 1, into 0; the meaning agrees."""
    facts = {"complete": complete, "drift": drift, "report_drift": report_drift}
    assert exit_code.of_report(**facts) == code
    assert exit_code.meaning(**facts).startswith(f"exit {code}: ")


def test_driftd_errors(capsys):
    """An error is one line with its remedy, on standard error; exit 2."""
    error = RenderError("apps/app1: line 3:\n  bad indent", hint="fix the file")
    assert exit_code.run(_raise(error)) == 2
    captured = capsys.readouterr()
    assert captured.err == "error: apps/app1: line 3: bad indent; fix the file\n"
    assert captured.out == ""


def test_no_hint_no_hint_line(capsys):
    """An error without remedy ends with its message."""
    exit_code.run(_raise(ConfigError("no context")))
    assert capsys.readouterr().err == "error: no context\n"


def test_error_groups(capsys):
    """Errors of concurrent tasks are all printed."""
    group = ExceptionGroup(
        "tasks", [ConfigError("one"), ExceptionGroup("inner", [RenderError("two", hint="h")])]
    )
    assert exit_code.run(_raise(group)) == 2
    assert capsys.readouterr().err == "error: one\nerror: two; h\n"


def test_unexpected_errors_are_not_drift(capsys):
    """A defect exits 2, not Python's 1, and its text, which may hold document values, stays out."""
    assert exit_code.run(_raise(KeyError("password=hunter2"))) == 2
    printed = capsys.readouterr().err
    assert "error: unexpected KeyError at test_exit_code.py:" in printed
    assert "hunter2" not in printed


def test_traceback_on_request(capsys, monkeypatch):
    """DRIFTD_TRACEBACK=1 prints where a defect happened."""
    monkeypatch.setenv("DRIFTD_TRACEBACK", "1")
    assert exit_code.run(_raise(ValueError("detail"))) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_interrupted(error, capsys):
    """Ctrl-C exits 130 with one word."""
    assert exit_code.run(_raise(error)) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_interrupted_tasks(capsys):
    """Ctrl-C that arrives inside a group of tasks exits 130 as well."""
    group = BaseExceptionGroup("tasks", [KeyboardInterrupt(), ConfigError("late")])
    assert exit_code.run(_raise(group)) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_click_file_errors_are_not_drift(capsys):
    """Click's own exit code for unreadable files is 1; here it is 2."""
    assert exit_code.run(_raise(click.FileError("x.yaml", "gone"))) == 2
    assert "x.yaml" in capsys.readouterr().err


@pytest.mark.parametrize("repeats", [1, 100_000])
def test_broken_pipe_is_quiet(repeats):
    """A reader that goes away (`driftd … | head -1`) leaves no traceback and exits 141, not 1."""
    program = (
        "import click, sys\nfrom driftd.cli import exit_code, main\n"
        f"write = lambda: sys.stdout.write('a line of a report\\n' * {repeats}) and None\n"
        "group = main.LazyGroup()\n"
        "group.get_command = lambda context, name: click.Command(name, callback=write)\n"
        "sys.exit(exit_code.run(lambda: group.main(['check'], standalone_mode=False)))\n"
    )
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-c", program],
            stdout=writer,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_the_last_line_repeats_the_doubt_about_a_cluster():
    """Where a cluster looks like the wrong one, what the exit code says is a question."""
    from driftd.cli.exit_code import meaning

    line = meaning(complete=True, drift=True, looks_empty=True)
    assert line == "exit 1: drift found; is it the right cluster? (ClusterLooksEmpty above)"
    assert meaning(complete=True, drift=True) == "exit 1: drift found"
