"""Child processes of the test bed: started with a log file, stopped with all they hold."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class StartFailed(RuntimeError):
    """A program of the control plane did not come up; the message ends with its log."""


class Child:
    """One running program. It ends when this process does, however that ends."""

    def __init__(
        self, name: str, command: Sequence[str], *, log: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=log.parent,
                env={**environment, "CONTROLPLANE_TIED_TO_STDIN": "1"},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def check(self) -> None:
        """Raise `StartFailed` if the program has ended."""
        code = self._process.poll()
        if code is not None:
            raise StartFailed(f"{self.name} ended with exit code {code}:\n{self.log_tail()}")

    def log_tail(self, size: int = 3000) -> str:
        """The end of what the program wrote."""
        return self.log.read_text(errors="replace")[-size:]

    def stop(self) -> None:
        """End it by closing its standard input; kill it when that does not help."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=10)


def wait_until(
    condition: Callable[[], bool], *, what: str, timeout: float, interval: float = 0.02
) -> None:
    """Return as soon as the condition holds; `TimeoutError` naming `what` after `timeout` s."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout:.0f} s")
        time.sleep(interval)


def reserve_port() -> tuple[int, socket.socket]:
    """A free port of 127.0.0.1 and the socket that holds it.

    The socket is bound with SO_REUSEPORT and never listens, so a server that binds with the
    same option gets the port and all its connections, and nobody else can take it meanwhile.
    """
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    holder.bind(("127.0.0.1", 0))
    return holder.getsockname()[1], holder
