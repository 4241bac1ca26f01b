"""Finding what a repository declares, with the real sandbox worker."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from driftd.applicationset.catalog import Catalog, candidate_files, discover
from driftd.applicationset.generators import git_choices, meant_pattern
from driftd.model.condition import Severity
from driftd.model.project import PERMISSIVE
from driftd.model.tree import Tree
from driftd.policy.project import check_application, check_manifests
from driftd.render.renderer import render_application
from driftd.sandbox.pool import SandboxPool
from driftd.source.repositories import Repositories, git_urls
from tests.testbed.gitrepo import GitRepo

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).resolve().parents[2] / "fixtures" / "kubernetes-gitops"
ENVIRONMENTS = ("development", "production", "staging")

APPLICATION = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: NAME, namespace: argocd}
spec:
  project: PROJECT
  source: {repoURL: https://example.com/x, path: apps}
  destination: {server: https://one.example.com, namespace: a}
"""
SET = """\
apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: {name: fleet, namespace: argocd}
spec:
  generators: [GENERATOR]
  template:
    metadata: {name: '{{name}}'}
    spec:
      project: default
      source: {repoURL: https://example.com/x, path: apps}
      destination: {server: https://one.example.com, namespace: a}
"""


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxPool]:
    """One worker."""
    async with SandboxPool(size=1) as pool:
        yield pool


def _app(name: str, project: str = "default") -> str:
    return APPLICATION.replace("NAME", name).replace("PROJECT", project)


async def _discover(sandbox: SandboxPool, files: dict[str, str]) -> Catalog:
    tree = Tree(str(sorted(files.items())), {path: text.encode() for path, text in files.items()})
    return await discover(tree, sandbox)


def _names(catalog: Catalog) -> list[str]:
    return [app.name for app in catalog.applications]


async def test_everything_is_found_wherever_it_lies(sandbox: SandboxPool) -> None:
    """Applications in YAML, JSON, lists and several documents of a file, at any depth."""
    listed = "apiVersion: v1\nkind: List\nitems:\n- " + _app("in-list").replace("\n", "\n  ")
    catalog = await _discover(
        sandbox,
        {
            "root.yaml": f"# two\n---\n{_app('one')}---\n{_app('two')}",
            "deep/er/x.yml": _app("three"),
            "list.yaml": listed.rstrip() + "\n",
            "j.json": '{"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": '
            '{"name": "json"}, "spec": {"destination": {"name": "x"}, "unknown": {"new": 1}}}',
            "other.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: argoproj.io}\n",
            "workflow.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: 1\n",
            "README.md": _app("not-yaml"),
        },
    )
    assert _names(catalog) == ["in-list", "json", "one", "three", "two"]
    assert catalog.conditions == ()
    by_name = {app.name: app for app in catalog.applications}
    assert by_name["two"].origin == "root.yaml"
    assert by_name["json"].namespace == "argocd"
    assert by_name["json"].raw["spec"]["unknown"] == {"new": 1}


def test_templates_of_charts_are_not_documents() -> None:
    """Files below a chart's `templates/` are no candidates; a folder of that name elsewhere is."""
    files = {
        "chart/Chart.yaml": "name: argoproj.io",
        "chart/templates/app.yaml": "argoproj.io",
        "chart/charts/sub/Chart.yaml": "x",
        "chart/charts/sub/templates/deep/app.yaml": "argoproj.io",
        "chart/crds/app.yaml": "argoproj.io",
        "templates/app.yaml": "argoproj.io",
        "other/templates/app.yaml": "argoproj.io",
        "other/none.yaml": "x",
    }
    tree = Tree("t", {path: text.encode() for path, text in files.items()})
    assert candidate_files(tree) == [
        "chart/Chart.yaml",
        "chart/crds/app.yaml",
        "other/templates/app.yaml",
        "templates/app.yaml",
    ]


async def test_patches_are_parts_not_documents(sandbox: SandboxPool) -> None:
    """A file that a kustomization uses as a patch is no Application of its own."""
    patch = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: one}\n"
    catalog = await _discover(
        sandbox,
        {
            "base/one.yaml": _app("one"),
            "prod/kustomization.yaml": "resources: [../base]\npatches:\n- path: ./one-patch.yaml\n"
            "patchesStrategicMerge: [old.yaml]\n",
            "prod/one-patch.yaml": patch,
            "prod/old.yaml": patch,
        },
    )
    assert _names(catalog) == ["one"]
    assert catalog.conditions == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_app("bad").replace("path: apps", "path: [apps]"), "spec.source.path must be text, not a"),
        (
            _app("bad").replace("  project: PROJECT\n", "").replace("spec:", "specs:"),
            "spec is miss",
        ),
        (_app("Bad_Name"), "metadata.name 'Bad_Name' is not a valid name"),
        (_app("bad").replace("name: bad, ", ""), "metadata.name is missing"),
        (
            _app("bad") + "  ignoreDifferences: [{group: apps}]\n",
            "spec.ignoreDifferences[0].kind is missing",
        ),
        (_app("bad") + "  broken: [\n", "line"),
    ],
)
async def test_an_invalid_document_is_named_and_the_others_count(
    sandbox: SandboxPool, text: str, message: str
) -> None:
    """Invariant 2: a bad document is a condition with file, document and field; others count."""
    catalog = await _discover(sandbox, {"all.yaml": f"{_app('good')}---\n{text}"})
    assert _names(catalog) == ["good"]
    [condition] = catalog.conditions
    assert condition.severity is Severity.ERROR
    assert "all.yaml, document 2" in condition.message
    assert message in condition.message


async def test_null_is_absent(sandbox: SandboxPool) -> None:
    """A field set to null counts as not set, as in Kubernetes; Helm's values keep theirs."""
    text = _app("one") + "  syncPolicy: null\n  ignoreDifferences:\n"
    text = text.replace(
        "path: apps", "path: apps, helm: {valueFiles: null, valuesObject: {a: null}}"
    )
    catalog = await _discover(sandbox, {"a.yaml": text})
    assert catalog.conditions == ()
    source = catalog.applications[0].spec.all_sources[0]
    assert source.helm is not None
    assert source.helm.values_object == {"a": None}


async def test_lines_that_a_project_is_asked_about(sandbox: SandboxPool) -> None:
    """An Application knows the lines of its destination and project, where they are certain."""
    text = f"{_app('first')}---\n# two\n{_app('second')}"
    catalog = await _discover(sandbox, {"all.yaml": text})
    for app in catalog.applications:
        lines = text.splitlines()
        assert lines[app.lines["destination"] - 1].strip().startswith("destination:")
        begin = next(i for i, line in enumerate(lines, 1) if app.name in line)
        assert begin < app.lines["destination"] < begin + 15
    twice = _app("first") + "  info: [{name: a, destination: b}]\n"
    [app] = (await _discover(sandbox, {"all.yaml": twice})).applications
    assert "destination" not in app.lines


async def test_duplicate_names_are_conditions(sandbox: SandboxPool) -> None:
    """The last of two Applications counts: an error if they differ, a warning if they do not."""
    files = {"a.yaml": _app("one"), "b.yaml": _app("one", "other")}
    catalog = await _discover(sandbox, files)
    assert [app.spec.project for app in catalog.applications] == ["other"]
    [condition] = catalog.conditions
    assert condition.severity is Severity.ERROR
    assert "a.yaml, document 1 and again in b.yaml, document 1" in condition.message
    same = await _discover(sandbox, {"a.yaml": _app("one"), "b.yaml": _app("one")})
    assert [c.severity for c in same.conditions] == [Severity.WARNING]


async def test_projects_and_the_default(sandbox: SandboxPool) -> None:
    """Projects are known by name, a missing `default` permits all, a missing other is None."""
    project = "apiVersion: argoproj.io/v1alpha1\nkind: AppProject\nmetadata: {name: team}\n"
    files = {
        "p.yaml": project + "spec: {sourceRepos: ['*'], clusterResourceWhitelist: []}\n",
        "a.yaml": f"{_app('a', 'team')}---\n{_app('b')}---\n{_app('c', 'nope')}",
    }
    catalog = await _discover(sandbox, files)
    a, b, c = catalog.applications
    found = catalog.project_of(a)
    assert found is not None
    assert found.spec.source_repos == ("*",)
    assert catalog.project_of(b) is PERMISSIVE
    assert catalog.project_of(c) is None


async def test_a_broken_default_project_permits_nothing(sandbox: SandboxPool) -> None:
    """What an unreadable `default` forbids is not known, so it is not taken for the open one."""
    broken = (
        "apiVersion: argoproj.io/v1alpha1\nkind: AppProject\nmetadata: {name: default}\n"
        "spec: {sourceIntegrity: {git: {policies: strict}}}\n"
    )
    catalog = await _discover(sandbox, {"a.yaml": _app("free"), "p.yaml": broken})
    (app,) = catalog.applications
    assert catalog.project_of(app) is None
    assert any("sourceIntegrity" in one.message for one in catalog.conditions)


async def test_a_set_generates_and_loses_to_an_application(sandbox: SandboxPool) -> None:
    """A generated name that an Application has is a warning on the set; the Application stays."""
    generator = "{list: {elements: [{name: taken}, {name: free}]}}"
    catalog = await _discover(
        sandbox,
        {"a-set.yaml": SET.replace("GENERATOR", generator), "b.yaml": _app("taken", "own")},
    )
    assert [(app.name, app.origin, app.spec.project) for app in catalog.applications] == [
        ("free", "ApplicationSet fleet", "default"),
        ("taken", "b.yaml", "own"),
    ]
    [condition] = catalog.conditions
    assert condition.severity is Severity.WARNING
    assert "ApplicationSet fleet generates names that are already taken" in condition.message
    assert "taken (the Application in b.yaml)" in condition.message


@pytest.mark.parametrize("text", ["- name: dev", '[{"name": "dev"}]', "- {name: dev}\n"])
async def test_elements_yaml_is_read_as_kubernetes_reads_yaml(
    sandbox: SandboxPool, text: str
) -> None:
    """Elements in YAML text, in block or flow style, generate like others and beside them."""
    generator = f"{{list: {{elements: [{{name: a}}], elementsYaml: {json.dumps(text)}}}}}"
    catalog = await _discover(sandbox, {"s.yaml": SET.replace("GENERATOR", generator)})
    assert (_names(catalog), catalog.conditions) == (["a", "dev"], ())


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        (
            "{clusters: {}}",
            "generators[0] is a clusters generator: only Argo CD knows its clusters",
        ),
        ("{git: {repoURL: x, files: [{path: x}]}}", "generators[0].git: no repository can be"),
        ("{list: {elementsYaml: '[a: b'}}", "spec.generators[0].list.elementsYaml"),
        ("{list: {elements: [{name: 1}]}}", "elements[0].name must be text"),
    ],
)
async def test_a_set_that_cannot_be_expanded_is_an_error(
    sandbox: SandboxPool, generator: str, message: str
) -> None:
    """A set whose Applications are not known is an error that names the set; others count."""
    catalog = await _discover(
        sandbox, {"s.yaml": SET.replace("GENERATOR", generator), "a.yaml": _app("a")}
    )
    assert _names(catalog) == ["a"]
    [condition] = catalog.conditions
    assert condition.severity is Severity.ERROR
    assert message in condition.message
    assert "s.yaml, document 1" in condition.message


async def test_the_example_repository(sandbox: SandboxPool, tmp_path: Path) -> None:
    """The example's catalog is what its README says, every Application renders and is permitted."""
    checkout = tmp_path / "gitops"
    shutil.copytree(EXAMPLE, checkout)
    GitRepo(checkout).commit()
    repositories = await Repositories.open([str(checkout)])
    catalog = await discover((await repositories.homes())[0][0].tree, sandbox)
    units = ("app3", "apps", "dashboards", "event-exporter", "infrastructure", "ledger")
    assert _names(catalog) == [f"{env}-{unit}" for env in ENVIRONMENTS for unit in units]
    assert set(catalog.projects) == {"default", *ENVIRONMENTS}
    [condition] = catalog.conditions
    assert condition.severity is Severity.WARNING
    assert "ApplicationSet infrastructure-components" in condition.message
    types = set()
    for app in catalog.applications:
        resolved = await repositories.resolve(app, git_urls(catalog.applications))
        assert resolved.conditions == ()
        rendered = await render_application(app, resolved.sources, sandbox, lambda g, k: None)
        assert (rendered.conditions, bool(rendered.manifests)) == ((), True)
        project = catalog.project_of(app)
        assert project is not None
        assert check_application(project, app) == ()
        permitted = check_manifests(
            project, rendered.manifests, app.spec.destination, lambda g, k: None
        )
        assert permitted.conditions == ()
        types |= set(rendered.types)
    assert types == {"Directory", "Helm", "Kustomize"}
    assert len(repositories.notes) == 1


async def test_a_misspelt_kind_is_told(sandbox: SandboxPool) -> None:
    """A document that Argo CD would not see is an error with its file and place."""
    text = "apiVersion: argoproj.io/v1alpha1\nkind: Aplication\nmetadata: {name: web}\n"
    catalog = await discover(Tree("t", {"apps/web.yaml": text.encode()}), sandbox)
    (condition,) = catalog.conditions
    assert condition.severity is Severity.ERROR
    assert condition.message == (
        "apps/web.yaml, document 1: Aplication web: kind 'Aplication' is none of Argo CD's: "
        "is Application meant?"
    )


async def test_a_set_that_generates_nothing(sandbox: SandboxPool) -> None:
    """It is told, since that may not be meant; the others count."""
    empty = SET.replace("GENERATOR", "{list: {elements: []}}")
    catalog = await _discover(sandbox, {"good.yaml": _app("good"), "set.yaml": empty})
    assert _names(catalog) == ["good"]
    (told,) = catalog.conditions
    assert (told.type, told.severity) == ("ApplicationSetEmpty", Severity.WARNING)
    assert told.message == "set.yaml, document 1: ApplicationSet fleet generates no Application"


def test_the_patterns_of_git_generators() -> None:
    """Those that choose are told, also of a combination; those that leave out are not."""
    directories = [{"path": "aps/*"}, {"path": "b", "exclude": True}, "odd"]
    files = {"git": {"files": [{"path": "c/*.json"}]}}
    generators = [
        {"git": {"directories": directories}},
        {"matrix": {"generators": [{"list": {"elements": []}}, files]}},
        {"git": None, "merge": []},
        "odd",
    ]
    found = git_choices({"spec": {"generators": generators}})
    assert [one.pattern for one in found] == ["aps/*", "c/*.json"]
    assert git_choices({}) == []


async def test_misspelt_fields(sandbox: SandboxPool) -> None:
    """An Application carries the warning, with its line; those of others are the repository's."""
    slip = _app("one").replace("project: default", "projcet: default")
    broken = slip.replace("path: apps", "path: []").replace("name: one", "name: broken")
    project = "apiVersion: argoproj.io/v1alpha1\nkind: AppProject\nmetadata: {name: shop}\nspec:\n"
    fleet = SET.replace("GENERATOR", "{list: {elements: [{name: a}]}}")
    files = {
        "apps.yaml": f"{_app('two')}---\n{slip}",
        "broken.yaml": broken,
        "project.yaml": project + "  sourceRepo: ['*']\n  sourceRepoes: []\n",
        "set.yaml": fleet.replace("project: default", "project: default\n      syncPolcy: {}"),
    }
    catalog = await _discover(sandbox, files)
    told = {app.name: [one.message for one in app.conditions] for app in catalog.applications}
    slipped = "spec has no field projcet; did you mean project?"
    assert told == {"a": [], "one": [f"apps.yaml:13: {slipped}"], "two": []}
    assert [one.message for one in catalog.conditions if one.severity is Severity.WARNING] == [
        f"broken.yaml:5: {slipped}",
        "project.yaml:5: AppProject shop: spec has no field sourceRepo; did you mean sourceRepos?",
        (
            "project.yaml:6: AppProject shop: spec has no field sourceRepoes; "
            "did you mean sourceRepos?"
        ),
        (
            "set.yaml:10: ApplicationSet fleet: spec.template.spec has no field syncPolcy; "
            "did you mean syncPolicy?"
        ),
    ]


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("service/*/overlays/prod", "services/*/overlays/prod"),
        ("services/web/overlay/*", "services/web/overlays/*"),
        ("services/web/overlays/prod/confg.json", "services/web/overlays/prod/config.json"),
        ("services/*/overlay", ""),
        ("services/web/overlays/prod", ""),
        ("README.m/*", ""),
        ("elsewhere/*", ""),
    ],
)
def test_a_pattern_that_was_probably_meant(pattern: str, meant: str) -> None:
    """The folder that is nearly named before the first wildcard; a file is no folder."""
    assert meant_pattern(pattern, ["README.md", "services/web/overlays/prod/config.json"]) == meant


async def test_a_generated_application_knows_the_lines_of_its_template(
    sandbox: SandboxPool,
) -> None:
    """Its fields have the lines of the set's template, its `spec` that of the template itself."""
    text = SET.replace("GENERATOR", "{list: {elements: [{name: one}]}}")
    catalog = await _discover(sandbox, {"sets/set.yaml": text})
    (app,) = catalog.applications
    lines = text.splitlines()
    assert app.file == "sets/set.yaml"
    assert "template:" in lines[app.lines["spec"] - 1]
    assert "destination:" in lines[app.lines["destination"] - 1]
