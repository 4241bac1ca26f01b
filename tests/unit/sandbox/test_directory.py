"""Plain manifests and Jsonnet as Argo CD's directory type reads them; tool detection."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from driftd.errors import RenderError

from .conftest import APPLICATION, objects

pytestmark = pytest.mark.slow


def manifest(name: str, kind: str = "ConfigMap") -> str:
    """A small manifest."""
    return f"apiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}}}\n"


async def names(
    render: Any, files: dict[str, str], directory: dict[str, Any], **more: Any
) -> list[str]:
    """The names of what a directory source gives."""
    result = await render(files, {"path": "app", "directory": directory}, **more)
    return [o["metadata"]["name"] for o in objects(result)]


TREE = {
    "app/b.yaml": manifest("b") + "---\n" + manifest("b2"),
    "app/a.yml": manifest("a"),
    "app/c.json": '{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "c"}}',
    "app/readme.md": "kind: no",
    "app/sub/d.yaml": manifest("d"),
    "app/sub/deep/e.yaml": manifest("e"),
    "other/f.yaml": manifest("f"),
}


@pytest.mark.parametrize(
    ("directory", "expected"),
    [
        ({}, ["a", "b", "b2", "c"]),
        ({"recurse": True}, ["a", "b", "b2", "c", "d", "e"]),
        ({"recurse": True, "include": "*.yaml"}, ["b", "b2", "d", "e"]),
        ({"recurse": True, "include": "sub/*"}, ["d", "e"]),
        ({"recurse": True, "exclude": "{c.json,sub/deep/*}"}, ["a", "b", "b2", "d"]),
        ({"include": "*.yaml", "exclude": "b*"}, []),
    ],
)
async def test_which_files_count(
    render: Any, directory: dict[str, Any], expected: list[str]
) -> None:
    """Recursion, include and exclude choose files; order is lexical; * crosses folders."""
    assert await names(render, TREE, directory) == expected


async def test_skip_marker(render: Any) -> None:
    """A file with the marker anywhere is left out, whatever it holds."""
    files = {"app/a.yaml": "# +argocd:skip-file-rendering\nkind: [", "app/b.yaml": manifest("b")}
    assert await names(render, files, {}) == ["b"]


async def test_what_is_no_manifest_is_left_out_with_a_warning(render: Any) -> None:
    """A values file is passed over and named, for it was never meant as a manifest."""
    files = {"app/a.yaml": manifest("a"), "app/values.yaml": "x: 1\n"}
    result = await render(files, {"path": "app"})
    assert [o["metadata"]["name"] for o in objects(result)] == ["a"]
    assert len(result.warnings) == 1
    assert result.warnings[0].startswith("app/values.yaml: left out")


@pytest.mark.parametrize(
    ("broken", "read", "error"),
    [
        (manifest("b") + "x: [\n", ["a"], "app/b.yaml: document 1: yaml: line"),
        (manifest("b") + "---\nx: 1\n", ["a", "b"], "app/b.yaml: document 2: the object has no"),
        ("- x\n---\n" + manifest("b"), ["a", "b"], "app/b.yaml: document 1: a list where"),
    ],
    ids=["syntax", "kind", "list"],
)
async def test_a_broken_manifest_hides_no_other(
    render: Any, broken: str, read: list[str], error: str
) -> None:
    """Invariant 2: a document that is wrong is an error by file and number, the others are read."""
    result = await render({"app/a.yaml": manifest("a"), "app/b.yaml": broken}, {"path": "app"})
    assert [o["metadata"]["name"] for o in objects(result)] == read
    (told,) = result.errors
    assert told.startswith(error)


async def test_many_broken_manifests_are_told_once_each_up_to_a_page(render: Any) -> None:
    """However many files are broken, the errors stay few enough to be read."""
    files = {f"app/{n:03}.yaml": manifest("b") + "x: [\n" for n in range(150)}
    result = await render(files, {"path": "app"})
    assert len(result.errors) == len(set(result.errors)) == 100


async def test_json_file_holds_one_object(render: Any) -> None:
    """Several objects in a JSON file are refused, as is a broken one."""
    for text in ('{"kind": "A"} {"kind": "B"}', '{"kind": ', '{"a": 1}', "[]"):
        result = await render({"app/a.json": text}, {"path": "app"})
        assert result.documents == ()
        (told,) = result.errors
        assert told.startswith("app/a.json: ")


async def test_lists_are_expanded(render: Any) -> None:
    """A List gives its items; one without items gives nothing; other objects stay."""
    items = "items:\n- {kind: A, metadata: {name: one}}\n- {kind: B, metadata: {name: two}}\n"
    files = {
        "app/a.yaml": manifest("before"),
        "app/b.yaml": "apiVersion: v1\nkind: List\n" + items,
        "app/c.yaml": "apiVersion: v1\nkind: List\nitems: []\n---\nkind: AList\nitems: null\n",
        "app/d.yaml": "kind: C\nmetadata: {name: after}\nspec: {items: [1]}\n",
    }
    assert await names(render, files, {}) == ["before", "one", "two", "after"]


async def test_too_many_bytes_are_refused(render: Any) -> None:
    """More than 10 MB of manifests are refused before they are read."""
    files = {f"app/{i}.yaml": "# " + "x" * (1 << 20) + "\n" for i in range(11)}
    with pytest.raises(RenderError, match="bytes") as caught:
        await render(files, {"path": "app"})
    assert caught.value.reason == "limit"


async def test_links(render: Any) -> None:
    """A link to a manifest counts, to a folder or nowhere does not; one that leaves is an error."""
    files = {"shared/x.yaml": manifest("x")}
    links = {
        "app/x.yaml": "../shared/x.yaml",
        "app/gone.yaml": "nowhere.yaml",
        "app/folder": "../shared",
        "app/text": "/etc/passwd",
    }
    assert await names(render, files, {"recurse": True}, links=links) == ["x"]
    for target in ("/etc/passwd", "../../etc/passwd"):
        with pytest.raises(RenderError, match="out of the repository") as caught:
            await names(render, files, {}, links={"app/y.yaml": target})
        assert caught.value.reason == "symlink"


JSONNET = {
    "app/main.jsonnet": """\
local lib = import 'lib.libsonnet';
local shared = import 'shared.libsonnet';
function(replicas=1) [
  { apiVersion: 'v1', kind: 'A', metadata: { name: lib.name + std.extVar('env') } },
  {
    apiVersion: 'v1',
    kind: 'B',
    metadata: { name: shared.name },
    n: replicas,
    t: importstr 't.txt',
  },
]
""",
    "app/lib.libsonnet": "{ name: 'lib-' }",
    "app/t.txt": "text",
    "vendor/shared.libsonnet": "{ name: 'shared' }",
}
OPTIONS = {
    "extVars": [{"name": "env", "value": "$ARGOCD_APP_NAME"}],
    "tlas": [{"name": "replicas", "value": "1 + 2", "code": True}],
    "libs": ["vendor"],
}


async def test_jsonnet(render: Any) -> None:
    """Imports, libraries, variables and arguments work; an array gives several objects."""
    result = await render(JSONNET, {"path": "app", "directory": {"jsonnet": OPTIONS}})
    first, second = objects(result)
    assert first["metadata"]["name"] == "lib-shop"
    assert second == {
        "apiVersion": "v1",
        "kind": "B",
        "metadata": {"name": "shared"},
        "n": 3,
        "t": "text",
    }
    assert {d.file for d in result.documents} == {"app/main.jsonnet"}


@pytest.mark.parametrize(
    "code",
    [
        "importstr '/etc/passwd'",
        "importstr '../../etc/passwd'",
        "importstr '../../../../../../etc/passwd'",
        "importbin '/proc/self/environ'",
        "importstr 'link'",
        "import 'https://example.org/x.libsonnet'",
        "std.native('x')()",
    ],
)
async def test_jsonnet_reaches_nothing_outside(render: Any, code: str) -> None:
    """Imports from outside of the repository are refused."""
    result = await render(
        {"app/a.jsonnet": f"{{ a: {code} }}"},
        {"path": "app"},
        links={"app/link": "/etc/passwd"},
    )
    assert result.documents == ()
    (told,) = result.errors
    assert told.startswith("app/a.jsonnet: ")
    assert "root:" not in told


@pytest.mark.parametrize("code", ["1", "'text'", "{ a: ", "error 'no'", "[1]", "{ a: self.a }"])
async def test_jsonnet_errors_name_the_file(render: Any, code: str) -> None:
    """What is no object, or does not evaluate, is an error of that file alone."""
    files = {"app/a.jsonnet": code, "app/b.yaml": manifest("b")}
    result = await render(files, {"path": "app"})
    assert [o["metadata"]["name"] for o in objects(result)] == ["b"]
    (told,) = result.errors
    assert told.startswith("app/a.jsonnet: ")


async def test_missing_library_is_named(render: Any) -> None:
    """A library folder that does not exist is an error."""
    options = {"jsonnet": {"libs": ["gone"]}}
    with pytest.raises(RenderError, match="gone"):
        await render(JSONNET, {"path": "app", "directory": options})


@pytest.mark.parametrize(
    ("files", "source", "expected"),
    [
        ({"a/x.yaml": manifest("x")}, {"path": "a"}, "Directory"),
        ({"a/kustomization.yml": "resources: []\nnamePrefix: a\n"}, {"path": "a"}, "Kustomize"),
        ({"a/Kustomization": "namePrefix: a\n"}, {"path": "/a/"}, "Kustomize"),
        (
            {"Chart.yaml": "name: a\nversion: 1.0.0\n", "kustomization.yaml": "namePrefix: a\n"},
            {"path": ""},
            "Kustomize",
        ),
        (
            {"Chart.yaml": "name: a\nversion: 1.0.0\n", "kustomization.yaml": "namePrefix: a\n"},
            {"path": ".", "kustomize": {}},
            "Kustomize",
        ),
        (
            {"a/Chart.yaml": "name: a\nversion: 1.0.0\n"},
            {"path": "a", "directory": {}},
            "Directory",
        ),
    ],
)
async def test_detection(render: Any, files: Any, source: Any, expected: str) -> None:
    """An explicit block decides; else a kustomization, else Chart.yaml, else plain files."""
    assert (await render(files, source)).type == expected


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ({"path": "gone"}, "path-missing"),
        ({"path": "app/b.yaml"}, "path-missing"),
        ({"path": "../x"}, "symlink"),
        ({"path": "app", "plugin": {"name": "x"}}, "unsupported"),
        ({"path": "app", "helm": {}, "directory": {}}, "invalid-source"),
        ({"path": "app", "directory": {"include": "[a"}}, "invalid-source"),
        ({"path": 1}, "invalid-source"),
    ],
)
async def test_sources_that_cannot_be_rendered(render: Any, source: Any, reason: str) -> None:
    """A missing path, a plugin, two tools and wrong fields are errors with a code."""
    with pytest.raises(RenderError) as caught:
        await render(TREE, source)
    assert caught.value.reason == reason


async def test_overrides_in_the_repository(render: Any) -> None:
    """.argocd-source files are merged over the source, the application's own last."""
    files = TREE | {
        "app/.argocd-source.yaml": "directory: {recurse: true, exclude: 'a*'}\npath: other\n",
        "app/.argocd-source-shop.yaml": "directory: {exclude: 'b*'}\n",
    }
    result = await render(files, {"path": "app"})
    assert [o["metadata"]["name"] for o in objects(result)] == ["a", "c", "d", "e"]
    # In a namespace that is not Argo CD's own, the file is called after both, and no other counts.
    files["app/.argocd-source-team-a_shop.yaml"] = "directory: {exclude: 'c*'}\n"
    assert objects(await render(files, {"path": "app"})) == objects(result)
    other = msgspec.structs.replace(APPLICATION, instance_name="team-a_shop")
    found = objects(await render(files, {"path": "app"}, application=other))
    assert [o["metadata"]["name"] for o in found] == ["a", "b", "b2", "d", "e"]


async def test_duplicate_keys_are_warnings(render: Any) -> None:
    """A duplicate key is named with its file; the last one counts."""
    files = {"app/a.yaml": manifest("a") + "data: {x: '1'}\ndata: {x: '2'}\n"}
    result = await render(files, {"path": "app"})
    assert objects(result)[0]["data"] == {"x": "2"}
    assert result.warnings[0].startswith("app/a.yaml: document 1: duplicate key")
