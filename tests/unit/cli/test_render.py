"""`driftd render`."""

import json

import orjson
import pytest
import yaml

from driftd.cli import calls
from driftd.controller.declared import Entry
from driftd.controller.desired import Desired
from driftd.controller.manifests import Shown, TracedSource
from driftd.model.application import Application, ApplicationSpec, Destination
from driftd.model.condition import Condition
from driftd.model.resource import Manifest, Origin, ResourceKey
from driftd.sandbox.results import Place


def _manifest(kind, name, body, *, group="", file="", namespace="team", hook=""):
    document = {
        "apiVersion": f"{group}/v1" if group else "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        **body,
    }
    if hook:
        document["metadata"]["annotations"] = {"argocd.argoproj.io/hook": hook}
    key = ResourceKey(group=group, kind=kind, namespace=namespace, name=name)
    origin = Origin(source=0, file=file, line=7 if file else 0)
    return Manifest(key=key, version="v1", body=orjson.dumps(document), origin=origin)


def _entry():
    application = Application(name="app1", namespace="argocd", spec=ApplicationSpec())
    return Entry(application=application, project=None, target=None, destination=Destination())


@pytest.fixture(autouse=True)
def rendered(monkeypatch):
    """What the application `app1` renders to; the application asked for is recorded."""
    asked = []

    def render(options, narrator, *, kube_version, trace):
        asked.append(kube_version or options["applications"])
        manifests = (
            _manifest("ConfigMap", "settings", {"data": {"level": "yes"}}, file="apps/app1/c.yaml"),
            _manifest(
                "Secret",
                "database",
                {"data": {"password": "aHVudGVyMg=="}, "stringData": {"user": "hunter2"}},
            ),
            _manifest("Deployment", "app1", {"spec": {"replicas": 2}}, group="apps"),
        )
        hook = _manifest("Job", "migrate", {}, group="batch", hook="PreSync")
        problem = () if options["revision"] != "broken" else (Condition("RenderError", "no chart"),)
        desired = Desired(
            entry=_entry(), manifests=manifests, not_compared=(hook,), conditions=problem
        )
        if not trace:
            return [Shown(desired=desired, sources={}, places={})]
        source = TracedSource(
            repo_url="https://bot:hunter2@git.example/gitops.git",
            revision="ab" * 20,
            path="apps/app1",
        )
        lines = (("apps/app1/c.yaml", 8), ("apps/app1/c.yaml", 9), ("apps/app1/c.yaml", 12))
        places = tuple(Place(file, line) for file, line in (*lines, ("overlay/patch.yaml", 3)))
        return [
            Shown(
                desired=desired,
                sources={0: source},
                places={manifests[0].key: places},
                values={manifests[2].key: ("argocd/app1.yaml (spec.source.helm.values)", "v.yaml")},
            )
        ]

    monkeypatch.setattr(calls, "render", render)
    return asked


def test_yaml(driftd, golden, rendered):
    """The default is a YAML stream that says where each manifest comes from."""
    result = driftd("render", "app1")
    assert result.exit_code == 0
    assert rendered == [("app1",)]
    assert len(list(yaml.safe_load_all(result.stdout))) == 4
    golden.check("render.txt", result.stdout)


@pytest.mark.parametrize("output", ["yaml", "json"])
def test_secrets_are_masked(driftd, output):
    """No Secret value reaches the output, neither encoded nor plain; its keys do."""
    printed = driftd("render", "app1", "-o", output).stdout
    assert "aHVudGVyMg" not in printed
    assert "hunter2" not in printed
    assert "password" in printed


def test_json_is_a_list(driftd):
    """`-o json` is one List, as kubectl prints several objects."""
    document = json.loads(driftd("render", "app1", "-o", "json").stdout)
    assert document["kind"] == "List"
    assert [item["kind"] for item in document["items"]] == [
        "ConfigMap",
        "Secret",
        "Deployment",
        "Job",
    ]


def test_names(driftd):
    """`-o name` prints one line for each manifest."""
    assert driftd("render", "app1", "-o", "name").stdout.splitlines() == [
        "configmap/team/settings",
        "secret/team/database",
        "deployment.apps/team/app1",
        "job.batch/team/migrate",
    ]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (["deploy/app1"], ["deployment.apps/team/app1"]),
        (
            ["job/migrate", "cm/team/settings"],
            ["configmap/team/settings", "job.batch/team/migrate"],
        ),
    ],
)
def test_objects_that_are_named(driftd, asked, found):
    """Kinds as with kubectl; the order is that of the rendering."""
    assert driftd("render", "app1", *asked, "-o", "name").stdout.splitlines() == found


def test_an_object_that_is_not_rendered(driftd):
    """A name that fits nothing is an error, and nothing is printed."""
    result = driftd("render", "app1", "deployment/app1", "service/app1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no object service/app1 is rendered" in result.stderr


def test_what_is_masked_cannot_be_applied(driftd):
    """A stand-in is a map: the API server takes none for a text."""
    documents = list(yaml.safe_load_all(driftd("render", "app1", "secret/database").stdout))
    assert documents[0]["stringData"] == {"user": {"masked": True}}
    assert documents[0]["data"] == {"password": {"masked": True}}


def test_application_is_required(driftd, rendered):
    """Without APP nothing is rendered."""
    assert driftd("render").exit_code == 2
    assert rendered == []


def test_problems_are_told(driftd):
    """What could not be rendered is told on standard error beside what was; exit 2."""
    result = driftd("render", "app1", "-o", "name", "--revision", "broken")
    assert result.exit_code == 2
    assert result.stderr == "error: app1: RenderError: no chart\n"
    assert "configmap/team/settings" in result.stdout


def test_trace(driftd, golden):
    """`--trace` tells the source, the lines that set fields, and no credential of the URL."""
    result = driftd("render", "app1", "--trace")
    assert "hunter2" not in result.stdout
    assert len(list(yaml.safe_load_all(result.stdout))) == 4
    golden.check("render-trace.txt", result.stdout)


def test_trace_as_json(driftd):
    """`--trace -o json` is a list of objects with their origin; hooks say why they do not count."""
    document = json.loads(driftd("render", "app1", "--trace", "-o", "json").stdout)
    assert document["kind"] == "RenderTrace"
    first, *_, hook = document["items"]
    assert first["origin"] == {"file": "apps/app1/c.yaml", "line": 7}
    assert first["setBy"][-1] == {"file": "overlay/patch.yaml", "line": 3}
    assert "values" not in first
    assert document["items"][2]["values"][1] == "v.yaml"
    assert "hunter2" not in json.dumps(document)
    assert (hook["notCompared"], hook["object"]["kind"]) == ("hook PreSync", "Job")


def test_trace_of_names(driftd):
    """`--trace -o name` adds the file and line where the object is declared."""
    lines = driftd("render", "app1", "--trace", "-o", "name").stdout.splitlines()
    assert lines[:2] == ["configmap/team/settings  apps/app1/c.yaml:7", "secret/team/database"]


@pytest.mark.parametrize(("given", "told"), [("1.31", "v1.31.0"), ("v1.31.4", "v1.31.4")])
def test_kube_version(driftd, rendered, given, told):
    """`--kube-version` reaches the renderer as charts know versions."""
    assert driftd("render", "app1", "--kube-version", given).exit_code == 0
    assert rendered == [told]


def test_kube_version_must_be_one(driftd, rendered):
    """What is no version is a usage error that shows one."""
    result = driftd("render", "app1", "--kube-version", "latest")
    assert (result.exit_code, rendered) == (2, [])
    assert "is not a version such as 1.35" in result.stderr
