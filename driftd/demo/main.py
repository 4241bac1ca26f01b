"""`driftd demo`: clusters that change while a daemon looks, and the commands that follow."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from driftd.clock import SystemClock
from driftd.demo import recording, stage
from driftd.demo.processes import Processes, Running
from driftd.demo.receiver import Receiver
from driftd.demo.server import SimulatedApiServer
from driftd.demo.story import APPLICATIONS, CI, DEPLOYED, HEALED, HEALING, INJECTED, STEPS, Step
from driftd.errors import DriftdError
from driftd.sandbox.binary import MISSING

WIDTH = 80
"""Columns of what is said between the commands."""
DEADLINE = 90.0
"""Seconds that the daemon may take for anything on a busy machine."""
ACCEPTED = "accepted.yaml"
EXPLAIN = (
    *("explain", STEPS[0].at.application, f"deployment/{STEPS[0].at.name}"),
    "spec.template.spec.hostNetwork",
)
BASELINE = (
    *("baseline", *sorted({step.at.application for step in STEPS if step.harmless})),
    *("--owner", "platform-team", "--file", f"../{ACCEPTED}"),
)
CHECK = ("check", "--baseline", f"../{ACCEPTED}", "--show", "injected")
COMMANDS = (EXPLAIN, BASELINE, CHECK)
FINDING = re.compile(r"  (?:OutOfSync|Missing) +\S+ (?:\S+/)?(\S+)")
"""The line of an object with drift in what `driftd check` prints, with the object's name."""

_APPLICATIONS = re.compile(r"^driftd_applications\{.*\} (\S+)$", re.MULTILINE)


class Failed(DriftdError):
    """What was found is not what the steps did."""


def main(*, serve: bool) -> int:
    """Run the demonstration: 0 if it found what the steps did, else 1 with the reason.

    With `serve` the clusters stay until Ctrl-C or SIGTERM, which end it with 0; before that they
    end it with 130 or 143. However it ends, nothing is left behind.
    """
    _say(*_opening())
    try:
        # One for the daemon, one for each command.
        with Processes(1 + len(COMMANDS)) as processes:
            return asyncio.run(_demonstrate(processes, serve=serve))
    except Failed as failure:
        sys.stderr.write(f"driftd demo: {failure.message}\n")
        return 1
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


async def _demonstrate(processes: Processes, *, serve: bool) -> int:
    _end_on_sigterm()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="driftd-demo-")))
        recordings = recording.load(SystemClock().now())
        servers = {
            name: await stack.enter_async_context(SimulatedApiServer(one))
            for name, one in recordings.items()
        }
        watch = Watch(servers)
        receiver = await stack.enter_async_context(Receiver(watch.arrived))
        await stage.make_repository(folder / stage.REPOSITORY)
        stage.write_kubeconfig(folder / "kubeconfig", servers.values())
        settings, port = stage.write_settings(folder, receiver)
        async with stage.daemon(processes, folder, settings) as process:
            await _ready(process, port, folder)
            _say(*_quiet())
            await watch.play()
            process.terminate()  # while the commands run, it comes to its end
            if receiver.refused:
                raise Failed("a message had a wrong signature")
            _say("Signatures verified. No message for autoscaler, operator, restart: no drift.")
            await _commands(processes, folder)
        _say(*_next())
        if serve:
            _say("", *_serving(folder))
            with suppress(asyncio.CancelledError):  # Ctrl-C or SIGTERM is how it ends
                await asyncio.Event().wait()
    return 0


async def _ready(process: Running, port: int, folder: Path) -> None:
    """Wait until the daemon has looked at every application. Raises Failed if a look failed.

    Without the sandbox's worker no look can succeed: that is not waited for.
    """
    import aiohttp

    def log() -> str:
        return (folder / "daemon.log").read_text(errors="replace")

    limit = time.monotonic() + DEADLINE
    server = f"http://127.0.0.1:{port}"
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < limit and process.returncode is None and MISSING not in log():
            with suppress(aiohttp.ClientError):
                async with session.get(f"{server}/readyz") as answer:
                    ready = answer.status == HTTPStatus.OK
                if ready:
                    async with session.get(f"{server}/metrics") as answer:
                        if _judged(await answer.text()) == APPLICATIONS:
                            return
                    break
            await asyncio.sleep(0.05)
    last = log().splitlines()[-5:]
    raise Failed("the daemon did not finish its first sweep:\n" + "\n".join(last))


def _judged(metrics: str) -> int:
    """On how many applications a daemon has a verdict, by its metrics."""
    return round(sum(float(match[1]) for match in _APPLICATIONS.finditer(metrics)))


class Watch:
    """Plays the steps, and holds the messages that arrive to what the steps did."""

    def __init__(self, servers: dict[str, SimulatedApiServer]) -> None:
        self._servers = servers
        self._moments: list[datetime] = []
        self._done: dict[tuple[str, str, str], tuple[Step, float]] = {}
        self._open: set[tuple[str, str, str]] = set()
        self._healing: set[tuple[str, str, str]] = set()
        self._news = asyncio.Event()
        self._problem = ""

    def arrived(self, message: Any) -> None:
        """Show one message; each drift must be what a step did, and be told once."""
        for drift in message["drifts"][: message["counts"]["opened"]]:
            key = (drift["kind"], drift["name"], drift.get("path", ""))
            if key not in self._open:
                self._problem = f"no step did what was told, or it was told twice: {key}"
                continue
            self._open.discard(key)
            _, moment = self._done[key]
            _say(*_notification(message, drift, time.monotonic() - moment))
        for drift in message["closed"]:
            key = (drift["kind"], drift["name"], drift.get("path", ""))
            if key not in self._healing:
                self._problem = f"nobody put back what is told to be gone: {key}"
                continue
            self._healing.discard(key)
            _, moment = self._done[key]
            _say(*_recovery(message, drift, time.monotonic() - moment))
        if not (message["drifts"] or message["closed"]):
            self._problem = f"{message['application']} changed to {message['status']}"
        self._news.set()

    async def play(self) -> None:
        """Let every step happen. Raises Failed if what was told is not what was done."""
        if self._problem:
            raise Failed(self._problem)
        for number, step in enumerate(STEPS):
            self._moments.append(SystemClock().now())
            server = self._servers[step.at.cluster]
            _say(*_told(step))
            for path in step.drift or ([""] if step.missing else []):
                key = (step.at.kind, step.at.name, path)
                self._done[key] = (step, time.monotonic())
                self._open.add(key)
                if step.healed:
                    self._healing.add(key)
            server.state = server.recording.played(server.state, number, self._moments)
            if step.healed:
                moments = [*self._moments, SystemClock().now()]
                server.expected = server.recording.played(server.state, HEALING, moments)
            if step.wait:
                await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(DEADLINE):
                while (self._open or self._healing) and not self._problem:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError as error:
            left = sorted(self._open | self._healing)
            raise Failed(f"nothing was told of {left}") from error
        if self._problem:
            raise Failed(self._problem)


async def _commands(processes: Processes, folder: Path) -> None:
    """What a person runs next: independent commands at the same time, shown in order."""

    async def ran(command: Sequence[str]) -> tuple[int, str, str]:
        return await stage.run(processes, command, folder)

    explaining, accepting = (asyncio.create_task(ran(one)) for one in (EXPLAIN, BASELINE))
    try:
        _say("", _title("Why is that drift?"), *_command(EXPLAIN))
        _expect(EXPLAIN, await explaining, 0)
        _say("Git does not name hostNetwork: a dry run of Git's manifests shows nothing here.")
        _say("", _title("Accept what may stay, look at the rest"), *_command(BASELINE))
        _expect(BASELINE, await accepting, 0)
    finally:
        for look in (explaining, accepting):
            look.cancel()
        await asyncio.gather(explaining, accepting, return_exceptions=True)
    _say(*_command(CHECK))
    picture = _expect(CHECK, await ran(CHECK), 1)
    left = (step for step in STEPS if step.told and not step.harmless and not step.healed)
    names = sorted(step.at.name for step in left)
    found = [match[1] for line in picture.splitlines() if (match := FINDING.match(line))]
    if sorted(found) != names:
        raise Failed(f"with the baseline these should be left: {', '.join(names)}")


def _expect(command: Sequence[str], done: tuple[int, str, str], expected: int) -> str:
    """Show what a command said; its output. Raises Failed if it ended otherwise."""
    code, output, errors = done
    sys.stderr.write(errors)
    _say(*output.rstrip().splitlines())
    if code != expected:
        raise Failed(f"driftd {command[0]} ended with {code} instead of {expected}")
    return output


# What is said


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _title(text: str) -> str:
    return f"== {text} ".ljust(WIDTH - 2, "=")


def _opening() -> Iterable[str]:
    yield _title("Three clusters change; driftd run looks and tells a webhook")
    yield "Three real API servers were recorded after each step; 127.0.0.1 replays them."
    yield f"Git was applied {DEPLOYED.days} days ago. Healing is open for {HEALED}, which {CI}"
    yield "applied and no GitOps engine looks after; elsewhere driftd only reads."


def _quiet() -> Iterable[str]:
    cluster, namespace, _ = INJECTED
    yield "Every application looked at once: no drift, no message. A real webhook injected"
    yield f"dnsConfig into Deployments of {namespace} on {cluster}: counted apart, no drift."
    yield ""


def _told(step: Step) -> Iterable[str]:
    yield f"{step.at.cluster}: {step.who}: {step.why}"
    if step.command:
        yield from _wrapped(_typed(step), first="  $ ", further="      ")


def _notification(message: Any, drift: Any, seconds: float) -> Iterable[str]:
    what = f"{drift['kind']} {drift['name']}"
    severity = f"{drift['severity']} " if "severity" in drift else ""
    yield f"  >> {seconds:.1f} s: signed webhook: {severity}drift: {what}"
    if "path" in drift:
        yield f"     {drift['class']} {drift['path']} by {drift.get('manager', 'nobody known')}"
    else:
        yield f"     {drift['change']}: in Git, not in the cluster"


def _recovery(message: Any, drift: Any, seconds: float) -> Iterable[str]:
    what = f"{message['type']}: {drift['kind']} {drift['name']}"
    yield f"  >> {seconds:.1f} s: signed webhook: {what}"
    yield f"     {drift['path']} is as Git says again: put back by driftd"


def _command(words: Sequence[str]) -> Iterable[str]:
    parts = ["driftd", *map(shlex.quote, words)]
    return _wrapped(parts, first="$ ", further="    ")


def _typed(step: Step) -> Iterable[str]:
    """A step's command in parts that belong on one line: a short flag stays with its value."""
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


def _next() -> Iterable[str]:
    program = _program()
    yield ""
    yield _title("In a checkout of your own repository; nothing is written to clusters")
    yield f"{program} doctor"
    yield f"{program} check"
    yield f"{program} baseline --file drift-baseline.yaml"


def _serving(folder: Path) -> Iterable[str]:
    yield _title("The clusters stay until Ctrl-C; in another terminal")
    yield f"cd {shlex.quote(str(folder / stage.REPOSITORY))}"
    for name in ("KUBECONFIG", "DRIFTD_CLUSTER"):
        yield f"export {name}={shlex.quote(stage.environment(folder)[name])}"
    yield f"{_program()} check -o wide"
    yield "# The servers answer what driftd reads; they are no clusters for kubectl."


def _program() -> str:
    """What to type for `driftd` here: the program, its place, else this Python with the module."""
    if shutil.which("driftd"):
        return "driftd"
    installed = Path(sys.executable).with_name("driftd")
    if installed.is_file():
        return _shown(installed)
    return f"{_shown(sys.executable)} -m driftd.cli.main"


def _shown(path: Path | str) -> str:
    """A path as one types it in the present folder."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
