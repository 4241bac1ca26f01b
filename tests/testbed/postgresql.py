"""A private PostgreSQL server for tests, where this machine has the programs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_PROGRAMS = Path("/usr/lib/postgresql/15/bin")
AVAILABLE = (_PROGRAMS / "postgres").exists()


class PostgreSQL:
    """A private server, its `port`, and a way to let it crash and come back."""

    def __init__(self, port: int, control: list[str | Path], run: dict[str, Any]) -> None:
        self.port = port
        self._control = control
        self._run = run

    def restart(self) -> None:
        """End it as a crash does, in the middle of everything, and start it again."""
        subprocess.run([*self._control, "-m", "immediate", "restart"], **self._run)


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """A server with trust authentication on loopback."""
    # The server refuses to run as root; its account must be able to reach the folder.
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="driftd-pg-"))
    if user is not None:
        shutil.chown(folder, user)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = str(folder / "data")
    run = {"user": user, "cwd": folder, "stdout": subprocess.DEVNULL, "check": True}
    initdb = [_PROGRAMS / "initdb", "-D", data, "-A", "trust", "-U", "driftd", "-N"]
    subprocess.run([*initdb, "-E", "UTF8", "--locale=C"], **run)
    options = f"-h 127.0.0.1 -p {port} -k {folder} -c fsync=off"
    control = [_PROGRAMS / "pg_ctl", "-D", data, "-w"]
    try:
        subprocess.run([*control, "-l", str(folder / "log"), "-o", options, "start"], **run)
        yield PostgreSQL(port, control, run)
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], **run)
        shutil.rmtree(folder)


async def empty_database(server: PostgreSQL) -> str:
    """The DSN of a new database."""
    import asyncpg

    name = f"t{uuid.uuid4().hex}"
    address = f"postgresql://driftd@127.0.0.1:{server.port}"
    connection = await asyncpg.connect(f"{address}/postgres")
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    return f"{address}/{name}"
