"""Where the worker's binary is, and whether it is the one this driftd was made with."""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path

from driftd.errors import SandboxError
from driftd.sandbox.build import BINARY, source_hash, stamp
from driftd.sandbox.protocol import PROTOCOL
from driftd.sandbox.results import Hello

OVERRIDE = "DRIFTD_WORKER"
"""Environment variable that names another binary (its sources are then not compared)."""

MISSING = "the sandbox worker is missing"
"""What is said where there is none."""
REMEDY = "run `make worker`, or reinstall driftd"


def find_worker() -> Path:
    """The binary to start; `SandboxError` if there is none."""
    override = os.environ.get(OVERRIDE, "")
    path = Path(override) if override else BINARY
    if not os.access(path, os.X_OK):
        what = f"{OVERRIDE}={override}" if override else str(path)
        raise SandboxError(f"{MISSING}: {what}", hint=REMEDY)
    return path


def worker_identity() -> str:
    """Names the worker: two with the same name render the same.

    It is the hash of its sources, which beside a build lies in a file; else that of the binary.
    """
    path = find_worker()
    try:
        if path == BINARY and (told := stamp(path).read_text().strip()):
            return told
    except OSError:
        pass
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


_current_hash = functools.cache(source_hash)


def check_hello(hello: Hello) -> None:
    """Refuse a worker that was built from other sources or speaks another protocol."""
    if hello.protocol != PROTOCOL:
        raise SandboxError(
            f"the sandbox worker speaks protocol {hello.protocol}, not {PROTOCOL}", hint=REMEDY
        )
    if os.environ.get(OVERRIDE):
        return
    expected = _current_hash()
    if expected is not None and hello.source_hash != expected:
        raise SandboxError(
            "the sandbox worker is stale: it was built from other sources", hint=REMEDY
        )
