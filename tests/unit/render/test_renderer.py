"""Rendering whole applications with the real sandbox worker."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from driftd.errors import RenderError
from driftd.model.application import Application, ApplicationSource, ApplicationSpec
from driftd.model.condition import Severity
from driftd.model.tree import ResolvedSource, Tree
from driftd.render.renderer import Rendered, checked_source_path, render_application
from driftd.sandbox.pool import SandboxPool
from tests.unit.sandbox.test_helm import packed

pytestmark = pytest.mark.slow

URL = "https://github.com/example/gitops.git"
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\ndata: {from: git}\n"
LOCAL = "resources: [a.yaml]\n"
HELD = CONFIG.replace(
    "{name: NAME}", '{name: x, annotations: {config.kubernetes.io/local-config: "true"}}'
)
KUSTOMIZATION = "resources: [config.yaml]\nnamePrefix: pre-\n"


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxPool]:
    """One worker."""
    async with SandboxPool(size=1) as pool:
        yield pool


def _tree(name: str, files: dict[str, str], links: dict[str, str] | None = None) -> Tree:
    return Tree(name, {path: text.encode() for path, text in files.items()}, links or {})


def _app(*sources: dict[str, Any], **spec: Any) -> Application:
    document = {
        "destination": {"server": "https://one.example.com", "namespace": "app"},
        "sources": [{"repoURL": URL, **source} for source in sources],
        **spec,
    }
    return Application(
        name="shop",
        namespace="argocd",
        spec=msgspec.convert(document, ApplicationSpec),
        raw={"spec": document},
    )


async def _render(sandbox: SandboxPool, app: Application, *trees: Tree) -> Rendered:
    sources = [
        ResolvedSource(source=source, tree=tree, revision="1" * 40, repo_url=URL, index=index)
        for index, (source, tree) in enumerate(zip(app.spec.all_sources, trees, strict=False))
    ]
    return await render_application(app, sources, sandbox, lambda group, kind: None)


def _names(rendered: Rendered) -> list[str]:
    return [manifest.key.name for manifest in rendered.manifests]


async def test_every_source_type_renders(sandbox: SandboxPool) -> None:
    """Directory, Kustomize and Helm sources of one application are concatenated in order."""
    tree = _tree(
        "types",
        {
            "raw/a.yaml": CONFIG.replace("NAME", "raw"),
            "kustom/kustomization.yaml": KUSTOMIZATION,
            "kustom/config.yaml": CONFIG.replace("NAME", "kustom"),
            "chart/Chart.yaml": "apiVersion: v2\nname: c\nversion: 1.0.0\n",
            "chart/values.yaml": "name: chart\n",
            "chart/templates/c.yaml": CONFIG.replace("NAME", "{{ .Values.name }}"),
        },
    )
    app = _app({"path": "raw"}, {"path": "kustom"}, {"path": "chart"})
    rendered = await _render(sandbox, app, tree, tree, tree)
    assert rendered.conditions == ()
    assert rendered.types == ("Directory", "Kustomize", "Helm")
    assert _names(rendered) == ["raw", "pre-kustom", "chart"]
    assert [m.origin.source for m in rendered.manifests] == [0, 1, 2]
    assert rendered.manifests[0].origin.file == "raw/a.yaml"
    assert {m.key.namespace for m in rendered.manifests} == {"app"}
    assert rendered.complete


async def test_lines_of_plain_manifests(sandbox: SandboxPool) -> None:
    """Each object of a plain file has its line, also after documents that hold nothing."""
    first, second, third = (CONFIG.replace("NAME", name) for name in "abc")
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "d"}}
    wrapped = f"apiVersion: v1\nkind: List\nitems: [{json.dumps(item)}]\n"
    text = f"# licence\n---\n# nothing\n---\n{first}---\n{second}...\n---\n{third}---\n{wrapped}"
    rendered = await _render(sandbox, _app({"path": "raw"}), _tree("lines", {"raw/all.yaml": text}))
    found = {m.key.name: m.origin.line for m in rendered.manifests}
    lines = text.splitlines()
    assert set(found) == {"a", "b", "c", "d"}
    assert {lines[line - 1] for line in found.values()} == {"apiVersion: v1"}
    assert [line for _, line in sorted(found.items())] == [5, 10, 16, 21]


async def test_no_line_where_the_file_is_a_base(sandbox: SandboxPool) -> None:
    """An object that an overlay changed names its file; the line would be that of other text."""
    files = {"raw/kustomization.yaml": KUSTOMIZATION, "raw/config.yaml": CONFIG}
    rendered = await _render(sandbox, _app({"path": "raw"}), _tree("base", files))
    (manifest,) = rendered.manifests
    assert (manifest.origin.file, manifest.origin.line) == ("raw/config.yaml", 0)


async def test_value_files_of_a_ref_source(sandbox: SandboxPool) -> None:
    """`$name/…` value files come from the source with that ref, which renders nothing itself."""
    chart = _tree(
        "chart",
        {
            "Chart.yaml": "apiVersion: v2\nname: c\nversion: 1.0.0\n",
            "templates/c.yaml": CONFIG.replace("NAME", "{{ .Values.name }}"),
        },
    )
    values = _tree("values", {"envs/prod.yaml": "name: from-ref\n"})
    app = _app({"path": ".", "helm": {"valueFiles": ["$values/envs/prod.yaml"]}}, {"ref": "values"})
    rendered = await _render(sandbox, app, chart, values)
    assert rendered.conditions == ()
    assert _names(rendered) == ["from-ref"]
    assert rendered.types == ("Helm", "")


async def test_fields_that_driftd_does_not_know_reach_the_worker(sandbox: SandboxPool) -> None:
    """The source travels as the Application writes it, an override file of Argo CD included."""
    tree = _tree(
        "override",
        {
            "a/kustomization.yaml": KUSTOMIZATION,
            "a/config.yaml": CONFIG.replace("NAME", "x"),
            "a/.argocd-source.yaml": "kustomize: {nameSuffix: -end}\n",
        },
    )
    assert _names(await _render(sandbox, _app({"path": "a"}), tree)) == ["pre-x-end"]


async def test_an_application_without_its_document_renders_the_same(sandbox: SandboxPool) -> None:
    """The typed source alone (a pinned revision, say) renders what the written one does."""
    tree = _tree(
        "typed",
        {
            "k/kustomization.yaml": KUSTOMIZATION,
            "k/config.yaml": CONFIG.replace("NAME", "x"),
            "j/a.jsonnet": "{apiVersion: 'v1', kind: 'ConfigMap', "
            "metadata: {name: std.extVar('n')}}",
        },
    )
    app = _app(
        {"path": "k", "kustomize": {"nameSuffix": "-end", "commonLabels": {"a": "b"}}},
        {"path": "j", "directory": {"jsonnet": {"extVars": [{"name": "n", "value": "y"}]}}},
    )
    written = await _render(sandbox, app, tree, tree)
    typed = await _render(sandbox, msgspec.structs.replace(app, raw={}), tree, tree)
    assert _names(written) == ["pre-x-end", "y"]
    assert typed == written


async def test_a_failing_source_leaves_the_others(sandbox: SandboxPool) -> None:
    """A render error is a condition naming source and file; other sources are rendered."""
    tree = _tree(
        "partly",
        {
            "bad/kustomization.yaml": "resources: [missing.yaml]\n",
            "good/a.yaml": CONFIG.replace("NAME", "good"),
        },
    )
    rendered = await _render(sandbox, _app({"path": "bad"}, {"path": "good"}), tree, tree)
    assert _names(rendered) == ["good"]
    [condition] = rendered.conditions
    assert condition.message.startswith("source 1 (bad): ")
    assert "missing.yaml" in condition.message
    assert not rendered.complete


async def test_an_object_that_cannot_be_used_makes_the_application_incomplete(
    sandbox: SandboxPool,
) -> None:
    """Invariant 2: one bad object is left out and said, the others are there."""
    bad = CONFIG.replace("NAME", '"a/b"') + "---\n" + CONFIG.replace("NAME", "good")
    rendered = await _render(sandbox, _app({"path": "d"}), _tree("bad", {"d/all.yaml": bad}))
    assert _names(rendered) == ["good"]
    assert "d/all.yaml, document 1: metadata.name 'a/b'" in rendered.conditions[0].message
    assert not rendered.complete


async def test_hooks_are_counted(sandbox: SandboxPool) -> None:
    """Hooks are rendered and counted, and alone they are no empty render."""
    hook = CONFIG.replace("{name: NAME}", "{name: h, annotations: {helm.sh/hook: pre-install}}")
    rendered = await _render(sandbox, _app({"path": "d"}), _tree("hook", {"d/h.yaml": hook}))
    assert (rendered.hooks, rendered.manifests, rendered.conditions) == (1, (), ())


@pytest.mark.parametrize(
    ("files", "source", "hint"),
    [
        ({"d/sub/a.yaml": CONFIG}, {}, "add a kustomization.yaml or set directory.recurse: true"),
        ({"d/README.md": "x"}, {}, "d holds no manifest"),
        ({"d/a.yaml": "# only a comment\n"}, {}, "the files of d hold no object"),
        ({"d/a.yaml": CONFIG}, {"directory": {"include": "*.json"}}, "directory.include"),
        ({"d/kustomization.yaml": LOCAL, "d/a.yaml": HELD}, {}, "d is rendered as Kustomize"),
    ],
)
async def test_an_empty_render_is_an_error_with_a_hint(
    sandbox: SandboxPool, files: dict[str, str], source: dict[str, Any], hint: str
) -> None:
    """Zero objects are never a verdict: the condition says why there may be none."""
    rendered = await _render(sandbox, _app({"path": "d", **source}), _tree(hint[:20], files))
    [condition] = rendered.conditions
    assert condition.severity is Severity.ERROR
    assert "application shop renders 0 objects" in condition.message
    assert hint in condition.message


async def test_allow_empty_permits_an_empty_render(sandbox: SandboxPool) -> None:
    """With `allowEmpty` an empty render is complete, and still mentioned."""
    app = _app({"path": "d"}, syncPolicy={"automated": {"allowEmpty": True}})
    rendered = await _render(sandbox, app, _tree("none", {"d/README.md": "x"}))
    assert rendered.complete
    assert rendered.conditions[0].severity is Severity.INFO


async def test_an_unresolved_source_is_no_empty_render(sandbox: SandboxPool) -> None:
    """When a source did not resolve, its own condition says so; emptiness is not claimed."""
    app = _app({"path": "d"}, {"path": "e"})
    rendered = await _render(sandbox, app, _tree("none", {"d/README.md": "x"}))
    assert rendered.conditions == ()
    assert rendered.types == ("Directory", "")


async def test_plugins_are_refused_by_name(sandbox: SandboxPool) -> None:
    """A config management plugin is a condition with the remedy."""
    app = _app({"path": "d", "plugin": {"name": "x"}})
    rendered = await _render(sandbox, app, _tree("plugin", {"d/a.yaml": CONFIG}))
    assert "plugins are not supported" in rendered.conditions[0].message


@pytest.mark.parametrize("link", ["/etc/passwd", "../../etc/passwd", "loop.yaml"])
async def test_links_out_of_the_repository_show_nothing(sandbox: SandboxPool, link: str) -> None:
    """S-08: a link to a file outside, or to itself, is an error or nothing, never content."""
    tree = _tree(f"link {link}", {"d/good.yaml": CONFIG}, {"d/loop.yaml": link})
    rendered = await _render(sandbox, _app({"path": "d"}), tree)
    shown = json.dumps([c.message for c in rendered.conditions]) + str(rendered.manifests)
    assert "root:" not in shown
    assert _names(rendered) in (["NAME"], [])
    assert rendered.conditions or _names(rendered)


@pytest.mark.parametrize(
    ("path", "message", "hint"),
    [
        ("/etc", "leaves the repository", ""),
        ("../other", "leaves the repository", ""),
        ("a/../../b", "leaves the repository", ""),
        ("apps/shpo", "apps/shpo does not exist", "did you mean apps/shop?"),
        ("apps/shop/a.yaml", "is a file", "name the folder"),
        ("vendored/app", "lies in the submodule vendored", "own repository"),
    ],
)
def test_source_paths_are_checked(path: str, message: str, hint: str) -> None:
    """A path outside the repository, a missing one and a file say what is meant."""
    tree = Tree("paths", {"apps/shop/a.yaml": b"x"}, {}, ("vendored",))
    with pytest.raises(RenderError, match=message) as error:
        checked_source_path(ApplicationSource(path=path), tree)
    assert hint in error.value.hint


@pytest.mark.parametrize(
    ("origin", "place"),
    [
        ("argocd/shop.yaml", "argocd/shop.yaml:3: "),
        ("Application root (argocd/shop.yaml)", "argocd/shop.yaml:3: "),
        ("argocd/inline.yaml", "argocd/inline.yaml:2: "),
        ("argocd/other.yaml", "argocd/other.yaml: "),
        ("ApplicationSet shops", "argocd/set.yaml:6 (ApplicationSet shops): "),
        ("ApplicationSet others", "ApplicationSet others: "),
        (
            "Application root (chart/templates/a.yaml)",
            "chart/values.yaml:2 (for chart/templates/a.yaml): ",
        ),
        ("argocd/release.yaml", "argocd/release.yaml:2: "),
        ("hub ops", "hub ops: "),
        ("", ""),
    ],
)
async def test_a_missing_path_names_what_says_so(
    sandbox: SandboxPool, origin: str, place: str
) -> None:
    """The file and line that name the folder are told, whoever renders the Application.

    They stay readable, though a word of theirs is a password in the repository.
    """
    tree = _tree(
        "named paths",
        {
            "apps/web/overlays/a.yaml": CONFIG,
            "argocd/shop.yaml": "spec:\n  source:\n    path: 'apps/wbe' # the shop\n",
            "db.yaml": "password: apps\n",
            "argocd/inline.yaml": "spec:\n  source: {path: apps/wbe, repoURL: x}\n",
            "argocd/release.yaml": "spec:\n  chart: apps/wbe\n",
            "argocd/set.yaml": "kind: ApplicationSet\nmetadata:\n  name: shops\nspec:\n"
            "  template:\n    path: apps/wbe\n",
            "chart/templates/a.yaml": "path: {{ .path }}\n",
            "chart/values.yaml": "apps:\n  - folder: apps/wbe\n  - folder: apps/wbe2\n",
            "argocd/other.yaml": "spec:\n  source:\n    path: apps/wbe/more\n",
        },
    )
    app = msgspec.structs.replace(_app({"path": "apps/wbe"}), origin=origin)
    (condition,) = (await _render(sandbox, app, tree)).conditions
    assert condition.message == (
        f"source apps/wbe: {place}path apps/wbe does not exist at the revision; "
        "did you mean apps/web?"
    )


@pytest.mark.parametrize(
    ("origin", "place"),
    [
        ("argocd/web.yaml", "argocd/web.yaml:2: "),
        (
            "Application root (apps/templates/all.yaml)",
            "apps/values.yaml:2 (for apps/templates/all.",
        ),
        ("hub ops", "hub ops: "),
    ],
)
async def test_a_missing_value_file_names_what_says_so(
    sandbox: SandboxPool, origin: str, place: str
) -> None:
    """The line of `valueFiles`, or of the values that a chart of Applications takes it from."""
    tree = _tree(
        "named value file",
        {
            "chart/Chart.yaml": "apiVersion: v2\nname: web\nversion: 0.1.0\n",
            "argocd/web.yaml": "helm:\n  valueFiles: [a.yaml, prod.yaml]\n",
            "apps/templates/all.yaml": "valueFiles: {{ .files }}\n",
            "apps/values.yaml": "files:\n  - prod.yaml # of production\n",
        },
    )
    source = {"path": "chart", "helm": {"valueFiles": ["prod.yaml"]}}
    app = msgspec.structs.replace(_app(source), origin=origin)
    (condition,) = (await _render(sandbox, app, tree)).conditions
    assert condition.message.startswith(f"source chart: {place}")
    assert "value file prod.yaml: chart/prod.yaml does not exist" in condition.message


async def test_a_missing_path_names_the_overlay_that_sets_it(sandbox: SandboxPool) -> None:
    """A path that the Application's own file does not have comes from a patch."""
    tree = _tree(
        "patched path",
        {
            "apps/web/a.yaml": CONFIG,
            "base/web.yaml": "spec:\n  source:\n    path: apps/base\n",
            "prod/kustomization.yaml": "patches:\n- patch: |-\n"
            "    - {op: replace, path: /spec/source/path, value: apps/wbe}\n",
        },
    )
    app = msgspec.structs.replace(
        _app({"path": "apps/wbe"}), origin="Application root (base/web.yaml)"
    )
    (condition,) = (await _render(sandbox, app, tree)).conditions
    assert condition.message.startswith(
        "source apps/wbe: prod/kustomization.yaml:3 (for base/web.yaml): path apps/wbe does not"
    )


@pytest.mark.parametrize("path", ["", ".", "./apps", "apps/", "apps/../apps/shop", "linked"])
def test_ordinary_source_paths_are_accepted(path: str) -> None:
    """The root, folders in any spelling and links to folders are accepted."""
    tree = _tree("paths", {"apps/shop/a.yaml": "x"}, {"linked": "apps"})
    assert not checked_source_path(ApplicationSource(path=path), tree).startswith((".", "/"))


async def test_templates_of_subcharts_in_archives(sandbox: SandboxPool) -> None:
    """The archive is the file in Git, with Helm's name of the template or definition beside it."""
    chart = "apiVersion: v2\nname: NAME\nversion: 1.0.0\n"
    crd = (
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"
        "metadata: {name: things.example.com}\n"
    )
    inner = {
        "api/Chart.yaml": chart.replace("NAME", "api"),
        "api/templates/a.yaml": CONFIG.replace("NAME", "{{ .Chart.Name }}"),
        "api/crds/things.yaml": crd,
    }
    parent = chart.replace("NAME", "front")
    parent += "dependencies: [{name: api, alias: admin, version: 1.0.0}]\n"
    files = {"front/Chart.yaml": parent.encode(), "front/charts/api-1.0.0.tgz": packed(inner)}
    tree = Tree("packed", files, {})
    rendered = await _render(sandbox, _app({"path": "front"}), tree)
    assert rendered.conditions == ()
    archive = "front/charts/api-1.0.0.tgz"
    assert {m.key.kind: (m.origin.file, m.origin.packed) for m in rendered.manifests} == {
        "ConfigMap": (archive, "front/charts/admin/templates/a.yaml"),
        "CustomResourceDefinition": (archive, "front/charts/admin/crds/things.yaml"),
    }


async def test_templates_of_subcharts_that_go_by_another_name(sandbox: SandboxPool) -> None:
    """An alias and a chart of elsewhere are told by the file in Git, with Helm's name beside it."""
    chart = "apiVersion: v2\nname: NAME\nversion: 1.0.0\n"
    tree = _tree(
        "aliases",
        {
            "charts/front/Chart.yaml": chart.replace("NAME", "front")
            + "dependencies:\n  - {name: api, alias: admin-api, version: 1.0.0}\n"
            + "  - {name: api, version: 1.0.0}\n"
            + "  - {name: mail, alias: post, version: 1.0.0, repository: 'file://../mail'}\n",
            "charts/front/templates/own.yaml": CONFIG.replace("NAME", "own"),
            "charts/front/charts/api/Chart.yaml": chart.replace("NAME", "api"),
            "charts/front/charts/api/templates/deep/a.yaml": CONFIG.replace(
                "NAME", "{{ .Chart.Name }}"
            ),
            "charts/mail/Chart.yaml": chart.replace("NAME", "mail"),
            "charts/mail/templates/a.yaml": CONFIG.replace("NAME", "mail"),
        },
    )
    rendered = await _render(sandbox, _app({"path": "charts/front"}), tree)
    assert rendered.conditions == ()
    found = {m.key.name: (m.origin.file, m.origin.template) for m in rendered.manifests}
    api, charts = "charts/front/charts/api/templates/deep/a.yaml", "charts/front/charts"
    assert found == {
        "own": ("charts/front/templates/own.yaml", ""),
        "api": (api, ""),
        "admin-api": (api, f"{charts}/admin-api/templates/deep/a.yaml"),
        "mail": ("charts/mail/templates/a.yaml", f"{charts}/post/templates/a.yaml"),
    }
