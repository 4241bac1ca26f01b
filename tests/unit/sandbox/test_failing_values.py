"""Values of a change that make a chart fail: proven by rendering without them."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.sandbox.pool import ChartQuestion, Home, SandboxPool
from driftd.sandbox.results import FailingValue
from tests.unit.sandbox.conftest import APPLICATION, REVISION, make_tree

pytestmark = pytest.mark.slow

TEMPLATE = """\
{{- define "chart.size" }}{{ mul .size 2 }}{{ end -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
data:
  {{- range $name, $value := .Values.secrets }}
  {{ $name }}: {{ $value | b64enc }}
  {{- end }}
  {{- range .Values.hosts }}
  {{ .name | trunc 8 }}: x
  {{- end }}
  size: "{{ include "chart.size" .Values.disk }}"
  {{- if gt (int .Values.replicas) 8 }}
  {{- fail "too many replicas" }}
  {{- end }}
  {{- if and .Values.tls.enabled (not .Values.tls.secret) }}
  {{- fail "tls needs a secret" }}
  {{- end }}
"""
CHART = {
    "chart/Chart.yaml": "apiVersion: v2\nname: chart\nversion: 1.0.0\n",
    "chart/values.yaml": "replicas: 1\ndisk: {size: 1}\ntls: {enabled: false}\n",
    "chart/templates/app.yaml": TEMPLATE,
}
BASE = """\
secrets:
  PASSWORD: dummy
hosts:
  - name: a.example
env:
  RETRIES: 3
"""


def question(values: str, more: dict[str, str] | None = None, **options: Any) -> ChartQuestion:
    """One side: a chart with a file of values."""
    fields: dict[str, Any] = {
        "tree": make_tree({**CHART, "prod.yaml": values, **(more or {})}),
        "source": {"path": "chart", "helm": {"valueFiles": ["/prod.yaml"]}},
        "home": Home(),
        "application": APPLICATION,
        "revision": REVISION,
    }
    return ChartQuestion(**(fields | options))


async def failing(
    pool: SandboxPool, values: str, more: dict[str, str] | None = None
) -> list[FailingValue]:
    """What of a changed file makes the chart fail."""
    return list((await pool.failing_values(question(values, more), question(BASE))).values)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("env:\n  RETRIES: 3", "  env:\n    RETRIES: 3", ("secrets.env", 3, True, "")),
        ("PASSWORD: dummy", "PASSWORD: 7", ("secrets.PASSWORD", 2, False, "")),
        ("PASSWORD: dummy", "PASSWORD: dummy\n  PIN: 7", ("secrets.PIN", 3, True, "")),
        ("a.example", "a.example\n  - name: [b]", ("hosts[1]", 5, True, "")),
        ("a.example", "{b: c}", ("hosts[0].name", 4, False, "")),
        ("env:", "replicas: 9\nenv:", ("replicas", 5, True, "")),
        ("env:", "disk: 5\nenv:", ("disk", 5, True, "")),
    ],
)
async def test_the_value_that_makes_a_template_fail(
    pool: SandboxPool, old: str, new: str, told: tuple[str, int, bool, str]
) -> None:
    """The value of a loop, a helper or a template that is included is told with its line."""
    changed = BASE.replace(old, new)
    if told[0] == "secrets.env":  # moved below the block before it
        changed = (
            "secrets:\n  PASSWORD: dummy\n  env:\n    RETRIES: 3\nhosts:\n  - name: a.example\n"
        )
        told = ("secrets.env", 3, True, "env")
    (found,) = await failing(pool, changed)
    assert not found.alone
    assert (found.key, found.line, found.added, found.before) == told
    assert found.file == "prod.yaml"


async def test_among_many_changes_the_one_that_counts(pool: SandboxPool) -> None:
    """Of more changed values than are tried one by one the failing one is found by halves."""
    more = "".join(f"other{number}: {number}\n" for number in range(40))
    (found,) = await failing(pool, BASE.replace("dummy", "7") + more)
    assert (found.key, found.added) == ("secrets.PASSWORD", False)


async def test_one_member_of_a_new_block(pool: SandboxPool) -> None:
    """Of a block that is new the one value is told without which the chart renders."""
    (found,) = await failing(pool, BASE + "tls: {enabled: true, secret: ''}\n")
    assert found.key == "tls.enabled"


async def test_several_mistakes_are_each_told(pool: SandboxPool) -> None:
    """Of a block whose first line alone moved each value is told that is enough, the line first.

    One that fails only without another value of the change is none.
    """
    moved = "secrets:\n  PASSWORD: dummy\n  env:\n  RETRIES: 3\n  MODE: slow\nhosts:\n"
    moved += "  - name: a.example\ntls: {enabled: true, secret: web}\n"
    found = await failing(pool, moved)
    assert [(one.key, one.line, one.alone, one.before) for one in found] == [
        ("secrets.env", 3, True, "env"),
        ("secrets.RETRIES", 4, True, ""),
    ]


async def test_what_is_not_surely_a_value_of_the_change(pool: SandboxPool) -> None:
    """Nothing is told of a template that fails by itself, or failed before."""
    broken = {"chart/templates/app.yaml": TEMPLATE + '{{ fail "always" }}\n'}
    assert await failing(pool, BASE.replace("dummy", "7"), broken) == []
    before = question(BASE.replace("dummy", "7"))
    after = question(BASE.replace("dummy", "8"))
    assert (await pool.failing_values(after, before)).values == ()
    assert await failing(pool, BASE) == []


async def test_a_default_of_the_chart_and_a_release_of_flux(pool: SandboxPool) -> None:
    """A change of the chart's own values is told there, one of a HelmRelease by its name."""
    values = CHART["chart/values.yaml"].replace("replicas: 1", "replicas: 9")
    (found,) = await failing(pool, BASE, {"chart/values.yaml": values})
    assert (found.key, found.file, found.line) == ("replicas", "chart/values.yaml", 1)
    release = {"releaseName": "a", "namespace": "b", "valuesFiles": []}
    sides = [
        question(
            BASE,
            source={"path": "chart"},
            flux={"helmRelease": {**release, "values": [{"object": {"replicas": replicas}}]}},
        )
        for replicas in (9, 2)
    ]
    (found,) = (await pool.failing_values(sides[0], sides[1])).values
    assert (found.key, found.added) == ("replicas", False)
