"""The control plane's binaries: built once from pinned sources, kept in the user's cache folder.

`python -m tests.testbed.binaries [MINOR]...` builds what is missing and says how long it took. A
cold build compiles Kubernetes (minutes); it is repeated only when its sources here change.
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

KUBERNETES_VERSIONS = {"1.34": "v1.34.12", "1.35": "v1.35.8", "1.36": "v1.36.3"}
"""The releases that can be built, by minor. `make test` builds the newest alone."""
NEWEST = "1.36"
PROGRAMS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
    "run-tied",
)

_SOURCES = Path(__file__).resolve().parent.parent / "controlplane"
_UPSTREAM = _SOURCES / "upstream"
# Read when the module is imported: tests run with a HOME of their own later on.
_ENVIRONMENT = dict(os.environ)
_CACHE_HOME = Path(_ENVIRONMENT.get("XDG_CACHE_HOME") or Path.home() / ".cache")
MINOR = _ENVIRONMENT.get("DRIFTD_TESTBED_KUBERNETES") or NEWEST
"""The minor that clusters are started from, chosen by the environment of the test run."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where the test bed's programs lie, each under its real program name."""

    folder: Path

    def path(self, program: str) -> Path:
        """The file to start for a program of `PROGRAMS`, or kwok."""
        return self.folder / program


class BuildFailed(RuntimeError):
    """A binary of the test bed could not be built; the message has the compiler's last words."""


def ensure(minor: str = MINOR) -> Binaries:
    """The binaries of a minor, built first if this source's are not in the cache.

    Parallel callers (test workers, other checkouts) wait for the one that builds.
    Raises `BuildFailed` when `go` is missing, no such minor is pinned, or a build fails.
    """
    if minor not in KUBERNETES_VERSIONS:
        raise BuildFailed(f"Kubernetes {minor}: pinned are {', '.join(KUBERNETES_VERSIONS)}")
    flags = _version_flags(KUBERNETES_VERSIONS[minor])
    # The same program, linked with another release: only the module file differs.
    module = "go" if minor == NEWEST else f"kubernetes-{minor}"
    control_plane = _place("controlplane", _SOURCES, extra=",".join(flags), module=module)
    kwok = _place("kwok", _SOURCES / "kwok")
    last = control_plane / PROGRAMS[-1]
    if not last.exists():
        with _locked(control_plane):
            if not last.exists():
                _build(control_plane / "controlplane", _SOURCES, ".", flags, module=module)
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

    Raises `BuildFailed`.
    """
    return program("helm", _SOURCES / "helm", "helm.sh/helm/v4/cmd/helm")


def helm_module() -> Path:
    """The folder of the sources of that Helm, with its own test data. Raises `BuildFailed`."""
    go = shutil.which("go", path=_ENVIRONMENT.get("PATH"))
    if go is None:
        raise BuildFailed("the test bed needs the Go toolchain: no `go` on PATH")
    command = [go, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", "helm.sh/helm/v4"]
    done = subprocess.run(
        command, cwd=_SOURCES / "helm", env={**_ENVIRONMENT, "GOWORK": "off"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0 or not done.stdout.strip():
        raise BuildFailed(f"the sources of Helm are not there:\n{done.stderr[-2000:]}")
    return Path(done.stdout.strip())


def kustomize() -> Path:
    """The real kustomize binary, of the version that the sandbox worker links.

    Raises `BuildFailed`, as its two neighbours do.
    """
    return program("kustomize", _UPSTREAM, "sigs.k8s.io/kustomize/kustomize/v5")


def jsonnet() -> Path:
    """The real jsonnet binary, of the version that the sandbox worker links."""
    return program("jsonnet", _UPSTREAM, "github.com/google/go-jsonnet/cmd/jsonnet")


def yaml_reader() -> Path:
    """A program that says how Kubernetes' own libraries read texts of YAML."""
    return program("upstream", _UPSTREAM)


def simulation() -> Path:
    """The program that serves simulated clusters, as those of the newest minor.

    Raises `BuildFailed`.
    """
    flags = _version_flags(KUBERNETES_VERSIONS[NEWEST])
    return program("simulation", _SOURCES.parent / "simulation", flags=flags)


def program(name: str, sources: Path, package: str = ".", *, flags: tuple[str, ...] = ()) -> Path:
    """A program of the Go module in `sources`, built when missing. Raises `BuildFailed`."""
    place = _place(name, sources, extra=",".join(flags))
    if not (place / name).exists():
        with _locked(place):
            if not (place / name).exists():
                _build(place / name, sources, package, flags)
    return place / name


def _place(name: str, sources: Path, extra: str = "", module: str = "go") -> Path:
    """The cache folder of one program: a different source is a different folder."""
    digest = hashlib.sha256(f"{platform.system()} {platform.machine()} {extra}\n".encode())
    modules = [sources / f"{module}.mod", sources / f"{module}.sum"]
    for file in sorted([*sources.glob("*.go"), *modules]):
        digest.update(f"{file.name}\n".encode() + file.read_bytes())
    return _CACHE_HOME / "driftd" / name / digest.hexdigest()[:16]


def _version_flags(version: str) -> tuple[str, ...]:
    """Linker flags that make the binaries say which release they are, as real ones do."""
    major, minor, _ = version.removeprefix("v").split(".")
    values = {
        "gitVersion": version,
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


def _build(
    target: Path, sources: Path, package: str, ldflags: tuple[str, ...], *, module: str = "go"
) -> None:
    go = shutil.which("go", path=_ENVIRONMENT.get("PATH"))
    if go is None:
        raise BuildFailed("the test bed needs the Go toolchain: no `go` on PATH")
    unfinished = target.with_name(f".{target.name}.unfinished")
    started = time.monotonic()
    _say(f"building {target.name} (once; the first build takes minutes) …")
    command = [go, "build", "-trimpath", "-buildvcs=false", "-mod=readonly"]
    command += [f"-modfile={module}.mod"] if module != "go" else []
    command += ["-ldflags", " ".join(("-s -w", *ldflags)), "-o", str(unfinished), package]
    environment = {**_ENVIRONMENT, "GOWORK": "off"}
    done = subprocess.run(
        command, cwd=sources, env=environment, capture_output=True, text=True, check=False
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


def main(minors: list[str]) -> int:
    """Build what is missing of some minors (without any: of the chosen one) and name the folder."""
    started = time.monotonic()
    try:
        for minor in minors or [MINOR]:
            binaries = ensure(minor)
        for build in (helm, kustomize, jsonnet, yaml_reader, simulation):
            build()
        program("registry", _SOURCES / "registry")
    except BuildFailed as error:
        _say(str(error))
        return 1
    _say(f"ready in {time.monotonic() - started:.1f} s: {binaries.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
