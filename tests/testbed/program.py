"""Runs of driftd's command line, each a process of its own that starts from imported modules.

Importing is most of what a small look costs. So one server for each test process imports
everything, and each run is a copy of it that the demonstration's own means make: with its own
folder, environment, output and exit code, and without anything that another run left behind.
"""

from __future__ import annotations

import asyncio
import atexit
import importlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
CLIENT = Path(__file__).with_name("program_client.py")
_START_SECONDS = 60
_COMMANDS = ("baseline", "check", "diff", "doctor", "explain", "inventory", "render", "version")


def driftd(
    *arguments: str, cwd: Path, env: Mapping[str, str], timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run `driftd ARGUMENTS` in a folder, with no environment but the given one and no input.

    `subprocess.TimeoutExpired` after `timeout` seconds; the run is ended.
    """
    command = ["driftd", *arguments]
    with (
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
        socket.socket(socket.AF_UNIX) as line,
    ):
        line.settimeout(timeout)
        line.connect(str(server()))
        request = {"arguments": arguments, "folder": str(cwd), "environment": dict(env)}
        body = json.dumps(request).encode()
        socket.send_fds(line, [len(body).to_bytes(8)], [output.fileno(), errors.fileno()])
        line.sendall(body)
        try:
            answer = line.recv(64)
        except TimeoutError as error:
            raise subprocess.TimeoutExpired(command, timeout) from error
        told = []
        for stream in (output, errors):
            stream.seek(0)
            told.append(stream.read().decode().replace("\r\n", "\n"))
    if not answer:
        raise RuntimeError(f"the run of {command} was lost: {told[1]}")
    return subprocess.CompletedProcess(command, int(answer), *told)


@cache
def server() -> Path:
    """The socket of this process's server, which is started when first needed."""
    folder = Path(tempfile.mkdtemp(prefix="driftd-program-"))
    address = folder / "line"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.testbed.program", str(address)],
        cwd=ROOT,
        # Whatever the tests set is for their runs, not for what these are copied from.
        env={"PATH": os.environ["PATH"]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def stop() -> None:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=5)
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    readable, _, _ = select.select([process.stdout], [], [], _START_SECONDS)
    if not readable or process.stdout.readline() != b"ready\n":
        raise RuntimeError("the server of driftd's runs did not start")
    return address


def _serve(address: str) -> None:
    """Copy this process for each caller, until standard input is closed."""
    for name in _COMMANDS:
        importlib.import_module(f"driftd.cli.commands.{name}")
    from driftd.demo.processes import Processes

    with Processes(1):
        pass  # Imports the rest, and keeps the collector away from it.
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        readable, _, _ = select.select([listener, 0], [], [], 1)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if 0 in readable:
            return
        if readable:
            line, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _answer(line)
            line.close()


def _answer(line: socket.socket) -> NoReturn:
    """Run what one caller asks for and tell its exit code; end it when the caller goes."""
    from driftd.demo.processes import Processes

    handles: list[int] = []

    async def run(processes: Processes) -> int:
        running = await processes.start(
            request["arguments"],
            folder=Path(request["folder"]),
            environment=request["environment"],
            output=handles[0],
            errors=handles[1],
        )
        ended = asyncio.ensure_future(running.wait())
        gone = asyncio.Event()
        asyncio.get_running_loop().add_reader(line.fileno(), gone.set)
        left = asyncio.ensure_future(gone.wait())
        await asyncio.wait((ended, left), return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            running.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(ended), 5)
        left.cancel()
        return await ended

    try:
        head, handles[:], _, _ = socket.recv_fds(line, 8, 2)
        body = bytearray()
        while len(body) < int.from_bytes(head):
            body += line.recv(1 << 16) or os._exit(1)
        request = json.loads(body)
        with Processes(1) as processes:
            code = asyncio.run(run(processes))
        with suppress(BrokenPipeError):
            line.sendall(str(code).encode())
    except BaseException:  # noqa: BLE001 - nothing of the server may go on in a copy
        traceback.print_exc()
    finally:
        os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _serve(sys.argv[1])
