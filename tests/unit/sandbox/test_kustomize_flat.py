"""Bases that only name files: an overlay renders the same whether they are read or taken in.

A base with a name of its own (`metadata`, which changes nothing) is left to Kustomize, so that each
tree here is rendered in both ways.
"""

from __future__ import annotations

import itertools
import re

import pytest

from driftd.errors import RenderError
from driftd.model.tree import Tree
from driftd.sandbox.pool import SandboxPool

from .conftest import APPLICATION, REVISION, make_tree

pytestmark = pytest.mark.slow

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {a: '1'}}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      containers:
      - name: web
        image: nginx:1.27
        env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: hidden, key: a}}}]
      volumes: [{name: settings, configMap: {name: settings}}]
"""
BASE = {
    "base/kustomization.yaml": "resources:\n- web.yaml\n- more/settings.yaml\n- ../accounts\n",
    "base/web.yaml": f"{DEPLOYMENT}---\n# none\n---\n"
    "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}}\n",
    "base/more/settings.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"
    "data:\n  a: 'yes'\n  b: |\n    two\n    lines\n  c: '05'\n",
    "accounts/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1beta1\n"
    "kind: Kustomization\nresources: [account.yaml]\n",
    "accounts/account.yaml": "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web}\n",
    "app/last.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: hidden}\ndata: {a: YQ==}\n",
    "app/patch.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n"
    "spec:\n  replicas: 3\n  template:\n    spec:\n      containers:\n"
    "      - {name: web, env: [{name: LEVEL, value: 'on'}], image: nginx}\n",
    "app/rules.yaml": "namePrefix: [{path: spec/template/metadata/name, create: true}]\n"
    "nameReference:\n- kind: ConfigMap\n  fieldSpecs: [{path: data/a}, {path: data/c}]\n",
    "app/crds.json": "{}",
    "part/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
    "commonAnnotations: {part: 'true'}\n",
}
REPLACEMENTS = """
replacements:
- source: {kind: ServiceAccount, fieldPath: metadata.name}
  targets: [{select: {kind: ConfigMap}, fieldPaths: [data.a]}]
"""
FEATURES = (
    "namePrefix: p-",
    "nameSuffix: -s",
    "namespace: shop",
    "commonLabels: {team: shop}",
    "labels: [{pairs: {of: '5'}, includeSelectors: true}]",
    'commonAnnotations: {text: "a\\u0085b\\u2028c <&> é", number: "1e3"}',
    "images: [{name: nginx, newTag: '1.30'}]",
    "replicas: [{name: web, count: 4}]",
    "patchesStrategicMerge: [patch.yaml]",
    "patches: [{target: {kind: Service}, patch: '[{op: add, path: /spec/type, value: A}]'}]",
    "configMapGenerator: [{name: settings, behavior: merge, literals: [a=c]}, {name: made}]",
    "secretGenerator: [{name: made, literals: [a=b]}]",
    "configurations: [rules.yaml]",
    "crds: [crds.json]",
    "components: [../part]",
    "buildMetadata: [managedByLabel]",
    REPLACEMENTS,
    "vars: [{name: A, objref: {apiVersion: v1, kind: Service, name: web}}]",
    "sortOptions: {order: fifo}",
)
LISTS = ("[../base, last.yaml]", "[last.yaml, ./../base/]", "[../base]", "[../accounts, last.yaml]")
FAULTS = {
    "a schema of its own": {
        "app/kustomization.yaml": "resources: [../base]\nopenapi: {version: v1.21.2}\n"
    },
    "an object twice": {"app/kustomization.yaml": "resources: [../base, ../accounts]\n"},
    "a missing file": {"base/kustomization.yaml": "resources: [web.yaml, gone.yaml]\n"},
    "a file that does not parse": {"base/web.yaml": "a: [\n"},
    "a file without a kind": {"base/web.yaml": "a: b\n"},
    "a file outside of the base": {
        "base/kustomization.yaml": "resources: [../other/x.yaml]\n",
        "other/x.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n",
    },
    "a base above": {"accounts/kustomization.yaml": "resources: [../app]\n"},
    "a base of itself": {"accounts/kustomization.yaml": "resources: [account.yaml, ../base]\n"},
    "a base around it": {
        "base/kustomization.yaml": "resources: [../accounts]\n",
        "accounts/kustomization.yaml": "resources: [account.yaml, ../app/..]\n",
        "kustomization.yaml": "resources: [x.yaml]\n",
        "x.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n",
    },
    "an odd path": {
        "app/kustomization.yaml": "resources: [../base..x]\n",
        "base..x/kustomization.yaml": "resources: [a.yaml]\n",
        "base..x/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n",
    },
    "two kustomizations": {"accounts/kustomization.yml": "resources: [account.yaml]\n"},
    "nothing": {"accounts/kustomization.yaml": "resources: []\n"},
    "another version": {
        "accounts/kustomization.yaml": "apiVersion: example.com/v1\nresources: [account.yaml]\n"
    },
    "a component": {"accounts/kustomization.yaml": "kind: Component\nresources: [account.yaml]\n"},
    "keys of another case": {
        "app/kustomization.yaml": "resources: [../base]\nRESOURCES: [last.yaml]\n"
    },
    "the older field": {
        "app/kustomization.yaml": "resources: [last.yaml, ../accounts]\nbases: [../more]\n",
        "more/kustomization.yaml": "resources: [x.yaml]\n",
        "more/x.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n",
    },
    "names that are taken": {
        "app/kustomization.yaml": "resources: [../accounts]\n"
        "configMapGenerator: [{name: x, files: [.driftd-base-0]}]\n",
        "app/.driftd-base-0": "content",
    },
    "rules of another base": {
        "app/kustomization.yaml": "resources: [../accounts, ../ruled, last.yaml]\nnamePrefix: p-\n",
        "ruled/kustomization.yaml": "resources: [x.yaml]\nconfigurations: [rules.yaml]\n",
        "ruled/rules.yaml": BASE["app/rules.yaml"],
        "ruled/x.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: x}\n",
    },
}


def _named(files: dict[str, str]) -> dict[str, str]:
    """The same files, with bases that have a name."""
    return {
        name: f"{text}metadata: {{name: own}}\n"
        if "/kustomization." in name and not name.startswith(("app/", "part/"))
        else text
        for name, text in files.items()
    }


async def _rendered(pool: SandboxPool, tree: Tree) -> list[tuple[str, int, bytes]] | str:
    """What comes of `app`: objects byte by byte and where they are from, or the error."""
    try:
        result = await pool.render(
            tree, {"path": "app"}, application=APPLICATION, revision=REVISION
        )
    except RenderError as error:
        # Kustomize prints addresses of its memory.
        return re.sub(r"0x[0-9a-f]+", "0x", str(error))
    return [(found.file, found.index, bytes(found.object)) for found in result.documents]


async def test_same_objects_with_every_two_features(pool: SandboxPool) -> None:
    """Objects, their bytes, order and files are the same under any two features of an overlay."""
    combined = [(), *itertools.combinations(FEATURES, 1), *itertools.combinations(FEATURES, 2)]
    seen = 0
    for number, features in enumerate(combined):
        resources = f"resources: {LISTS[number % len(LISTS)]}"
        files = BASE | {"app/kustomization.yaml": "\n".join([resources, *features, ""])}
        taken_in = await _rendered(pool, make_tree(files))
        assert taken_in == await _rendered(pool, make_tree(_named(files))), features
        seen += isinstance(taken_in, list)
    assert seen >= 120


@pytest.mark.parametrize("fault", FAULTS)
async def test_same_outcome_of_faults(fault: str, pool: SandboxPool) -> None:
    """What is wrong with a base is said as Kustomize says it, and nothing wrong is let through."""
    files = BASE | {"app/kustomization.yaml": "resources: [../base, last.yaml]\n"} | FAULTS[fault]
    taken_in = await _rendered(pool, make_tree(files))
    assert taken_in == await _rendered(pool, make_tree(_named(files)))
    assert taken_in


async def test_edits_of_the_application(pool: SandboxPool) -> None:
    """Options of the source change the overlay before its bases are taken in."""
    files = BASE | {"app/kustomization.yaml": "resources: [../base]\n"}
    source = {
        "path": "app",
        "kustomize": {
            "namePrefix": "x-",
            "images": ["nginx:9"],
            "commonLabels": {"a": "b"},
            "patches": [{"path": "patch.yaml"}],
        },
    }
    made = []
    for tree in (make_tree(files), make_tree(_named(files))):
        result = await pool.render(tree, source, application=APPLICATION, revision=REVISION)
        made.append([(found.file, bytes(found.object)) for found in result.documents])
    assert made[0] == made[1]
    assert b'"nginx:9"' in made[0][0][1]


async def test_commits_are_read_anew(pool: SandboxPool) -> None:
    """What a worker knows of one commit says nothing of another, whose files are as long."""
    files = BASE | {"app/kustomization.yaml": "resources: [../base, last.yaml]\nnamePrefix: a-\n"}
    edits = [
        ("app/kustomization.yaml", "a-", "b-"),
        ("app/kustomization.yaml", "last.yaml", "rest.yaml"),
        ("app/last.yaml", "Secret", "Gadget"),
        ("app/last.yaml", "hidden", "$patch"),
        ("base/kustomization.yaml", "web.yaml", "one.yaml"),
        ("accounts/kustomization.yaml", "resources", "namespace"),
        ("accounts/kustomization.yaml", "Kustomization", "Kustomisation"),
        ("accounts/account.yaml", "ServiceAccount", "ServiceCounter"),
    ]
    more = {"app/rest.yaml": BASE["app/last.yaml"], "base/one.yaml": BASE["accounts/account.yaml"]}
    commits = [files | more]
    for file, old, new in edits:
        assert old in files[file]
        commits.append(commits[0] | {file: files[file].replace(old, new)})
    fresh = []
    for commit in commits:
        async with SandboxPool(size=1) as alone:
            fresh.append(await _rendered(alone, make_tree(commit)))
    assert len(set(map(repr, fresh))) == len(commits)
    for number in (*range(len(commits)), *reversed(range(len(commits)))):
        assert await _rendered(pool, make_tree(commits[number])) == fresh[number]


@pytest.mark.parametrize(
    ("key", "made"),
    [
        ("namePrefix: own-", b'"name":"own-web"'),
        ("NAMEPREFIX: own-", b'"name":"own-web"'),
        ("namespace: own", b'"namespace":"own"'),
        ("images: [{name: nginx, newTag: own}]", b'"nginx:own"'),
        ("configMapGenerator: [{name: own, literals: [a=b]}]", b'"name":"own-'),
        ("patches: [{path: own.yaml}]", b'"replicas":7'),
    ],
)
async def test_bases_that_do_more_are_built(key: str, made: bytes, pool: SandboxPool) -> None:
    """A base that changes or makes objects does so, also one below a base that only names it."""
    patch = BASE["app/patch.yaml"].replace("replicas: 3", "replicas: 7")
    files = BASE | {
        "app/kustomization.yaml": "resources: [../middle]\n",
        "middle/kustomization.yaml": "resources: [../base]\n",
        "base/kustomization.yaml": f"{BASE['base/kustomization.yaml']}{key}\n",
        "base/own.yaml": patch,
    }
    rendered = await _rendered(pool, make_tree(files))
    assert isinstance(rendered, list)
    assert any(made in found for _, _, found in rendered)
