"""The control plane's binaries: built once from pinned sources, kept in the user's cache folder.

`python -m tests.testbed.binaries` builds what is missing and says how long it took. A cold
build compiles Kubernetes (minutes); it is repeated only when its sources here change.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

KUBERNETES_VERSION = "v1.36.3"
PROGRAMS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
    "run-tied",
)

_SOURCES = Path(__file__).resolve().parent.parent / "controlplane"
# Read when the module is imported: tests run with a HOME of their own later on.
_ENVIRONMENT = dict(os.environ)
_CACHE_HOME = Path(_ENVIRONMENT.get("XDG_CACHE_HOME") or Path.home() / ".cache")


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where the test bed's programs lie, each under its real program name."""

    folder: Path

    def path(self, program: str) -> Path:
        """The file to start for a program of `PROGRAMS`, or kwok."""
        return self.folder / program


class BuildFailed(RuntimeError):
    """A binary of the test bed could not be built; the message has the compiler's last words."""


def ensure() -> Binaries:
    """The binaries, built first if this source's are not in the cache.

    Parallel callers (test workers, other checkouts) wait for the one that builds.
    Raises `BuildFailed` when `go` is missing or a build fails.
    """
    version = ",".join(_version_flags())
    control_plane = _place("controlplane", _SOURCES, extra=version)
    kwok = _place("kwok", _SOURCES / "kwok")
    last = control_plane / PROGRAMS[-1]
    if not last.exists():
        with _locked(control_plane):
            if not last.exists():
                _build(control_plane / "controlplane", _SOURCES, ".", _version_flags())
                for program in PROGRAMS:
                    _link(control_plane / program, "controlplane")
    if not (control_plane / "kwok").exists():
        with _locked(kwok):
            if not (kwok / "kwok").exists():
                _build(kwok / "kwok", _SOURCES / "kwok", "sigs.k8s.io/kwok/cmd/kwok", ())
            _link(control_plane / "kwok", str(kwok / "kwok"))
    return Binaries(control_plane)


def helm() -> Path:
    """The real helm binary, of the version that the sandbox worker links; built when missing.

    Only tests that deploy charts as people do need it. Raises `BuildFailed`.
    """
    return program("helm", _SOURCES / "helm", "helm.sh/helm/v4/cmd/helm")


def program(name: str, sources: Path, package: str = ".") -> Path:
    """A program of the Go module in `sources`, built when missing. Raises `BuildFailed`."""
    place = _place(name, sources)
    if not (place / name).exists():
        with _locked(place):
            if not (place / name).exists():
                _build(place / name, sources, package, ())
    return place / name


def _place(name: str, sources: Path, extra: str = "") -> Path:
    """The cache folder of one program: a different source is a different folder."""
    digest = hashlib.sha256(f"{platform.system()} {platform.machine()} {extra}\n".encode())
    for file in sorted([*sources.glob("*.go"), sources / "go.mod", sources / "go.sum"]):
        digest.update(f"{file.name}\n".encode() + file.read_bytes())
    return _CACHE_HOME / "driftd" / name / digest.hexdigest()[:16]


def _version_flags() -> tuple[str, ...]:
    """Linker flags that make the binaries say which release they are, as real ones do."""
    major, minor, _ = KUBERNETES_VERSION.removeprefix("v").split(".")
    values = {
        "gitVersion": KUBERNETES_VERSION,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
    }
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return tuple(f"-X {p}.{name}={value}" for p in packages for name, value in values.items())


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    place.mkdir(parents=True, exist_ok=True)
    with (place / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(target: Path, module: Path, package: str, ldflags: tuple[str, ...]) -> None:
    go = shutil.which("go", path=_ENVIRONMENT.get("PATH"))
    if go is None:
        raise BuildFailed("the test bed needs the Go toolchain: no `go` on PATH")
    unfinished = target.with_name(f".{target.name}.unfinished")
    started = time.monotonic()
    _say(f"building {target.name} (once; the first build takes minutes) …")
    command = [go, "build", "-trimpath", "-buildvcs=false", "-mod=readonly"]
    command += ["-ldflags", " ".join(("-s -w", *ldflags)), "-o", str(unfinished), package]
    environment = {**_ENVIRONMENT, "GOWORK": "off"}
    done = subprocess.run(
        command, cwd=module, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise BuildFailed(f"go build of {target.name} failed:\n{done.stderr[-4000:]}")
    unfinished.rename(target)
    size = target.stat().st_size / 1e6
    _say(f"built {target.name} in {time.monotonic() - started:.0f} s ({size:.0f} MB)")


def _link(link: Path, target: str) -> None:
    unfinished = link.with_name(f".{link.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    unfinished.symlink_to(target)
    unfinished.rename(link)


def _say(text: str) -> None:
    sys.stderr.write(f"testbed: {text}\n")
    sys.stderr.flush()


def main() -> int:
    """Build what is missing and name the folder."""
    started = time.monotonic()
    try:
        binaries = ensure()
        helm()
    except BuildFailed as error:
        _say(str(error))
        return 1
    _say(f"ready in {time.monotonic() - started:.1f} s: {binaries.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
