"""Runs of driftd's command line, started at once because everything is imported before."""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Protocol, Self

PROGRAM = "driftd.cli.main"
"""The module whose `main` is the `driftd` program."""
_IMPORTED = (
    PROGRAM,
    *(f"driftd.cli.commands.{name}" for name in ("baseline", "check", "daemon", "explain")),
    *("driftd.cli.findings", "driftd.cli.table", "driftd.controller.explain"),
    *("driftd.controller.daemon", "driftd.store.sql", "driftd.web.server"),
    # What these import only when a cluster or the store is used.
    *("kubernetes_asyncio.client", "kubernetes_asyncio.config", "aiohttp"),
    *("apscheduler.schedulers.asyncio", "apscheduler.triggers.interval"),
    *("alembic.command", "sqlalchemy.dialects.sqlite.aiosqlite"),
)


class Running(Protocol):
    """A run of driftd; `asyncio.subprocess.Process` is one."""

    @property
    def returncode(self) -> int | None:
        """How it ended, negative for a signal; None while it runs."""
        ...

    def terminate(self) -> None:
        """Send SIGTERM."""
        ...

    async def wait(self) -> int:
        """Its end; how it ended."""
        ...


class Processes:
    """Copies of this process that wait, each for the command line of one run of driftd.

    They must be made before a thread or an event loop is there. Where copies are not safe
    (macOS), and when all have been used, a run is a new Python.
    """

    def __init__(self, count: int) -> None:
        self._waiting: list[_Copy] = []
        if not _can_copy():
            return
        for name in _IMPORTED:
            importlib.import_module(name)
        # What is here stays here: the collector need not touch, and so copy, its pages.
        gc.collect()
        gc.freeze()
        for _ in range(count):
            self._waiting.append(_Copy([one.control for one in self._waiting]))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for one in self._waiting:
            one.dismiss()

    async def start(
        self,
        arguments: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        output: int,
        errors: int,
    ) -> Running:
        """Run `driftd ARGUMENTS` in a folder; `output` and `errors` are file descriptors."""
        if self._waiting:
            copy = self._waiting.pop(0)
            copy.begin(arguments, folder, environment, output, errors)
            return copy
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", PROGRAM, *arguments),
            cwd=folder,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
        )


def _can_copy() -> bool:
    """Whether a copy can be made, and its end be awaited: Linux 5.3 and later."""
    if sys.platform != "linux":
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


class _Copy:
    """A copy of this process, and the line to it."""

    def __init__(self, others: Sequence[socket.socket]) -> None:
        """`others` are lines to earlier copies, which this one must not hold open."""
        self.control, end = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            for one in (*others, self.control):
                one.close()
            _serve(end)
        end.close()
        self._code: int | None = None

    def begin(
        self,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        output: int,
        errors: int,
    ) -> None:
        """Let it become the run."""
        words = {"arguments": arguments, "folder": str(folder), "environment": dict(environment)}
        body = json.dumps(words).encode()
        socket.send_fds(self.control, [len(body).to_bytes(8)], [output, errors])
        self.control.sendall(body)
        self.control.close()

    def dismiss(self) -> None:
        """End it without a run."""
        self.control.close()
        os.waitpid(self.pid, 0)

    @property
    def returncode(self) -> int | None:
        """See `Running`."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def terminate(self) -> None:
        """See `Running`."""
        if self.returncode is None:
            os.kill(self.pid, signal.SIGTERM)

    async def wait(self) -> int:
        """See `Running`."""
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        while (code := self.returncode) is None:
            handle = os.pidfd_open(self.pid)
            try:
                loop.add_reader(handle, ended.set)
                await ended.wait()
            finally:
                loop.remove_reader(handle)
                os.close(handle)
        return code


def _serve(control: socket.socket) -> NoReturn:
    """The copy's life: wait for a command line, run it as the program would, end."""
    code = 1
    try:
        # Ctrl-C goes to the whole group of processes; who only waits has nothing to say.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        head, handles, _, _ = socket.recv_fds(control, 8, 2)
        if len(head) < 8:
            os._exit(0)
        body = bytearray()
        while len(body) < int.from_bytes(head):
            part = control.recv(1 << 16)
            if not part:
                os._exit(0)
            body += part
        control.close()
        code = _run(json.loads(body), handles)
    except BaseException:  # noqa: BLE001 - nothing of the original may go on in a copy
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def _run(words: dict[str, object], handles: Sequence[int]) -> int:
    arguments, environment = words["arguments"], words["environment"]
    assert isinstance(arguments, list)  # noqa: S101 - sent by `begin`
    assert isinstance(environment, dict)  # noqa: S101
    nothing = os.open(os.devnull, os.O_RDONLY)
    for handle, number in zip((nothing, *handles), range(3), strict=True):
        os.dup2(handle, number)
        os.close(handle)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    os.chdir(str(words["folder"]))
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["driftd", *arguments]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        importlib.import_module(PROGRAM).main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0
