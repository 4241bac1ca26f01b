"""Which line of Git sets a field: plain manifests, and through overlays of Kustomize."""

from __future__ import annotations

import textwrap
from typing import Any

import msgspec
import pytest

from driftd.sandbox.pool import SandboxPool, Wanted
from tests.unit.sandbox.conftest import APPLICATION, REVISION, make_tree

pytestmark = pytest.mark.slow

DEPLOYMENT = """\
# The shop.
apiVersion: v1
kind: Service
metadata:
  name: web
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels:
    tier: front
spec:
  replicas: 2
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
        - name: mesh
          image: mesh:1
        - name: app
          image: registry.example/app:1.0
          imagePullPolicy: Always
          ports:
            - containerPort: 8080
              name: http
          resources:
            limits:
              memory: 64Mi
"""
REPLICAS = "f:spec/f:replicas"
_APP = 'f:spec/f:template/f:spec/f:containers/k:{"name":"app"}'
IMAGE = f"{_APP}/f:image"
POLICY = f"{_APP}/f:imagePullPolicy"
MEMORY = f"{_APP}/f:resources/f:limits/f:memory"
PORT = f'{_APP}/f:ports/k:{{"containerPort":8080,"protocol":"TCP"}}/f:name'


async def located(
    pool: SandboxPool,
    files: dict[str, str],
    *paths: str,
    folder: str = "app",
    kind: str = "Deployment",
    source: dict[str, Any] | None = None,
    flux: dict[str, Any] | None = None,
) -> list[str]:
    """`FILE: TEXT OF THE LINE` of each path of the one object of a kind, empty if not known.

    Of what the application itself sets the field, with the lines below it in a text.
    """
    content = {name: textwrap.dedent(text) for name, text in files.items()}
    tree = make_tree(dict(content))
    asked = {"path": folder, **(source or {})}
    result = await pool.render(tree, asked, application=APPLICATION, revision=REVISION, flux=flux)
    (document,) = (
        one for one in result.documents if msgspec.json.decode(one.object)["kind"] == kind
    )
    wanted = Wanted(document.file, document.index, document.object, paths)
    answer = await pool.locate(tree, asked, [wanted], application=APPLICATION, flux=flux)
    (places,) = answer.places
    return [
        ""
        if place is None
        else f"{place.own}+{place.line}"
        if place.own
        else f"{place.file}: {content[place.file].splitlines()[place.line - 1].strip()}"
        for place in places
    ]


async def test_plain_fields(pool: SandboxPool) -> None:
    """Fields and keyed list items of a later document of a plain file have their own line."""
    assert await located(
        pool,
        {"app/web.yaml": DEPLOYMENT},
        REPLICAS,
        IMAGE,
        MEMORY,
        PORT,
        "f:metadata/f:labels/f:tier",
        'f:spec/f:template/f:spec/f:containers/k:{"name":"app"}',
    ) == [
        "app/web.yaml: replicas: 2",
        "app/web.yaml: image: registry.example/app:1.0",
        "app/web.yaml: memory: 64Mi",
        "app/web.yaml: name: http",
        "app/web.yaml: tier: front",
        "app/web.yaml: - name: app",
    ]


async def test_plain_parent(pool: SandboxPool) -> None:
    """Of a field that is not written, the innermost written parent is named, or nothing."""
    assert await located(
        pool, {"app/web.yaml": DEPLOYMENT}, "f:metadata/f:labels/f:added", "f:status/f:x"
    ) == ["app/web.yaml: labels:", ""]


async def test_list_items(pool: SandboxPool) -> None:
    """An object inside a List is found among its items."""
    files = {
        "app/all.yaml": """\
            apiVersion: v1
            kind: List
            items:
              - {apiVersion: v1, kind: ConfigMap, metadata: {name: other}, data: {a: "1"}}
              - apiVersion: v1
                kind: Secret
                metadata: {name: one}
                stringData:
                  a: "2"
            """
    }
    assert await located(pool, files, "f:data/f:a", kind="Secret") == ['app/all.yaml: a: "2"']


async def test_json_and_anchors(pool: SandboxPool) -> None:
    """JSON files and merged mappings of YAML lead to the line that holds the value."""
    files = {
        "app/a.json": '{\n "apiVersion": "v1",\n "kind": "ConfigMap",\n'
        ' "metadata": {"name": "a"},\n "data": {\n  "k": "v"\n }\n}\n'
    }
    assert await located(pool, files, "f:data/f:k", kind="ConfigMap") == ['app/a.json: "k": "v"']
    files = {
        "app/a.yaml": """\
            apiVersion: v1
            kind: ConfigMap
            metadata:
              name: a
              labels: &labels
                team: web
              annotations:
                <<: *labels
            """
    }
    path = "f:metadata/f:annotations/f:team"
    assert await located(pool, files, path, kind="ConfigMap") == ["app/a.yaml: team: web"]


OVERLAY = {
    "base/web.yaml": DEPLOYMENT,
    "base/kustomization.yaml": """\
        resources: [web.yaml]
        images:
          - name: registry.example/app
            newTag: "1.5"
        commonAnnotations:
          owner: base
        """,
    "app/patch.yaml": """\
        # Production.
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web}
        spec:
          replicas: 3
          template:
            spec:
              containers:
                - name: app
                  resources:
                    limits:
                      memory: 128Mi
        """,
    "app/kustomization.yaml": """\
        namePrefix: prod-
        resources: [../base]
        patches:
          - path: patch.yaml
        """,
}


async def test_overlay(pool: SandboxPool) -> None:
    """A patch, an `images` entry of the base and the base file each own what they set."""
    assert await located(
        pool, OVERLAY, REPLICAS, MEMORY, IMAGE, POLICY, "f:metadata/f:annotations/f:owner"
    ) == [
        "app/patch.yaml: replicas: 3",
        "app/patch.yaml: memory: 128Mi",
        'base/kustomization.yaml: newTag: "1.5"',
        "base/web.yaml: imagePullPolicy: Always",
        "base/kustomization.yaml: owner: base",
    ]


_REPLACE = '[{"op": "replace", "path": "/spec/replicas", "value": 7}]'
ENTRIES = {
    "strategic merge, inline": (
        """\
        patches:
          - target: {kind: Deployment}
            patch: |-
              apiVersion: apps/v1
              kind: Deployment
              metadata: {name: any}
              spec:
                replicas: 7
        """,
        "app/kustomization.yaml: replicas: 7",
    ),
    "JSON patch, inline": (
        """\
        patches:
          - target: {kind: Deployment, name: web}
            patch: |-
              - op: test
                path: /spec/replicas
                value: 2
              - op: replace
                path: /spec/replicas
                value: 7
        """,
        "app/kustomization.yaml: value: 7",
    ),
    "replicas": (
        """\
        replicas:
          - name: web
            count: 7
        """,
        "app/kustomization.yaml: count: 7",
    ),
    "quoted inline patch": (
        """\
        patches:
          - target: {kind: Deployment}
            patch: '[{"op": "replace", "path": "/spec/replicas", "value": 7}]'
        """,
        f"app/kustomization.yaml: patch: '{_REPLACE}'",
    ),
    "a patch of another object": (
        """\
        patches:
          - target: {kind: StatefulSet}
            patch: '[{"op": "replace", "path": "/spec/replicas", "value": 7}]'
        """,
        "base/web.yaml: replicas: 2",
    ),
    "the last of two patches": (
        """\
        patches:
          - target: {kind: Deployment}
            patch: '[{"op": "replace", "path": "/spec/replicas", "value": 2}]'
          - target: {kind: Deployment}
            patch: |
              [{"op": "replace", "path": "/spec/replicas", "value": 7}]
        """,
        'app/kustomization.yaml: [{"op": "replace", "path": "/spec/replicas", "value": 7}]',
    ),
    "a selector that may not fit": (
        """\
        patches:
          - target: {kind: Deployment, labelSelector: tier=front}
            patch: '[{"op": "replace", "path": "/spec/replicas", "value": 7}]'
        """,
        "",
    ),
    "a replacement of another object": (
        """\
        replacements:
          - source: {kind: Deployment, name: web, fieldPath: metadata.name}
            targets:
              - select: {kind: Service}
                options: {create: true}
                fieldPaths: [spec.externalName]
        """,
        "base/web.yaml: replicas: 2",
    ),
    "a replacement of another field": (
        """\
        replacements:
          - source: {kind: Service, name: web, fieldPath: metadata.name}
            targets:
              - select: {kind: Deployment}
                fieldPaths: ["spec.template.spec.containers.[name=app].imagePullPolicy"]
        """,
        "base/web.yaml: replicas: 2",
    ),
    "a replacement of the field": (
        """\
        replacements:
          - source: {kind: Deployment, name: web, fieldPath: spec.replicas}
            targets:
              - select: {kind: Deployment, name: web}
                fieldPaths:
                  - metadata.labels.tier
                  - spec.replicas
        """,
        "app/kustomization.yaml: - spec.replicas",
    ),
    "a replacement in a file": (
        """\
        replacements:
          - path: copy.yaml
        """,
        "app/copy.yaml: - spec.replicas",
    ),
    "a replacement that may not fit": (
        """\
        replacements:
          - source: {kind: Deployment, name: web, fieldPath: spec.replicas}
            targets:
              - select: {kind: Deployment}
                reject: [{name: other}]
                fieldPaths: [spec.replicas]
        """,
        "",
    ),
    "a transformer of other fields": (
        """\
        transformers:
          - |-
            apiVersion: builtin
            kind: LabelTransformer
            metadata: {name: labels}
            labels: {tier: back}
            fieldSpecs: [{path: metadata/labels, create: true}]
          - |-
            apiVersion: builtin
            kind: PatchTransformer
            metadata: {name: patch}
            target: {kind: Service}
            patch: '[{"op": "add", "path": "/spec", "value": {"type": "ClusterIP"}}]'
        """,
        "base/web.yaml: replicas: 2",
    ),
    "a transformer of the field": (
        """\
        transformers:
          - |-
            apiVersion: builtin
            kind: ReplicaCountTransformer
            metadata: {name: count}
            replica: {name: web, count: 2}
            fieldSpecs: [{path: spec/replicas, kind: Deployment}]
        """,
        "",
    ),
    "a patch of a transformer": (
        """\
        transformers:
          - |-
            apiVersion: builtin
            kind: PatchTransformer
            metadata: {name: patch}
            target: {kind: Deployment}
            patch: '[{"op": "replace", "path": "/spec/replicas", "value": 2}]'
        """,
        "",
    ),
    "variables of other fields": (
        """\
        vars:
          - name: NAME
            objref: {kind: Service, name: web, apiVersion: v1}
        """,
        "base/web.yaml: replicas: 2",
    ),
}
COPY = """\
- source: {kind: Deployment, name: web, fieldPath: spec.replicas}
  targets:
    - select: {kind: Deployment}
      fieldPaths:
        - spec.replicas
"""


@pytest.mark.parametrize("name", ENTRIES)
async def test_replicas_set_by(pool: SandboxPool, name: str) -> None:
    """Each way in which an overlay sets `spec.replicas` leads to its line; doubt leads nowhere."""
    text, expected = ENTRIES[name]
    files = {
        **OVERLAY,
        "app/copy.yaml": COPY,
        "app/kustomization.yaml": "resources: [../base]\n" + textwrap.dedent(text),
    }
    assert await located(pool, files, REPLICAS) == [expected]


async def test_fields_beside_and_in_replacements(pool: SandboxPool) -> None:
    """An item of a list by its key, what a replacement sets of it, and what it leaves alone."""
    files = {
        **OVERLAY,
        "app/kustomization.yaml": """\
            resources: [../base]
            replacements:
              - source: {kind: Service, name: web, fieldPath: metadata.name}
                targets:
                  - select: {kind: Deployment}
                    fieldPaths:
                      - spec.template.spec.containers.[name=app].imagePullPolicy
                      - spec.template.spec.containers.[name=mesh].image
                  - select: {kind: Deployment}
                    options: {delimiter: "/", index: 0}
                    fieldPaths: ["spec.template.spec.containers.[name=app].image"]
            """,
    }
    mesh = 'f:spec/f:template/f:spec/f:containers/k:{"name":"mesh"}/f:image'
    assert await located(pool, files, POLICY, mesh, IMAGE, MEMORY) == [
        "app/kustomization.yaml: - spec.template.spec.containers.[name=app].imagePullPolicy",
        "app/kustomization.yaml: - spec.template.spec.containers.[name=mesh].image",
        "",
        "base/web.yaml: memory: 64Mi",
    ]


async def test_a_text_with_variables(pool: SandboxPool) -> None:
    """A text of Git in which a variable was put in is the rendered one; any other text is not."""
    text = DEPLOYMENT.replace("          image: mesh:1\n", """\
          image: mesh:1
          args:
            - --host=$(NAME).example
          command: ["$(NAME)"]
""")  # fmt: skip
    files = {
        **OVERLAY,
        "base/web.yaml": text,
        "app/kustomization.yaml": """\
            resources: [../base]
            vars:
              - name: NAME
                objref: {kind: Service, name: web, apiVersion: v1}
            """,
    }
    args = 'f:spec/f:template/f:spec/f:containers/k:{"name":"mesh"}/f:args/i:0'
    assert await located(pool, files, args, REPLICAS) == [
        "base/web.yaml: - --host=$(NAME).example",
        "base/web.yaml: replicas: 2",
    ]


async def test_list_index(pool: SandboxPool) -> None:
    """A JSON patch names a container by its index; an appended item by what it is."""
    files = {
        **OVERLAY,
        "app/p.yaml": """\
            - op: replace
              path: /spec/template/spec/containers/1/imagePullPolicy
              value: Never
            - op: add
              path: /spec/template/spec/containers/1/ports/-
              value:
                containerPort: 9090
                name: admin
            """,
        "app/kustomization.yaml": """\
            resources: [../base]
            patches:
              - path: p.yaml
                target: {kind: Deployment}
            """,
    }
    admin = f'{_APP}/f:ports/k:{{"containerPort":9090,"protocol":"TCP"}}/f:name'
    assert await located(pool, files, POLICY, admin, PORT) == [
        "app/p.yaml: value: Never",
        "app/p.yaml: name: admin",
        "base/web.yaml: name: http",
    ]


async def test_component_and_labels(pool: SandboxPool) -> None:
    """A component counts before the base; labels lead to the pair in the kustomization."""
    files = {
        **OVERLAY,
        "parts/big/kustomization.yaml": """\
            apiVersion: kustomize.config.k8s.io/v1alpha1
            kind: Component
            patches:
              - target: {kind: Deployment}
                patch: |-
                  - {op: replace, path: /spec/replicas, value: 9}
            """,
        "app/kustomization.yaml": """\
            resources: [../base]
            components: [../parts/big]
            labels:
              - pairs:
                  tier: back
              - pairs:
                  zone: one
                includeTemplates: true
            """,
    }
    assert await located(
        pool,
        files,
        REPLICAS,
        "f:metadata/f:labels/f:tier",
        "f:spec/f:template/f:metadata/f:labels/f:zone",
        "f:spec/f:template/f:metadata/f:labels/f:app",
    ) == [
        "parts/big/kustomization.yaml: - {op: replace, path: /spec/replicas, value: 9}",
        "app/kustomization.yaml: tier: back",
        "app/kustomization.yaml: zone: one",
        "base/web.yaml: labels: {app: web}",
    ]


async def test_generator(pool: SandboxPool) -> None:
    """A generated ConfigMap leads to the literal, the file or the line of the env file."""
    files = {
        "app/settings.env": "A=1\nLEVEL=debug\n",
        "app/rules.txt": "first\nsecond\n",
        "app/kustomization.yaml": """\
            configMapGenerator:
              - name: settings
                literals:
                  - COLOR=blue
                files: [rules.txt]
                envs: [settings.env]
            """,
    }
    assert await located(
        pool, files, "f:data/f:COLOR", "f:data/f:rules.txt", "f:data/f:LEVEL", kind="ConfigMap"
    ) == [
        "app/kustomization.yaml: - COLOR=blue",
        "app/rules.txt: first",
        "app/settings.env: LEVEL=debug",
    ]


LABEL = "f:metadata/f:labels/f:tier"
RAISES = "- op: replace\n  path: /spec/replicas\n  value: 5\n"


async def test_application_sets(pool: SandboxPool) -> None:
    """What the Application's own Kustomize options set leads to them, the rest to the files."""
    options = {
        "images": ["registry.example/other:9", "registry.example/app:2.0"],
        "commonLabels": {"tier": "own"},
        "labelWithoutSelector": True,
    }
    source: dict[str, Any] = {"kustomize": options}
    asked = (IMAGE, REPLICAS, LABEL, POLICY)
    assert await located(pool, OVERLAY, *asked, source=source) == [
        "f:kustomize/f:images/i:1+0",
        "app/patch.yaml: replicas: 3",
        "f:kustomize/f:commonLabels/f:tier+0",
        "base/web.yaml: imagePullPolicy: Always",
    ]
    options["replicas"] = [{"name": "web", "count": "7"}]
    options["images"] = ["registry.example/app=registry.example/app"]
    options["patches"] = [{"target": {"kind": "Secret"}, "patch": RAISES}]
    assert await located(pool, OVERLAY, *asked[:2], source=source) == [
        'base/kustomization.yaml: newTag: "1.5"',
        "f:kustomize/f:replicas/i:0/f:count+0",
    ]


async def test_flux_sets(pool: SandboxPool) -> None:
    """So do the edits of a Kustomization of Flux; a line of a patch is told in its text."""
    other = {"target": {"kind": "Secret"}, "patch": RAISES}
    edits = {
        "images": [{"name": "registry.example/app", "newTag": "2.0"}],
        "patches": [{"target": {"kind": "Deployment"}, "patch": RAISES}, other],
    }
    common = {"labels": {"tier": "own"}}
    flux: dict[str, Any] = {"kustomization": edits, "commonMetadata": common}
    assert await located(pool, OVERLAY, IMAGE, REPLICAS, LABEL, POLICY, flux=flux) == [
        "f:images/i:0/f:newTag+0",
        "f:patches/i:0/f:patch+3",
        "f:commonMetadata/f:labels/f:tier+0",
        "base/web.yaml: imagePullPolicy: Always",
    ]
    edits["patchesStrategicMerge"] = [{"kind": "Deployment", "metadata": {"name": "x"}}]
    flux["kustomization"] = {"patchesJson6902": [{"target": {"kind": "Pod"}, "patch": []}]}
    assert await located(pool, OVERLAY, POLICY, flux=flux) == [""]


async def test_all_annotations(pool: SandboxPool) -> None:
    """Annotations that one list gives all lead to their pair, of several to the list."""
    path = "f:metadata/f:annotations"
    assert await located(pool, OVERLAY, path) == ["base/kustomization.yaml: owner: base"]
    source = {"kustomize": {"commonAnnotations": {"a": "1"}}}
    assert await located(pool, OVERLAY, path, source=source) == [""]
    both = {"kustomize": {"commonAnnotations": {"a": "1", "owner": "me"}}}
    assert await located(pool, OVERLAY, path, source=both) == ["f:kustomize/f:commonAnnotations+0"]
    flux = {"kustomization": {}, "commonMetadata": {"annotations": {"owner": "me"}}}
    assert await located(pool, OVERLAY, path, flux=flux) == [
        "f:commonMetadata/f:annotations/f:owner+0"
    ]


async def test_folder_without_kustomization(pool: SandboxPool) -> None:
    """What Flux finds below a folder without a kustomization leads to the overlay there."""
    files = {**OVERLAY, "all/one/app/kustomization.yaml": "resources: [../../../app]"}
    flux: dict[str, Any] = {"kustomization": {}}
    assert await located(pool, files, REPLICAS, folder="all", flux=flux) == [
        "app/patch.yaml: replicas: 3"
    ]


async def test_post_renderers(pool: SandboxPool) -> None:
    """A post renderer's entry decides a field of a release; what templates say has no line."""
    files = {
        "app/Chart.yaml": "apiVersion: v2\nname: app\nversion: 1.0.0\n",
        "app/templates/web.yaml": OVERLAY["base/web.yaml"],
    }
    image = {"name": "registry.example/app", "newTag": "2.0"}
    first = {"patches": [{"target": {"kind": "Deployment"}, "patch": RAISES}]}
    release = {"releaseName": "web", "postRenderers": [first, {"images": [image]}]}
    flux = {"helmRelease": release, "commonMetadata": {"labels": {"tier": "own"}}}
    assert await located(pool, files, IMAGE, REPLICAS, LABEL, POLICY, flux=flux) == [
        "f:postRenderers/i:1/f:kustomize/f:images/i:0/f:newTag+0",
        "f:postRenderers/i:0/f:kustomize/f:patches/i:0/f:patch+3",
        "f:commonMetadata/f:labels/f:tier+0",
        "",
    ]


async def test_bounded(pool: SandboxPool) -> None:
    """Fields beyond the limit, unreadable files and unknown documents have no line."""
    tree = make_tree({"app/web.yaml": DEPLOYMENT})
    raw = msgspec.Raw(b'{"kind":"Deployment","metadata":{"name":"web"}}')
    wanted = [
        Wanted("app/web.yaml", 9, raw, (REPLICAS,)),
        Wanted("app/none.yaml", 0, raw, (REPLICAS,)),
        Wanted("app/web.yaml", 1, raw, (REPLICAS,) * 1990),
        Wanted("app/web.yaml", 1, raw, (REPLICAS,) * 10),
    ]
    answer = await pool.locate(tree, {"path": "app"}, wanted, application=APPLICATION)
    assert [one[0] and one[0].line for one in answer.places] == [None, None, 14, None]


@pytest.mark.parametrize(
    ("files", "kind", "line"),
    [
        ({"app/all.yaml": DEPLOYMENT}, "Deployment", "app/all.yaml: apiVersion: apps/v1"),
        (
            {"app/kustomization.yaml": "resources: [../base]\nnamePrefix: my-\n",
             "base/kustomization.yaml": "resources: [all.yaml]\n",
             "base/all.yaml": DEPLOYMENT},
            "Deployment",
            "base/all.yaml: apiVersion: apps/v1",
        ),
        (
            {"app/kustomization.yaml":
             "configMapGenerator:\n- {name: other}\n- name: web\n  literals: [a=b]\n"
             "generatorOptions: {disableNameSuffixHash: true}\nresources: [all.yaml]\n",
             "app/all.yaml": DEPLOYMENT},
            "Service",
            "app/all.yaml: apiVersion: v1",
        ),
        (
            {"app/kustomization.yaml":
             "secretGenerator:\n- {name: web}\n"
             "configMapGenerator:\n- name: web\n  literals: [a=b]\n"},
            "ConfigMap",
            "app/kustomization.yaml: - name: web",
        ),
    ],
    ids=["plain", "base", "beside-generators", "generated"],
)  # fmt: skip
async def test_the_object_itself(
    pool: SandboxPool, files: dict[str, str], kind: str, line: str
) -> None:
    """An empty path is the object: its document in the base, or the entry that generates it."""
    assert await located(pool, files, "", kind=kind) == [line]


async def test_one_name_in_two_namespaces(pool: SandboxPool) -> None:
    """Each of two objects of one kind and name has the lines of its own document and patches."""
    one = "{apiVersion: v1, kind: ConfigMap, metadata: {name: web, namespace: %s},\n data: {a: b,\n"
    patch = f"---\n{one} c: d}}}}\n"
    content = {
        "app/all.yaml": "---\n".join(f"{one} e: f}}}}\n" % name for name in ("left", "right")),
        "app/patches.yaml": patch % "left" + patch % "right",
        "app/kustomization.yaml": "resources: [all.yaml]\npatches: [{path: patches.yaml}]\n",
    }
    tree, asked = make_tree(dict(content)), {"path": "app"}
    result = await pool.render(tree, asked, application=APPLICATION, revision=REVISION)
    wanted = [
        Wanted(each.file, each.index, each.object, ("f:data/f:c", "f:data/f:e"))
        for each in result.documents
    ]
    answer = await pool.locate(tree, asked, wanted, application=APPLICATION)
    found = [[(at.file, at.line) for at in places if at] for places in answer.places]
    assert found == [
        [("app/patches.yaml", 4), ("app/all.yaml", 3)],
        [("app/patches.yaml", 8), ("app/all.yaml", 7)],
    ]
