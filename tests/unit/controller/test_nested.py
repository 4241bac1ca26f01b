"""Applications that only rendering brings to light, with a real repository and sandbox."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from driftd.applicationset.catalog import Catalog
from driftd.controller.nested import MAX_DEPTH, read_catalogs
from driftd.controller.workspace import Workspace
from driftd.model.application import Application
from driftd.sandbox.pool import SandboxPool
from driftd.source.repositories import Repositories
from tests.testbed.gitrepo import GitRepo
from tests.unit.controller.builders import URL
from tests.unit.controller.conftest import Clusters

pytestmark = pytest.mark.slow

CHART = "apiVersion: v2\nname: apps\nversion: 0.1.0\n"
TEMPLATE = """{{- range .Values.apps }}
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: {{ .name }}, namespace: argocd}
spec:
  source: {repoURL: REPO, path: apps/{{ .name }}}
  destination: {name: one, namespace: shop}
---
{{- end }}
""".replace("REPO", URL)


class Bench:
    """A repository, and the reading of what it declares."""

    def __init__(self, repo: GitRepo, sandbox: SandboxPool) -> None:
        self.repo = repo
        self._sandbox = sandbox
        repo.set_remote(URL)

    def app(self, file: str, name: str, path: str, *, namespace: str = "", **spec: Any) -> None:
        """Write an Application of a folder of the repository."""
        metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
        document = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": metadata,
            "spec": {
                "source": {"repoURL": URL, "path": path},
                "destination": {"name": "one", "namespace": "argocd"},
                **spec,
            },
        }
        self.repo.write(file, json.dumps(document, indent=1))

    async def catalog(self, argocd_namespace: str = "argocd") -> Catalog:
        """What the repository declares at a commit of everything written so far."""
        self.repo.commit()
        workspace = Workspace(
            repositories=await Repositories.open([str(self.repo.path)]),
            sandbox=self._sandbox,
            clusters=Clusters(),
            argocd_namespace=argocd_namespace,
        )
        readings, _ = await workspace.repositories.homes()
        (catalog,) = await read_catalogs(workspace, readings)
        return catalog


def origins(catalog: Catalog) -> dict[str, str]:
    """The applications' names, and where each is declared."""
    return {app.name: app.origin for app in catalog.applications}


def named(catalog: Catalog, name: str) -> Application:
    """The application of a name."""
    return next(app for app in catalog.applications if app.name == name)


@pytest.fixture
async def bench(git_repo: GitRepo) -> AsyncIterator[Bench]:
    """An empty repository with one worker."""
    async with SandboxPool(size=1) as sandbox:
        yield Bench(git_repo, sandbox)


async def test_a_chart_of_applications(bench: Bench) -> None:
    """Applications of a chart's templates exist with the values that the root gives."""
    bench.app("root.json", "root", "chart")
    bench.repo.write("chart/Chart.yaml", CHART)
    bench.repo.write("chart/values.yaml", "apps: [{name: web}, {name: api}]\n")
    bench.repo.write("chart/templates/apps.yaml", TEMPLATE)
    catalog = await bench.catalog()
    child = "Application root (chart/templates/apps.yaml)"
    assert origins(catalog) == {"api": child, "root": "root.json", "web": child}
    assert catalog.conditions == ()


async def test_an_overlay_replaces_its_base(bench: Bench) -> None:
    """The patched Application counts, and a base that is renamed is no Application."""
    bench.app("root.json", "root", "overlays/prod")
    bench.app("base/web.json", "web", "apps/web")
    bench.app("base/api.json", "api", "apps/api")
    bench.repo.write("base/kustomization.yaml", "resources: [web.json, api.json]\n")
    bench.repo.write(
        "overlays/prod/kustomization.yaml",
        "resources: [../../base]\nnamePrefix: prod-\npatches:\n"
        "- target: {kind: Application}\n"
        "  patch: |-\n    - {op: add, path: /spec/source/targetRevision, value: v2}\n",
    )
    catalog = await bench.catalog()
    assert catalog.conditions == ()
    assert origins(catalog) == {
        "prod-api": "Application root (base/api.json)",
        "prod-web": "Application root (base/web.json)",
        "root": "root.json",
    }
    (source,) = named(catalog, "prod-web").spec.all_sources
    assert source.target_revision == "v2"


async def test_without_a_root_documents_count_as_they_stand(bench: Bench) -> None:
    """An overlay that no Application renders changes nothing."""
    bench.app("base/web.json", "web", "apps/web")
    bench.repo.write("base/kustomization.yaml", "resources: [web.json]\n")
    bench.repo.write("prod/kustomization.yaml", "resources: [../base]\nnamePrefix: prod-\n")
    assert origins(await bench.catalog()) == {"web": "base/web.json"}


async def test_a_file_beside_those_that_are_listed_is_no_application(bench: Bench) -> None:
    """Off the list of a base or an overlay it does not exist; a condition says so, with a remedy.

    Files of other folders, and of the root itself, count as they stand.
    """
    bench.app("prod/root.json", "root", "prod")
    bench.app("base/web.json", "web", "apps/web")
    bench.app("base/api.json", "api", "apps/api")
    bench.app("prod/worker.json", "worker", "apps/worker")
    bench.app("stage/other.json", "other", "apps/other")
    bench.repo.write("base/kustomization.yaml", "resources: [web.json]\n")
    bench.repo.write("prod/kustomization.yaml", "resources: [../base]\nnamePrefix: prod-\n")
    bench.repo.write("stage/kustomization.yaml", "resources: [../apps]\n")
    catalog = await bench.catalog()
    assert sorted(origins(catalog)) == ["other", "prod-web", "root"]
    assert {(one.type, one.severity.value, one.message) for one in catalog.conditions} == {
        (
            "UnlistedDocument",
            "warning",
            (
                f"{folder}/{name}.json declares Application {name}, but "
                f"{folder}/kustomization.yaml, which root renders, does not list it: it is not "
                "looked at; add it to resources, or delete the file"
            ),
        )
        for folder, name in (("base", "api"), ("prod", "worker"))
    }


async def test_a_file_in_a_folder_below_is_no_application_either(bench: Bench) -> None:
    """A folder below has nobody else to list its files, unless a kustomization lies in it."""
    bench.app("root.json", "root", "prod")
    bench.app("prod/web.json", "web", "apps/web")
    bench.app("prod/old/api.json", "api", "apps/api")
    bench.app("prod/more/deep/cart.json", "cart", "apps/cart")
    bench.app("prod/team/mail.json", "mail", "apps/mail")
    bench.app("prod/listed/shop.json", "shop", "apps/shop")
    bench.repo.write(
        "prod/kustomization.yaml", "resources: [web.json, listed/shop.json]\nnamePrefix: prod-\n"
    )
    bench.repo.write("prod/team/kustomization.yaml", "resources: [mail.json]\n")
    catalog = await bench.catalog()
    assert sorted(origins(catalog)) == ["mail", "prod-shop", "prod-web", "root"]
    told = [one.message.partition(" declares ")[0] for one in catalog.conditions]
    assert sorted(told) == ["prod/more/deep/cart.json", "prod/old/api.json"]


async def test_files_below_a_repositorys_own_kustomization_stand(bench: Bench) -> None:
    """A kustomization at the top of the repository says nothing of all its folders."""
    bench.app("root.json", "root", ".")
    bench.app("web.json", "web", "apps/web")
    bench.app("more/api.json", "api", "apps/api")
    bench.repo.write("kustomization.yaml", "resources: [web.json]\nnamePrefix: prod-\n")
    catalog = await bench.catalog()
    assert sorted(origins(catalog)) == ["api", "prod-web", "root"]
    assert catalog.conditions == ()


async def test_unlisted_files_are_none_where_the_overlay_fails(bench: Bench) -> None:
    """What an overlay that fails would make is not known; what it does not list is none of it."""
    bench.app("root.json", "root", "apps")
    bench.app("apps/web.json", "web", "web")
    bench.app("apps/api.json", "api", "api")
    bench.repo.write("apps/kustomization.yaml", "resources: [web.json, absent.yaml]\n")
    catalog = await bench.catalog()
    assert sorted(origins(catalog)) == ["root"]
    assert {one.type for one in catalog.conditions} == {"ComparisonError", "UnlistedDocument"}


async def test_applications_beside_what_they_deploy_stand(bench: Bench) -> None:
    """A kustomization that makes no object of Argo CD's says nothing of the files beside it."""
    for stage in ("production", "staging"):
        bench.app(f"shop/{stage}.json", stage, "shop")
    bench.repo.write("shop/kustomization.yaml", "resources: [config.yaml]\n")
    config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop}\n"
    bench.repo.write("shop/config.yaml", config)
    catalog = await bench.catalog()
    assert sorted(origins(catalog)) == ["production", "staging"]
    assert catalog.conditions == ()


async def test_what_begins_a_chain_stands_unlisted(bench: Bench) -> None:
    """Another root beside the files, its project, and a set of roots are made by hand."""
    bench.app("apps/one.json", "one", "apps", project="first")
    bench.app("apps/two.json", "two", "more")
    bench.app("apps/web.json", "web", "web")
    bench.app("more/api.json", "api", "api")
    bench.app("generated/last.json", "last", "last")
    bench.repo.write("apps/kustomization.yaml", "resources: [web.json]\n")
    project = "apiVersion: argoproj.io/v1alpha1\nkind: AppProject\nmetadata: {name: %s}\n"
    bench.repo.write("apps/first.yaml", project % "first")
    bench.repo.write("apps/second.yaml", project % "second")
    bench.repo.write("apps/set.yaml", SET_OF_ROOTS)
    catalog = await bench.catalog()
    assert sorted(origins(catalog)) == ["api", "last", "one", "set", "two", "web"]
    assert sorted(catalog.projects) == ["default", "first"]
    assert [one.message.split(",")[0] for one in catalog.conditions] == [
        "apps/second.yaml declares AppProject second"
    ]


SET_OF_ROOTS = f"""apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: {{name: fleet}}
spec:
  generators: [{{list: {{elements: [{{path: generated}}]}}}}]
  template:
    metadata: {{name: set}}
    spec:
      source: {{repoURL: {URL}, path: '{{{{path}}}}'}}
      destination: {{name: one, namespace: argocd}}
"""


async def test_a_root_that_contains_itself(bench: Bench) -> None:
    """A root that manages its own folder is found once, as are its children."""
    bench.app("apps/root.json", "root", "apps")
    bench.app("apps/web.json", "web", "web")
    catalog = await bench.catalog()
    assert origins(catalog) == {
        "root": "Application root (apps/root.json)",
        "web": "Application root (apps/web.json)",
    }
    assert catalog.conditions == ()


async def test_a_root_that_its_own_overlay_renames(bench: Bench) -> None:
    """A root that manages itself through an overlay has the overlay's name, and is not lost."""
    bench.app("base/root.json", "root", "prod")
    bench.repo.write("base/kustomization.yaml", "resources: [root.json]\n")
    bench.repo.write("prod/kustomization.yaml", "resources: [../base]\nnamePrefix: prod-\n")
    assert origins(await bench.catalog()) == {"prod-root": "Application prod-root (base/root.json)"}


async def test_a_root_that_renders_itself_away_stays(bench: Bench) -> None:
    """An Application alone does not remove the document that declares it."""
    bench.app("base/root.json", "root", "prod")
    bench.repo.write("base/kustomization.yaml", "resources: [root.json]\n")
    bench.repo.write(
        "prod/kustomization.yaml",
        "resources: [../base]\nnamePrefix: prod-\npatches:\n- target: {kind: Application}\n"
        "  patch: |-\n    - {op: replace, path: /spec/source/path, value: other}\n",
    )
    assert sorted(origins(await bench.catalog())) == ["prod-root", "root"]


async def test_roots_that_render_each_other(bench: Bench) -> None:
    """A circle of Applications ends, and each of them counts once."""
    bench.app("a/b.json", "b", "b")
    bench.app("b/a.json", "a", "a")
    catalog = await bench.catalog()
    assert sorted(origins(catalog)) == ["a", "b"]
    assert catalog.conditions == ()


async def test_roots_in_roots(bench: Bench) -> None:
    """Projects, sets and Applications are found on every level."""
    bench.app("root.json", "root", "one")
    bench.repo.write("one/Chart.yaml", CHART)
    bench.repo.write("one/values.yaml", "apps: [{name: inner}]\n")
    bench.repo.write("one/templates/apps.yaml", TEMPLATE)
    bench.repo.write("apps/inner/Chart.yaml", CHART)
    bench.repo.write("apps/inner/templates/apps.yaml", INNER)
    catalog = await bench.catalog()
    assert origins(catalog) == {
        "generated": "ApplicationSet fleet",
        "inner": "Application root (one/templates/apps.yaml)",
        "root": "root.json",
    }
    assert catalog.projects["inner"].origin == "Application inner (apps/inner/templates/apps.yaml)"


INNER = """apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: {{ .Release.Name }}}
---
apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: {name: fleet}
spec:
  generators: [{list: {elements: [{name: generated}]}}]
  template:
    metadata: {name: '{{ "{{name}}" }}'}
    spec:
      source: {repoURL: https://git.example.com/x.git, path: x}
      destination: {name: one}
"""


async def test_a_root_that_cannot_be_rendered_is_named(bench: Bench) -> None:
    """The condition names root, reason and lost files; only documents of others count."""
    bench.app("root.json", "root", "broken")
    bench.app("broken/web.json", "web", "apps/web")
    bench.app("other.json", "other", "apps/other")
    bench.repo.write("broken/kustomization.yaml", "resources: [web.json, absent.yaml]\n")
    catalog = await bench.catalog()
    assert origins(catalog) == {"other": "other.json", "root": "root.json"}
    (condition,) = catalog.conditions
    assert condition.message.startswith(
        "Application root declares Applications and cannot be rendered, so that those that it "
        "makes of broken/web.json are Unknown and not listed: "
    )
    assert "absent.yaml" in condition.message


@pytest.mark.parametrize(
    "overlay",
    [
        "resources:\n- ../base\nnamePrefix: prod-\npatches:\n- path: web.yaml\n",
        "resources:\n- ../base\nnamePrefix: [prod-\n",
        "resources: [../base, absent.yaml]\n\tnamePrefix: prod-\n",
    ],
)
async def test_the_base_of_an_overlay_that_fails_is_no_application(
    bench: Bench, overlay: str
) -> None:
    """Misspelt kinds below a patch, or YAML that does not parse: no base is taken as it stands."""
    bench.app("root.json", "root", "prod")
    bench.app("base/web.json", "web", "apps/web")
    misspelt = (bench.repo.path / "base/web.json").read_text().replace("Appli", "Apli")
    bench.repo.write("base/web.json", misspelt)
    bench.app("base/api.json", "api", "apps/api")
    bench.repo.write("base/kustomization.yaml", "resources: [web.json, api.json]\n")
    patch = (
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: web}\n"
        "spec: {source: {path: apps/prod}}\n"
    )
    bench.repo.write("prod/web.yaml", patch)
    bench.repo.write("prod/kustomization.yaml", overlay)
    catalog = await bench.catalog()
    assert "api" not in origins(catalog)
    told = [one.message for one in catalog.conditions if "base/api.json" in one.message]
    assert ["are Unknown and not listed: " in text for text in told] == [True]


async def test_a_directory_with_a_broken_file_keeps_the_others(bench: Bench) -> None:
    """Only overlays change what they take in: files of a folder count as they stand."""
    bench.app("root.json", "root", "apps")
    bench.app("apps/web.json", "web", "apps/web")
    bench.repo.write("apps/broken.json", "{")
    assert set(origins(await bench.catalog())) == {"root", "web"}


async def test_endless_renaming_is_bounded(bench: Bench) -> None:
    """A chart that renders itself under a new name each time ends with a condition."""
    bench.app("root.json", "root", "chart")
    bench.repo.write("chart/Chart.yaml", CHART)
    bench.repo.write(
        "chart/templates/apps.yaml",
        TEMPLATE.replace("{{- range .Values.apps }}", "")
        .replace("---\n{{- end }}", "")
        .replace("{{ .name }}", "x{{ .Release.Name }}", 1)
        .replace("apps/{{ .name }}", "chart"),
    )
    catalog = await bench.catalog()
    assert len(catalog.applications) == MAX_DEPTH + 1
    assert [c.message.partition(" levels")[0] for c in catalog.conditions] == [
        f"Applications render Applications on more than {MAX_DEPTH}"
    ]


async def test_nothing_is_rendered_without_need(bench: Bench, monkeypatch: Any) -> None:
    """Applications of ordinary manifests cost no rendering and no parsing of kustomizations."""
    bench.app("argocd/web.json", "web", "apps/web")
    bench.repo.write("apps/web/kustomization.yaml", "resources: [map.yaml]\n")
    bench.repo.write("apps/web/map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
    asked: list[str] = []
    call = SandboxPool.call

    async def counted(self: SandboxPool, op: str, *arguments: Any, **options: Any) -> Any:
        asked.append(op)
        return await call(self, op, *arguments, **options)

    monkeypatch.setattr(SandboxPool, "call", counted)
    assert sorted(origins(await bench.catalog())) == ["web"]
    assert asked == ["parse"]


PROJECT = """apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: team, namespace: gitops}
spec: {sourceRepos: ['*']}
"""


@pytest.mark.parametrize(
    ("namespaces", "project", "said", "names"),
    [
        (("", "team-a"), "", "argocd", ["a0", "team-a_a1"]),
        (("argocd", "team-a"), PROJECT, "argocd", ["a0", "team-a_a1"]),
        (("gitops", "team-a"), "", "argocd", ["gitops_a0", "team-a_a1"]),
        (("gitops", "team-a"), "", "gitops", ["a0", "team-a_a1"]),
        (("gitops", "team-a"), PROJECT, "argocd", ["a0", "team-a_a1"]),
        (("gitops", "team-a"), PROJECT, "other", ["gitops_a0", "team-a_a1"]),
        (("openshift-gitops", "team-a"), "", "argocd", ["a0", "team-a_a1"]),
        (("openshift-gitops", "argocd"), "", "argocd", ["openshift-gitops_a0", "a1"]),
    ],
)
async def test_the_namespace_of_argo_cd(
    bench: Bench, namespaces: tuple[str, ...], project: str, said: str, names: list[str]
) -> None:
    """It is what was said, or where the AppProjects lie; elsewhere names have the namespace too."""
    for number, namespace in enumerate(namespaces):
        bench.app(f"a{number}.json", f"a{number}", "none", namespace=namespace)
    if project:
        bench.repo.write("project.yaml", project)
    catalog = await bench.catalog(said)
    assert sorted(app.instance_name for app in catalog.applications) == sorted(names)


async def test_an_app_of_apps_knows_its_name(bench: Bench) -> None:
    """What is rendered to find Applications knows the build environment too."""
    helm = {"parameters": [{"name": "apps[0].name", "value": "${ARGOCD_APP_NAME}"}]}
    source = {"repoURL": URL, "path": "chart", "helm": helm}
    bench.app("root.json", "root", "chart", namespace="team-a", source=source)
    bench.repo.write("chart/Chart.yaml", CHART)
    bench.repo.write("chart/templates/apps.yaml", NAMED)
    catalog = await bench.catalog()
    assert [app.name for app in catalog.applications if app.name != "root"] == ["child-team-a-root"]


NAMED = """apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: child-{{ (index .Values.apps 0).name | replace "_" "-" }}
spec:
  source: {repoURL: https://git.example.com/gitops.git, path: none}
  destination: {name: one, namespace: argocd}
"""
