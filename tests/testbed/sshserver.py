"""A real sshd on the loopback interface, for one user with one key."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.testbed.processes import wait_until

_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/client.pub
PidFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
LogLevel VERBOSE
"""


class SshServer:
    """A running sshd; a context manager."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        for name in ("host", "client", "other"):
            self._keygen("-t", "ed25519", "-N", "", "-q", "-f", str(folder / name))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._log = folder / "log"

    @staticmethod
    def _keygen(*arguments: str) -> None:
        subprocess.run(["ssh-keygen", *arguments], check=True, capture_output=True)

    @property
    def key(self) -> str:
        """The private key that may log in."""
        return (self.folder / "client").read_text()

    def known_hosts(self, name: str = "host") -> str:
        """A `known_hosts` line for the server: its own key, or another one."""
        key = (self.folder / f"{name}.pub").read_text()
        return f"[127.0.0.1]:{self.port} {key}"

    def url(self, path: Path) -> str:
        """The address of a repository of this machine."""
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{path}"

    @property
    def log(self) -> str:
        """What the server has said."""
        return self._log.read_text()

    def __enter__(self) -> Self:
        config = self.folder / "config"
        config.write_text(_CONFIG.format(port=self.port, folder=self.folder))
        if os.getuid() == 0:
            # Where sshd shuts in its unprivileged part; a service manager makes it elsewhere.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        program = shutil.which("sshd") or "/usr/sbin/sshd"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [program, "-D", "-e", "-f", str(config)], stderr=log, stdin=subprocess.DEVNULL
            )
        wait_until(lambda: "Server listening" in self.log, what="sshd", timeout=20, interval=0.02)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait()
