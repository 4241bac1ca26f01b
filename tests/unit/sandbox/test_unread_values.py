"""Values that a chart is given in vain: unknown to it, unread, and proven by rendering without."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from driftd.sandbox.pool import ChartQuestion, Home, SandboxPool
from driftd.sandbox.results import UnreadValue
from tests.unit.sandbox.conftest import APPLICATION, REVISION, make_tree

pytestmark = pytest.mark.slow

TEMPLATE = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
data:
  replicas: "{{ .Values.replicaCount }}"
  image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
  {{- with .Values.probe }}
  path: {{ .path }}
  {{- end }}
  {{- if .Values.ingress.enabled }}
  host: {{ .Values.ingress.host }}
  labels: {{ toJson .Values.ingress.labels }}
  {{- end }}
  env: {{ toJson .Values.env | quote }}
  chosen: {{ index .Values "chosen-one" | quote }}
"""
VALUES = """\
replicaCount: 1
image: {repository: registry.example/app, tag: "1.0"}
ingress: {enabled: false, labels: {team: web}}
probe: {path: /, port: 80}
env: {}
"""
CHART = "apiVersion: v2\nname: NAME\nversion: 1.0.0\n"
BASE = {
    "chart/Chart.yaml": CHART.replace("NAME", "chart"),
    "chart/values.yaml": VALUES,
    "chart/templates/app.yaml": TEMPLATE,
}


async def unread(
    pool: SandboxPool, values: str, more: dict[str, str] | None = None, **helm: Any
) -> list[UnreadValue]:
    """What of a values file (and of what else `helm` gives) the chart does not read."""
    files = {**BASE, "prod.yaml": values, **(more or {})}
    asked = ChartQuestion(
        tree=make_tree(files),
        source={"path": "chart", "helm": {"valueFiles": ["/prod.yaml"], **helm}},
        home=Home(),
        application=APPLICATION,
        revision=REVISION,
    )
    return list((await pool.unread_values(asked)).values)


async def test_a_misspelt_name_is_told_by_line(pool: SandboxPool) -> None:
    """A name that neither the chart's values nor a template has is told with what is beside it."""
    found = await unread(pool, "# ours\nreplicaCont: 4\nimage:\n  tga: '2.0'\n")
    assert [(one.key, one.file, one.line) for one in found] == [
        ("image.tga", "prod.yaml", 4),
        ("replicaCont", "prod.yaml", 2),
    ]
    assert set(found[0].beside) == {"repository", "tag"}
    assert "replicaCount" in found[1].beside


@pytest.mark.parametrize(
    "values",
    [
        "replicaCount: 4",
        "ingress: {host: shop.example}",  # read where it is enabled
        "ingress: {labels: {tier: front}}",  # read as a whole
        "env: {ANY: thing}",  # a map without names is anybody's
        "chosen-one: yes",
        "probe: {path: /healthz}",
        "global: {anything: 1}",
    ],
)
async def test_what_a_template_may_read_is_not_told(pool: SandboxPool, values: str) -> None:
    """A value that has an effect, or would have it in a part that is not rendered, is none."""
    assert await unread(pool, values) == []


async def test_a_wrong_indent_is_told_at_its_place(pool: SandboxPool) -> None:
    """A name that the chart knows elsewhere is unknown where it stands now."""
    (found,) = await unread(pool, "image:\n  tag: '2.0'\ntag: '3.0'\n")
    assert (found.key, found.line, found.elsewhere) == ("tag", 3, "image.tag")


@pytest.mark.parametrize("name", ["image", "probe", "ingress"])
@pytest.mark.parametrize("block", ["ingress", "env", "replicaCount"])
async def test_a_block_below_a_wrong_name_is_told(pool: SandboxPool, name: str, block: str) -> None:
    """A block that the chart reads at its top decides nothing one level deeper, and is told."""
    value = {"env": "{A: b}", "replicaCount": "2", "ingress": "{enabled: true}"}[block]
    called = {  # a template whose name ends like a block's reads nothing of that
        "chart/templates/_helpers.tpl": '{{ define "chart.image" }}x{{ end }}',
        "chart/templates/called.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n"
        '  name: {{ include "chart.image" . }}\ndata:\n'
        "  enabled: {{ .Values.ingress.enabled | quote }}\n",
    }
    (found,) = await unread(pool, f"{name}:\n  {block}: {value}\n", called)
    assert (found.key, found.line, found.proven) == (f"{name}.{block}", 2, True)
    assert found.elsewhere == block


@pytest.mark.parametrize(
    "template",
    [
        "{{ if .Values.off }}{{ with .Values.image }}{{ .pdb.size }}{{ end }}{{ end }}",
        "{{ if .Values.off }}{{ $i := .Values.image }}{{ $i.pdb.size }}{{ end }}",
        "{{ $all := .Values }}{{ if $all.off }}{{ range $all }}{{ .pdb }}{{ end }}{{ end }}",
        "{{ if .Values.off }}{{ .Values.image.pdb.size }}{{ .Values.pdb.size }}{{ end }}",
        '{{ if .Values.off }}{{ include "some.image" .Values.image }}{{ end }}',
        '{{ if .Values.off }}{{ dig "image" "pdb" "" .Values.AsMap }}{{ end }}',
    ],
)
async def test_a_name_that_is_read_where_nothing_is_rendered(
    pool: SandboxPool, template: str
) -> None:
    """What a template reads of the map that a value stands in is none, however it takes it."""
    more = {
        "chart/values.yaml": VALUES + "pdb: {size: 1}\noff: false\n",
        "chart/templates/off.yaml": template,
    }
    assert await unread(pool, "image: {pdb: {size: 2}}\n", more) == []


async def test_a_value_that_has_an_effect_is_never_told(pool: SandboxPool) -> None:
    """Where a template walks through all values, each of them counts."""
    template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: all}\ndata: {all: NAMES}\n"
    names = "{{ range $k, $v := .Values }}{{ $k }}{{ end }}"
    more = {"chart/templates/all.yaml": template.replace("NAMES", names)}
    assert await unread(pool, "replicaCont: 4\n", more) == []


HELPERS = """\
{{ define "image" }}{{ .image.repository }}:{{ .image.tag | default .root.Name }}{{ end }}
{{ define "of" }}{{ .repository }}:{{ template "tag" . }}{{ end }}
{{ define "tag" }}{{ index . "tag" }}{{ end }}
{{ define "whole" }}{{ toYaml .image }}{{ end }}
{{ define "listed" }}{{ with index . 1 }}{{ $image := . }}{{ get $image "tag" }}{{ end }}{{ end }}
{{ define "root" }}{{ $v := .context.Values.image }}{{ dig "tag" "x" $v }}{{ end }}
{{ define "dynamic" }}{{ range list "tag" "tga" }}{{ index $.image . }}{{ end }}{{ end }}
{{ define "late" }}{{ $all := dict }}{{ $_ := set $all "i" .Values.image }}{{ $all.i.tag }}{{ end }}
{{ define "loop" }}{{ $x := dict }}
{{ range list 1 2 }}{{ $x.tga }}{{ $x = $.Values.image }}{{ end }}{{ end }}
{{ define "set" }}{{ $_ := set . "image" .Values.image }}{{ .image.tga }}{{ end }}
"""


OF_IMAGE = '{{ include "of" .Values.image }}'
FOLLOWED = [
    'include "image" (dict "image" .Values.image "root" $)',
    'include "of" .Values.image | quote',
    'with .Values.image }}{{ include "of" . }}{{ end',
    'include "listed" (list . .Values.image)',
    'include "root" (dict "context" .)',
    'include "root" (merge (dict "a" 1) (dict "context" $))',
    'include "image" (dict "image" (.Values.image | default dict) "root" $)',
]
OPENED = [
    'include "whole" (dict "image" .Values.image)',
    'include "dynamic" (dict "image" .Values.image)',
    'include "late" .',
    'include "loop" .',
    'include "set" .',
    'include .Values.probe.path (dict "image" .Values.image)',
    'include "nowhere" .Values.image',
    "tpl (toYaml .Values.image) .",
    "merge (dict) .Values.image",
    "range $name, $value := .Values.image }}{{ $name }}{{ end",
    "index .Values.image .Values.probe.path",
    'index .Values.image "tga"',
    "(.Values.image).tga",
    "with .Values }}{{ .image.tga }}{{ end",
    "with $ }}{{ .Values.image.tga }}{{ end",
    "set .Values.probe `more` .Values.image",
]


async def test_a_map_that_is_handed_to_a_helper(pool: SandboxPool) -> None:
    """A name below it is told where all that the helper reads of it is known, and only there."""
    told = []
    for call in FOLLOWED + OPENED:
        more = {
            "chart/values.yaml": VALUES + "off: false\n",
            "chart/templates/_helpers.tpl": HELPERS,
            "chart/templates/off.yaml": "{{ if .Values.off }}{{ " + call + " }}{{ end }}",
        }
        found = await unread(pool, "image: {tga: '2.0'}\n", more)
        told += [call for one in found if one.key == "image.tga"]
    assert told == FOLLOWED


async def test_a_text_of_values_that_is_a_template_reads_values(pool: SandboxPool) -> None:
    """What a value's own text reads, where `tpl` makes it a template, is read."""
    more = {"chart/templates/off.yaml": "{{ if .Values.off }}{{ tpl .Values.text . }}{{ end }}"}
    text = "text: 'https://{{ .Values.domain }}/{{ .Values.image.host }}'\n"
    names = "domain: x\ndomian: y\nimage: {host: a, hots: b}\n"
    found = await unread(pool, text + names, more)
    assert [one.key for one in found] == ["domian", "image.hots"]
    alert = "text: '{{ $labels.pod }} has {{ $value }}'\nimage: {tga: a}\n"
    more["chart/templates/_helpers.tpl"] = HELPERS
    more["chart/templates/off.yaml"] = (
        "{{ if .Values.off }}" + OF_IMAGE + "{{ .Values.text }}{{ end }}"
    )
    assert [one.key for one in await unread(pool, alert, more)] == ["image.tga"]


UMBRELLA = {
    "chart/Chart.yaml": CHART.replace("NAME", "chart")
    + "dependencies:\n- {name: metrics, version: 1.0.0, condition: withMetrics}\n"
    "- name: db\n  version: 1.0.0\n  alias: main\n"
    "  import-values: [names, {child: limits, parent: ceilings}]\n",
    "chart/templates/own.yaml": "# {{ .Values.read.by }}{{ .Values.ceilings.cpu }}",
    **{
        f"chart/charts/{name}/{file}": text
        for name, own in {
            "metrics": "config: {LEVEL: info}\nlisten: 1\n",
            "db": "config: {SIZE: 1}\nlimits: {cpu: 1}\nexports: {names: {shown: a}}\n",
        }.items()
        for file, text in {
            "Chart.yaml": CHART.replace("NAME", name),
            "values.yaml": own,
            "templates/map.yaml": "apiVersion: v1\nkind: ConfigMap\n"
            "metadata: {name: '{{ .Chart.Name }}'}\n"
            "data: {a: {{ toJson .Values.config | quote }}, b: {{ .Values.listen | quote }}}\n",
        }.items()
    },
}


def umbrella(own: str) -> dict[str, str]:
    """The files of an umbrella chart with some more values of its own."""
    return {**UMBRELLA, "chart/values.yaml": f"{VALUES}read: {{by: its own}}\n{own}\n"}


IN_VAIN = {
    "config: {LEVEL: debug}": ("config", ("metrics.config",)),
    "config: {SIZE: 2}": ("config", ("main.config",)),
    "config: {OTHER: 2}": ("config", ("main.config", "metrics.config")),
    "listen: 2": ("listen", ("metrics.listen",)),
    "db: {config: {SIZE: 3}}": ("db", ("main",)),
    "metrcs: {listen: 2}": ("metrcs", ()),
    "metrics: {lisen: 2}": ("metrics.lisen", ()),
    "metrics: {db: {listen: 2}}": ("metrics.db", ()),
    "metrics: {main: {config: {SIZE: 2}}}": ("metrics.main", ()),
    "main: {metrics: {listen: 2}}": ("main.metrics", ()),
}
READ = [
    "global: {config: {LEVEL: debug}}",
    "metrics: {config: {ANY: thing}, global: {a: 1}}",
    "withMetrics: false",
    "shown: b",  # imported from the subchart
    "ceilings: {cpu: 2}",
    "main: {exports: {names: {more: c}}, limits: {memory: 1}}",
    "shared: &shared {LEVEL: debug}\nmetrics: {config: *shared}",
]


@pytest.mark.parametrize("own", [False, True])
async def test_values_that_lack_the_name_of_a_subchart(pool: SandboxPool, *, own: bool) -> None:
    """What only a subchart reads is told at the top, with its place there, also in own values."""
    line, file = (7, "chart/values.yaml") if own else (1, "prod.yaml")
    for value, (key, subcharts) in IN_VAIN.items():
        (found,) = await unread(pool, "" if own else value, umbrella(value if own else ""))
        assert (found.key, found.subcharts, found.own) == (key, subcharts, own)
        assert (found.file, found.line, found.proven) == (file, line, True)


async def test_the_block_of_a_subchart_below_another_one(pool: SandboxPool) -> None:
    """A subchart's block that is indented below another subchart's is told with its own place."""
    values = "main:\n  config: {SIZE: 2}\n  metrics:\n    listen: 2\n"
    (found,) = await unread(pool, values, umbrella(""))
    assert (found.key, found.line, found.elsewhere) == ("main.metrics", 3, "metrics")
    values = "metrics:\n  main:\n    config: {SIZE: 2}\n"
    (found,) = await unread(pool, values, umbrella(""))
    assert (found.key, found.line, found.elsewhere) == ("metrics.main", 2, "main")
    reading = umbrella("")
    reading["chart/templates/own.yaml"] += (
        "# {{ if .Values.off }}{{ .Values.metrics.main }}{{ end }}"
    )
    assert await unread(pool, values, reading) == []


async def test_a_subchart_of_a_subchart_has_its_block_below_that(pool: SandboxPool) -> None:
    """Values of a subchart's own subchart count below its name, and nowhere else."""
    more = {
        **umbrella(""),
        "chart/charts/metrics/Chart.yaml": CHART.replace("NAME", "metrics")
        + "dependencies:\n- {name: agent, version: 1.0.0, condition: agent.enabled}\n",
        "chart/charts/metrics/charts/agent/Chart.yaml": CHART.replace("NAME", "agent"),
        "chart/charts/metrics/charts/agent/values.yaml": "level: 1\n",
    }
    right = "metrics: {agent: {enabled: false, level: 2}}\n"
    assert await unread(pool, right, more) == []
    (found,) = await unread(pool, "agent: {level: 2}\n", more)
    assert (found.key, found.subcharts) == ("agent", ("metrics.agent",))


@pytest.mark.parametrize("own", [False, True])
async def test_what_an_umbrella_or_a_subchart_reads_is_not_told(
    pool: SandboxPool, *, own: bool
) -> None:
    """Globals, imports, conditions, anchors and what its own templates read are none."""
    for value in READ:
        assert await unread(pool, "" if own else value, umbrella(value if own else "")) == []


async def test_values_of_subcharts(pool: SandboxPool) -> None:
    """Below a subchart's name its own values count, also where it is switched off."""
    more = {
        "chart/Chart.yaml": CHART.replace("NAME", "chart")
        + "dependencies:\n- {name: db, version: 1.0.0}\n"
        "- {name: db, version: 1.0.0, alias: spare, condition: spare.enabled, tags: [cache]}\n",
        "chart/charts/db/Chart.yaml": CHART.replace("NAME", "db"),
        "chart/charts/db/values.yaml": "size: 1\nlimits: {cpu: 1}\n",
        "chart/charts/db/templates/db.yaml": "apiVersion: v1\nkind: ConfigMap\n"
        "metadata: {name: '{{ .Chart.Name }}'}\n"
        "data: {size: '{{ .Values.size }}{{ .Values.limits.cpu }}'}\n",
    }
    values = "db: {sise: 2, limits: {cpus: 2}}\nspare: {enabled: false, size: 3, enable: true}\n"
    found = await unread(pool, values + "tags: {cache: true, cahce: true}\n", more)
    assert [one.key for one in found] == [
        "db.limits.cpus",
        "db.sise",
        "spare.enable",
        "tags.cahce",
    ]


async def test_a_block_of_a_subchart_in_a_wrong_place(pool: SandboxPool) -> None:
    """What the parent's templates read of a subchart's values excuses no other place of it."""
    more = {
        "chart/Chart.yaml": CHART.replace("NAME", "chart")
        + "dependencies:\n- {name: db, version: 1.0.0}\n",
        "chart/charts/db/Chart.yaml": CHART.replace("NAME", "db"),
        "chart/charts/db/values.yaml": "image: {tag: '1'}\nconfig: {A: x}\nown: 1\n",
        "chart/charts/db/templates/db.yaml": "apiVersion: v1\nkind: ConfigMap\n"
        "metadata: {name: db}\ndata: {a: '{{ .Values.image.tag }}{{ .Values.config.A }}'}\n",
        "chart/templates/db.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: of-db}\n"
        "data: {a: '{{ .Values.db.config.A }}'}\n"
        "# {{ if .Values.off }}{{ .Values.db.more }}{{ end }}\n",
    }
    values = "db:\n  image:\n    config: {A: b}\n  more: 1\n"
    (found,) = await unread(pool, values, more)
    assert (found.key, found.elsewhere) == ("db.image.config", "db.config")


async def test_names_in_items_of_a_list(pool: SandboxPool) -> None:
    """A name that no template reads of a list's items is told; what it prints whole is not."""
    more = {
        "chart/templates/apps.yaml": "{{ range .Values.apps }}\n---\napiVersion: v1\n"
        "kind: ConfigMap\nmetadata: {name: '{{ .name }}'}\n"
        "data: {file: '{{ .valueFile }}', env: {{ toJson .env | quote }}}\n{{ end }}\n"
    }
    values = "apps:\n- {name: a, valueFile: x, env: {any: 1}}\n- name: b\n  valuesFile: extra\n"
    (found,) = await unread(pool, values, more)
    assert (found.key, found.line) == ("apps[1].valuesFile", 4)
    assert "valueFile" in found.beside


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ("apps:\n- {name: a, space: x}\n- {name: b, spaec: y}\n", ("apps[1].spaec", ("space",))),
        ("apps:\n- {name: a, deepp: true}\n", ("apps[0].deepp", ("deep",))),
        ("apps:\n- {name: a, space: x, spaec: y}\n", None),
        (
            "apps:\n- {name: a, files: [x]}\n- {name: b, flies: [y]}\n",
            ("apps[1].flies", ("files",)),
        ),
        ("apps:\n- {name: a, other: x}\n", None),
    ],
)
async def test_slips_in_items_that_a_template_may_print(
    pool: SandboxPool, values: str, told: tuple[str, tuple[str, ...]] | None
) -> None:
    """Beside `toYaml .` a name is told that is nearly one which its item lacks, and no other."""
    more = {
        "chart/templates/apps.yaml": "{{ range .Values.apps }}\n---\napiVersion: v1\n"
        "kind: ConfigMap\nmetadata: {name: '{{ .name }}'}\n"
        "data: {space: '{{ .space }}', deep: '{{ if .deep }}yes{{ end }}'}\n"
        "{{ with .files }}files: {{ toYaml . | nindent 2 }}{{ end }}\n{{ end }}\n"
    }
    found = await unread(pool, values, more)
    assert [(one.key, one.beside) for one in found] == ([told] if told else [])
    assert all(one.loose and one.proven for one in found)


async def test_parameters_count_and_their_values_are_told_apart(pool: SandboxPool) -> None:
    """A parameter is a value like others; its digest says whether it is the same one as before."""
    first = await unread(pool, "", parameters=[{"name": "imag.tag", "value": "2.0"}])
    other = await unread(pool, "", parameters=[{"name": "imag.tag", "value": "3.0"}])
    assert [one.key for one in (*first, *other)] == ["imag", "imag"]
    assert first[0].digest != other[0].digest
    assert "2.0" not in first[0].digest


@pytest.mark.parametrize("names", [["chart/values.yaml", "prod.yaml"], ["prod.yaml"]])
async def test_files_of_a_release_of_flux(pool: SandboxPool, names: list[str]) -> None:
    """What `valuesFiles` give in the place of the chart's own values is given like others."""
    prod = "replicaCont: 4\nimage: {tga: '2', tag: '1'}\ningress: {host: shop.example}\n"
    release = {"releaseName": "a", "namespace": "b", "values": [], "valuesFiles": names}
    asked = ChartQuestion(
        tree=make_tree({**BASE, "prod.yaml": prod}),
        source={"path": "chart"},
        home=Home(),
        application=APPLICATION,
        revision=REVISION,
        flux={"helmRelease": release},
    )
    found = [
        (one.key, one.file, one.line, one.own) for one in (await pool.unread_values(asked)).values
    ]
    assert found == [("image.tga", "prod.yaml", 2, False), ("replicaCont", "prod.yaml", 1, False)]


async def test_a_folder_that_is_no_chart_has_no_values(pool: SandboxPool) -> None:
    """Nothing is asked of plain manifests."""
    asked = ChartQuestion(
        tree=make_tree({"one.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"}),
        source={"path": "."},
        home=Home(),
        application=APPLICATION,
        revision=REVISION,
    )
    assert (await pool.unread_values(asked)).values == ()


async def test_what_cannot_be_rendered_proves_nothing(pool: SandboxPool) -> None:
    """Where a template fails for want of a value, the name that the chart does not know is told."""
    (found,) = await unread(pool, "image:\ntag: '3.0'\n")
    assert (found.key, found.line, found.proven) == ("tag", 2, False)
    (found,) = await unread(pool, "tag: '3.0'\n")
    assert found.proven


@pytest.mark.parametrize("value", ["", " {}", " []", " ''", " ~", " {a: ~}", " '1'"])
async def test_a_name_has_its_line_whatever_its_value_is(pool: SandboxPool, value: str) -> None:
    """A line that gives nothing, as one whose block is not indented with it, is told as a line."""
    (found,) = await unread(pool, f"image:\n  tag: '1'\n  env:{value}\n")
    assert (found.key, found.file, found.line) == ("image.env", "prod.yaml", 3)
    home = Home("app.yaml", "Application", "shop", ("spec", "source"))
    document = (
        "kind: Application\nmetadata: {name: shop}\nspec:\n  source:\n    helm:\n"
        f"      valuesObject:\n        image:\n          env:{value}\n"
    )
    inline = yaml.safe_load(document)["spec"]["source"]["helm"]["valuesObject"]
    asked = ChartQuestion(
        tree=make_tree({**BASE, "app.yaml": document}),
        source={"path": "chart", "helm": {"valuesObject": inline}},
        home=home,
        application=APPLICATION,
        revision=REVISION,
    )
    (found,) = (await pool.unread_values(asked)).values
    assert (found.key, found.file, found.line) == ("image.env", "app.yaml", 8)


async def test_a_name_without_a_value_below_an_alias(pool: SandboxPool) -> None:
    """The line of an empty name is told where it stands below the alias of a subchart, too."""
    chart = CHART.replace("NAME", "chart") + "dependencies:\n  - {name: chart, alias: db}\n"
    more = {f"up/charts/chart/{name.removeprefix('chart/')}": text for name, text in BASE.items()}
    more |= {"up/Chart.yaml": chart, "prod.yaml": "db:\n  image:\n    env:\n"}
    asked = ChartQuestion(
        tree=make_tree(more),
        source={"path": "up", "helm": {"valueFiles": ["/prod.yaml"]}},
        home=Home(),
        application=APPLICATION,
        revision=REVISION,
    )
    (found,) = (await pool.unread_values(asked)).values
    assert (found.key, found.file, found.line) == ("db.image.env", "prod.yaml", 3)
    assert found.elsewhere == "db.env"
