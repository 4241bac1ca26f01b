"""Which values of a chart decide a field: found by rendering anew, and told by line."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from driftd.sandbox.pool import ChartQuestion, Home, SandboxPool, Traced
from driftd.sandbox.results import TraceResult
from tests.unit.sandbox.conftest import APPLICATION, REVISION, make_tree

pytestmark = pytest.mark.slow

TEMPLATE = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  replicas: {{ .Values.replicaCount }}
  minReadySeconds: 5
  {{- if .Values.pausing }}
  paused: true
  {{- end }}
  template:
    metadata:
      annotations:
        checksum: {{ .Values.replicaCount | toString | sha256sum }}
    spec:
      priorityClassName: {{ required "a class" .Values.global.class }}
      hosts: {{ .Values.hosts | toJson }}
      containers:
        - name: app
          image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
"""
VALUES = """\
# The defaults.
replicaCount: 1
pausing: true
spare: 5
image: &image
  repository: registry.example/app
  tag: "1.0"
copy: *image
hosts: [a.example, b.example]
global:
  class: batch
"""
CHART = "apiVersion: v2\nname: NAME\nversion: 1.0.0\n"
FILES = {
    "chart/Chart.yaml": CHART.replace("NAME", "chart"),
    "chart/values.yaml": VALUES,
    "chart/templates/app.yaml": TEMPLATE,
    "values/production.yaml": "\nreplicaCount: 3\nimage:\n  tag: '2.5'\n",
}
SOURCE = {"path": "chart", "helm": {"valueFiles": ["/values/production.yaml"]}}
REPLICAS = "f:spec/f:replicas"
_SPEC = "f:spec/f:template/f:spec"
IMAGE = f'{_SPEC}/f:containers/k:{{"name":"app"}}/f:image'


async def traced(
    pool: SandboxPool,
    files: dict[str, str],
    source: dict[str, Any],
    *asked: tuple[str, Any],
    home: Home | None = None,
    flux: dict[str, Any] | None = None,
) -> TraceResult:
    """What is said of some fields of the first object that files render to."""
    tree = make_tree(dict(files))
    made = await pool.render(tree, source, application=APPLICATION, revision=REVISION, flux=flux)
    one = Traced(
        made.documents[0].object, tuple(path for path, _ in asked), tuple(live for _, live in asked)
    )
    asked = ChartQuestion(
        tree=tree,
        source=source,
        home=home or Home(),
        application=APPLICATION,
        revision=REVISION,
        flux=flux,
    )
    return await pool.trace_values(asked, [one])


async def told(pool: SandboxPool, *asked: tuple[str, Any], **options: Any) -> list[list[str]]:
    """Places as `FILE:LINE KEY`, for each field."""
    files, source = options.pop("files", FILES), options.pop("source", SOURCE)
    result = await traced(pool, files, source, *asked, **options)
    return [[f"{one.file}:{one.line} {one.key}" for one in field] for field in result.values[0]]


async def test_the_last_file_that_sets_a_value_is_named(pool: SandboxPool) -> None:
    """A value of a values file is told there, one of the chart alone in its own values."""
    found = await told(pool, (REPLICAS, 4), (f"{_SPEC}/f:priorityClassName", "other"))
    assert found == [
        ["values/production.yaml:2 replicaCount"],
        ["chart/values.yaml:11 global.class"],
    ]


async def test_the_value_is_named_that_the_difference_is_in(pool: SandboxPool) -> None:
    """Of a field that two values make the one is told whose part differs, else both."""
    repository, tag = (
        "chart/values.yaml:6 image.repository",
        "values/production.yaml:4 image.tag",
    )
    found = await told(
        pool,
        (IMAGE, "registry.example/app:2.6"),
        (IMAGE, "registry.example/web:2.5"),
        (IMAGE, None),
    )
    assert found[:2] == [[tag], [repository]]
    assert sorted(found[2]) == sorted([repository, tag])


async def test_what_no_value_is_carried_into_has_none(pool: SandboxPool) -> None:
    """A literal that some value equals, a condition and a checksum name no value."""
    found = await told(
        pool,
        ("f:spec/f:minReadySeconds", 6),
        ("f:spec/f:paused", False),
        ("f:spec/f:template/f:metadata/f:annotations/f:checksum", "0"),
        ("f:spec/f:nowhere", 1),
    )
    assert found == [[], [], [], []]


async def test_the_key_of_an_item(pool: SandboxPool) -> None:
    """A value that decides the key of a list's item is found by the item's position."""
    template = TEMPLATE.replace(
        "          image:",
        "          ports:\n"
        "            - {containerPort: 9000, name: fixed}\n"
        "            - {containerPort: {{ .Values.port }}, name: main}\n"
        "          image:",
    )
    files = {
        **FILES,
        "chart/templates/app.yaml": template,
        "chart/values.yaml": f"{VALUES}port: 8081\n",
    }
    ports = f'{_SPEC}/f:containers/k:{{"name":"app"}}/f:ports'
    was = {"containerPort": 8080, "name": "main"}
    found = await told(
        pool,
        (f'{ports}/k:{{"containerPort":8081}}', was),
        (f'{ports}/k:{{"containerPort":9000}}', was),
        files=files,
    )
    assert found == [["chart/values.yaml:12 port"], []]


async def test_a_list_is_told_as_a_whole(pool: SandboxPool) -> None:
    """A list that lacks an item is its own value, one with another item that item's."""
    hosts = f"{_SPEC}/f:hosts"
    assert await told(pool, (hosts, ["a.example"]), (hosts, ["a.example", "c.example"])) == [
        ["chart/values.yaml:9 hosts"],
        ["chart/values.yaml:9 hosts[1]"],
    ]


async def test_values_of_the_application_itself(pool: SandboxPool) -> None:
    """Parameters and inline values are told at their lines of the Application's document."""
    application = (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop}\n---\n"
        "kind: Application\nmetadata:\n  name: shop\nspec:\n  source:\n    helm:\n"
        "      values: |\n        # ours\n        image:\n          tag: '7.1'\n"
        "      parameters:\n        - name: replicaCount\n          value: '8'\n"
    )
    files = {**FILES, "apps/shop.yaml": application}
    helm = {
        "values": "# ours\nimage:\n  tag: '7.1'\n",
        "parameters": [{"name": "replicaCount", "value": "8"}],
    }
    home = Home("apps/shop.yaml", "Application", "shop", ("spec", "source"))
    asked = (REPLICAS, 4), (IMAGE, "registry.example/app:7.2")
    source = {"path": "chart", "helm": helm}
    assert await told(pool, *asked, files=files, source=source, home=home) == [
        ["apps/shop.yaml:17 replicaCount"],
        ["apps/shop.yaml:14 image.tag"],
    ]
    assert await told(pool, *asked, files=files, source=source) == [[], []]


async def test_subcharts(pool: SandboxPool) -> None:
    """A subchart's value is told by its alias: in the parent's values, else in its own."""
    files = {
        "top/Chart.yaml": CHART.replace("NAME", "top")
        + "dependencies: [{name: chart, alias: web, version: 1.0.0, repository: file://../chart}]\n",
        "top/values.yaml": "web:\n  image:\n    tag: '4.4'\n",
        **{name: data for name, data in FILES.items() if name.startswith("chart/")},
    }
    asked = (IMAGE, "registry.example/app:4.5"), (REPLICAS, 2)
    assert await told(pool, *asked, files=files, source={"path": "top"}) == [
        ["top/values.yaml:3 web.image.tag"],
        ["chart/values.yaml:2 web.replicaCount"],
    ]


async def test_a_number_that_is_written_in_another_way(pool: SandboxPool) -> None:
    """A tag that YAML reads as a number is told as it is written, and as a template prints it."""
    texts = {
        "3.20": "3.2",
        "1e3": "1000",
        "0123": "83",
        "20261127": "2.0261127e+07",
        "12e5": "1.2e+06",
        "2026112700": "2.0261127e+09",
        "3": "",
        "'3.20'": "",
    }
    found = {}
    for written in texts:
        files = {**FILES, "values/production.yaml": f"image:\n  tag: {written}\n"}
        result = await traced(pool, files, SOURCE, (IMAGE, None))
        ((places,),) = result.values
        (one,) = [place for place in places if place.key == "image.tag"]
        assert one.line == 2
        assert one.written == (written if texts[written] else "")
        found[written] = one.number
    assert found == texts


async def test_releases_of_flux(pool: SandboxPool) -> None:
    """A HelmRelease's own values are told in its document, those of a live ConfigMap nowhere."""
    release = (
        "kind: HelmRelease\nmetadata: {name: shop}\nspec:\n  values:\n    replicaCount: 6\n"
        "    image: {tag: '9.9'}\n"
    )
    values = [
        {"from": "spec.values", "object": {"replicaCount": 6, "image": {"tag": "9.9"}}},
        {"from": "ConfigMap a", "document": "global: {class: later}\n"},
    ]
    flux = {"helmRelease": {"releaseName": "shop", "namespace": "shop", "values": values}}
    found = await told(
        pool,
        (REPLICAS, 1),
        (IMAGE, "registry.example/app:9.8"),
        (f"{_SPEC}/f:priorityClassName", "x"),
        files={**FILES, "apps/shop.yaml": release},
        source={"path": "chart"},
        home=Home("apps/shop.yaml", "HelmRelease", "shop"),
        flux=flux,
    )
    assert found == [["apps/shop.yaml:5 replicaCount"], ["apps/shop.yaml:6 image.tag"], []]


CONFIG_MAP = """\
kind: ConfigMap
metadata: {name: other}
data: {values.yaml: 'replicaCount: 8'}
---
kind: ConfigMap
metadata: {name: a}
data:
  class: later
  flow: "replicaCount: 6"
  values.yaml: |
    # ours

    replicaCount: 6
"""
GENERATED = "replicaCount: 6\nimage:\n  tag: '9.9'\n"


@pytest.mark.parametrize(
    ("layer", "place"),
    [
        ({"key": "values.yaml", "document": "# ours\n\nreplicaCount: 6\n"}, "cm.yaml:13"),
        ({"key": "flow", "document": "replicaCount: 6"}, "cm.yaml:9"),
        ({"key": "values.yaml", "document": "replicaCount: 7\n"}, ""),  # substituted
        ({"key": "class", "document": "6", "targetPath": "replicaCount"}, ""),
        ({"key": "gone", "document": GENERATED, "name": "generated"}, "gen.yaml:1"),
    ],
)
async def test_values_of_a_config_map(pool: SandboxPool, layer: dict[str, str], place: str) -> None:
    """What `valuesFrom` takes is told in the ConfigMap's document, or in the file of a generator;
    what this does not say just so is told nowhere.
    """
    values = [{"from": "ConfigMap a", "file": "cm.yaml", "name": "a", **layer}]
    found = await told(
        pool,
        (REPLICAS, 1),
        files={**FILES, "cm.yaml": CONFIG_MAP, "gen.yaml": GENERATED},
        source={"path": "chart"},
        flux={"helmRelease": {"releaseName": "shop", "namespace": "shop", "values": values}},
    )
    assert found == [[f"{place} replicaCount"] if place else []]


async def test_a_key_of_a_config_map_for_one_value(pool: SandboxPool) -> None:
    """What `targetPath` takes is told by the line of the key."""
    one = {"from": "ConfigMap a", "file": "cm.yaml", "name": "a", "key": "class"}
    values = [{**one, "document": "later", "targetPath": "global.class"}]
    found = await told(
        pool,
        (f"{_SPEC}/f:priorityClassName", "x"),
        files={**FILES, "cm.yaml": CONFIG_MAP},
        source={"path": "chart"},
        flux={"helmRelease": {"releaseName": "shop", "namespace": "shop", "values": values}},
    )
    assert found == [["cm.yaml:8 global.class"]]


async def test_a_secret_is_found_by_its_content(pool: SandboxPool) -> None:
    """The value of an encoded field is named, and no value stands in the answer."""
    template = (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n"
        "data: {key: {{ .Values.secrets.key | b64enc }}}\n"
    )
    files = {
        "chart/Chart.yaml": FILES["chart/Chart.yaml"],
        "chart/values.yaml": "secrets:\n  key: hunter2\n",
        "chart/templates/secret.yaml": template,
    }
    result = await traced(pool, files, {"path": "chart"}, ("f:data/f:key", None))
    assert b"hunter2" not in msgspec.json.encode(result)
    assert [one.line for one in result.values[0][0]] == [2]


async def test_renderings_are_bounded(pool: SandboxPool) -> None:
    """However many values may decide fields, a source is rendered 25 times at most."""
    names = [f"v{number}" for number in range(40)]
    template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n" + "".join(
        f"  {name}: {{{{ .Values.{name} }}}}\n" for name in names
    )
    files = {
        "chart/Chart.yaml": FILES["chart/Chart.yaml"],
        "chart/values.yaml": "".join(f"{name}: same\n" for name in names),
        "chart/templates/map.yaml": template,
    }
    asked = [(f"f:data/f:{name}", "other") for name in names]
    result = await traced(pool, files, {"path": "chart"}, *asked)
    assert result.renderings == 25
    assert next(one[0].key for one in result.values[0] if one) == "v0"
    plain = {"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: b}\n"}
    assert (await traced(pool, plain, {"path": "."}, ("f:data/f:a", "c"))).renderings == 0
