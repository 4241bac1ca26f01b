"""The charts of Helm's own test data render, or fail, as with helm itself."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson

from driftd.errors import RenderError
from driftd.model.tree import Tree
from driftd.sandbox.pool import RenderApplication, SandboxPool
from tests.testbed import binaries
from tests.testbed.upstream import REVISION, Upstream, UpstreamFailed, read

SHOP = RenderApplication(name="shop", project="team", destination_namespace="shop-prod")
RANDOM = re.compile(rb'("mariadb-(?:root-|replication-)?password":)"[^"]{16}"|-test-[a-z0-9]{5}\b')
"""What one of the charts makes anew each time."""

Outcome = list[bytes] | str
"""The objects as canonical JSON, sorted, or why there are none."""


def _charts(place: Path) -> Iterator[Path]:
    """Every chart of the test data, subcharts and unpacked archives too."""
    module = binaries.helm_module() / "pkg"
    for file in sorted(module.rglob("Chart.yaml")):
        if "testdata" in file.parts:
            yield file.parent
    for archive in sorted(module.rglob("*.tgz")):
        if "testdata" not in archive.parts:
            continue
        folder = place / archive.relative_to(module)
        try:
            with tarfile.open(archive) as packed:
                packed.extractall(folder, filter="data")
        except tarfile.TarError:
            continue  # some are broken on purpose
        yield from (file.parent for file in folder.glob("*/Chart.yaml"))


def _distinct(charts: Iterator[Path]) -> list[Path]:
    """One chart of those with the same files."""
    found: dict[str, Path] = {}
    for chart in charts:
        tree = _tree(chart)
        found.setdefault(repr((sorted(tree.files.items()), sorted(tree.links.items()))), chart)
    return list(found.values())


def _upstream(programs: Upstream, chart: Path) -> bytes | str:
    command: list[str | Path] = [
        programs.helm, "template", ".", "--name-template", "shop", "--namespace", "shop-prod",
        "--kube-version", "1.36.0", "--include-crds",
    ]  # fmt: skip
    try:
        return programs.run(command, chart)
    except UpstreamFailed as error:
        return str(error)


def _read(texts: list[bytes]) -> list[Outcome]:
    return [
        reading["streamError"] or sorted(map(_canonical, reading["stream"]))
        for reading in read(texts)
    ]


def _canonical(value: Any) -> bytes:
    return RANDOM.sub(rb"\1", orjson.dumps(value, option=orjson.OPT_SORT_KEYS))


def _tree(chart: Path) -> Tree:
    files: dict[str, bytes] = {}
    links: dict[str, str] = {}
    for path in chart.rglob("*"):
        name = f"chart/{path.relative_to(chart)}"
        if path.is_symlink():
            links[name] = os.readlink(path)
        elif path.is_file():
            files[name] = path.read_bytes()
    return Tree(str(chart), files, links)


async def _driftd(sandbox: SandboxPool, chart: Path) -> Outcome:
    try:
        result = await sandbox.render(
            _tree(chart),
            {"path": "chart", "helm": {}},
            application=SHOP,
            revision=REVISION,
            kube_version="1.36.0",
        )
    except RenderError as error:
        return error.message
    return sorted(_canonical(orjson.loads(bytes(one.object))) for one in result.documents)


async def test_charts_of_helm(tmp_path: Path) -> None:
    """Each chart gives the objects that helm gives, or fails where helm fails."""
    charts = _distinct(_charts(tmp_path))
    programs = Upstream(tmp_path)
    with ThreadPoolExecutor(2) as pool:
        outputs = list(pool.map(lambda chart: _upstream(programs, chart), charts))
    readings = iter(_read([output for output in outputs if isinstance(output, bytes)]))
    expected = [output if isinstance(output, str) else next(readings) for output in outputs]
    different = []
    rendered = 0
    async with SandboxPool(size=1) as sandbox:
        for chart, upstream in zip(charts, expected, strict=True):
            found = await _driftd(sandbox, chart)
            if isinstance(upstream, str) is not isinstance(found, str):
                different.append((str(chart), upstream, found))
            elif isinstance(upstream, list):
                rendered += bool(upstream)
                if upstream != found:
                    different.append((str(chart), upstream, found))
    assert different == []
    assert rendered >= 45
    assert len(charts) - rendered >= 20, "charts that Helm refuses are part of its test data"
