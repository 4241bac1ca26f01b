"""Charts that the real helm packs, indexes and pushes."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.testbed import binaries

_SOURCES = Path(__file__).resolve().parent.parent / "controlplane"
_CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-{{ .Chart.Name }}
data:
  version: {{ .Chart.Version | quote }}
  colour: {{ .Values.colour | default "blue" }}
"""


def helm(*arguments: str | Path, home: Path) -> str:
    """Run the real helm with a home of its own; an error carries its words."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "HELM_CONFIG_HOME": str(home / "config"),
        "HELM_CACHE_HOME": str(home / "cache"),
        "HELM_DATA_HOME": str(home / "data"),
    }
    done = subprocess.run(
        [binaries.helm(), *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"helm {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def write_chart(
    folder: Path,
    name: str,
    version: str,
    *,
    dependencies: str = "",
    files: Mapping[str, str] | None = None,
) -> Path:
    """A chart that renders one ConfigMap; `dependencies` is YAML for `Chart.yaml`."""
    chart = folder / name
    shutil.rmtree(chart, ignore_errors=True)
    (chart / "templates").mkdir(parents=True)
    text = f"apiVersion: v2\nname: {name}\nversion: {version}\n"
    if dependencies:
        text += f"dependencies:\n{dependencies}"
    (chart / "Chart.yaml").write_text(text)
    (chart / "values.yaml").write_text("colour: blue\n")
    (chart / "templates" / "configmap.yaml").write_text(_CONFIG_MAP)
    for path, content in (files or {}).items():
        file = chart / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return chart


def package(folder: Path, name: str, *versions: str, into: Path) -> list[Path]:
    """Versions of one chart, packed by helm."""
    into.mkdir(parents=True, exist_ok=True)
    packed = []
    for version in versions:
        chart = write_chart(folder, name, version)
        helm("package", chart, "--destination", into, home=folder / "home")
        packed.append(into / f"{name}-{version}.tgz")
    return packed


def index(folder: Path, url: str = "") -> None:
    """Write the `index.yaml` of a folder; URLs in it are relative without `url`."""
    extra = ["--url", url] if url else []
    helm("repo", "index", folder, *extra, home=folder.parent / "home")


@contextmanager
def registry() -> Iterator[int]:
    """The port of an OCI registry of one's own, empty, without TLS."""
    program = binaries.program("registry", _SOURCES / "registry")
    process = subprocess.Popen(
        [program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
