"""Helm charts as `helm template` renders them with Argo CD's arguments."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import pytest

from driftd.errors import RenderError
from driftd.model.application import ApplicationSource, HelmParameter, HelmSource

from .conftest import make_tree, objects

pytestmark = pytest.mark.slow

CONFIG = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}, namespace: {{ .Release.Namespace }}}
data:
  value: {{ .Values.value | toJson | quote }}
"""
CHART = {
    "chart/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.2.3\n",
    "chart/values.yaml": "value: chart\nlist: [1]\n",
    "chart/templates/config.yaml": CONFIG,
    "chart/templates/NOTES.txt": "Thank you",
    "chart/templates/_helpers.tpl": '{{ define "x" }}{{ end }}',
}


def with_template(text: str, **files: str) -> dict[str, str | bytes]:
    """The chart with one template of its own."""
    return {**CHART, "chart/templates/config.yaml": text, **files}


def config(expression: str) -> str:
    """A template whose data.value is an expression."""
    return (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
        f"data: {{value: {{{{ {expression} | toString | quote }}}}}}\n"
    )


def source(**helm: Any) -> dict[str, Any]:
    """A source with fields of source.helm."""
    return {"path": "chart", "helm": helm}


async def value(
    render: Any, files: dict[str, str | bytes], helm: dict[str, Any], **more: Any
) -> Any:
    """What the chart makes of its value."""
    (rendered,) = objects(await render(files, {"path": "chart", "helm": helm}, **more))
    return rendered["data"]["value"]


async def test_chart_is_detected_and_rendered(render: Any) -> None:
    """Chart.yaml makes a Helm source; notes and partials give nothing; files are named."""
    result = await render(CHART, {"path": "chart"})
    assert result.type == "Helm"
    assert [d.file for d in result.documents] == ["chart/templates/config.yaml"]
    assert objects(result)[0]["metadata"] == {"name": "shop", "namespace": "shop-prod"}


async def test_precedence_of_values(render: Any) -> None:
    """Parameters beat valuesObject, which replaces values, which beat value files, then chart."""
    files = CHART | {"chart/a.yaml": "value: a", "chart/b.yaml": "value: b"}
    helm: dict[str, Any] = {}
    assert await value(render, files, helm) == '"chart"'
    helm["valueFiles"] = ["a.yaml", "b.yaml"]
    assert await value(render, files, helm) == '"b"'
    helm["values"] = "value: values"
    assert await value(render, files, helm) == '"values"'
    helm["valuesObject"] = {"other": 1}
    assert await value(render, files, helm) == '"b"'
    helm["valuesObject"] = {"value": "object"}
    assert await value(render, files, helm) == '"object"'
    helm["parameters"] = [{"name": "value", "value": "parameter"}]
    assert await value(render, files, helm) == '"parameter"'


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ({"value": "12"}, "12"),
        ({"value": "12", "forceString": True}, '"12"'),
        ({"value": "true"}, "true"),
        ({"value": "a,b"}, '"a,b"'),
        ({"value": "{a,b}"}, '["a","b"]'),
        ({"value": "a=b"}, '"a=b"'),
        ({"value": "$ARGOCD_APP_NAME-$$x-${ARGOCD_APP_PROJECT_NAME}$NONE"}, '"shop-$x-team"'),
    ],
)
async def test_parameters(render: Any, parameter: dict[str, Any], expected: str) -> None:
    """Parameters are typed as --set types them, commas are kept, variables are replaced."""
    assert await value(render, CHART, {"parameters": [{"name": "value", **parameter}]}) == expected


async def test_model_source(render: Any) -> None:
    """The typed source of the model gives the same as Argo CD's JSON."""
    typed = ApplicationSource(
        path="chart",
        helm=HelmSource(
            release_name="other",
            values_object={"value": {"a": 1}},
            parameters=(HelmParameter(name="value.b", value="2", force_string=True),),
        ),
    )
    (rendered,) = objects(await render(CHART, typed))
    assert rendered["metadata"]["name"] == "other"
    assert rendered["data"]["value"] == '{"a":1,"b":"2"}'


async def test_value_file_places(render: Any) -> None:
    """Value files are found beside the chart, from the root, by pattern and by variable."""
    files = CHART | {
        "chart/env/shop.yaml": "value: env",
        "shared/1.yaml": "value: one",
        "shared/2.yaml": "value: two",
    }
    for name, expected in (
        ("env/$ARGOCD_APP_NAME.yaml", "env"),
        ("/shared/1.yaml", "one"),
        ("../shared/1.yaml", "one"),
        ("../shared/*.yaml", "two"),
    ):
        assert await value(render, files, {"valueFiles": [name]}) == f'"{expected}"'


async def test_value_files_of_another_source(render: Any) -> None:
    """$values/… reads the tree of that ref; an unknown ref is an error."""
    refs = {"values": make_tree({"prod/web.yaml": "value: ref"})}
    helm = {"valueFiles": ["$values/prod/web.yaml"]}
    assert await value(render, CHART, helm, refs=refs) == '"ref"'
    with pytest.raises(RenderError, match='ref "values"'):
        await render(CHART, source(**helm))


async def test_file_parameters(render: Any) -> None:
    """A file parameter takes the file's text as it is."""
    files = CHART | {"chart/text.txt": "a, b: [\n"}
    helm = {"fileParameters": [{"name": "value", "path": "text.txt"}]}
    assert await value(render, files, helm) == '"a, b: [\\n"'


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("gone.yaml", "path-missing"),
        ("../../etc/passwd", "symlink"),
        ("/etc/passwd", "path-missing"),
        ("%2e%2e/%2e%2e/etc/passwd", "path-missing"),
        ("../outside/link.yaml", "symlink"),
        ("https://169.254.169.254/latest", "unsupported"),
        ("file:///etc/passwd", "unsupported"),
        ("secrets://values.yaml", "unsupported"),
        ("*.none", "path-missing"),
    ],
)
async def test_value_files_outside_are_refused(render: Any, name: str, reason: str) -> None:
    """Traversal, links out of the tree and URLs are errors that name the file."""
    links = {"outside/link.yaml": "/etc/passwd"}
    with pytest.raises(RenderError) as caught:
        await render(CHART, source(valueFiles=[name]), links=links)
    assert caught.value.reason == reason
    assert name in str(caught.value)


async def test_missing_value_files_can_be_ignored(render: Any) -> None:
    """With ignoreMissingValueFiles a missing file is passed over, an escape is still an error."""
    helm = {"valueFiles": ["gone.yaml"], "ignoreMissingValueFiles": True}
    assert await value(render, CHART, helm) == '"chart"'
    with pytest.raises(RenderError):
        await render(CHART, source(**helm | {"valueFiles": ["../../x"]}))


async def test_capabilities(render: Any) -> None:
    """Versions come from the cluster unless the source sets its own."""
    template = with_template(
        config(
            'printf "%s %t" .Capabilities.KubeVersion.Version'
            ' (.Capabilities.APIVersions.Has "a.io/v1")'
        )
    )
    assert await value(render, template, {}) == "v1.36.0 false"
    assert await value(render, template, {}, api_versions=["a.io/v1"]) == "v1.36.0 true"
    assert await value(render, template, {"kubeVersion": "1.30.2"}) == "v1.30.2 false"
    assert await value(render, template, {"apiVersions": ["a.io/v1"]}) == "v1.36.0 true"


async def test_release(render: Any) -> None:
    """It is an install in the source's or destination's namespace."""
    template = with_template(
        config('printf "%t %t %s" .Release.IsInstall .Release.IsUpgrade .Release.Namespace')
    )
    assert await value(render, template, {}) == "true false shop-prod"
    assert await value(render, template, {"namespace": "other"}) == "true false other"


async def test_crds_hooks_and_tests(render: Any) -> None:
    """CRDs come first unless skipped; hooks stay; tests stay unless skipped."""
    hook = "apiVersion: v1\nkind: Pod\nmetadata: {name: %s, annotations: {helm.sh/hook: %s}}\n"
    files = CHART | {
        "chart/crds/crd.yaml": "apiVersion: apiextensions.k8s.io/v1\n"
        "kind: CustomResourceDefinition\nmetadata: {name: a}\n",
        "chart/templates/hook.yaml": hook % ("before", "pre-install"),
        "chart/templates/tests/test.yaml": hook % ("test", "test"),
    }

    async def names(**helm: Any) -> list[str]:
        return [o["metadata"]["name"] for o in objects(await render(files, source(**helm)))]

    assert await names() == ["a", "shop", "before", "test"]
    assert await names(skipCrds=True) == ["shop", "before", "test"]
    assert await names(skipTests=True) == ["a", "shop", "before"]


def packed(files: dict[str, str]) -> bytes:
    """A chart archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


SUB = {
    "sub/Chart.yaml": "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
    "sub/values.yaml": "n1: 1\n",
    "sub/templates/a.yaml": "kind: Secret\nmetadata: {name: sub-{{ .Values.n1 }}}\n",
}
PARENT = {
    **CHART,
    "chart/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n"
    "dependencies: [{name: sub, version: 1.x, repository: %s, condition: sub.enabled}]\n",
}


def depending_on(repository: str) -> dict[str, str | bytes]:
    """The chart with a dependency from a repository."""
    return {**PARENT, "chart/Chart.yaml": PARENT["chart/Chart.yaml"] % repository}


@pytest.mark.parametrize(
    "vendored",
    [
        {f"chart/charts/{name}": text for name, text in SUB.items()},
        {"chart/charts/sub-1.0.0.tgz": packed(SUB)},
    ],
    ids=["folder", "archive"],
)
async def test_vendored_dependencies(render: Any, vendored: dict[str, str | bytes]) -> None:
    """Subcharts in charts/ render with their values and obey their condition."""
    files = depending_on("https://example.org") | vendored
    names = [
        o["metadata"]["name"] for o in objects(await render(files, source(values="sub: {n1: 7}")))
    ]
    assert sorted(names) == ["shop", "sub-7"]
    off = objects(await render(files, source(values="sub: {enabled: false}")))
    assert [o["metadata"]["name"] for o in off] == ["shop"]


async def test_a_key_of_values_that_stands_twice(render: Any) -> None:
    """The last one counts, as Helm has it; it is told with its line, of each file that is taken."""
    files = {
        **CHART,
        "chart/a.yaml": "value: one\nlist: []\nvalue: two\n",
        "chart/b.yaml": "deep:\n  key: 1\n  other: 2\n  key: 3\n",
        "chart/unused.yaml": "value: one\nvalue: two\n",
    }
    result = await render(files, source(valueFiles=["a.yaml", "b.yaml"]))
    assert objects(result)[0]["data"]["value"] == '"two"'
    end = "stands twice in one mapping: the last one counts, and nothing of the first; merge them"
    assert list(result.warnings) == [
        f"chart/a.yaml:3: the key value {end}",
        f"chart/b.yaml:4: the key key {end}",
    ]
    own = {**CHART, "chart/values.yaml": "value: one\nvalue: two\n"}
    assert list((await render(own, source())).warnings) == [
        f"chart/values.yaml:2: the key value {end}"
    ]


async def test_packed_charts_of_another_version(render: Any) -> None:
    """Helm renders what is packed, and nothing under an alias; the line of the version is told."""
    head = "apiVersion: v2\nname: web\nversion: 1.0.0\ndependencies:\n"
    files = {**CHART, "chart/charts/sub-1.0.0.tgz": packed(SUB)}

    async def told(*dependencies: str) -> tuple[int, list[str]]:
        wanted = "".join(f"- name: sub\n  version: {one}\n" for one in dependencies)
        result = await render({**files, "chart/Chart.yaml": f"{head}{wanted}"}, source())
        return len(objects(result)) - 1, list(result.warnings)

    def warning(line: int, effect: str) -> str:
        return (
            f"chart/Chart.yaml:{line}: dependency sub asks for version 2.0.0, and charts/ has "
            f"1.0.0: Helm renders {effect}; run `helm dependency update` and commit charts/ with "
            "Chart.lock"
        )

    other = "\n  alias: other"
    assert await told("1.x") == await told(f"1.0.0{other}") == (1, [])
    assert await told("2.0.0") == (1, [warning(6, "what is there")])
    effect = "what is there, as sub and not as other"
    assert await told(f"2.0.0{other}") == (1, [warning(6, effect)])
    assert await told("1.x", f"2.0.0{other}") == (1, [warning(8, "nothing as other")])


async def test_dependencies_in_the_repository(render: Any) -> None:
    """A file:// dependency is taken from the tree, if its version fits."""
    files = {**depending_on("file://../sub"), **SUB}
    result = await render(files, source())
    assert sorted(o["metadata"]["name"] for o in objects(result)) == ["shop", "sub-1"]
    files["sub/Chart.yaml"] = "apiVersion: v2\nname: sub\nversion: 2.0.0\n"
    with pytest.raises(RenderError, match=r"2\.0\.0") as caught:
        await render(files, source())
    assert caught.value.reason == "dependency-missing"


@pytest.mark.parametrize(
    "repository", ["https://example.org", "file://../../../etc", "file://gone"]
)
async def test_missing_dependencies(render: Any, repository: str) -> None:
    """A dependency that is not vendored is an error with its own code and a remedy."""
    with pytest.raises(RenderError, match="sub") as caught:
        await render(depending_on(repository), source())
    assert caught.value.reason == "dependency-missing"
    assert "helm dependency build" in caught.value.hint


async def test_charts_that_depend_on_themselves(render: Any) -> None:
    """A file:// cycle ends with an error."""
    with pytest.raises(RenderError) as caught:
        await render(depending_on("file://../chart"), source())
    assert caught.value.reason in ("limit", "helm-error", "dependency-missing")


@pytest.mark.parametrize(
    "expression",
    [
        'lookup "v1" "Secret" "kube-system" "" | toJson',
        '(.Files.Get "../../etc/passwd")',
        '(.Files.Get "/etc/passwd")',
        '(getHostByName "localhost")',
    ],
)
async def test_templates_see_nothing_outside(render: Any, expression: str) -> None:
    """The functions lookup, Files.Get and getHostByName answer with nothing."""
    assert await value(render, with_template(config(expression)), {}) in ("", "{}")


@pytest.mark.parametrize("function", ['env "PATH"', 'expandenv "$PATH"'])
async def test_environment_functions_do_not_exist(render: Any, function: str) -> None:
    """The functions env and expandenv are not defined."""
    with pytest.raises(RenderError, match="not defined") as caught:
        await render(with_template(config(function)), source())
    assert caught.value.reason == "helm-error"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ .Values.value.x.y }}", "config.yaml"),
        ('{{ required "value.z is needed" .Values.z }}', "value.z is needed"),
        ('{{ fail "no way" }}', "no way"),
        ("{{ if }}", "config.yaml"),
        ("a: [", "config.yaml"),
        ('{{ define "a" }}{{ include "a" . }}{{ end }}{{ include "a" . }}', "config.yaml"),
    ],
)
async def test_template_errors_name_the_file(render: Any, text: str, message: str) -> None:
    """Errors of templates and of what they render name the template."""
    with pytest.raises(RenderError, match=message):
        await render(with_template(text), source())


async def test_template_that_is_blamed(render: Any) -> None:
    """The file of the error is the template, as far as the tree has it."""
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n bad: y\n"
    for broken in ("{{ .Values.value.x.y }}", "{{ if }}", text):
        with pytest.raises(RenderError) as caught:
            await render(with_template(broken), source())
        assert caught.value.message.startswith("chart/templates/config.yaml: ")


async def test_schema(render: Any) -> None:
    """Values are validated unless that is skipped; a schema elsewhere is not fetched."""
    schema = '{"properties": {"value": {"type": "integer"}}}'
    files = CHART | {"chart/values.schema.json": schema}
    with pytest.raises(RenderError, match="schema"):
        await render(files, source())
    assert await value(render, files, {"skipSchemaValidation": True}) == '"chart"'
    for reference in ("https://127.0.0.1:1/s.json", "file:///etc/passwd"):
        remote = CHART | {"chart/values.schema.json": f'{{"$ref": "{reference}"}}'}
        with pytest.raises(RenderError):
            await render(remote, source())


async def test_helmignore(render: Any) -> None:
    """Files that .helmignore names are no part of the chart."""
    files = CHART | {
        "chart/.helmignore": "ignored*\nold/\n",
        "chart/templates/ignored.yaml": "a: [",
        "chart/templates/old/b.yaml": "b: [",
        "chart/templates/.hidden.yaml": "c: [",
    }
    assert len((await render(files, source())).documents) == 1


async def test_chart_requirements(render: Any) -> None:
    """A chart that does not fit the cluster, or that is no chart, is an error."""
    files = CHART | {
        "chart/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.2.3\nkubeVersion: '>=1.40'\n"
    }
    with pytest.raises(RenderError, match=r"requires kubeVersion >=1\.40"):
        await render(files, source())
    with pytest.raises(RenderError, match=r"Chart\.yaml") as caught:
        await render({"chart/x": ""}, source())
    assert caught.value.reason == "path-missing"


async def test_links_in_a_chart(render: Any) -> None:
    """Links inside the repository are followed; one that leaves it or dangles is an error."""
    files = {**with_template("", **{"shared/x.yaml": config(".Release.Name")})}
    links = {
        "chart/templates/x.yaml": "../../shared/x.yaml",
        "chart/templates/more": "../../shared",
    }
    result = await render(files, source(), links=links)
    assert [d.file for d in result.documents] == [
        "chart/templates/more/x.yaml",
        "chart/templates/x.yaml",
    ]
    for target in ("/etc/passwd", "../../../x", "gone"):
        with pytest.raises(RenderError, match="link"):
            await render(files, source(), links={"chart/templates/link": target})


@pytest.mark.parametrize(
    ("helm", "where", "what"),
    [
        ({"valueFiles": ["a.yaml", "null.yaml"]}, "null.yaml:2", "empty (null)"),
        ({"valueFiles": ["null.yaml", "text.yaml"]}, "text.yaml:1", "a text"),
        ({"valueFiles": ["list.yaml"]}, "list.yaml:1", "a list"),
        ({"valueFiles": ["a.yaml"], "values": "sub: 7"}, "Chart.yaml", "a number"),
        ({"valueFiles": ["null.yaml"], "values": "sub:"}, "Chart.yaml", "empty (null)"),
        (
            {"valueFiles": ["on.yaml"], "parameters": [{"name": "value", "value": "1"}]},
            "on.yaml:1",
            "a truth value",
        ),
    ],
)
async def test_values_of_a_subchart_that_are_no_map(
    render: Any, helm: dict[str, Any], where: str, what: str
) -> None:
    """The line that gives them is named and what they are, without the value or Go's complaint."""
    files = {
        **depending_on("file://../sub"),
        **SUB,
        "chart/a.yaml": "sub: {n1: 2}\n",
        "chart/null.yaml": "value: 1\nsub:\nn1: 3\n",
        "chart/text.yaml": "sub: hunter22\n",
        "chart/list.yaml": "sub: [hunter22]\n",
        "chart/on.yaml": "sub: true\n",
    }
    with pytest.raises(RenderError) as caught:
        await render(files, source(**helm))
    told = f"chart/{where}: the values of the subchart sub are {what} where a map is expected"
    assert str(caught.value).startswith(told)
    assert "%!" not in str(caught.value)
    assert "hunter22" not in str(caught.value)
