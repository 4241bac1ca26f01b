"""driftd takes rendered templates apart and orders them as Helm does, hooks and errors included.

Helm reads each document once more for its head; driftd reads it once. What Helm prints for the
same chart is asked anew on every run.
"""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
import pytest_asyncio

from driftd.errors import RenderError
from driftd.model.tree import Tree
from driftd.sandbox.pool import RenderApplication, SandboxPool
from tests.testbed import binaries

CHART = "apiVersion: v2\nname: shop\nversion: 1.0.0\n"
KINDS = (
    "Service", "Deployment", "ConfigMap", "Namespace", "CustomResourceDefinition", "Ingress",
    "Job", "Widget", "Gadget", "ValidatingWebhookConfiguration", "widget", "5", "true", "null",
    "'5'", "1.50", "2026-01-02", "0x1F", "Service # a comment", "&kind Pod", '"Pod"', "",
)  # fmt: skip
HOOKS = (
    "pre-install", "post-install,post-upgrade", " Test ", "test-success", "test,pre-delete", "",
    "crd-install", "pre-install,unknown", "5", "true", "null", "'pre-rollback'", "POST-DELETE",
)  # fmt: skip
HEADS = (
    "kind: {kind}\nmetadata: {{name: a}}\n",
    "metadata:\n  name: b\n  annotations: {{}}\nkind: {kind}\n",
    "Kind: {kind}\n",
    "kind: Secret\nkind: {kind}\n",
    "kind: {kind}\nmetadata: null\n",
    "kind: {kind}\nmetadata:\n  annotations: null\n",
    "kind: {kind}\nmetadata:\n  annotations:\n    helm.sh/hook: {hook}\n",
    "kind: {kind}\nmetadata:\n  annotations:\n    other: 'yes'\n    helm.sh/hook-weight: '-5'\n",
    "kind: {kind}\nmetadata:\n  annotations:\n    'helm.sh/hook': {hook}\n    a: 3\n",
    "kind: {kind}\nmetadata:\n  Annotations:\n    helm.sh/hook: {hook}\n",
    "kind: {kind}\ndata:\n  text: |\n    ---\n    kind: Job\n",
    "kind: {kind}\nlist: [a, &x b, *x]\n",
    "kind: {kind}\n...\n",
)
FLOW = ('{{"kind": "Role", "id": {id}}}\n', "{{kind: Role, id: {id}}}\n")
SEPARATORS = (
    "---\n", "--- \n", "---\t\n", "---", "--- # of a document\n", "---\n---\n", "\n\n---\n",
    "---\n# nothing but a comment\n---\n", "---\r\n", "  \n---\n",
)  # fmt: skip
WRONG = (
    "kind: [a]\n", "metadata: text\n", "metadata: {name: {}}\n", "kind: a: b\n", "- kind: a\n",
    "kind: {\n", "text\n", "metadata: {annotations: [a]}\n", "kind: 'Job\n", "5\n",
    "metadata: {annotations: {a: {b: c}}}\n", "kind: *unknown\n", "%YAML 3.0\n---\nkind: Job\n",
)  # fmt: skip


def _templates(seed: int) -> dict[str, str]:
    """A few files of templates with documents of all sorts; each has a number of its own."""
    dice = random.Random(seed)  # noqa: S311 - a test repeats itself
    files = {
        "templates/_partial.yaml": "kind: {",
        "templates/blank.yaml": " \n",
        "Chart.yaml": CHART,
    }
    number = 0
    for name in dice.sample(("a", "b", "z/a", "a/b", "B", "NOTES.txt-not", "c"), 5):
        text = dice.choice(("", "\n\n", "# first\n", "\ufeff"))
        for _ in range(dice.randint(1, 12)):
            number += 1
            text += dice.choice(SEPARATORS) if text else ""
            if dice.random() < 0.1:
                text += dice.choice(FLOW).format(id=number)
            else:
                head = dice.choice(HEADS).format(kind=dice.choice(KINDS), hook=dice.choice(HOOKS))
                text += f"id: {number}\n{head}"
        files[f"templates/{name}.yaml"] = text
    return files


def _helm(folder: Path, files: dict[str, str], *options: str) -> list[int] | None:
    """The numbers of the documents in the order that Helm prints; None if it refuses them."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, newline="")
    done = subprocess.run(
        [binaries.helm(), "template", "shop", folder, *options],
        capture_output=True, check=False, env={"HOME": "/nonexistent"},
    )  # fmt: skip
    if done.returncode:
        assert b"YAML parse error on" in done.stderr, done.stderr
        return None
    return [int(found) for found in re.findall(rb'\bid"?: (\d+)', done.stdout)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[SandboxPool]:
    """One worker for all charts."""
    async with SandboxPool(size=1) as pool:
        yield pool


async def _driftd(
    sandbox: SandboxPool, name: str, files: dict[str, str], *, skip_tests: bool = False
) -> list[int]:
    tree = Tree(name, {path: text.encode() for path, text in files.items()})
    source = {"path": ".", "helm": {"skipTests": skip_tests}}
    application = RenderApplication(name="shop", destination_namespace="shop")
    result = await sandbox.render(tree, source, application=application, revision="1" * 40)
    return [orjson.loads(bytes(found.object))["id"] for found in result.documents]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("skip_tests", [False, True])
async def test_orders_as_helm(
    seed: int, skip_tests: bool, sandbox: SandboxPool, tmp_path: Path
) -> None:
    """The same documents, each once, in the same order."""
    files = _templates(seed)
    wanted = _helm(tmp_path, files, *(["--skip-tests"] if skip_tests else []))
    assert wanted
    found = await _driftd(sandbox, f"order {seed}", files, skip_tests=skip_tests)
    assert found == wanted


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("number", range(len(WRONG)))
async def test_refuses_as_helm(number: int, sandbox: SandboxPool, tmp_path: Path) -> None:
    """What Helm cannot read as the head of a manifest is refused, with its words."""
    files = {**_templates(number), "templates/wrong.yaml": WRONG[number]}
    assert _helm(tmp_path, files) is None
    with pytest.raises(RenderError) as refused:
        await _driftd(sandbox, f"wrong {number}", files)
    assert "YAML parse error on shop/templates/wrong.yaml" in refused.value.message
