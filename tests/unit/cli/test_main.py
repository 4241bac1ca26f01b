"""The program as a user starts it."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from driftd import __version__
from driftd.cli.main import COMMANDS
from driftd.cli.main import driftd as group
from driftd.controller.summary import SweepSummary
from driftd.errors import SourceError


def _commands():
    context = click.Context(group, **group.context_settings)
    return [(name, group.get_command(context, name)) for name in COMMANDS]


@pytest.mark.parametrize(("name", "command"), _commands())
def test_summaries_agree(name, command):
    """The summary that help shows without importing a command is the command's own."""
    assert command.name == name
    assert command.short_help == COMMANDS[name][1]


@pytest.mark.parametrize(("name", "command"), _commands())
def test_every_flag_has_an_environment_variable(name, command):
    """Each option is also read from `DRIFTD_<ITS NAME>` and says what it is for."""
    for option in command.params:
        if isinstance(option, click.Option):
            long = next(opt for opt in option.opts if opt.startswith("--"))
            assert option.envvar == "DRIFTD_" + long[2:].replace("-", "_").upper()
            assert option.help


def test_help_imports_no_heavy_package():
    """`driftd --help` imports nothing that costs a tenth of a second."""
    heavy = "aiohttp apscheduler deepdiff kubernetes_asyncio rich sqlalchemy structlog yaml msgspec"
    program = (
        "import sys\nfrom driftd.cli import exit_code, main\n"
        "code = exit_code.run(lambda: main.driftd.main(['--help'], standalone_mode=False))\n"
        f"found = sorted(set('{heavy}'.split()) & set(sys.modules))\n"
        "sys.exit(f'code {code}, imported {found}' if found or code else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "check" in done.stdout


def test_help_golden(driftd, golden):
    """The start page lists every command and the exit codes."""
    result = driftd("--help")
    assert result.exit_code == 0
    golden.check("help.txt", result.stdout)


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("check", "--nonsense"), ("check", "-o", "xml"), ("diff",), ()]
)
def test_usage_errors(driftd, arguments):
    """Wrong usage exits 2 and writes nothing that could pass for a report."""
    result = driftd(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_nearest_command_is_suggested(driftd):
    """A mistyped command is answered with the nearest one; nonsense with none."""
    assert "No such command 'chek'. Did you mean 'check'?" in driftd("chek").stderr
    assert "Did you mean" not in driftd("nonsense").stderr


@pytest.mark.parametrize("command", ["render", "explain", "heal", "history"])
def test_a_missing_application_says_how_they_are_listed(driftd, command):
    """Who does not know the names is told the command that lists them."""
    result = driftd(command)
    assert result.exit_code == 2
    assert "Missing argument 'APP'. driftd apps lists the applications." in result.stderr


def test_version_flag(driftd):
    """`driftd --version` prints name and version."""
    assert driftd("--version").stdout == f"driftd {__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(driftd, shell):
    """The script of each shell calls driftd back for its answers."""
    result = driftd("completion", shell)
    assert result.exit_code == 0
    assert "_DRIFTD_COMPLETE" in result.stdout


def test_completion_answers():
    """The call that the bash script makes completes a command's name."""
    done = subprocess.run(
        [sys.executable, "-c", "from driftd.cli.main import main; main()"],
        env={"_DRIFTD_COMPLETE": "bash_complete", "COMP_WORDS": "driftd clu", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "plain,clusters\n"


class TestVersion:
    """`driftd version`."""

    def test_json(self, driftd, monkeypatch):
        """Versions are machine-readable, the sandbox worker's libraries among them."""
        monkeypatch.setattr("driftd.cli.calls.worker_versions", lambda: {"go": "1.26.0"})
        result = driftd("version", "-o", "json")
        found = json.loads(result.stdout)
        assert result.exit_code == 0
        assert found["driftd"] == __version__
        assert found["worker"] == {"go": "1.26.0"}
        assert set(found["libraries"]) >= {"deepdiff", "kubernetes_asyncio"}

    def test_missing_worker(self, driftd, monkeypatch):
        """Without worker the rest is printed: this is what goes into bug reports."""

        def fail():
            from driftd.errors import SandboxError

            raise SandboxError("no worker binary", hint="build it")

        monkeypatch.setattr("driftd.cli.calls.worker_versions", fail)
        result = driftd("version")
        assert result.exit_code == 0
        assert "no worker binary; build it" in result.stdout


def test_run_delegates(driftd, monkeypatch, tmp_path):
    """`driftd run` hands settings and files to the daemon; a run that was ended is a success."""
    seen = []
    monkeypatch.setattr(
        "driftd.cli.calls.run_daemon", lambda path, *, once, files: seen.append((path, files))
    )
    settings = tmp_path / "driftd.yaml"
    settings.write_text("{}")
    result = driftd("run", "--suppressions", "a.yaml", env={"DRIFTD_CONFIG": str(settings)})
    assert (result.exit_code, result.stderr) == (0, "")
    files = {"baseline": (), "suppressions": (Path("a.yaml"),), "severity": None}
    assert seen == [(settings, files)]


@pytest.mark.parametrize(
    ("facts", "code", "line"),
    [
        (
            {},
            0,
            (
                "summary: 3 applications (1 OutOfSync, 2 Synced); "
                "9 objects (1 Missing, 2 NotChecked, 6 Synced); 1 open drift; "
                "2 messages sent, 0 waiting; heals: none; exit 0: every application was judged"
            ),
        ),
        (
            {"incomplete": 1, "waiting": 4, "writes": {"applied": 2, "failed": 1}},
            2,
            (
                "summary: 3 applications (1 OutOfSync, 2 Synced); "
                "9 objects (1 Missing, 2 NotChecked, 6 Synced); 1 open drift; "
                "2 messages sent, 4 waiting; heals: 2 applied, 1 failed; "
                "1 application not judged in full; exit 2: something could not be judged"
            ),
        ),
        (
            {"applications": {}, "objects": {}, "open_drifts": 0, "sent": 1, "failed": 1},
            2,
            (
                "summary: 0 applications; 0 objects; 0 open drifts; 1 message sent, 0 waiting; "
                "heals: none; 1 look failed, see the log; exit 2: something could not be judged"
            ),
        ),
    ],
)
def test_one_sweep_is_summed_up(driftd, monkeypatch, tmp_path, facts, code, line):
    """`driftd run --once` ends with a line for people; 2 if something could not be judged."""
    known = {
        "applications": {"Synced": 2, "OutOfSync": 1},
        "objects": {"Synced": 6, "NotChecked": 2, "Missing": 1},
        "incomplete": 0,
        "failed": 0,
        "open_drifts": 1,
        "sent": 2,
        "waiting": 0,
        "writes": {},
    }
    summary = SweepSummary(**{**known, **facts})
    monkeypatch.setattr("driftd.cli.calls.run_daemon", lambda _path, *, once, files: summary)
    settings = tmp_path / "driftd.yaml"
    settings.write_text("{}")
    result = driftd("run", "--once", "--config", str(settings))
    assert (result.exit_code, result.stderr, result.stdout) == (code, line + "\n", "")


def test_demo_delegates(driftd, monkeypatch):
    """`driftd demo` says whether to serve, exits as the demo does, and takes nothing else."""
    seen = []
    monkeypatch.setattr("driftd.cli.calls.demo", lambda *, serve: seen.append(serve) or 3)
    assert driftd("demo").exit_code == 3
    assert driftd("demo", "--serve").exit_code == 3
    assert driftd("demo", "--fast").exit_code == 2
    assert seen == [False, True]


def test_completion_help_keeps_its_lines(driftd):
    """The setup of each shell is a line of its own, without marks of the help's formatter."""
    text = driftd("completion", "--help").stdout
    assert '  bash  eval "$(driftd completion bash)"   in ~/.bashrc\n' in text
    assert "\\b" not in text
    assert "\b" not in text


def test_run_help_says_its_exit_codes(driftd):
    """A daemon ends with 0 whatever it found, and its help says so."""
    assert "0 ended as asked, whatever was found; 2 could not start" in (
        " ".join(driftd("run", "--help").stdout.split())
    )


def test_errors_reach_the_user(driftd, look):
    """An error of the controller is printed with its remedy, standard output stays empty."""
    look.report = SourceError("no Git repository in this folder", hint="name one by --repo PATH")
    result = driftd("check")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == ("error: no Git repository in this folder; name one by --repo PATH\n")
