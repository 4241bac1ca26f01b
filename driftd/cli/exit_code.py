"""The only place that turns outcomes and errors into exit codes.

0 nothing drifted, 1 drift, 2 something could not be judged or an error happened,
130 interrupted, 141 the reader of standard output went away.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator

import click

from driftd.errors import DriftdError

NO_DRIFT = 0
DRIFT = 1
ERROR = 2
INTERRUPTED = 130
BROKEN_PIPE = 141


class ReaderGone(Exception):
    """Standard output was closed; click would turn BrokenPipeError into exit code 1, "drift"."""


_MEANING = {
    NO_DRIFT: "no drift, everything was checked",
    DRIFT: "drift found",
    ERROR: "something could not be judged (Unknown, or marked ! above)",
}
_NOTHING_JUDGED = "nothing could be judged (Unknown, or marked ! above)"


def of_report(*, complete: bool, drift: bool, report_drift: bool = True) -> int:
    """The exit code of a look; `report_drift` false (`--no-exit-code`) turns 1 into 0."""
    from driftd.model.report import exit_code

    code = exit_code(complete=complete, drift=drift)
    return NO_DRIFT if code == DRIFT and not report_drift else code


def meaning(
    *,
    complete: bool,
    drift: bool,
    report_drift: bool = True,
    unchecked: str = "",
    judged: bool = True,
    looks_empty: bool = False,
) -> str:
    """One line that tells a person what the exit code of a report says.

    `unchecked` is what was left out of the comparison and why, empty if nothing was; `judged`
    whether any object has a verdict;
    `looks_empty` says that a condition takes a cluster for the wrong one.
    """
    code = of_report(complete=complete, drift=drift, report_drift=report_drift)
    doubt = "; is it the right cluster? (ClusterLooksEmpty above)" if looks_empty else ""
    if code == ERROR:
        text = _MEANING[ERROR] if judged else _NOTHING_JUDGED
        text += ", beside the drift that was found" if drift else ""
    elif drift:
        text = _MEANING[DRIFT] + ("" if code == DRIFT else " (--no-exit-code)")
    elif not judged:
        text = "nothing was compared" + (f"; left out: {unchecked}" if unchecked else "")
    elif unchecked:
        text = f"no drift; everything was checked but {unchecked}"
    else:
        text = _MEANING[NO_DRIFT]
    return f"exit {code}: {text}{doubt}"


def run(command: Callable[[], object]) -> int:
    """Run `command` and say how it ended: its own int, or the code of the error it raised.

    An error is one line on standard error: `error: MESSAGE; REMEDY`.
    """
    try:
        result = command()
        sys.stdout.flush()
    except SystemExit as stop:
        # Click itself exits after completion, and with 1 where help meets a closed pipe.
        return NO_DRIFT if stop.code in {None, 0} else ERROR
    except click.ClickException as error:
        # Click's own code for bad files is 1, which would read as "drift".
        error.show()
        return ERROR
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted")
        return INTERRUPTED
    except (BrokenPipeError, ReaderGone):
        _discard_stdout()
        return BROKEN_PIPE
    except BaseExceptionGroup as group:
        return _of_group(group)
    except DriftdError as error:
        _print_error(error)
        return ERROR
    except Exception as error:  # noqa: BLE001 - the boundary: Python's own exit code here is 1, "drift"
        _print_unexpected(error)
        return ERROR
    return result if isinstance(result, int) else NO_DRIFT


def _of_group(group: BaseExceptionGroup[BaseException]) -> int:
    leaves = list(_leaves(group))
    if any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves):
        _say("interrupted")
        return INTERRUPTED
    for leaf in leaves:
        if isinstance(leaf, DriftdError):
            _print_error(leaf)
        else:
            _print_unexpected(leaf)
    return ERROR


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _print_error(error: DriftdError) -> None:
    _say(f"error: {_one_line(error.message)}")


def _print_unexpected(error: BaseException) -> None:
    """Name the defect and where it happened, without values that a document may have brought in."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
    if os.environ.get("DRIFTD_TRACEBACK"):
        traceback.print_exception(error)
    _say(
        f"error: unexpected {type(error).__name__}{where}; this is a defect of driftd, "
        "DRIFTD_TRACEBACK=1 prints the details for a bug report"
    )


def _one_line(text: str) -> str:
    from driftd.cli.terminal import printable

    return printable(" ".join(text.split()))


def _say(line: str) -> None:
    click.echo(line, err=True)


def _discard_stdout() -> None:
    """Point standard output at nothing, so that the interpreter's last flush stays silent."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)
