"""Reading YAML and JSON as Kubernetes does, within limits."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from driftd.model.tree import Tree
from driftd.sandbox.pool import PARSE_BYTES, SandboxPool
from driftd.sandbox.results import ParseResult

pytestmark = pytest.mark.slow

MakeTree = Callable[..., Tree]


async def parse(pool: SandboxPool, tree: Tree, *paths: str) -> ParseResult:
    """The result for some paths, or all of a tree."""
    return await pool.parse(tree, paths or sorted(tree.files), project="team")


def values(result: ParseResult) -> list[Any]:
    """The documents as Python values."""
    return [msgspec.json.decode(document.object) for document in result.documents]


async def test_documents_of_several_files(pool: SandboxPool, tree: MakeTree) -> None:
    """Multi-document YAML and JSON give one document each, with file and index; empty ones none."""
    files = {
        "a.yaml": "# top\n---\nx: 1\n---\n# nothing\n---\nx: 2\n...\n",
        "b.json": '{"x": 3}',
        "c.yaml": '{"x": 4}\n{"x": 5}\n',
    }
    result = await parse(pool, tree(files))
    assert values(result) == [{"x": 1}, {"x": 2}, {"x": 3}, {"x": 4}, {"x": 5}]
    assert [(d.file, d.index) for d in result.documents] == [
        ("a.yaml", 0),
        ("a.yaml", 1),
        ("b.json", 0),
        ("c.yaml", 0),
        ("c.yaml", 1),
    ]
    assert result.errors == ()


@pytest.mark.parametrize("marker", ["--- # comment", "---   ", "---\r", "---\t"])
async def test_document_markers_with_company(
    pool: SandboxPool, tree: MakeTree, marker: str
) -> None:
    """A marker with a comment, spaces, a tab or CR separates documents too."""
    result = await parse(pool, tree({"a.yaml": f"x: 1\n{marker}\nx: 2\n"}))
    assert values(result) == [{"x": 1}, {"x": 2}]


@pytest.mark.parametrize("marker", ["--- !!map", "--- {y: 1}", "----", "---x"])
async def test_words_after_a_marker_are_refused(
    pool: SandboxPool, tree: MakeTree, marker: str
) -> None:
    """As Kubernetes reads no document there, it is an error with its line; the others are there."""
    result = await parse(pool, tree({"a.yaml": f"x: 1\n{marker}\nx: 2\n---\nx: 3\n"}))
    assert values(result) == [{"x": 1}, {"x": 3}]
    (error,) = result.errors
    assert (error.index, error.message[:6]) == (1, "line 2")


async def test_what_follows_an_end_marker_is_told(pool: SandboxPool, tree: MakeTree) -> None:
    """Kubernetes reads nothing between ... and the next ---; what stands there is a warning."""
    files = {"a.yaml": "x: 1\n...\n# note\n---\nx: 2\n...\nx: 3\n---\nx: 4\n"}
    result = await parse(pool, tree(files))
    assert values(result) == [{"x": 1}, {"x": 2}, {"x": 4}]
    (warning,) = result.warnings
    assert (warning.index, warning.message[:6]) == (1, "line 6")


async def test_markers_inside_a_block_scalar_do_not_separate(
    pool: SandboxPool, tree: MakeTree
) -> None:
    """An indented --- belongs to the text of a block scalar."""
    result = await parse(pool, tree({"a.yaml": "x: |\n  one\n  ---\n  two\n"}))
    assert values(result) == [{"x": "one\n---\ntwo\n"}]


async def test_one_bad_document_hides_no_other(pool: SandboxPool, tree: MakeTree) -> None:
    """A syntax error is reported with its line in the file; all other documents are there."""
    files = {"a.yaml": "x: 1\n---\ny: [\n---\nx: 2\n", "b.yaml": "- 1\n", "c.yaml": "x: 3\n"}
    result = await parse(pool, tree(files))
    assert values(result) == [{"x": 1}, {"x": 2}, {"x": 3}]
    assert [(e.file, e.index) for e in result.errors] == [("a.yaml", 1), ("b.yaml", 0)]
    assert "line 3" in result.errors[0].message or "line 4" in result.errors[0].message
    assert result.errors[1].message == "a list where a mapping is expected"


async def test_missing_file_is_an_error_of_that_file(pool: SandboxPool, tree: MakeTree) -> None:
    """A path that is not in the tree is an entry in errors."""
    result = await parse(pool, tree({"a.yaml": "x: 1"}), "gone.yaml", "a.yaml")
    assert values(result) == [{"x": 1}]
    assert [(e.file, e.message) for e in result.errors] == [
        ("gone.yaml", "gone.yaml does not exist in the repository")
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", True),
        ("yes", True),
        ("y", True),
        ("n", False),
        ("1e999", "1e999"),
        ("012", 10),
        ("0o14", 12),
        ("08", 8),
        ("1_000", 1000),
        ("22:22", "22:22"),
        ("2026-01-01", "2026-01-01"),
        ("1e3", 1000),
        ("=", "="),
        ("9007199254740993", 9007199254740993),
        ("~", None),
        ("1.0", 1),
        ("0x1F", 31),
    ],
)
async def test_scalars_mean_what_they_mean_to_kubernetes(
    pool: SandboxPool, tree: MakeTree, text: str, value: Any
) -> None:
    """Scalars resolve as sigs.k8s.io/yaml resolves them, not as YAML 1.2 or PyYAML would."""
    (found,) = values(await parse(pool, tree({"a.yaml": f"v: {text}\n"})))
    assert found == {"v": value}
    assert type(found["v"]) is type(value)


async def test_duplicate_keys_warn_and_the_last_counts(pool: SandboxPool, tree: MakeTree) -> None:
    """A duplicate key is a warning with its line; the last value wins."""
    result = await parse(pool, tree({"a.yaml": "z: 0\n---\na: 1\na: 2\n"}))
    assert values(result) == [{"z": 0}, {"a": 2}]
    (warning,) = result.warnings
    assert warning.index == 1
    assert 'line 4: key "a" already set' in warning.message


async def test_objects_are_canonical(pool: SandboxPool, tree: MakeTree) -> None:
    """Keys are sorted, so equal objects have equal bytes."""
    files = {"a.yaml": "b: 1\na: {d: 1, c: 2}\n", "b.json": '{"a":{"c":2,"d":1},"b":1}'}
    first, second = (await parse(pool, tree(files))).documents
    assert bytes(first.object) == bytes(second.object) == b'{"a":{"c":2,"d":1},"b":1}'


def bomb() -> str:
    """Nine aliases of nine aliases, ten times."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    return "\n".join(lines)


def merge_bomb() -> str:
    """Merge keys that double at every step."""
    lines = ["a0: &a0 {k: v}"]
    lines += [
        f"a{i}: &a{i} {{b: {{<<: *a{i - 1}}}, c: {{<<: *a{i - 1}}}, <<: *a{i - 1}}}"
        for i in range(1, 30)
    ]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        bomb(),
        merge_bomb(),
        "a: &a [*a]\n",
        "a: &a\n  b: *a\n",
        "a: " + "[" * 30_000,
        "a: " + "{a: " * 5_000 + "1" + "}" * 5_000,
        "- " * 30_000 + "1",
        "? " * 30_000 + "1",
        "a: " + "[" * 200 + "]" * 200,
        "\n".join(" " * i + f"k{i}:" for i in range(200)),
        "a: \x00",
        b"a: \xff\xfe",
        "a: .inf",
        "a: .nan",
    ],
    ids=[
        "alias bomb",
        "merge bomb",
        "alias of itself",
        "mapping of itself",
        "open brackets",
        "deep flow mappings",
        "compact sequences",
        "compact keys",
        "depth 200",
        "block depth 200",
        "NUL",
        "invalid UTF-8",
        "infinity",
        "not a number",
    ],
)
async def test_hostile_document_is_an_error_at_once(
    pool: SandboxPool, tree: MakeTree, text: str | bytes
) -> None:
    """Bombs, cycles, depth and what JSON cannot hold are errors; the worker lives on."""
    await pool.hello()
    pid = pool._idle[0].pid
    started = time.perf_counter()
    result = await parse(pool, tree({"bad.yaml": text, "good.yaml": "x: 1"}))
    assert time.perf_counter() - started < 2
    assert values(result) == [{"x": 1}]
    (error,) = result.errors
    assert error.file == "bad.yaml"
    assert len(error.message) < 500
    assert pool._idle[0].pid == pid


async def test_deep_json_is_refused(pool: SandboxPool, tree: MakeTree) -> None:
    """JSON deeper than 100 is an error too; depth 100 is not."""
    deep = '{"a":' + "[" * 300 + "]" * 300 + "}"
    fine = '{"a":' + "[" * 99 + "]" * 99 + "}"
    result = await parse(pool, tree({"deep.json": deep, "fine.json": fine}))
    assert [d.file for d in result.documents] == ["fine.json"]
    assert [(e.file, e.message) for e in result.errors] == [("deep.json", "nested deeper than 100")]


async def test_size_limits(pool: SandboxPool, tree: MakeTree) -> None:
    """An object beyond etcd's limit, a file beyond 10 MB and 10 001 documents are errors."""
    files = {
        "many.yaml": "---\na: 1\n" * 10_001,
        "object.yaml": "a: " + "x" * 1_600_000,
        "file.yaml": "a: 1\n---\n" * (11 << 17),
    }
    result = await parse(pool, tree(files))
    assert len(result.documents) == 10_000
    assert {(e.file, e.message.split(",")[0]) for e in result.errors} == {
        ("many.yaml", "more than 10000 documents"),
        ("object.yaml", "the object has 1600008 bytes"),
        ("file.yaml", f"the file has {9 * (11 << 17)} bytes"),
    }


async def test_errors_quote_no_document(pool: SandboxPool, tree: MakeTree) -> None:
    """The message of a syntax error does not carry the document."""
    secret = "s3cr3t" * 200
    result = await parse(pool, tree({"a.yaml": f"password: {secret}\n  x: [\n"}))
    (error,) = result.errors
    assert "s3cr3ts3cr3t" * 20 not in error.message
    assert len(error.message) <= 420


async def test_links_are_followed_inside_the_tree_only(pool: SandboxPool, tree: MakeTree) -> None:
    """A link reads its target; loops, absolute targets and escapes are errors."""
    made = tree(
        {"real/a.yaml": "x: 1"},
        {
            "dir": "real",
            "up/b.yaml": "../real/a.yaml",
            "loop": "loop",
            "absolute": "/etc/passwd",
            "escape": "../../etc/passwd",
        },
    )
    result = await parse(pool, made, "dir/a.yaml", "up/b.yaml", "loop", "absolute", "escape")
    assert [d.file for d in result.documents] == ["dir/a.yaml", "up/b.yaml"]
    assert [e.message for e in result.errors] == [
        "symbolic link loop does not end",
        "symbolic link absolute leads out of the repository",
        "escape leads out of the repository",
    ]


async def test_many_files_travel_in_parts(pool: SandboxPool, tree: MakeTree) -> None:
    """More files than one request covers give one result in order."""
    filler = "# " + "x" * (PARSE_BYTES // 3) + "\n"
    made = tree({f"{i}.yaml": f"{filler}v: {i}\n" for i in range(8)})
    assert values(await parse(pool, made)) == [{"v": i} for i in range(8)]


async def test_ten_thousand_objects_pass_quickly(pool: SandboxPool, tree: MakeTree) -> None:
    """10 MB of objects cost Python well under a second."""
    body = json.dumps({"kind": "ConfigMap", "data": {f"k{i}": "v" * 20 for i in range(28)}})
    made = tree({"a.yaml": f"{body}\n" * 9_999})
    assert len(made.files["a.yaml"]) > 8 << 20
    started = time.process_time()
    result = await parse(pool, made)
    assert time.process_time() - started < 0.9
    assert len(result.documents) == 9_999
