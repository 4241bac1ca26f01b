"""`driftd run` as a process, as an operator starts it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.testbed.processes import wait_until

ROOT = Path(__file__).parents[2]
DEADLINE = 90.0
"""Seconds that anything may take on a busy machine; what is waited for comes within few."""

AT_ONCE: dict[str, Any] = {
    "grace": dict.fromkeys(("critical", "high", "medium", "low", "info"), "0s")
}
"""Settings of healing that wait for nobody."""

_IMPATIENT = """
from driftd.cli.main import main
from driftd.cluster.watch import Reflector

assert "idle" in Reflector.__init__.__kwdefaults__
Reflector.__init__.__kwdefaults__["idle"] = {idle}
main()
"""
"""The program, but its watches take a server that says nothing for gone after `idle` seconds."""


class Daemon:
    """One run of the daemon with its settings; ended at the latest with the `with` block.

    `idle`: seconds after which a watch that says nothing is asked for anew, if not the program's.
    """

    def __init__(
        self,
        folder: Path,
        settings: dict[str, Any],
        home: Path,
        *arguments: str,
        idle: float | None = None,
    ) -> None:
        self.port = free_port()
        self.file = folder / "driftd.yaml"
        self.log = folder / f"driftd-{self.port}.log"
        self.rewrite(settings)
        self._home = home
        self._arguments = arguments
        self._program = (
            ("-m", "driftd.cli.main") if idle is None else ("-c", _IMPATIENT.format(idle=idle))
        )
        self._signalled = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def rewrite(self, settings: dict[str, Any]) -> None:
        """Write its settings anew; it applies them by itself."""
        settings = {**settings, "server": {"listen": f"127.0.0.1:{self.port}"}}
        self.file.write_text(json.dumps(settings))

    def __enter__(self) -> Self:
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    *self._program,
                    "run",
                    f"--config={self.file}",
                    *self._arguments,
                ],
                cwd=ROOT,
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(self._home),
                    "GIT_CONFIG_NOSYSTEM": "1",
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def rss(self) -> int:
        """Bytes of memory that the process holds, without its workers."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) << 10

    @property
    def pid(self) -> int:
        """The id of the process."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> tuple[int, float]:
        """Send SIGTERM; the exit code and the seconds that the end took."""
        self.terminate()
        return self.ended()

    def terminate(self) -> None:
        """Send SIGTERM."""
        assert self._process is not None
        self._signalled = time.monotonic()
        self._process.send_signal(signal.SIGTERM)

    def signal(self, number: signal.Signals) -> None:
        """Send another signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def memory(self, field: str) -> int:
        """Bytes of memory, as the kernel calls them: VmRSS now, VmHWM at most."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.findall(rf"{field}:\s+(\d+)", status)[0]) * 1024

    def kill(self) -> None:
        """End it as a crash does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def ended(self) -> tuple[int, float]:
        """Wait for the end; the exit code and the seconds since SIGTERM."""
        assert self._process is not None
        code = self._process.wait(timeout=DEADLINE)
        return code, time.monotonic() - self._signalled

    def episodes(self, application: str) -> list[dict[str, Any]]:
        """What `driftd episodes` lists of an application while the daemon runs."""
        command = [sys.executable, "-m", "driftd.cli.main", "episodes", application]
        found = subprocess.run(
            [*command, f"--config={self.file}", "-o", "json"],
            cwd=ROOT,
            capture_output=True,
            check=True,
            timeout=DEADLINE,
        )
        items: list[dict[str, Any]] = json.loads(found.stdout)["items"]
        return items

    def get(self, path: str) -> tuple[int, str]:
        """One request to the daemon's own server; status 0 while it does not listen."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except OSError:
            self._check()
            return 0, ""
        finally:
            connection.close()

    def metric(self, name: str) -> float:
        """The value of a series, named as it is exposed; 0 while it is not there."""
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics")[1], re.MULTILINE)
        return float(found[1]) if found else 0.0

    def total(self, name: str) -> float:
        """The sum of all series of a metric."""
        values = re.findall(
            rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", self.get("/metrics")[1], re.MULTILINE
        )
        return sum(map(float, values))

    def wait_ready(self) -> None:
        """Wait for the end of the first sweep."""
        self.wait(lambda: self.get("/readyz")[0] == 200, "the first sweep")

    def wait_looks(self, count: int) -> None:
        """Wait until so many more looks have ended."""
        series = "driftd_look_duration_seconds_count"
        wanted = self.metric(series) + count
        self.wait(lambda: self.metric(series) >= wanted, f"{count} more looks")

    def wait(self, condition: Any, what: str, *, timeout: float = DEADLINE) -> None:
        """Wait for a condition; a failure shows the daemon's log."""
        try:
            wait_until(condition, what=what, timeout=timeout, interval=0.05)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.log.read_text()[-6000:]}") from None

    def _check(self) -> None:
        """Fail at once if the process has ended by itself."""
        assert self._process is not None
        code = self._process.poll()
        assert code is None, f"the daemon ended with {code}:\n{self.log.read_text()[-6000:]}"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
