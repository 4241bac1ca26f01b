"""What the tests of the command line share: a sample report served in place of a real look."""

import click
import pytest
from click.testing import CliRunner

from driftd.cli import calls, exit_code, main
from tests.unit.cli import golden as golden_files
from tests.unit.cli import sample as sample_reports


@pytest.fixture(scope="session")
def sample():
    """The module that builds sample reports."""
    return sample_reports


@pytest.fixture(scope="session")
def golden():
    """`golden.check(name, text)`."""
    return golden_files


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    """No colour or width from the developer's shell reaches a test."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def driftd():
    """Run the command line in this process; the result has `exit_code`, `stdout`, `stderr`."""

    def run(*arguments, env=None):
        @click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
        @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
        @click.pass_context
        def program(ctx, arguments):
            ctx.exit(
                exit_code.run(
                    lambda: main.driftd.main(
                        list(arguments), prog_name="driftd", standalone_mode=False
                    )
                )
            )

        return CliRunner().invoke(program, list(arguments), env=env)

    return run


@pytest.fixture
def look(monkeypatch, sample):
    """Let `driftd check` find what a test sets; records the options it was called with."""

    class Look:
        report = sample.bad_night()
        says = ()
        options = None

    def check(options, narrator):
        Look.options = options
        for text in Look.says:
            narrator(text)
        if isinstance(Look.report, BaseException):
            raise Look.report
        return Look.report

    monkeypatch.setattr(calls, "check", check)
    return Look
