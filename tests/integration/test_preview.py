"""`driftd check --preview` without any cluster: what Git alone says of a change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.site import URL, Seen, Site, application, config_map
from tests.testbed.gitrepo import GitRepo

PRUNE = {"automated": {"prune": True}}


@pytest.fixture
def site(git_repo: GitRepo, tmp_path: Path) -> Site:
    """Applications `one` and `two` on main, and a branch `change` that is checked out."""
    for name in ("one", "two"):
        git_repo.write(f"apps/{name}/{name}.yaml", config_map(name, colour="blue"))
        git_repo.write(f"argocd/{name}.yaml", application(name, "shop", syncPolicy=PRUNE))
    git_repo.commit("Base")
    git_repo.git("checkout", "--quiet", "-b", "change")
    home = tmp_path / "home"
    home.mkdir()
    return Site(
        repo=git_repo,
        cluster=None,  # type: ignore[arg-type] - none is reached
        namespace="shop",
        kubeconfig=home / "none",
        home=home,
    )


def preview(site: Site, *flags: str, output: str = "json") -> Seen:
    """The preview of the checked out branch, which nothing but Git is needed for."""
    return site.run("check", "--preview", "--against=main", "-o", output, *flags)


def objects(seen: Seen, name: str) -> dict[str, Any]:
    """The objects of an application by name."""
    return {one["name"]: one for one in seen.applications[name]["resources"]}


def test_objects_that_move_to_another_application(site: Site) -> None:
    """An object that another application declares from now on is neither new nor deleted."""
    site.repo.remove("apps/two/two.yaml")
    site.repo.write("apps/one/two.yaml", config_map("two", colour="red"))
    site.repo.write("apps/two/other.yaml", config_map("other", colour="red"))
    site.repo.commit("Move")
    seen = preview(site)
    assert seen.exit_code == 1, seen.stderr
    moved = objects(seen, "one")["two"]
    assert (moved["action"], moved["movedFrom"]) == ("move", "two")
    assert "which prunes it unless" in moved["reason"]
    assert [(one["old"], one["new"]) for one in moved["changes"]] == [("blue", "red")]
    assert {name: one["action"] for name, one in objects(seen, "two").items()} == {
        "other": "create"
    }
    (unread,) = [text for text in seen.conditions() if "is not read" in text]
    assert unread.endswith("; name the right kubeconfig with --kubeconfig or KUBECONFIG")


def test_objects_that_two_applications_would_declare(site: Site) -> None:
    """A new application that declares what another one declares is told so, and of what."""
    site.repo.write("apps/one/one.yaml", config_map("one", colour="red"))
    site.repo.write("apps/copy/one.yaml", config_map("one", colour="red"))
    site.repo.write("apps/copy/own.yaml", config_map("own", colour="red"))
    site.repo.write("argocd/copy.yaml", application("copy", "shop"))
    site.repo.commit("Copy")
    seen = preview(site)
    (shared,) = [text for text in seen.conditions("copy") if "SharedResource" in text]
    assert shared.endswith(
        "the applications copy and one would declare the same object: ConfigMap shop/one"
    )
    found = objects(seen, "copy")
    assert found["one"]["reason"].startswith("application one declares it too")
    assert "reason" not in found["own"]
    assert not any("SharedResource" in text for text in seen.conditions("one"))


def test_what_becomes_of_removed_objects(site: Site) -> None:
    """syncPolicy, sync options and the Application's finalizer decide what is deleted."""
    kept = config_map("kept", colour="blue").replace(
        "  name: kept\n",
        "  name: kept\n  annotations: {argocd.argoproj.io/sync-options: Prune=false}\n",
    )
    site.repo.git("checkout", "--quiet", "main")
    site.repo.write("apps/one/kept.yaml", kept)
    site.repo.write("apps/one/stays.yaml", config_map("stays"))
    final = json.loads(application("final", "shop"))
    final["metadata"]["finalizers"] = ["resources-finalizer.argocd.argoproj.io"]
    site.repo.write("argocd/final.yaml", json.dumps(final))
    site.repo.write("apps/final/final.yaml", config_map("final"))
    site.repo.commit("Base")
    site.repo.git("checkout", "--quiet", "-B", "change")
    for path in ("apps/one/one.yaml", "apps/one/kept.yaml", "argocd/final.yaml", "argocd/two.yaml"):
        site.repo.remove(path)
    site.repo.commit("Remove")
    seen = preview(site)
    assert seen.exit_code == 1, seen.stderr
    found = {
        name: {one["name"]: one["action"] for one in app["resources"]}
        for name, app in seen.applications.items()
    }
    assert found == {
        "one": {"one": "delete", "kept": "leave"},
        "final": {"final": "delete"},
        "two": {"two": "leave"},
    }
    assert "no resources-finalizer" in seen.applications["two"]["reason"]
    text = preview(site, output="plain").stdout
    assert "1 deleted with the application, 1 deleted, 2 left behind" in text


def test_what_the_other_branch_has_got_meanwhile_is_no_change(site: Site) -> None:
    """The base is the commit where both parted, and that is said."""
    site.repo.write("apps/one/one.yaml", config_map("one", colour="red"))
    site.repo.commit("Change")
    site.repo.git("checkout", "--quiet", "main")
    site.repo.write("apps/two/two.yaml", config_map("two", colour="green"))
    site.repo.commit("Meanwhile")
    site.repo.git("checkout", "--quiet", "change")
    seen = preview(site)
    assert set(seen.applications) == {"one"}
    assert "main has 1 commit that the change does not have" in seen.stderr


def test_revisions_that_follow_and_revisions_that_are_pinned(site: Site) -> None:
    """A source of the branch that is merged into follows the change; a tag's is named."""
    site.repo.git("checkout", "--quiet", "main")
    site.repo.git("tag", "v1")
    for name, revision in (("one", "main"), ("two", "v1")):
        source = {"repoURL": URL, "targetRevision": revision, "path": f"apps/{name}"}
        site.repo.write(f"argocd/{name}.yaml", application(name, "shop", source=source))
    site.repo.commit("Pin")
    site.repo.git("checkout", "--quiet", "-B", "change")
    for name in ("one", "two"):
        site.repo.write(f"apps/{name}/{name}.yaml", config_map(name, colour="red"))
    site.repo.commit("Change")
    seen = preview(site)
    assert set(seen.applications) == {"one"}, seen.stdout
    assert "two: no source follows the branch that is merged into" in seen.stderr


def test_a_changed_spec_is_told(site: Site) -> None:
    """An Application whose own spec changes is named with its fields, whatever it renders."""
    site.repo.write("argocd/one.yaml", application("one", "shop"))
    site.repo.commit("Stop pruning")
    seen = preview(site)
    assert seen.exit_code == 1
    assert "spec.syncPolicy" in seen.applications["one"]["reason"]
    assert seen.applications["one"]["automated"] is False


def test_an_application_that_cannot_be_rendered_is_unknown(site: Site) -> None:
    """What its own change makes of it nobody knows: it is not counted among those that change."""
    path = site.repo.path / "argocd/one.yaml"
    site.repo.write("argocd/one.yaml", path.read_text().replace("apps/one", "apps/onee"))
    site.repo.commit("Misspell")
    seen = preview(site)
    assert seen.exit_code == 2
    one = seen.applications["one"]
    assert (one["action"], one["reason"]) == (
        "unknown", "the Application itself changes: spec.source",
    )  # fmt: skip
    assert any("did you mean apps/one?" in text for text in seen.conditions("one"))


def test_an_application_that_argo_cd_refuses_stays_where_it_is(site: Site) -> None:
    """Without a destination nothing moves or goes: the slip and the invalid spec are told."""
    spec = application("one", "shop", syncPolicy=PRUNE).replace('"destination"', '"destinaton"')
    site.repo.write("argocd/one.yaml", spec)
    site.repo.write("argocd/new.yaml", spec.replace('"one"', '"new"'))
    site.repo.commit("Misspell")
    seen = preview(site)
    assert seen.exit_code == 2, seen.stderr
    one, new = seen.applications["one"], seen.applications["new"]
    assert (one["action"], one["resources"], one["destination"]["namespace"]) == (
        "refuse", [], "shop",
    )  # fmt: skip
    assert one["reason"].endswith(
        "changes: spec.destination, spec.destinaton; Argo CD refuses this spec, and what is "
        "deployed stays as it is"
    )
    assert (
        new["reason"]
        == "declared by the change; Argo CD refuses this spec, and nothing is deployed"
    )
    for name in ("one", "new"):
        slip, invalid = seen.conditions(name)
        assert f"UnknownFieldWarning: argocd/{name}.yaml:" in slip
        assert "spec has no field destinaton; did you mean destination?" in slip
        assert f"InvalidSpecError: argocd/{name}.yaml:" in invalid
    assert not any("cluster no destination" in text for text in seen.conditions())


def test_what_does_not_render_makes_exit_code_2(site: Site) -> None:
    """A change that breaks an application is told; nothing of it counts as deleted."""
    site.repo.write("apps/one/kustomization.yaml", "resources: [missing.yaml]\n")
    site.repo.write("apps/two/two.yaml", config_map("two", colour="red"))
    site.repo.commit("Break")
    seen = preview(site)
    assert seen.exit_code == 2
    assert (seen.applications["one"]["action"], seen.applications["one"]["resources"]) == (
        "unknown",
        [],
    )
    assert objects(seen, "two")["two"]["action"] == "change"


@pytest.fixture
def nested(site: Site) -> Site:
    """Beside them an app of apps whose overlay prefixes its children, which delete on removal."""
    site.repo.git("checkout", "--quiet", "main")
    for name in ("red", "green"):
        child = json.loads(application(name, "shop"))
        child["metadata"]["finalizers"] = ["resources-finalizer.argocd.argoproj.io"]
        site.repo.write(f"children/base/{name}.yaml", json.dumps(child))
        site.repo.write(f"apps/{name}/{name}.yaml", config_map(name, colour=name))
    site.repo.write("children/base/kustomization.yaml", "resources: [red.yaml, green.yaml]\n")
    site.repo.write("children/prod/kustomization.yaml", "resources: [../base]\nnamePrefix: prod-\n")
    root = application("root", "shop", source={"repoURL": URL, "path": "children/prod"})
    site.repo.write("argocd/root.yaml", root)
    site.repo.commit("Base with children")
    site.repo.git("checkout", "--quiet", "-B", "change")
    return site


def test_applications_that_the_change_hides_are_unknown_not_removed(nested: Site) -> None:
    """Children of an overlay that no longer renders are Unknown, and none of their objects goes."""
    nested.repo.write("children/prod/kustomization.yaml", "resources: [../base, gone.yaml]\n")
    nested.repo.write("apps/two/two.yaml", config_map("two", colour="red"))
    nested.repo.commit("Break the overlay")
    seen = preview(nested)
    assert seen.exit_code == 2, seen.stderr
    assert seen.report["complete"] is False
    children = {name: seen.applications[name] for name in ("prod-red", "prod-green")}
    for child in children.values():
        assert (child["action"], child["resources"]) == ("unknown", [])
        (condition,) = child["conditions"]
        assert "is not known: Application root, which declares it" in condition["message"]
    (why,) = [one["message"] for one in seen.report["conditions"] if one["severity"] == "error"]
    assert "gone.yaml" in why
    assert objects(seen, "two")["two"]["action"] == "change"
    assert "delete" not in seen.report["summary"]["resources"]
    table = preview(nested, output="table").stdout
    assert "removed" not in table
    assert "deleted" not in table


def test_applications_that_the_base_hides_are_not_called_new_for_certain(nested: Site) -> None:
    """Where the base's overlay does not render, what the change brings may have been there."""
    nested.repo.git("checkout", "--quiet", "main")
    nested.repo.write("children/prod/kustomization.yaml", "resources: [../base, gone.yaml]\n")
    nested.repo.commit("Break the overlay")
    nested.repo.git("checkout", "--quiet", "-B", "change")
    nested.repo.write(
        "children/prod/kustomization.yaml", "resources: [../base]\nnamePrefix: prod-\n"
    )
    nested.repo.commit("Mend the overlay")
    seen = preview(nested)
    assert seen.exit_code == 2, seen.stderr
    assert "may have been declared at the base" in seen.applications["prod-red"]["reason"]


def test_children_that_are_removed_are_removed(nested: Site) -> None:
    """Where everything renders, a child that the overlay no longer takes in goes."""
    nested.repo.write("children/base/kustomization.yaml", "resources: [green.yaml]\n")
    nested.repo.remove("children/base/red.yaml")
    nested.repo.commit("Remove a child")
    seen = preview(nested)
    assert seen.exit_code == 1, seen.stderr
    assert seen.applications["prod-red"]["action"] == "delete"
    assert objects(seen, "prod-red")["red"]["action"] == "delete"


def test_an_unknown_base_is_asked_for(site: Site) -> None:
    """Without a remote the branch that is merged into has to be named."""
    seen = site.run("check", "--preview")
    assert (seen.exit_code, seen.stdout) == (2, "")
    assert "--against" in seen.stderr


def chart(site: Site) -> None:
    """A chart `web` with values of its own on main, and a branch that is checked out."""
    site.repo.git("checkout", "--quiet", "main")
    site.repo.write("web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n")
    site.repo.write("web/values.yaml", "replicaCount: 1\nimage: {tag: '1'}\n")
    site.repo.write("web/prod.yaml", "replicaCount: 2\nolder: 1\n")
    site.repo.write(
        "web/templates/web.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n"
        "data: {count: '{{ .Values.replicaCount }}', tag: '{{ .Values.image.tag }}'}\n",
    )
    source = {"repoURL": URL, "path": "web", "helm": {"valueFiles": ["prod.yaml"]}}
    site.repo.write("argocd/web.yaml", application("web", "shop", source=source))
    site.repo.commit("Chart")
    site.repo.git("checkout", "--quiet", "-B", "change")


def test_a_value_that_the_chart_does_not_know(site: Site) -> None:
    """A misspelt value is told with its line, also where nothing at all changes by it."""
    chart(site)
    values = "replicaCount: 2\nolder: 1\nreplicaCont: 4\nimage:\n  replicaCount: 3\n"
    site.repo.write("web/prod.yaml", values)
    site.repo.commit("Scale")
    seen = preview(site)
    assert seen.exit_code == 0, seen.stderr
    told, indented = seen.conditions("web")
    assert "web/prod.yaml:5: the chart does not know the value image.replicaCount" in indented
    assert indented.endswith("the chart has it as replicaCount: look at the indentation")
    assert "web/prod.yaml:3: the chart does not know the value replicaCont" in told
    assert told.endswith("did you mean replicaCount?")
    table = preview(site, output="table").stdout
    assert "unchanged  web" in table
    assert "value replicaCont" in table
    github = preview(site, output="github").stdout
    assert "::warning file=web/prod.yaml,line=3" in github


def test_values_that_were_unknown_before_are_no_news(site: Site) -> None:
    """What the base gives in vain is not told again, unless the change is at it."""
    chart(site)
    site.repo.write("web/prod.yaml", "replicaCount: 3\nolder: 1\n")
    site.repo.commit("Scale")
    seen = preview(site)
    assert [one["ssaPath"] for one in objects(seen, "web")["web"]["changes"]] == ["f:data/f:count"]
    assert seen.conditions("web") == []
    site.repo.write("web/prod.yaml", "replicaCount: 2\nolder: 2\n")
    site.repo.commit("Other")
    (told,) = preview(site).conditions("web")
    assert "the value older" in told


def test_a_generated_object_with_another_hash(site: Site) -> None:
    """A literal and a line of a file are told as fields of the new objects; Secrets are masked."""
    lines = (
        "configMapGenerator:",
        "- name: limits",
        "  literals: [MODE=live]",
        "  envs: [limits.env]",
        "secretGenerator:",
        "- name: login",
        "  literals:",
        "  - TOKEN=hunter2",
    )
    site.repo.git("checkout", "--quiet", "main")
    site.repo.write("apps/one/kustomization.yaml", "\n".join(lines))
    site.repo.write("apps/one/limits.env", "RATE=10\nRETRIES=3\n")
    site.repo.commit("Base")
    site.repo.git("checkout", "--quiet", "-B", "change")
    site.repo.write("apps/one/kustomization.yaml", "\n".join(lines).replace("hunter2", "sesame9"))
    site.repo.write("apps/one/limits.env", "RATE=10\nRETRIES=5\n")
    site.repo.commit("Raise")
    seen = preview(site)
    found = {one["kind"]: one for one in seen.applications["one"]["resources"] if "replaces" in one}
    names = set(objects(seen, "one"))
    assert {one["replaces"] for one in found.values()} == names - {
        x["name"] for x in found.values()
    }
    (field,) = found["ConfigMap"]["changes"]
    assert (field["path"], field["old"], field["new"]) == ("/data/RETRIES", "3", "5")
    assert (field["origin"]["file"], field["origin"]["line"]) == ("apps/one/limits.env", 2)
    (field,) = found["Secret"]["changes"]
    assert (field["path"], field["old"]) == ("/data/TOKEN", {"masked": True})
    assert field["origin"]["line"] == 8
    for output in ("table", "plain", "markdown", "github"):
        text = preview(site, output=output).stdout
        assert "data.RETRIES" in text
        assert f"takes the place of Secret shop/{found['Secret']['replaces']}" in text
        assert "hunter2" not in text
        assert "sesame9" not in text
