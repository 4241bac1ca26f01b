"""Kustomize's errors in driftd's words: builds that fail, with file, field and remedy."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from driftd.errors import RenderError
from driftd.model.remedies import remedy_of
from driftd.model.tree import Tree
from driftd.render.kustomize_says import ERROR, in_words
from driftd.sandbox.pool import RenderApplication, SandboxPool

pytestmark = pytest.mark.slow

DEPLOYMENT = """\
# the shop
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {app: web}
spec:
  replicas: 2
  selector:
    matchLabels: {app: web}
"""
SERVICE = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  ports:\n  - port: 80\n"
COMPONENT = """\
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
patches:
- path: patch.yaml
  target: {kind: Deployment}
"""
FILES = {
    "base/deployment.yaml": DEPLOYMENT,
    "base/service.yaml": SERVICE,
    "base/kustomization.yaml": "resources:\n- deployment.yaml\n- service.yaml\n",
    "hardened/kustomization.yaml": COMPONENT,
    "hardened/patch.yaml": "- op: add\n  path: /spec/paused\n  value: true\n",
    "prod/kustomization.yaml": """\
namespace: shop
resources:
- ../base
- ingress.yaml  # the way in
components:
- ../hardened
patches:
- path: replicas.yaml
""",
    "prod/ingress.yaml": SERVICE.replace("Service", "Endpoints").replace("spec", "subsets"),
    "prod/replicas.yaml": (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 3}\n"
    ),
}
SHOP = RenderApplication(name="shop", destination_namespace="shop")
PROD = "prod/kustomization.yaml"
CONFIG_MAP = "configMapGenerator:\n- name: x\n"


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxPool]:
    """One worker."""
    async with SandboxPool(size=1) as pool:
        yield pool


async def said(sandbox: SandboxPool, files: dict[str, str], path: str = "prod") -> str:
    """What is said of the overlay when these files are otherwise."""
    contents = {name: text.encode() for name, text in {**FILES, **files}.items()}
    tree = Tree(str(hash(tuple(contents.items()))), contents)
    with pytest.raises(RenderError) as caught:
        await sandbox.render(tree, {"path": path}, application=SHOP, revision="1" * 40)
    assert caught.value.reason == ERROR
    return in_words(caught.value.message, tree)


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        pytest.param(
            "base/deployment.yaml", "Deployment", "Deploymnet",
            "prod/replicas.yaml:2 patches Deployment web, which is none of the kustomization's "
            "resources; did you mean kind Deployment where base/deployment.yaml:3 has Deploymnet?",
            id="kind of a patched object",
        ),
        pytest.param(
            "prod/replicas.yaml", "Deployment", "Deploymnet",
            "prod/replicas.yaml:2 patches Deploymnet web, which is none of the kustomization's "
            "resources; did you mean kind Deployment, which base/deployment.yaml:3 declares?",
            id="kind of a patch",
        ),
        pytest.param(
            "prod/replicas.yaml", "name: web", "name: wbe",
            "prod/replicas.yaml:2 patches Deployment wbe, which is none of the kustomization's "
            "resources; did you mean web of base/deployment.yaml:3?",
            id="name of a patch",
        ),
        pytest.param(
            "prod/replicas.yaml", "apps/v1", "apps/v1beta1",
            "prod/replicas.yaml:2 patches Deployment web, which is none of the kustomization's "
            "resources; check apiVersion and namespace: base/deployment.yaml:3 declares it with "
            "apiVersion apps/v1.",
            id="apiVersion of a patch",
        ),
        pytest.param(
            PROD, "- path: replicas.yaml",
            "- patch: |-\n    apiVersion: v1\n    kind: Secret\n    metadata:\n      name: x\n",
            "prod/kustomization.yaml:10 patches Secret x, which is none of the kustomization's "
            "resources; correct kind and name of the patch, or remove it.",
            id="inline patch",
        ),
        pytest.param(
            PROD, "ingress.yaml", "ingres.yaml",
            "prod/kustomization.yaml:4 names ingres.yaml in resources, which does not exist; did "
            "you mean ingress.yaml?",
            id="resource",
        ),
        pytest.param(
            PROD, "ingress.yaml", "ingress.yaml\n- ingres.yaml",
            "prod/kustomization.yaml:5 names ingres.yaml in resources, which does not exist; "
            "restore the file or remove the line.",
            id="resource that is gone",
        ),
        pytest.param(
            PROD, "../base", "../bases",
            "prod/kustomization.yaml:3 names ../bases in resources, which does not exist; did you "
            "mean ../base?",
            id="base",
        ),
        pytest.param(
            "hardened/kustomization.yaml", "Component", "Componnet",
            "hardened/kustomization.yaml:2 has kind Componnet, which no kustomization has; "
            "did you mean Component?",
            id="kind of a component",
        ),
        pytest.param(
            "base/kustomization.yaml", "resources", "kind: Kustomizaton\nresources",
            "base/kustomization.yaml:1 has kind Kustomizaton, which no kustomization has; "
            "did you mean Kustomization?",
            id="kind of a kustomization",
        ),
        pytest.param(
            PROD, "namespace: shop", "replicas:\n- name: wbe\n  count: 2",
            "prod/kustomization.yaml:2 sets the replicas of wbe, and no resource of that name has "
            "them; did you mean web?",
            id="name of replicas",
        ),
        pytest.param(
            "base/kustomization.yaml", "service.yaml", "x/svc.yaml",
            "base/kustomization.yaml:3 names x/svc.yaml in resources, which does not exist; "
            "correct the path, or add the file to Git.",
            id="resource of a base",
        ),
        pytest.param(
            PROD, "replicas.yaml", "replica.yaml",
            "prod/kustomization.yaml:8 names replica.yaml in patches, which does not exist; did "
            "you mean replicas.yaml?",
            id="patch file",
        ),
        pytest.param(
            PROD, "../hardened", "../hardend",
            "prod/kustomization.yaml:6 names ../hardend in components, which does not exist; did "
            "you mean ../hardened?",
            id="component",
        ),
        pytest.param(
            PROD, "namespace: shop", f"{CONFIG_MAP}  files: [a=b.conf]",
            "prod/kustomization.yaml:3 names b.conf in configMapGenerator, which does not exist; ",
            id="file of a generator",
        ),
        pytest.param(
            PROD, "namespace: shop", f"{CONFIG_MAP}  behavior: merge\n  literals: [a=b]",
            "prod/kustomization.yaml:2: configMapGenerator x is merged into ConfigMap x, which no "
            "resource declares; correct its name, or remove behavior.",
            id="merge into nothing",
        ),
        pytest.param(
            PROD, "resources:", "resourcs:",
            "prod/kustomization.yaml:2 has the field resourcs, which a kustomization does not "
            "have; did you mean resources?",
            id="field",
        ),
        pytest.param(
            PROD, "namespace: shop", "namespace: shop\nfoobar: 1",
            "prod/kustomization.yaml:2 has the field foobar, which a kustomization does not have; "
            "remove or correct it.",
            id="field like no other",
        ),
        pytest.param(
            PROD, "namespace: shop", "images:\n- name: web\n  newTag: 2.0",
            "prod/kustomization.yaml:3: images.newTag is a number where a text is needed; quote ",
            id="number",
        ),
        pytest.param(
            PROD, "namespace: shop\nresources:\n- ../base", "resources: ../base\nx:",
            "prod/kustomization.yaml:1: resources is a string where a list is needed; correct ",
            id="text for a list",
        ),
        pytest.param(
            PROD, "namespace: shop", "labels:\n\t- a",
            "prod/kustomization.yaml:2 is no YAML: it is indented with a tab; indent with spaces.",
            id="tab in the kustomization",
        ),
        pytest.param(
            "base/service.yaml", "  name: web", "\tname: web",
            "base/service.yaml:4 is no YAML: it is indented with a tab; indent with spaces.",
            id="tab",
        ),
        pytest.param(
            "base/deployment.yaml", "  replicas", "   replicas",
            "base/deployment.yaml:9 is no YAML: its indentation fits no line above it; correct ",
            id="indentation",
        ),
        pytest.param(
            "base/deployment.yaml", "{app: web}\nspec", "{app: web\nspec",
            "base/deployment.yaml:",
            id="bracket",
        ),
        pytest.param(
            "base/service.yaml", "name: web", "nam: web",
            "base/service.yaml:2: metadata.name is missing; add it.",
            id="no name",
        ),
        pytest.param(
            "base/service.yaml", "kind:", "knd:",
            "base/service.yaml:1: kind is missing; add it.",
            id="no kind",
        ),
        pytest.param(
            "prod/ingress.yaml", "Endpoints", "Service",
            "Service web is declared more than once (prod/ingress.yaml:2, base/service.yaml:2); "
            "remove one of them.",
            id="declared twice",
        ),
        pytest.param(
            "prod/ingress.yaml", "Endpoints\nmetadata:", "Service\nmetadata:\n  namespace: other",
            "the namespace of prod/kustomization.yaml:1 makes one object of two: Service web ",
            id="namespace conflict",
        ),
        pytest.param(
            "hardened/patch.yaml", "/spec/paused", "/spec/strategy/paused",
            "hardened/patch.yaml:2 patches /spec/strategy/paused, which the object does not have; "
            "correct the path of the patch.",
            id="path of a JSON patch",
        ),
        pytest.param(
            "hardened/patch.yaml", "op: add", "op: ad",
            "hardened/patch.yaml:1: there is no op ad; did you mean add?",
            id="op of a JSON patch",
        ),
        pytest.param(
            PROD, "components:\n", "",
            "prod/kustomization.yaml:5 names hardened in resources, which is a Component; move it ",
            id="component in resources",
        ),
        pytest.param(
            "hardened/kustomization.yaml", COMPONENT.partition("patches")[0], "",
            "prod/kustomization.yaml:6 names hardened in components, which is no Component; move ",
            id="no component",
        ),
        pytest.param(
            "base/kustomization.yaml", "service.yaml", "../prod",
            "base/kustomization.yaml:3 leads back to prod, which builds on it; remove that line.",
            id="circle",
        ),
    ],
)  # fmt: skip
async def test_words(sandbox: SandboxPool, file: str, old: str, new: str, words: str) -> None:
    """The sentence names file, line and what is wrong; what Kustomize says follows whole."""
    assert old in FILES[file]
    text = await said(sandbox, {file: FILES[file].replace(old, new)})
    assert text.startswith(words), text
    assert f" Kustomize says: {PROD}: " in text
    own, remedy = remedy_of(f"source prod: {text}")
    assert remedy
    assert f"; {remedy}" in text
    assert remedy not in own.partition("Kustomize says")[0]


def test_folder_without_kustomization() -> None:
    """Where the kustomization is made for a folder, the file that does not parse lies in it."""
    nameless = b"apiVersion: v1\nkind: Secret\nmetadta: {name: a}\n"
    files = {"clusters/eu/apps.yaml": b"a: 1\nprune: [true\n", "clusters/eu/none.yaml": nameless}
    tree = Tree("f", files)
    for top in ("clusters/eu", "clusters/eu/kustomization.yaml"):
        text = f"{top}: accumulating: MalformedYAMLError: yaml: line 1: bad in File: apps.yaml"
        words = "clusters/eu/apps.yaml:2 is no YAML: the [ that opens here is not closed; close it"
        assert in_words(text, tree).startswith(words)
        text = f"{top}: accumulating resources from 'none.yaml': missing metadata.name in object"
        words = "clusters/eu/none.yaml:2: metadata.name is missing; add it. "
        assert in_words(text, tree).startswith(words)


def test_kustomization_that_flux_edits() -> None:
    """A kustomization that is read to write Flux's fields into it is told like any other."""
    tree = Tree("e", {PROD: b"resources:\n- a.yaml\nnamePrefix: {a\n"})
    text = f"{PROD}: error converting YAML to JSON: yaml: line 2: bad"
    assert in_words(text, tree).startswith(f"{PROD}:3 is no YAML: the {{ that opens here is not ")


async def test_whole_files(sandbox: SandboxPool) -> None:
    """An empty kustomization and one that is a list are said to be that."""
    text = await said(sandbox, {PROD: ""})
    assert text.startswith(f"{PROD} is empty; add resources to it. Kustomize says: ")
    text = await said(sandbox, {PROD: "- base\n"})
    assert text.startswith(f"{PROD} is a list, no kustomization; begin it with the field resources")


def test_what_is_not_recognised_stays() -> None:
    """A cause that is not known, or whose file is not, is told as Kustomize tells it."""
    tree = Tree("t", {PROD: b"resources: []\n"})
    for text in (
        f"{PROD}: something else; and more",
        f"{PROD}: accumulating: /elsewhere/x.yaml does not exist in the repository",
        f"{PROD}: MalformedYAMLError: yaml: line 1: bad in File: lost.yaml",
        "",
    ):
        assert in_words(text, tree) == text


@pytest.mark.parametrize(
    ("file", "bad", "words"),
    [
        (
            "base/kustomization.yaml",
            "resources:\n- deployment.yaml\n- service.yaml\nnamePrefix: x\n  a: b\n",
            (
                "base/kustomization.yaml:5 is no YAML: it is indented deeper than the line above, "
                "which has a value already; correct its indentation or that of the line above"
            ),
        ),
        (
            "hardened/kustomization.yaml",
            COMPONENT.replace("{kind: Deployment}", "{kind: Deployment"),
            "hardened/kustomization.yaml:5 is no YAML: the { that opens here is not closed; close ",
        ),
        (
            PROD,
            "resources: [../base\ncomponents:\n- ../hardened\n",
            f"{PROD}:1 is no YAML: the [ that opens here is not closed; close it",
        ),
    ],
)
async def test_nested_kustomization(sandbox: SandboxPool, file: str, bad: str, words: str) -> None:
    """The kustomization that does not parse is named, not the overlay that leads to it."""
    assert (await said(sandbox, {file: bad})).startswith(words)


async def test_file_of_another_application(sandbox: SandboxPool) -> None:
    """A file that is gone is not looked for where Kustomize would refuse to read it."""
    files = {
        "base/kustomization.yaml": "resources:\n- deployment.yaml\n- roles-of-team.conf\n",
        "other/base/roles-of-team.conf": SERVICE,
    }
    assert (await said(sandbox, files)).startswith(
        "base/kustomization.yaml:3 names roles-of-team.conf in resources, which does not exist; "
        "restore the file or remove the line. Kustomize says: "
    )


async def test_kind_that_replicas_need(sandbox: SandboxPool) -> None:
    """A kind misspelt in a base whose replicas an overlay sets is named by its own line."""
    files = {
        "base/deployment.yaml": DEPLOYMENT.replace("Deployment", "Deploymnet"),
        PROD: "resources:\n- ../base\nreplicas:\n- name: web\n  count: 3\n",
    }
    text = await said(sandbox, files)
    assert text.startswith("base/deployment.yaml:3 has kind Deploymnet, which has no replicas; ")
    assert "did you mean Deployment? Kustomize says: " in text


async def test_folder_without_a_kustomization_of_its_own(sandbox: SandboxPool) -> None:
    """What one below a folder of Flux names is told of the file that names it."""
    files = {
        "infra/policies/kustomization.yaml": b"resources:\n- quota.yaml\n- limits-of-team.conf\n",
        "infra/policies/quota.yaml": SERVICE.encode(),
    }
    tree = Tree("1", files)
    with pytest.raises(RenderError) as caught:
        await sandbox.render(
            tree,
            {"path": "./infra"},
            application=SHOP,
            revision="1" * 40,
            flux={"kustomization": {}},
        )
    assert in_words(caught.value.message, tree).startswith(
        "infra/policies/kustomization.yaml:3 names limits-of-team.conf in resources, which does "
        "not exist; correct the path, or add the file to Git. Kustomize says: "
    )


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (
            "name: shop-evn\n  behavior: merge",
            (
                "site/kustomization.yaml:4: configMapGenerator shop-evn is merged into ConfigMap "
                "shop-evn, which no resource declares; did you mean shop-env? Kustomize says: "
            ),
        ),
        (
            "behavior: merge  # ours\n  name: other",
            (
                "site/kustomization.yaml:5: configMapGenerator other is merged into ConfigMap "
                "other, which no resource declares; correct its name, or remove behavior. "
            ),
        ),
        (
            "name: shop-env\n  behavior: merg",
            (
                "site/kustomization.yaml:4: configMapGenerator shop-env has the behavior merg, "
                "which there is not; did you mean merge? Kustomize says: "
            ),
        ),
        (
            "name: shop-env",
            (
                "site/kustomization.yaml:4: configMapGenerator shop-env is generated in what the "
                "kustomization builds on, too; write behavior: merge or replace, or another name. "
            ),
        ),
    ],
)
async def test_generator_of_a_component(sandbox: SandboxPool, entry: str, words: str) -> None:
    """An entry that is merged, or not, tells its line, and no address in Kustomize's memory."""
    files = {
        "base/kustomization.yaml": "configMapGenerator:\n- name: shop-env\n  literals: [a=b]\n",
        "site/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\n"
        f"kind: Component\nconfigMapGenerator:\n- {entry}\n  literals: [a=c]\n",
        PROD: "resources: [../base]\ncomponents: [../site]\n",
    }
    told = await said(sandbox, files)
    assert words in told
    assert "0x" not in told
    assert "resid" not in told
    assert ": id ConfigMap " in told
