"""Where the objects of a kustomization come from, told by their order as by Kustomize's notes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml

from driftd.errors import RenderError
from driftd.model.tree import Tree
from driftd.sandbox.pool import SandboxPool

from .conftest import APPLICATION, REVISION, make_tree, objects

pytestmark = pytest.mark.slow

TESTS = Path(__file__).resolve().parents[2]
NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
NOTED = "\nbuildMetadata: [originAnnotations]\n"
NOTE = "config.kubernetes.io/origin"


def thing(name: str, kind: str = "ConfigMap", more: str = "") -> str:
    """An object in a few words."""
    return f"apiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}}}\n{more}"


BASE = {
    "base/kustomization.yaml": "resources: [two.yaml, one.yaml]\nnamePrefix: base-\n"
    "configMapGenerator: [{name: made, literals: [a=b]}]\n"
    "secretGenerator: [{name: hidden, literals: [a=b]}]\n",
    "base/one.yaml": thing("one", "Service"),
    "base/two.yaml": f"# two objects\n---\n{thing('two')}---\n---\n{thing('three', 'Secret')}",
}
COMPONENT = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
CASES: dict[str, dict[str, str]] = {
    "bases and files": {
        "app/kustomization.yaml": "bases: [../base]\nresources: [last.yaml]\n",
        "app/last.yaml": thing("last"),
    },
    "a base twice": {
        "app/kustomization.yaml": "resources: [../left, ../right]\n",
        "left/kustomization.yaml": "resources: [../base]\nnamePrefix: left-\n",
        "right/kustomization.yaml": "resources: [../base]\nnamePrefix: right-\n",
    },
    "merged into a generated one": {
        "app/kustomization.yaml": "resources: [../base]\n"
        "configMapGenerator: [{name: made, behavior: merge, literals: [c=d]}, {name: new}]\n",
    },
    "in place of a generated one": {
        "app/kustomization.yaml": "resources: [../base]\n"
        "configMapGenerator: [{name: made, behavior: replace, literals: [c=d]}, {name: new}]\n",
    },
    "deleted, and another one made": {
        "app/kustomization.yaml": "resources: [../base]\nconfigMapGenerator: [{name: new}]\n"
        "patches: [{path: gone.yaml}]\n",
        "app/gone.yaml": thing("two", more="$patch: delete\n"),
    },
    "deleted, as one patch of many": {
        "app/kustomization.yaml": "resources: [../base]\nconfigMapGenerator: [{name: new}]\n"
        "patchesStrategicMerge: [gone.yaml]\n",
        "app/gone.yaml": thing("two", more="$patch: delete\n"),
    },
    "left out, and a list": {
        "app/kustomization.yaml": "resources: [local.yaml, list.yaml]\n",
        "app/local.yaml": thing("local").replace(
            "}", ", annotations: {config.kubernetes.io/local-config: 'true'}}"
        ),
        "app/list.yaml": "apiVersion: v1\nkind: ConfigMapList\nitems:\n"
        "- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n"
        "- {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}\n",
    },
    "a component": {
        "app/kustomization.yaml": "resources: [../base]\ncomponents: [../part]\n",
        "part/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\n"
        "kind: Component\nresources: [more.yaml]\nnameSuffix: -part\n",
        "part/more.yaml": thing("more"),
    },
    "components that generate and hold others": {
        "app/kustomization.yaml": "resources: [../base]\ncomponents: [../part, ../other]\n"
        "configMapGenerator: [{name: new}]\nreplacements:\n- source: {kind: ConfigMap, name: two}\n"
        "  targets: [{select: {kind: Service}, fieldPaths: [metadata.labels.of],"
        " options: {create: true}}]\n",
        "part/kustomization.yaml": f"{COMPONENT}components: [inner]\nresources: [more.yaml]\n"
        "configMapGenerator: [{name: of-part, literals: [a=b]}]\n",
        "part/more.yaml": thing("more", "Service"),
        "part/inner/kustomization.yaml": f"{COMPONENT}resources: [deep.yaml]\n",
        "part/inner/deep.yaml": thing("deep", "Secret"),
        "other/kustomization.yaml": f"{COMPONENT}resources: [last.yaml]\nnamePrefix: x-\n",
        "other/last.yaml": thing("last", "Pod"),
    },
    "a component of a base": {
        "app/kustomization.yaml": "resources: [../mid, last.yaml]\n",
        "app/last.yaml": thing("last", "Pod"),
        "mid/kustomization.yaml": "resources: [../base]\ncomponents: [../part]\n",
        "part/kustomization.yaml": f"{COMPONENT}resources: [more.yaml]\n",
        "part/more.yaml": thing("more"),
    },
    "a component that deletes": {
        "app/kustomization.yaml": "resources: [../base]\ncomponents: [../part]\n",
        "part/kustomization.yaml": f"{COMPONENT}resources: [more.yaml]\n"
        "patches: [{path: gone.yaml}]\n",
        "part/more.yaml": thing("more"),
        "part/gone.yaml": thing("two", more="$patch: delete\n"),
    },
    "sorted": {
        "app/kustomization.yaml": "resources: [../base, last.yaml]\nsortOptions: {order: legacy}\n",
        "app/last.yaml": thing("first", "Namespace"),
    },
    "a generator with a file of its own": {
        "app/kustomization.yaml": "resources: [../base]\ngenerators: [make.yaml]\n",
        "app/make.yaml": "apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: made2}\n"
        "literals: [a=b]\n",
    },
    "JSON": {
        "app/kustomization.yaml": "resources: [one.json, two.yaml]\n",
        "app/one.json": '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}}',
        "app/two.yaml": thing("two"),
    },
    "a changed kind": {
        "app/kustomization.yaml": "resources: [../base]\npatches:\n- target: {name: one}\n"
        "  options: {allowKindChange: true}\n"
        "  patch: |\n    - {op: replace, path: /kind, value: Gadget}\n",
    },
    "a kind within text": {
        "app/kustomization.yaml": "resources: [one.yaml, two.yaml]\n",
        "app/one.yaml": f"data:\n  text: |\n    kind: Job\n    ---\n{thing('one')}",
        "app/two.yaml": "'kind': Secret\napiVersion: v1\nmetadata: {name: two}\n",
    },
    "nothing between two": {
        "app/kustomization.yaml": "resources: [one.yaml]\n",
        "app/one.yaml": f"{{}}\n---\n{thing('one')}---\n# more\n---\nnull\n---\n{thing('two')}",
    },
}


def _noted(text: bytes) -> bytes:
    """A kustomization that wants to see Kustomize's own notes."""
    loaded = yaml.safe_load(text)
    return yaml.safe_dump({**loaded, "buildMetadata": ["originAnnotations"]}).encode()


async def _compared(pool: SandboxPool, tree: Tree, folder: str, file: str) -> int:
    """How many objects there are, each told alike; 0 if it does not render."""
    noted = make_tree({**tree.files, file: _noted(tree.files[file])}, dict(tree.links))

    async def rendered(of: Tree) -> list[tuple[str, str, str]] | str:
        try:
            result = await pool.render(
                of, {"path": folder}, application=APPLICATION, revision=REVISION
            )
        except RenderError as error:
            return error.reason
        values = objects(result)
        for value in values if of is noted else ():
            assert NOTE in value["metadata"]["annotations"]
        return [
            (document.file, value["kind"], value["metadata"]["name"])
            for document, value in zip(result.documents, values, strict=True)
        ]

    by_order, by_notes = await rendered(tree), await rendered(noted)
    if isinstance(by_notes, list) and not any(found for found, _, _ in by_notes):
        # Where annotations are addressed by path there is no note that could be read.
        by_order = [("", kind, name) for _, kind, name in by_order]
    assert by_order == by_notes, file
    return len(by_order) if isinstance(by_order, list) else 0


@pytest.mark.parametrize("case", CASES)
async def test_tells_the_files(case: str, pool: SandboxPool) -> None:
    """Each object has the file that Kustomize notes, also where order alone cannot tell."""
    tree = make_tree({**BASE, **CASES[case]})
    assert await _compared(pool, tree, "app", "app/kustomization.yaml")


async def test_links_lead_elsewhere(pool: SandboxPool) -> None:
    """Paths of a folder that is reached through a link start from where it leads to."""
    files = {
        "app/kustomization.yaml": "resources: [near]\n",
        "far/away/kustomization.yaml": "resources: [../base]\n",
        "far/base/kustomization.yaml": "resources: [right.yaml]\n",
        "far/base/right.yaml": thing("right"),
        "app/base/kustomization.yaml": "resources: [wrong.yaml]\n",
        "app/base/wrong.yaml": thing("wrong"),
    }
    tree = make_tree(files, {"app/near": "../far/away"})
    assert await _compared(pool, tree, "app", "app/kustomization.yaml") == 1


async def test_every_kustomization_of_the_tests(pool: SandboxPool) -> None:
    """All that render tell their objects alike, whoever says where they come from."""
    repositories = [*(TESTS / "golden/render").glob("*/*/"), TESTS / "fixtures/kubernetes-gitops"]
    kustomizations = objects_seen = 0
    for root in sorted(repositories):
        files = {
            str(path.relative_to(root)): path.read_bytes()
            for path in root.rglob("*")
            if path.is_file() and not path.is_symlink()
        }
        for file in sorted(files):
            if Path(file).name in NAMES:
                folder = str(Path(file).parent)
                seen = await _compared(pool, make_tree(files), folder, file)
                kustomizations += seen > 0
                objects_seen += seen
    assert kustomizations >= 80
    assert objects_seen >= 300


async def test_told_where_annotations_are_addressed(render: Any) -> None:
    """No note is needed: a patch that addresses annotations by path costs nothing."""
    files = BASE | {
        "app/kustomization.yaml": "resources: [../base]\npatches:\n- target: {name: one}\n"
        "  patch: |\n    - {op: add, path: /metadata/annotations, value: {a: b}}\n"
    }
    result = await render(files, {"path": "app"})
    assert [document.file for document in result.documents] == [
        "base/two.yaml",
        "base/two.yaml",
        "base/one.yaml",
        *["base/kustomization.yaml"] * 2,
    ]
    assert objects(result)[2]["metadata"]["annotations"] == {"a": "b"}


async def test_what_is_kept_of_a_tree_carries_nothing_over() -> None:
    """Applications of one tree render as in a worker of their own, in any order and at once."""
    files = BASE | {
        "app/kustomization.yaml": "resources: [../base]\n",
        "chart/Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\n",
        "chart/values.yaml": "kind: Service\nlist: {a: 1}\n",
        "chart/templates/a.yaml": "kind: {{ .Values.kind }}\nv: {{ toJson .Values.list }}\n"
        "w: {{ set .Values.list .Release.Name 1 | keys | len }}\n",
    }
    sources: list[dict[str, Any]] = [
        {"path": "app", "kustomize": {"namePrefix": "x-", "commonLabels": {"team": "x"}}},
        {"path": "app"},
        {"path": "chart", "helm": {"valuesObject": {"kind": "Secret", "list": {"b": 2}}}},
        {"path": "chart", "helm": {"parameters": [{"name": "list.a", "value": "null"}]}},
        {"path": "chart"},
    ]
    tree = make_tree(files)

    async def rendered(pool: SandboxPool, source: dict[str, Any]) -> list[tuple[str, bytes]]:
        result = await pool.render(tree, source, application=APPLICATION, revision=REVISION)
        return [(document.file, bytes(document.object)) for document in result.documents]

    fresh = []
    for source in sources:
        async with SandboxPool(size=1) as alone:
            fresh.append(await rendered(alone, source))
    assert len(set(map(repr, fresh))) == len(sources)
    async with SandboxPool(size=2) as pool:
        for order in (range(5), reversed(range(5)), (0, 1, 0, 2, 4, 2, 3, 4)):
            for number in order:
                assert await rendered(pool, sources[number]) == fresh[number]
        numbers = [number % 5 for number in range(40)]
        at_once = await asyncio.gather(*(rendered(pool, sources[number]) for number in numbers))
        assert at_once == [fresh[number] for number in numbers]
