"""`driftd demo`: simulated clusters, the example repository, and `driftd check` as users run it."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from pathlib import Path

from driftd.clock import SystemClock
from driftd.demo import recording
from driftd.demo.server import SimulatedApiServer
from driftd.demo.story import DEPLOYED, DESTINATIONS, STEPS, Step
from driftd.errors import SourceError

PACKAGE = Path(__file__).resolve().parent.parent
EXAMPLE = (
    PACKAGE / "demo" / "kubernetes-gitops",
    PACKAGE.parent / "tests/fixtures/kubernetes-gitops",
)
"""The example repository's files: in an installed driftd, and in a checkout."""
REMOTE = "https://github.com/example/kubernetes-gitops.git"
REPOSITORY = "kubernetes-gitops"
WIDTH = 80
"""Columns of what is said between the checks."""
CHECK = (
    *("check", "--repo", REPOSITORY),
    *(word for pair in DESTINATIONS.items() for word in ("--cluster", "=".join(pair))),
)
"""The command that is run, in a folder with the repository and with KUBECONFIG set."""


def main(*, serve: bool) -> int:
    """Run the demonstration: 0 if it showed what was recorded, else 1 with the reason.

    With `serve` the clusters stay until Ctrl-C or SIGTERM, which end it with 0; before that they
    end it with 130 or 143. However it ends, nothing is left behind.
    """
    try:
        return asyncio.run(_demonstrate(serve=serve))
    except KeyboardInterrupt:
        return 130
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM


def _end_on_sigterm() -> None:
    """Let SIGTERM cancel the running task as asyncio lets Ctrl-C, so that folders are removed."""
    task = asyncio.current_task()

    def end() -> None:
        # Once: a second cancellation would end the cleaning up that the first one began.
        if task is not None and not task.cancelling():
            task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)


async def _demonstrate(*, serve: bool) -> int:
    _end_on_sigterm()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="driftd-demo-")))
        recordings = recording.load(SystemClock().now())
        servers = [
            await stack.enter_async_context(SimulatedApiServer(one)) for one in recordings.values()
        ]
        await make_repository(folder / REPOSITORY)
        write_kubeconfig(folder / "kubeconfig", servers)
        _say(*_opening())
        clean = await _run(CHECK, folder)
        if clean != 0:
            return _failed("before the night", clean, 0)
        _say("", *_night(STEPS), "", *_command())
        for server in servers:
            server.state = server.recording.after
        drifted = await _run(CHECK, folder)
        if drifted != 1:
            return _failed("after the night", drifted, 1)
        _say("", *_summary(STEPS), "", *_next())
        if serve:
            _say("", *_serving(folder))
            with suppress(asyncio.CancelledError):  # Ctrl-C or SIGTERM is how it ends
                await asyncio.Event().wait()
    return 0


async def make_repository(path: Path) -> None:
    """A Git repository with the example's files. Raises SourceError if it cannot be made."""
    example = next((folder for folder in EXAMPLE if folder.is_dir()), None)
    if example is None:
        raise SourceError("the example repository is missing", hint="reinstall driftd")
    if shutil.which("git") is None:
        raise SourceError("the demonstration needs git on PATH", hint="install git")
    shutil.copytree(example, path)
    for arguments in (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", "--all", "--force"),
        ("commit", "--quiet", "--no-verify", "--message=Example of a platform team"),
        ("remote", "add", "origin", REMOTE),
    ):
        await _git(path, arguments)


async def _git(path: Path, arguments: Sequence[str]) -> None:
    person = {"NAME": "Platform Team", "EMAIL": "platform@example.com"}
    environment = {
        **clean_environment(os.environ),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        **{f"GIT_{role}_{k}": v for role in ("AUTHOR", "COMMITTER") for k, v in person.items()},
    }
    process = await asyncio.create_subprocess_exec(
        *("git", "-c", "commit.gpgsign=false", *arguments),
        cwd=path,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    if process.returncode != 0:
        told = " ".join(errors.decode(errors="replace").split())
        raise SourceError(f"git {arguments[0]} in the demonstration's folder: {told}")


def write_kubeconfig(path: Path, servers: Iterable[SimulatedApiServer]) -> None:
    """A kubeconfig with one context for each server, named like its cluster."""
    running = {server.recording.name: server for server in servers}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": n, "cluster": {"server": s.server}} for n, s in running.items()],
        "users": [{"name": n, "user": {"token": s.token}} for n, s in running.items()],
        "contexts": [{"name": n, "context": {"cluster": n, "user": n}} for n in running],
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(document, indent=2) + "\n")


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Without the user's own settings of driftd, Git and Kubernetes, which would change results."""
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith(("DRIFTD_", "GIT_", "KUBE")) or name == "DRIFTD_WORKER"
    }
    # The folder of this driftd, since the check runs in another one and it may be a checkout.
    paths = [str(PACKAGE.parent), *filter(None, [environment.get("PYTHONPATH")])]
    return kept | {"PYTHONPATH": os.pathsep.join(paths)}


async def _run(arguments: Sequence[str], folder: Path) -> int:
    """Run driftd as its users do; its output goes where this process's goes."""
    sys.stdout.flush()
    environment = clean_environment(os.environ) | {"KUBECONFIG": str(folder / "kubeconfig")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "driftd.cli.main", *arguments), cwd=folder, env=environment
    )
    try:
        return await process.wait()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        raise


# What is said


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _title(text: str) -> str:
    return f"== {text} ".ljust(WIDTH - 2, "=")


def _opening() -> Iterable[str]:
    yield _title("Three clusters and what Git says about them")
    yield "Simulated: answers recorded from real API servers, over HTTP on 127.0.0.1."
    yield f"The repository {REPOSITORY} was applied {DEPLOYED.days} days ago. Nothing drifted yet:"
    yield ""
    yield from _command()


def _command() -> Iterable[str]:
    words = [shlex.quote(word) for word in CHECK]
    yield f"$ driftd {' '.join(words[:3])} \\"
    pairs = [" ".join(pair) for pair in zip(words[3::2], words[4::2], strict=True)]
    yield from (f"    {pair} \\" for pair in pairs[:-1])
    yield f"    {pairs[-1]}"


def _night(steps: Iterable[Step]) -> Iterable[str]:
    yield _title("A night passes")
    for step in steps:
        yield f"{_ago(step.ago):>5} ago  {step.at.cluster:<12} {step.who + ':':<7}{step.why}"
        yield from _wrapped(_typed(step), first="      $ ", further=" " * 12)
    yield ""
    yield _title("The morning after, the same command")


def _typed(step: Step) -> Iterable[str]:
    """A step's command in parts that belong on one line: a short flag stays with its value."""
    if step.editor:
        yield f"KUBE_EDITOR={shlex.quote(step.editor)}"
    yield f"kubectl {step.command[0]}"
    flag = ""
    for word in map(shlex.quote, step.command[1:]):
        if word in ("-n", "-p"):
            flag = f"{word} "
        else:
            yield flag + word
            flag = ""


def _wrapped(words: Iterable[str], *, first: str, further: str) -> Iterable[str]:
    """A command over lines of at most `WIDTH` columns where its words allow it."""
    line, lead = "", first
    for word in words:
        longer = f"{line} {word}" if line else word
        if line and len(lead) + len(longer) > WIDTH - 2:
            yield f"{lead}{line} \\"
            line, lead = word, further
        else:
            line = longer
    yield lead + line


def _summary(steps: Iterable[Step]) -> Iterable[str]:
    outcomes = [step.missing or bool(step.drift) for step in steps]
    yield f"{len(outcomes)} things were done, {sum(outcomes)} objects drifted: each stands above."
    yield "A restart is no drift: Git does not say when a Pod starts (--show review)."


def _ago(time: timedelta) -> str:
    minutes = int(time.total_seconds() // 60)
    return f"{minutes // 60}h{minutes % 60:02}m"


def _next() -> Iterable[str]:
    program = _program()
    yield _title("With your own repository and clusters, the next commands")
    yield "# the clusters it names, and the kubeconfig contexts for them"
    yield f"{program} clusters --repo PATH"
    yield "# what drifted; driftd only reads. Give a destination the context it lacks"
    yield f"{program} check --repo PATH --cluster SERVER=CONTEXT"
    yield "# the same in a pipeline: exit code 1 for drift, 2 if something was not judged"
    yield f"{program} check --repo PATH -o json"


def _serving(folder: Path) -> Iterable[str]:
    yield _title("The clusters stay until Ctrl-C; in another terminal")
    yield f"export KUBECONFIG={shlex.quote(str(folder / 'kubeconfig'))}"
    words = [str(folder / REPOSITORY) if word == REPOSITORY else word for word in CHECK]
    yield f"{_program()} {shlex.join(words)} -o wide"
    yield "# The servers answer what driftd reads; they are no clusters for kubectl."


def _program() -> str:
    """What to type for `driftd` here: the program, else this Python with the module."""
    if shutil.which("driftd"):
        return "driftd"
    python = os.path.relpath(sys.executable)
    return f"{sys.executable if python.startswith('..') else python} -m driftd.cli.main"


def _failed(when: str, code: int, expected: int) -> int:
    sys.stderr.write(
        f"driftd demo: `driftd check` {when} ended with {code} instead of {expected}; "
        "what it could not do stands above\n"
    )
    return 1
