"""How fast Git is rendered, beside the programs that render it elsewhere.

    python -m tests.perf.rendering [--applications 1000] [--runs 20]

Warm workers against `kustomize build` and `helm template`, each a process per rendering, in turns
in the same run, so that the ratio holds on a noisy machine: of the medians, and in brackets of the
best of each. A turn is one process and a row of renderings, as driftd renders applications; all
of them count, and none is kept: every one is made anew. Before each rendering and each process one
file has changed that decides it (a patch of the overlay, the values of the chart), as after a
commit, so that nothing can be known of it; the trees are with the worker before it is asked, as
they are for all applications of a repository but the first, and the last lines have them in their
time. A moment before each process lets the worker collect its garbage, and not beside the process.
Then one repository with many small Kustomize applications in ten projects: read from Git and
rendered with nothing known, and again after a commit that touches none of them. PSS is that of the
worker processes, at the end.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
import yaml

from driftd.model.application import Application, ApplicationSpec
from driftd.model.tree import ResolvedSource, Tree
from driftd.render.cache import RenderCache
from driftd.render.renderer import Rendered, render_application
from driftd.sandbox.binary import worker_identity
from driftd.sandbox.pool import RenderApplication, SandboxPool
from driftd.source.git import GitRepository
from tests.perf.scale import manifest
from tests.testbed import binaries
from tests.testbed.gitrepo import GitRepo

SEED = Path(__file__).resolve().parents[1] / "fixtures" / "kubernetes-gitops"
OVERLAY = "apps/app1/overlays/production"
URL = "https://git.example.com/shop.git"
PROJECTS = 10
CHART_OBJECTS = 20
ROW = 5
"""Renderings between two processes."""
PAUSE = 0.1
"""Seconds after a row, in which the worker collects what the row left."""


def chart() -> dict[str, str]:
    """A chart of 20 objects, a template each, with the values that charts usually take."""
    files = {
        "Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\n",
        "values.yaml": "replicas: 2\nlabels: {team: shop}\nimage: {name: shop, tag: 1.2.3}\n",
        "templates/_names.tpl": (
            '{{- define "shop.labels" }}{{ toYaml .Values.labels | nindent 4 }}\n'
            "    helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}{{ end }}\n"
        ),
    }
    for number in range(CHART_OBJECTS):
        # A copy shares nothing, so that no alias is written: charts seldom have any.
        body = json.loads(json.dumps(manifest("shop", number)))
        del body["metadata"]["labels"]
        text = yaml.safe_dump(body, sort_keys=False).replace(
            "metadata:", 'metadata:\n  labels: {{- include "shop.labels" . }}', 1
        )
        text = text.replace("replicas: 2", "replicas: {{ .Values.replicas }}")
        files[f"templates/object-{number:02}.yaml"] = text
    return files


def small_application(number: int) -> dict[str, str]:
    """An overlay with a patch over the common base."""
    folder = f"apps/app-{number:04}"
    return {
        f"{folder}/kustomization.yaml": (
            f"resources: [../../base]\nnamePrefix: app-{number:04}-\n"
            f"labels: [{{pairs: {{app: app-{number:04}}}}}]\npatches: [{{path: patch.yaml}}]\n"
        ),
        f"{folder}/patch.yaml": (
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n"
            f"spec: {{replicas: {number % 7}}}\n"
        ),
    }


BASE = {
    "base/kustomization.yaml": "resources: [deployment.yaml, service.yaml]\n",
    "base/deployment.yaml": yaml.safe_dump(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {
                "selector": {"matchLabels": {"name": "web"}},
                "template": {
                    "metadata": {"labels": {"name": "web"}},
                    "spec": {"containers": [{"name": "web", "image": "nginx:1.27"}]},
                },
            },
        }
    ),
    "base/service.yaml": (
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
        "spec: {selector: {name: web}, ports: [{port: 80}]}\n"
    ),
}


def seconds(run: Callable[[], Any]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def program(*command: str | Path) -> None:
    """One process whose output is read and thrown away."""
    subprocess.run(command, check=True, capture_output=True, env={"HOME": "/nonexistent"})


class Edited:
    """A folder of which one file is another one each time: it says how many replicas there are."""

    def __init__(self, folder: Path, file: str) -> None:
        self._files = folder_tree(folder).files
        self._path = folder / file
        self._file = file
        self._commits = 0

    def commit(self) -> Tree:
        """The folder with the next edit, on the disk too."""
        self._commits += 1
        replicas = f"replicas: {self._commits}".encode()
        text, edits = re.subn(rb"replicas: \d+", replicas, self._files[self._file])
        assert edits == 1
        self._path.write_bytes(text)
        return Tree(f"{self._path}@{self._commits}", {**self._files, self._file: text})

    @property
    def replicas(self) -> int:
        """How many the last edit asks for."""
        return self._commits


async def beside(
    pool: SandboxPool,
    folder: Edited,
    source: dict[str, Any],
    command: Sequence[str | Path],
    runs: int,
) -> tuple[list[float], list[float], int]:
    """Seconds of warm renderings and of processes, in turns, and the number of objects."""
    application = RenderApplication(name="shop", destination_namespace="shop")
    ours, theirs = [], []
    objects = 0
    for _ in range(runs + 1):
        trees = [folder.commit() for _ in range(ROW)]
        for tree in trees:
            await pool.call("hello", {}, project=application.project, trees=(tree,))
        for tree in trees:
            started = time.perf_counter()
            result = await pool.render(tree, source, application=application, revision="1" * 40)
            ours.append(time.perf_counter() - started)
            objects = len(result.documents)
        assert any(
            b'"replicas":%d,' % folder.replicas in bytes(found.object) for found in result.documents
        )
        folder.commit()
        await asyncio.sleep(PAUSE)
        theirs.append(seconds(lambda: program(*command)))
    # In the first row nothing is warm.
    return ours[ROW:], theirs[1:], objects


def folder_tree(folder: Path) -> Tree:
    """A folder as a tree."""
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    return Tree(str(folder), files)


async def many(repository: Path, revision: str, count: int, pool: SandboxPool) -> list[Rendered]:
    """Every application of the repository at a revision, as one look renders them."""
    tree = await GitRepository.open(repository).tree(revision)

    def application(number: int) -> Application:
        spec = {
            "project": f"team-{number % PROJECTS}",
            "destination": {"server": "https://one.example.com", "namespace": "shop"},
            "source": {"repoURL": URL, "path": f"apps/app-{number:04}"},
        }
        return Application(
            name=f"app-{number:04}",
            namespace="argocd",
            spec=msgspec.convert(spec, ApplicationSpec),
            raw={"spec": spec},
        )

    async def one(number: int) -> Rendered:
        app = application(number)
        source = ResolvedSource(
            source=app.spec.all_sources[0], tree=tree, revision=revision, repo_url=URL
        )
        return await render_application(app, [source], pool, lambda _group, _kind: True)

    rendered = await asyncio.gather(*(one(number) for number in range(count)))
    assert all(len(found.manifests) == 2 and not found.conditions for found in rendered)
    return rendered


def pool_pss(pool: SandboxPool) -> int:
    """Bytes of proportional memory of the pool's processes."""
    total = 0
    for worker in pool._idle:
        for line in Path(f"/proc/{worker.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) << 10
    return total


async def compared(scratch: Path, runs: int) -> list[tuple[str, str, str, str]]:
    """The lines about single renderings."""
    for path, text in chart().items():
        place = scratch / "chart" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    seed = shutil.copytree(SEED, scratch / "seed")
    lines = []
    async with SandboxPool(size=1) as pool:
        for what, folder, source, command, wanted in (
            (
                "overlay of the seed",
                Edited(seed, f"{OVERLAY}/deployment-patch.yaml"),
                {"path": OVERLAY},
                (binaries.kustomize(), "build", seed / OVERLAY),
                15,
            ),
            (
                f"chart of {CHART_OBJECTS} objects",
                Edited(scratch / "chart", "values.yaml"),
                {"path": "."},
                (binaries.helm(), "template", "shop", scratch / "chart"),
                20,
            ),
        ):
            ours, theirs, objects = await beside(pool, folder, source, command, runs)
            usual, usual_theirs = statistics.median(ours), statistics.median(theirs)
            found = (
                f"{usual * 1000:.1f} ms ({min(ours) * 1000:.1f}), "
                f"{Path(command[0]).name} {usual_theirs * 1000:.0f} ms ({min(theirs) * 1000:.0f})"
            )
            faster = f"{usual_theirs / usual:.0f}x ({min(theirs) / min(ours):.0f}x)"
            name = f"{what} ({objects} objects)" if "objects" not in what else what
            lines.append((name, found, faster, f">= {wanted}x"))
    return lines


async def repository(scratch: Path, count: int) -> list[tuple[str, str, str, str]]:
    """The lines about a repository of many applications."""
    repo = GitRepo(scratch / "repository")
    for path, text in BASE.items():
        repo.write(path, text)
    for number in range(count):
        for path, text in small_application(number).items():
            repo.write(path, text)
    first = repo.commit()
    repo.write("docs/readme.md", "nothing of an application\n")
    second = repo.commit()
    lines = []
    for name, revision, wanted in (("cold", first, 30), ("after another commit", second, 2)):
        # Each look is a process of its own: nothing but the disk is known to the second one.
        cache = RenderCache(scratch / "renders", worker=worker_identity())
        async with SandboxPool(size=2, renderings=cache) as pool:
            wall, cpu = time.perf_counter(), time.process_time()
            await many(repo.path, revision, count, pool)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            found = f"{wall:.2f} s ({cpu:.2f} s CPU of driftd, {cache.hits} kept)"
            lines.append((f"{count} applications, {name}", found, "", f"<= {wanted} s"))
            if pss := pool_pss(pool):
                lines.append(("PSS of the pool", f"{pss >> 20} MB", "", "<= 300 MB"))
    return lines


async def measured(count: int, runs: int) -> list[tuple[str, str, str, str]]:
    """Every line of the table."""
    with tempfile.TemporaryDirectory(prefix="driftd-perf-") as folder:
        scratch = Path(folder)
        return await compared(scratch, runs) + await repository(scratch, count)


@click.command()
@click.option("--applications", default=1000, show_default=True)
@click.option("--runs", default=20, show_default=True)
def main(applications: int, runs: int) -> None:
    """Measure and print one table."""
    lines = [("", "measured", "faster", "wanted"), *asyncio.run(measured(applications, runs))]
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    for line in lines:
        texts = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        click.echo("  ".join(texts).rstrip())


if __name__ == "__main__":
    main()
