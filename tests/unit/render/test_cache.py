"""Renderings are kept by all that decides them, and by nothing else (S-36)."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from driftd.errors import RenderError
from driftd.model.tree import Tree
from driftd.render.cache import DAMAGED, RenderCache, user_folder
from driftd.sandbox.pool import RenderApplication, RenderQuestion, SandboxPool
from driftd.sandbox.results import RenderResult

pytestmark = pytest.mark.slow

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\ndata: {x: VALUE}\n"
CHART = {
    "shop/Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\n",
    "shop/templates/a.yaml": CONFIG.replace("NAME", "a").replace("VALUE", "{{ .Values.v }}"),
    "values/v.yaml": "v: one\n",
    "other/readme.md": "nothing\n",
}
REVISION = "1" * 40
APPLICATION = RenderApplication(name="shop", project="team", destination_namespace="shop")


def make_tree(files: dict[str, str], links: dict[str, str] | None = None) -> Tree:
    """A tree with an id made from its content."""
    content = {path: text.encode() for path, text in files.items()}
    digest = hashlib.sha256(repr((sorted(content.items()), links)).encode()).hexdigest()
    return Tree(digest, content, links or {})


class Sandbox:
    """A real worker behind a cache, which counts how often it was asked."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.cache = RenderCache(folder, worker="w1", **options)
        self.pool = SandboxPool(size=1, renderings=self.cache)
        self.asked = 0
        self.started = asyncio.Event()
        call = self.pool.call

        async def counted(op: str, *args: Any, **more: Any) -> msgspec.Raw:
            self.asked += op == "render"
            self.started.set()
            return await call(op, *args, **more)

        self.pool.call = counted  # type: ignore[method-assign]

    async def render(
        self, tree: Tree, source: dict[str, Any] | None = None, **more: Any
    ) -> RenderResult:
        """One rendering of a chart in `shop`."""
        more = {"application": APPLICATION, "revision": REVISION, **more}
        wanted = source or {"path": "shop", "helm": {"valueFiles": ["../values/v.yaml"]}}
        return await self.pool.render(tree, wanted, **more)

    async def renders(self, *args: Any, **more: Any) -> bool:
        """Whether a rendering had to be made."""
        before = self.asked
        await self.render(*args, **more)
        return self.asked > before


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    """A sandbox whose cache lies in a folder of its own."""
    made = Sandbox(tmp_path / "renders")
    async with made.pool:
        yield made


def files(folder: Path) -> list[Path]:
    """Everything that is kept."""
    return [path for path in folder.rglob("*") if path.is_file() and path.name != "key"]


async def test_the_same_again_is_not_rendered(sandbox: Sandbox) -> None:
    """The second answer is the first one, byte for byte, and costs no worker."""
    tree = make_tree(CHART)
    first = await sandbox.render(tree)
    second = await sandbox.render(make_tree(CHART))
    assert sandbox.asked == 1
    assert sandbox.cache.hits == 1
    assert msgspec.json.encode(first) == msgspec.json.encode(second)


INPUTS: dict[str, dict[str, Any]] = {
    "source": {"source": {"path": "shop", "helm": {"valueFiles": ["/values/v.yaml"]}}},
    "type of a value": {"source": {"path": "shop", "helm": {"valuesObject": {"v": True}}}},
    "application's name": {"application": msgspec.structs.replace(APPLICATION, name="other")},
    "name among all": {"application": msgspec.structs.replace(APPLICATION, instance_name="x_shop")},
    "its project": {"application": msgspec.structs.replace(APPLICATION, project="x")},
    "destination": {"application": msgspec.structs.replace(APPLICATION, destination_namespace="x")},
    "repository": {"repo_url": "https://git.example.com/other.git"},
    "version of Kubernetes": {"kube_version": "1.30.0"},
    "served APIs": {"api_versions": ("monitoring.coreos.com/v1",)},
    "reference": {"refs": {"config": make_tree({"a": "b"})}},
    "order": {"build_options": {"reorder": "legacy"}},
    "restriction": {"build_options": {"loadRestrictor": "none"}},
    "label": {"build_options": {"managedByLabel": True}},
}


@pytest.mark.parametrize("name", list(INPUTS))
async def test_every_parameter_counts(sandbox: Sandbox, name: str) -> None:
    """Each parameter that may decide a rendering, changed alone, is a miss; the old one stays."""
    tree = make_tree(CHART)
    assert await sandbox.renders(tree)
    more = dict(INPUTS[name])
    source = more.pop("source", None)
    assert await sandbox.renders(tree, source, **more)
    assert not await sandbox.renders(tree, source, **more)
    assert not await sandbox.renders(tree)


@pytest.mark.parametrize("change", ["worker", "format"])
async def test_the_worker_counts(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Another worker (other engines, other limits) or another format finds nothing."""
    tree = make_tree(CHART)
    await sandbox.render(tree)
    if change == "format":
        monkeypatch.setattr("driftd.render.cache.FORMAT", "0")
    worker = "w2" if change == "worker" else "w1"
    other = RenderCache(tmp_path / "renders", worker=worker)
    asked = []

    async def make() -> msgspec.Raw:
        asked.append(1)
        return msgspec.Raw(b'{"type":"Helm","documents":[],"warnings":[]}')

    params = {
        "source": {"path": "shop", "helm": {"valueFiles": ["../values/v.yaml"]}},
        "application": APPLICATION,
        "repoURL": "",
        "kubeVersion": "",
        "apiVersions": [],
        "buildOptions": {},
        "flux": None,
    }
    await other.render(RenderQuestion(tree, {}, REVISION, params), make)
    assert asked == [1]


@pytest.mark.parametrize(
    ("change", "anew"),
    [
        ({"other/readme.md": "something else\n"}, False),
        ({"other/new.yaml": "a: b\n"}, False),
        ({"values/other.yaml": "a: b\n"}, False),
        ({"values/v.yaml": "v: two\n"}, True),
        ({"shop/templates/a.yaml": CONFIG}, True),
        ({"shop/templates/b.yaml": CONFIG}, True),
        ({"shop/values.yaml": "v: three\n"}, True),
        ({"shop/.helmignore": "b.yaml\n"}, True),
        ({"shop/.argocd-source.yaml": "helm: {releaseName: x}\n"}, True),
        ({"shop/.argocd-source-shop.yaml": "helm: {releaseName: x}\n"}, True),
        ({"shop/.argocd-source-other.yaml": "helm: {releaseName: x}\n"}, True),
    ],
)
async def test_only_what_is_read_of_the_tree_counts(
    sandbox: Sandbox, change: dict[str, str], anew: bool
) -> None:
    """A commit that touches what the rendering never looked at costs nothing."""
    await sandbox.render(make_tree(CHART))
    again = await sandbox.renders(make_tree({**CHART, **change}), revision="2" * 40)
    # The folder of a chart is read whole: a new file there may be a template.
    assert again is anew


COMPONENT = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnamePrefix: p-\n"
KUSTOMIZATIONS = {
    "shop/kustomization.yaml": "resources: [../base]\ncomponents: [../component]\n",
    "base/kustomization.yaml": "resources: [a.yaml]\nconfigMapGenerator: [{name: g, files: [f]}]\n",
    "base/a.yaml": CONFIG.replace("NAME", "a"),
    "base/f": "text",
    "base/unused.yaml": "a: b\n",
    "component/kustomization.yaml": COMPONENT,
}


@pytest.mark.parametrize(
    ("change", "anew"),
    [
        ({"base/unused.yaml": "c: d\n"}, False),
        ({"else.yaml": "c: d\n"}, False),
        ({"base/a.yaml": CONFIG.replace("NAME", "b")}, True),
        ({"base/f": "other"}, True),
        ({"base/kustomization.yaml": "resources: [a.yaml]\n"}, True),
        ({"component/kustomization.yaml": COMPONENT.replace("p-", "q-")}, True),
    ],
)
async def test_bases_and_components_count(
    sandbox: Sandbox, change: dict[str, str], anew: bool
) -> None:
    """A rendering is decided by its bases too, wherever they lie, and by their files alone."""
    source = {"path": "shop"}
    await sandbox.render(make_tree(KUSTOMIZATIONS), source)
    changed = make_tree({**KUSTOMIZATIONS, **change})
    assert await sandbox.renders(changed, source) is anew


async def test_links_patterns_and_libraries_count(sandbox: Sandbox) -> None:
    """Where a link leads, what a pattern finds and what a library has decide a rendering."""
    chart = {**CHART, "values/w.yaml": "w: 1\n"}
    pattern = {"path": "shop", "helm": {"valueFiles": ["/values/*.yaml"]}}
    assert await sandbox.renders(make_tree(chart), pattern)
    assert await sandbox.renders(make_tree({**chart, "values/x.yaml": "v: x\n"}), pattern)
    linked = {"path": "shop", "helm": {"valueFiles": ["/link.yaml"]}}
    one, two = (make_tree(chart, {"link.yaml": f"values/{name}.yaml"}) for name in "vw")
    assert await sandbox.renders(one, linked)
    assert await sandbox.renders(two, linked)
    assert not await sandbox.renders(one, linked)
    jsonnet = {"app/x.jsonnet": "import 'lib.libsonnet'", "lib/lib.libsonnet": "{kind: 'A'}"}
    source = {"path": "app", "directory": {"jsonnet": {"libs": ["lib"]}}}
    assert await sandbox.renders(make_tree(jsonnet), source)
    nearer = {**jsonnet, "app/lib.libsonnet": "{kind: 'B'}"}
    assert await sandbox.renders(make_tree(nearer), source)


async def test_the_tree_of_a_reference_counts(sandbox: Sandbox) -> None:
    """A value file of another source, changed, is a miss; another file beside it is not."""
    source = {"path": "shop", "helm": {"valueFiles": ["$config/v.yaml"]}}
    tree = make_tree(CHART)
    config = {"v.yaml": "v: 1\n"}
    assert await sandbox.renders(tree, source, refs={"config": make_tree(config)})
    beside = make_tree({**config, "w.yaml": "w: 1\n"})
    assert not await sandbox.renders(tree, source, refs={"config": beside})
    assert await sandbox.renders(tree, source, refs={"config": make_tree({"v.yaml": "v: 2\n"})})


async def test_the_revision_counts_where_it_is_used(sandbox: Sandbox) -> None:
    """A build environment with the revision is another one for each commit."""
    tree = make_tree(CHART)
    parameters = [{"name": "v", "value": "$ARGOCD_APP_REVISION_SHORT"}]
    used = {"path": "shop", "helm": {"parameters": parameters}}
    assert await sandbox.renders(tree, used)
    assert await sandbox.renders(tree, used, revision="2" * 40)
    assert not await sandbox.renders(tree, used)


async def test_a_file_that_was_changed_is_discarded_and_told(sandbox: Sandbox) -> None:
    """One changed byte, a file under another's name, an empty one: rendered anew, and told."""
    tree = make_tree(CHART)
    good = await sandbox.render(tree)
    kept = files(sandbox.cache._files._folder)
    assert len(kept) == 2
    contents = [path.read_bytes() for path in kept]
    forged = [
        (path, bad)
        for path, content in zip(kept, contents, strict=True)
        for bad in (content[:-1] + b"!", b"", content[:20], contents[0], contents[1])
        if bad != content
    ]
    for path, bad in forged:
        path.write_bytes(bad)
        again = await sandbox.render(tree)
        assert again.warnings == (DAMAGED,)
        assert again.documents[0].object == good.documents[0].object
        assert (await sandbox.render(tree)).warnings == ()
    assert sandbox.asked == 1 + len(forged) == 1 + sandbox.cache.alarms


async def test_another_user_s_key_is_not_trusted(sandbox: Sandbox, tmp_path: Path) -> None:
    """A key that others can read may have sealed anything; nothing is read or written then."""
    await sandbox.render(make_tree(CHART))
    key = tmp_path / "renders" / "key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "renders").stat().st_mode & 0o777 == 0o700
    key.chmod(0o640)
    other = Sandbox(tmp_path / "renders")
    async with other.pool:
        assert await other.renders(make_tree(CHART))
        assert await other.renders(make_tree(CHART))
    assert "can be read by others" in other.cache.problem


async def test_a_folder_that_cannot_be_made_is_no_error(tmp_path: Path) -> None:
    """Without a folder everything is rendered anew."""
    (tmp_path / "file").write_text("")
    sandbox = Sandbox(tmp_path / "file" / "renders")
    async with sandbox.pool:
        assert await sandbox.renders(make_tree(CHART))
        assert await sandbox.renders(make_tree(CHART))
    assert "are not kept in" in sandbox.cache.problem


async def test_what_was_not_used_goes_first(tmp_path: Path) -> None:
    """Over its limit the folder loses the oldest files, and what was used lately stays."""
    sandbox = Sandbox(tmp_path / "renders", limit=40_000)
    async with sandbox.pool:
        trees = [make_tree({**CHART, "values/v.yaml": f"v: {'x' * 9000}{n}\n"}) for n in range(6)]
        for number, tree in enumerate(trees):
            if number:
                assert not await sandbox.renders(trees[0])
            await sandbox.render(tree)
            for age, path in enumerate(sorted(files(tmp_path), key=os.path.getmtime)):
                os.utime(path, (age, age))
        assert sum(path.stat().st_size for path in files(tmp_path)) <= 40_000
        assert not await sandbox.renders(trees[0])
        assert await sandbox.renders(trees[1])


async def test_the_same_at_once_is_rendered_once(sandbox: Sandbox) -> None:
    """Ten callers share one rendering; one that goes away takes it from nobody."""
    tree = make_tree(CHART)
    callers = [asyncio.create_task(sandbox.render(tree)) for _ in range(10)]
    await asyncio.sleep(0)
    callers[0].cancel()
    results = await asyncio.gather(*callers[1:])
    assert sandbox.asked == 1
    assert len({bytes(result.documents[0].object) for result in results}) == 1


async def test_nobody_left_ends_the_rendering(sandbox: Sandbox) -> None:
    """When the last caller goes, the worker is ended, and the next caller gets another one."""
    endless = make_tree({"shop/x.jsonnet": "local f(x) = f(x + 1) tailstrict; f(0)"})
    source = {"path": "shop", "directory": {}}
    caller = asyncio.create_task(sandbox.render(endless, source))
    await sandbox.started.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert not sandbox.cache._under_way
    assert await sandbox.renders(make_tree(CHART))


async def test_errors_are_not_kept(sandbox: Sandbox) -> None:
    """What cannot be rendered is tried again; so is what left something out."""
    broken = make_tree({**CHART, "shop/templates/a.yaml": "{{ fail `no` }}"})
    for _ in range(2):
        with pytest.raises(RenderError):
            await sandbox.render(broken)
    partly = make_tree({"shop/a.yaml": CONFIG, "shop/b.yaml": "kind: [\napiVersion: metadata:\n"})
    source = {"path": "shop", "directory": {}}
    assert (await sandbox.render(partly, source)).errors
    assert await sandbox.renders(partly, source)
    assert sandbox.asked == 4


def test_the_folder_is_the_user_s(private_environment: Path) -> None:
    """XDG_CACHE_HOME counts if it is absolute, else the home's `.cache`."""
    assert user_folder({"XDG_CACHE_HOME": "/c"}) == Path("/c/driftd/renders")
    for variables in ({}, {"XDG_CACHE_HOME": "c"}):
        assert user_folder(variables) == private_environment / ".cache/driftd/renders"
