"""A kept rendering is the one that would be made: tried with every file of the golden corpus."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from driftd.applicationset.documents import application
from driftd.model.tree import ResolvedSource, Tree
from driftd.render.cache import RenderCache
from driftd.render.renderer import Rendered, render_application
from driftd.sandbox.pool import SandboxPool
from tests.testbed.upstream import REVISION, Case, repository

CORPUS = Path(__file__).parent.parent / "golden/render"
CASES = {folder.name: Case(folder) for folder in sorted(CORPUS.iterdir())}
FILES = 4
"""How many files of a case are changed, one after the other."""
BATCHES = 4


def tree_of(folder: Path) -> Tree:
    """A folder as a tree; the caller gives it its name."""
    files: dict[str, bytes] = {}
    links: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        relative = str(path.relative_to(folder))
        if path.is_symlink():
            links[relative] = os.readlink(path)
        elif path.is_file():
            files[relative] = path.read_bytes()
    return Tree("", files, links)


def changed(tree: Tree) -> Iterator[tuple[str, Tree]]:
    """The tree with one file more, less or longer, and each link led elsewhere."""
    for path in list(tree.files)[:FILES]:
        less = {name: data for name, data in tree.files.items() if name != path}
        yield f"without {path}", Tree("", less, tree.links)
        more = {**tree.files, path: tree.files[path] + b"\n# more\n"}
        yield f"longer {path}", Tree("", more, tree.links)
        folder = path.rpartition("/")[0]
        for name in ("zz.yaml", "values.yaml", ".argocd-source.yaml"):
            place = f"{folder}/{name}".lstrip("/")
            if place not in tree.files:
                yield f"with {place}", Tree("", {**tree.files, place: b"a: b\n"}, tree.links)
    for link in tree.links:
        yield f"without {link}", Tree("", tree.files, {})


async def rendered(case: Case, trees: Mapping[str, Tree], sandbox: SandboxPool) -> Rendered:
    """One look at a case."""
    app = application(case.application, "case.yaml")
    sources = [
        ResolvedSource(
            source=source,
            tree=trees[repository(written)],
            revision=REVISION,
            repo_url=source.repo_url,
            index=index,
        )
        for index, (source, written) in enumerate(
            zip(app.spec.all_sources, case.sources, strict=True)
        )
    ]
    return await render_application(app, sources, sandbox, lambda _group, _kind: None)


@pytest.mark.parametrize("batch", range(BATCHES))
async def test_kept_renderings_are_what_would_be_made(batch: int, tmp_path: Path) -> None:
    """With any file changed, a rendering through the cache equals one without; many are kept."""
    cache = RenderCache(tmp_path / "renders", worker="w")
    number = 0
    async with SandboxPool(size=1) as plain, SandboxPool(size=1, renderings=cache) as keeping:
        for name in list(CASES)[batch::BATCHES]:
            case = CASES[name]
            CASES[name].unpack(tmp_path / "case")
            folders = {
                folder.name: tree_of(folder)
                for folder in (tmp_path / "case").iterdir()
                if folder.is_dir()
            }
            shutil.rmtree(tmp_path / "case")
            variants = [("as it is", "", next(iter(folders.values())))]
            variants += [
                (what, role, tree) for role, one in folders.items() for what, tree in changed(one)
            ]
            for what, role, tree in variants:
                number += 1
                trees = {**folders, role: tree} if role else folders
                named = {
                    place: Tree(f"{number} {place}", one.files, one.links)
                    for place, one in trees.items()
                }
                expected = await rendered(case, named, plain)
                assert await rendered(case, named, keeping) == expected, f"{name} {what}"
    assert cache.hits > number / 10
