"""Values of all sorts pass through a kustomization as through Kustomize itself.

Kustomize writes each object as YAML and reads that again to make JSON of it; what is plain is
written as JSON at once here, so that the outcome must be the same for whatever can be written.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from driftd.model.tree import Tree
from driftd.sandbox.pool import RenderApplication, SandboxPool
from tests.testbed import binaries
from tests.testbed.upstream import read

WORDS = (
    "a", "5", "05", "-5", "0", "-0", "5.0", "1.50", "1e3", "0x1F", "0o17", "1_000", ".5", "+1",
    "123456789012345678", "1234567890123456789", "12345678901234567890", "true", "True", "yes",
    "on", "n", "null", "Null", "~", "2026-01-02", "2026-01-02T03:04:05Z", "12:30", "10m", "1.2.3",
    "/a", "$(A)", "--a", "-a", "=", "a: b", "a #b", "# a", "a\\b", "a'b", 'a"b', "<a> & b", "é",
    "{a}", "[a", "*a", "&a", "!a", "%a", "@a", "`a`", "|", ">", "? a", ":a", "a:", " a", "a ", "",
    "...", "---", ".inf", ".nan", "<<", "\u2028", "😀", "a\tb",
)  # fmt: skip
TEXTS = (
    "a\nb", "a\nb\n", "a\n\nb\n", "a\nb\n\n", "\na\n", " a\nb\n", "a \nb\n", "a\n  b\n", "a\n# b\n",
    "a\n---\nb\n", "a\n...\n", "a: b\nc: d\n", "\n", "\n\n", "a\n \nb", "é\nb\n", "a\tb\nc\n",
)  # fmt: skip
WRITTEN = (
    "v: # nothing", "v: []", "v: {}", "v: [] # none", "v: [a, 'b', \"c\", 5, true, null, {d: e}]",
    "v: {a: , b: null, c: ~}", "v:\n# head\n- a # one\n# between\n- b\n# foot", "v: !!str 5",
    "v: !!int '5'", "v: !!binary aGVsbG8=", "v: &a {b: c}\nw: *a", "v: >\n  a\n  b\n\n  c",
    "v: >-\n  a\n    b\n  c", "v: |+\n  a\n\n", "v: |2\n   a", "v: a\n  b", "v: 'a\n  b'", "1: a",
    "'1': a", "true: a", "yes: a", "null: a", "? a\n: b", "'a b': c", "v: {<<: {a: b}, c: d}",
    "v: # of a list\n- {a: b} # in brackets\n# next\n- [c]", "v:\n  # within\n  a: {} # empty",
)  # fmt: skip
KUSTOMIZATION = (
    "namePrefix: p-\nlabels: [{pairs: {team: shop}}]\ncommonAnnotations: {of: '5'}\n"
    "patches:\n- target: {kind: Thing}\n  patch: |\n"
    "    - {op: add, path: /metadata/labels/patched, value: 'true'}\n"
)


def _resources() -> dict[str, str]:
    bodies = [f"v: {word}" for word in WORDS]
    for text in (*WORDS, *TEXTS):
        bodies += [
            f"v: {json.dumps(text)}",
            "v: '" + text.replace("'", "''").replace("\n", "\n\n  ") + "'",
            yaml.safe_dump({"v": {"w": [text]}}, allow_unicode=True),
            yaml.dump({text or "empty": text}, default_style="|"),
        ]
    bodies += WRITTEN
    readings = read([f"spec:\n{_indented(body)}".encode() for body in bodies])
    head = (
        "apiVersion: example.com/v1\nkind: Thing\n"
        "metadata: {{name: n{}, labels: {{a: b}}}}\nspec:\n{}\n"
    )
    return {
        f"{number}.yaml": head.format(number, _indented(body))
        for number, (body, reading) in enumerate(zip(bodies, readings, strict=True))
        if not reading["error"] and not reading["strict"]
    }


def _indented(body: str) -> str:
    return "".join(f"  {line}" for line in body.splitlines(keepends=True))


def _builds(folder: Path, files: dict[str, str]) -> bytes | None:
    """What Kustomize makes of some resources; None if it refuses them."""
    (folder / "kustomization.yaml").write_text(
        KUSTOMIZATION + yaml.safe_dump({"resources": list(files)})
    )
    done = subprocess.run(
        [binaries.kustomize(), "build", folder], capture_output=True, check=False, env={}
    )
    return None if done.returncode else done.stdout


def _accepted(folder: Path, files: dict[str, str]) -> list[tuple[dict[str, str], bytes]]:
    """Those of the resources that Kustomize takes, in parts, each with what it makes of them."""
    built = _builds(folder, files)
    if built is not None:
        return [(files, built)]
    if len(files) == 1:
        return []
    names = list(files)
    halves = names[: len(names) // 2], names[len(names) // 2 :]
    return [
        part for half in halves for part in _accepted(folder, {name: files[name] for name in half})
    ]


def _sorted(values: list[Any]) -> list[str]:
    return sorted(json.dumps(value, sort_keys=True) for value in values)


async def test_values_are_those_of_kustomize(tmp_path: Path) -> None:
    """Every value that Kustomize takes is in the outcome as Kustomize has it."""
    files = _resources()
    for name, text in files.items():
        (tmp_path / name).write_text(text, newline="")
    compared = 0
    async with SandboxPool(size=1) as pool:
        for number, (part, built) in enumerate(_accepted(tmp_path, files)):
            content = {name: text.encode() for name, text in part.items()}
            kustomization = KUSTOMIZATION + yaml.safe_dump({"resources": list(part)})
            tree = Tree(str(number), {**content, "kustomization.yaml": kustomization.encode()})
            result = await pool.render(
                tree, {"path": "."}, application=RenderApplication(name="shop"), revision="1" * 40
            )
            found = [json.loads(bytes(document.object)) for document in result.documents]
            assert _sorted(found) == _sorted(read([built])[0]["stream"])
            compared += len(found)
    assert compared >= 300
