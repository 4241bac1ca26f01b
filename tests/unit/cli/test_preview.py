"""The formats of a preview: what a reviewer of a pull request reads."""

from __future__ import annotations

import io
import json

import jsonschema_rs
import msgspec
import pytest
from markdown_it import MarkdownIt
from msgspec import UNSET
from rich.console import Console

from driftd.cli.preview_findings import facts_of, summary, untouched_text
from driftd.cli.preview_formats import github, names
from driftd.cli.preview_markdown import markdown
from driftd.cli.preview_plain import plain
from driftd.cli.preview_table import ending, print_preview
from driftd.cli.reference import schema_of
from driftd.model.condition import Severity
from driftd.model.preview import (
    Action,
    ApplicationAction,
    ApplicationPreview,
    Effect,
    FieldChange,
    FieldKind,
    ObjectPreview,
    OnCluster,
    PreviewReport,
    PreviewRevision,
    PreviewSummary,
)
from driftd.model.report import ReportCondition, ReportDestination, ReportOrigin

IMAGE = "/spec/template/spec/containers/0/image"


def field(path=IMAGE, **fields):
    """An image that goes from 1 to 2."""
    fields = {"kind": FieldKind.MODIFIED, "old": "web:1", "new": "web:2", **fields}
    return FieldChange(path=path, **{"severity": "high", "severity_reason": "runs", **fields})


def item(name="web", *changes, **fields):
    """A Deployment that changes."""
    fields = {"kind": "Deployment", "group": "apps", "action": Action.CHANGE, **fields}
    fields = {"severity": "high", "severity_reason": "runs", **fields}
    origin = ReportOrigin(repo_url="https://git.example.com/a/b.git", file="web.yaml", line=3)
    return ObjectPreview(
        version="v1", namespace="shop", name=name, origin=origin, changes=changes, **fields
    )


def report(*items, action=ApplicationAction.CHANGE, conditions=(), complete=True):
    """A report of one application."""
    app = ApplicationPreview(
        name="shop",
        namespace="argocd",
        project="default",
        cluster="prod",
        destination=ReportDestination(server="https://prod.example.com", namespace="shop"),
        action=action,
        automated=False,
        conditions=conditions,
        resources=items,
        complete=complete,
    )
    quiet = action is ApplicationAction.UNCHANGED
    return PreviewReport(
        generated_at="2026-03-04T12:00:00Z",
        complete=complete,
        base=PreviewRevision(name="main", commit="a" * 40),
        revision=PreviewRevision(name="bump", commit="b" * 40),
        applications=() if quiet else (app,),
        summary=PreviewSummary(
            applications={str(action): 1},
            resources={},
            fields=sum(len(one.changes) for one in items),
            untouched_drift=sum(one.untouched_drift for one in items),
            reverted_drift=sum(one.reverted_drift for one in items),
            reverted_ignored=sum(one.reverted_ignored for one in items),
        ),
    )


def full():
    """A report with everything that a preview can say."""
    return report(
        item(
            "web",
            field(
                on_cluster=OnCluster.DRIFTED,
                live="web:evil",
                manager="kubectl",
                effect=Effect.ROLLOUT,
                effect_reason="its Pods are replaced",
            ),
            field(
                "/spec/replicas",
                kind=FieldKind.ADDED,
                old=UNSET,
                new=3,
                on_cluster=OnCluster.ALREADY,
            ),
            effect=Effect.ROLLOUT,
            effect_reason="its Pods are replaced",
            untouched_drift=2,
            reverted_drift=1,
        ),
        item(
            "old",
            action=Action.DELETE,
            severity="critical",
            severity_reason="data may be lost",
            reason="syncPolicy.automated.prune deletes it",
        ),
        item("kept", action=Action.LEAVE, severity="medium", reason="nobody prunes"),
    )


def table(found, **flags):
    """The table in 100 columns."""
    out = io.StringIO()
    print_preview(Console(file=out, width=100, color_system=None), found, **flags)
    return out.getvalue()


def test_deletions_stand_where_their_severity_puts_them():
    """A group of deletions that are high comes before medium changes, and says its level."""
    gone = {"action": Action.DELETE, "severity": "high", "severity_reason": "the object is deleted"}
    text = table(
        report(
            item("calm", field(severity="medium"), severity="medium"),
            item("first", **gone),
            item("second", **gone),
        )
    )
    assert text.index("first") < text.index("high: the object is deleted") < text.index("calm")


def test_what_goes_with_its_application():
    """Objects of an application that is removed are counted apart from what is deleted alone."""
    gone = report(item("old", action=Action.DELETE), action=ApplicationAction.DELETE)
    assert "1 application is removed; 1 object deleted with the application" in table(gone)
    kept = report(item("old", action=Action.DELETE), item("web", field()))
    assert "2 objects: 1 deleted, 1 changed" in table(kept)


def test_flux_has_no_projects():
    """An application of Flux has its kind where one of Argo CD has its project."""
    found = report(item("web", field()))
    (app,) = found.applications
    app = msgspec.structs.replace(app, kind="Kustomization")
    text = table(msgspec.structs.replace(found, applications=(app,)))
    assert "namespace shop · Kustomization · synced by hand" in text
    assert "project" not in text


def test_the_line_of_a_field():
    """Each format names the line that sets a field; an annotation stands there."""
    own = field(origin=ReportOrigin(file="web.yaml", line=9))
    patched = field("/spec/replicas", origin=ReportOrigin(file="patch.yaml", line=4))
    found = report(item("web", own, patched))
    assert "image  web:1 → web:2  (at line 9)" in table(found)
    assert "web:1 → web:2  (in patch.yaml:4)" in table(found)
    text = "\n".join(plain(found, ending="exit 1"))
    assert "Set at line 9\n" in text
    assert "Set in patch.yaml:4" in text
    assert "in patch.yaml:4" in markdown(found)
    annotation = github(found).splitlines()[1]
    assert annotation.startswith("::warning file=web.yaml,line=9,title=")
    assert "in patch.yaml:4" in annotation


@pytest.mark.parametrize(("action", "kind"), [(Action.REFUSE, "error"), (Action.CREATE, "notice")])
def test_what_is_refused_is_an_error_on_github(action, kind):
    """Whatever its severity: the preview exits with 2 for it."""
    one = msgspec.structs.replace(item("web"), action=action, severity="medium")
    assert github(report(one)).splitlines()[1].startswith(f"::{kind} ")


@pytest.mark.parametrize(
    ("total", "declared", "says"),
    [
        (0, 0, ""),
        (1, 0, "1 drifted field of these objects is not in this change: Git is silent about it ("),
        (1, 1, "1 drifted field of these objects is not in this change: deploying it puts it back"),
        (3, 3, "3 drifted fields of these objects are not in this change: deploying it puts them"),
        (3, 2, "puts back, too, what Git declares of them (2) (driftd check shows them)"),
    ],
)
def test_drift_beside_the_change_is_counted_by_what_deploying_does_to_it(total, declared, says):
    """What Git declares of a changed object goes back to Git's value, though the diff lacks it."""
    found = report(item("web", field(), untouched_drift=total, reverted_drift=declared))
    text = untouched_text(found.summary)
    assert says in text if says else text == ""


def test_ignored_fields_that_a_sync_puts_back_are_told():
    """At the changed field with the rule and what the cluster has, beside it as a count."""
    change = field(
        on_cluster=OnCluster.DRIFTED, live="web:9", manager="kubectl", ignored_by="spec.rule[0]"
    )
    found = report(item("web", change, reverted_ignored=2))
    for text in (table(found), "\n".join(plain(found, ending="exit 1"))):
        flat = " ".join(text.split())
        assert "ignores for comparisons alone: the cluster has web:9 by kubectl" in flat
        assert "puts back, too, 2 fields of these objects that ignore rules name" in flat
    assert "(`driftd check --show ignored` shows them)" in markdown(found)
    assert "ignore rules" not in table(report(item("web", field())))


def test_drift_without_a_live_value():
    """A field that somebody removed from the cluster is told as not set there."""
    change = field(on_cluster=OnCluster.DRIFTED)
    flat = " ".join(table(report(item("web", change))).split())
    assert "overwrites drift: the cluster has (not set)" in flat


def test_long_live_values_are_cut_around_what_differs():
    """Of an item of a list that drifted the tag is seen which the cluster has, not Git."""
    image = "registry.example/platform/very/long/path/proxy:v1.30."
    base = {"name": "proxy", "image": f"{image}4", "ports": [{"containerPort": 15001}]}
    change = field(
        old=base,
        new={**base, "name": "sidecar"},
        on_cluster=OnCluster.DRIFTED,
        live={**base, "image": f"{image}9"},
    )
    told = " ".join(table(report(item("web", change))).split())
    assert "proxy:v1.30.9" in told.partition("overwrites drift: the cluster has")[2]
    same = msgspec.structs.replace(change, live=base)
    assert "the cluster has {name: proxy, image: registry" in " ".join(
        table(report(item("web", same))).split()
    )


def test_table_is_read_from_the_top():
    """Summary, then the worst object first, values with their notes, the exit code last."""
    text = table(full())
    lines = text.splitlines()
    assert lines[0] == "Merging bump (bbbbbbbb) into main (aaaaaaaa)"
    assert lines[1].startswith(
        "prod  1 application changes; 3 objects: 1 deleted, 1 changed, 1 left behind, 1 rollout"
    )
    assert (
        "2 drifted fields of these objects are not in this change: deploying it puts back, too, "
        "what Git declares of them (1) (driftd check shows them)"
    ) in " ".join(text.split())
    assert text.index("old") < text.index("Deployment shop/web") < text.index("shop/kept")
    assert "critical: data may be lost" in text
    assert "image  web:1 → web:2" in text
    assert "overwrites drift: the cluster has web:evil by kubectl" in text
    assert "(not set) → 3" in text
    assert "already so on the cluster" in text
    assert lines[-1] == "exit 1: merging changes something"
    assert table(full(), report_changes=False).endswith("something (--no-exit-code)\n")
    assert IMAGE in table(full(), wide=True)


def test_nothing_and_what_could_not_be_compared():
    """An empty preview says so, and one that is not complete ends with 2."""
    nothing = report(action=ApplicationAction.UNCHANGED)
    assert table(nothing).endswith("exit 0: merging changes nothing\n")
    assert not nothing.changes
    told = ReportCondition(type="ComparisonError", message="does not\nrender")
    broken = report(action=ApplicationAction.UNKNOWN, conditions=(told,), complete=False)
    text = table(broken)
    assert "! ComparisonError: does not render" in text
    assert "exit 2: something could not be rendered or compared" in text
    assert not broken.changes


@pytest.mark.parametrize(
    ("cluster", "server", "told"),
    [
        ("prod", "https://prod", "cluster prod"),
        ("", "https://prod", "destination https://prod"),
        ("", "", "no cluster"),
    ],
)
def test_where_an_application_goes(cluster, server, told):
    """Its cluster, else the destination's server; never a title without a value."""
    (app,) = report(action=ApplicationAction.CREATE).applications
    goes = ReportDestination(server=server, namespace="")
    app = msgspec.structs.replace(app, cluster=cluster, destination=goes)
    assert facts_of(app)[0] == told


def test_one_cause_is_told_once():
    """Applications that could not be compared for one cause stand together, others alone."""
    why = (ReportCondition(type="ComparisonError", message="the set cannot be read"),)
    alike = [
        msgspec.structs.replace(app, name=f"app-{n:02}")
        for n in range(14)
        for app in report(action=ApplicationAction.UNKNOWN, conditions=why).applications
    ]
    other = msgspec.structs.replace(alike[0], name="other", conditions=(*why, *why))
    found = msgspec.structs.replace(report(), applications=(*alike, other))
    for text in (table(found), "\n".join(plain(found, ending="end")), markdown(found),
                 github(found)):  # fmt: skip
        assert text.count("the set cannot be read") == 3
        assert "app-00, app-01" in text or "app-00%2C app-01" in text
    assert "app-11 and 2 more (-o wide)" in table(found)
    assert "app-13" in table(found, wide=True)


def test_what_a_template_breaks_is_told_once():
    """A reference that many applications of a template lack is told at the first, with a count."""

    def lacks(name, field="envFrom[0]"):
        text = (
            f"chart/web.yaml:7: Deployment.apps {name}/web-{name}: {field} names ConfigMap {name}, "
            f"which the change takes away; at the base it was whole; did you mean {name}-cfg?"
        )
        told = ReportCondition(type="DanglingReference", message=text, severity=Severity.WARNING)
        (app,) = report(item(name), conditions=(told,)).applications
        return msgspec.structs.replace(app, name=name)

    apps = (lacks("a"), lacks("b"), lacks("c"), lacks("d", "volumes[0]"))
    found = msgspec.structs.replace(report(), applications=apps)
    for text, more in ((table(found), "-o wide"), (markdown(found), "-o json")):
        flat = " ".join(text.split())
        assert flat.count("DanglingReference") == 2
        assert f"did you mean a-cfg?; the same in 2 more applications ({more})" in flat
        assert "volumes[0] names ConfigMap d" in flat
    assert table(found, wide=True).count("DanglingReference") == 4


def test_a_mistake_of_a_set_is_told_once():
    """Applications that a set makes invalid stand together, with their number, whatever changes."""
    why = (ReportCondition(type="InvalidSpecError", message="set.yaml:9: no destination"),)
    apps = [
        msgspec.structs.replace(app, name=f"app-{n:02}")
        for n in range(30)
        for app in report(conditions=why).applications
    ]
    text = table(msgspec.structs.replace(report(), applications=tuple(apps)))
    assert text.count("set.yaml:9") == 1
    assert "changes    30 applications: app-00, app-01" in text


def test_json_holds_to_its_schema():
    """The published schema accepts a report, and refuses another action."""
    validator = jsonschema_rs.validator_for(schema_of(PreviewReport))
    document = json.loads(msgspec.json.encode(full()))
    validator.validate(document)
    document["applications"][0]["resources"][0]["action"] = "explode"
    assert not validator.is_valid(document)


def test_names():
    """One line for each object, its action first; an application without objects stands alone."""
    assert list(names(full())) == [
        "delete shop/deployment.apps/shop/old",
        "change shop/deployment.apps/shop/web",
        "leave shop/deployment.apps/shop/kept",
    ]
    assert list(names(report(action=ApplicationAction.DELETE))) == ["delete shop"]


def test_plain_has_a_fact_on_each_line():
    """Objects, fields with both values and notes each stand on a line of their own."""
    lines = list(plain(full(), ending="exit 1"))
    assert lines[0] == "Merging bump (bbbbbbbb) into main (aaaaaaaa)"
    assert "Application shop on cluster prod: change" in lines
    assert "Delete Deployment shop/old in web.yaml:3" in lines
    assert "Critical: data may be lost" in lines
    assert "High, spec.replicas: old (not set), new 3" in lines
    assert "Note: already so on the cluster" in lines
    assert "Rollout: its Pods are replaced" in lines
    assert lines[-1] == "exit 1"


def test_annotations():
    """Critical is an error at its file, the rest below; files of other repositories are text."""
    lines = github(full(), repository="a/b").splitlines()
    assert [line.split(" ")[0] for line in lines] == [
        "::notice",
        "::error",
        "::warning",
        "::notice",
    ]
    assert "file=web.yaml,line=3" in lines[1]
    assert "file=" not in github(full(), repository="other/one")


@pytest.mark.parametrize(("repository", "placed"), [("a/b", True), ("other/one", False)])
def test_conditions_are_annotations_of_their_file(repository, placed):
    """A condition that begins with its file is placed there, if the file can be of the workflow."""
    report = full()
    message = "source base: base/web.yaml:3: is no YAML"
    told = ReportCondition(type="ComparisonError", message=message, severity=Severity.ERROR)
    apps = [msgspec.structs.replace(app, conditions=(told,)) for app in report.applications]
    text = github(msgspec.structs.replace(report, applications=tuple(apps)), repository=repository)
    found = [line for line in text.splitlines() if line.endswith(f"::ComparisonError: {message}")]
    assert found
    assert all(("file=base/web.yaml,line=3" in line) is placed for line in found)


def test_markdown_is_a_comment():
    """A table for each application inside a section to unfold, and nothing else is markup."""
    nasty = item("x`|<b>@all", field(new="a|b`c\n<img>", old="a\nb"))
    text = markdown(report(nasty, *full().applications[0].resources))
    assert text.count("<details>") == text.count("</details>") == 1
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    assert sum(token.type == "table_open" for token in tokens) == 2
    html = {
        child.content
        for token in tokens
        for child in (token, *(token.children or ()))
        if child.type == "html_inline"
    }
    assert html <= {"<br>"}
    assert "**critical**" in text


def test_markdown_tells_severity():
    """Each change has its severity in the first column, and the unfolded line counts them."""
    text = markdown(full())
    assert "3 objects (1 critical, 1 high, 1 medium)</summary>" in text
    head, _, *rows = [line for line in text.splitlines() if line.startswith("|")][-7:]
    assert head.startswith("| Severity | What |")
    assert [row.split(" | ")[0] for row in rows] == [
        "| **critical**",
        "| ",
        "| high",
        "| high",
        "| medium",
    ]


def test_markdown_fits_a_comment():
    """However much changes, a comment stays below the limit, whole, and says what was cut."""
    many = [item(f"web-{n}", field(old="x" * 300, new="y" * 300)) for n in range(900)]
    text = markdown(report(*many))
    assert len(text) <= 60_000
    assert text.count("<details>") == text.count("</details>")
    assert "not shown" in text
    assert "check --preview -o json" in text


def test_what_the_server_would_refuse_is_no_success():
    """Exit code 2 also where everything could be compared, and the last line says why."""
    refused = report(item("web", action=Action.REFUSE))
    assert refused.refused == 1
    told = "exit 2: the API server would refuse 1 object"
    assert ending(refused, report_changes=False) == told
    assert ending(report(item("web")), report_changes=True).startswith("exit 1: ")


def test_what_goes_with_a_namespace_is_no_success():
    """Exit code 2 also where merging deletes with a Namespace what Git still declares."""
    gone = report(item("shop", action=Action.DELETE, declared_inside=3))
    assert not gone.sound
    told = "exit 2: merging deletes 3 objects that Git still declares"
    assert ending(gone, report_changes=False) == told
    kept = report(item("shop", action=Action.LEAVE, declared_inside=3))
    assert kept.sound
    assert ending(kept, report_changes=True).startswith("exit 1: ")
    both = report(*gone.applications[0].resources, item("web", action=Action.REFUSE))
    last = ending(both, report_changes=True)
    assert last == f"{told}, and the API server would refuse 1 object"
    lost = "1 object deleted, and with a namespace 3 objects that Git still declares"
    assert summary(gone).endswith(lost)
    assert "still declares" not in summary(kept)


def test_fields_of_the_application_itself():
    """Old and new value and the line stand below the reason, in every format for people."""
    at = ReportOrigin(repo_url=UNSET, file="apps/shop.yaml", line=12)
    change = field("/spec/source/targetRevision", old="v1", new="v2", origin=at)
    found = report()
    (app,) = found.applications
    own = msgspec.structs.replace(app, changes=(change,), reason="the Application itself changes")
    found = msgspec.structs.replace(found, applications=(own,))
    told = "/spec/source/targetRevision  v1 → v2  (in apps/shop.yaml:12)"
    told = told.replace("/spec/source/", "spec.source.")
    assert told in table(found)
    assert told in table(found, wide=True)
    assert told in "\n".join(plain(found, ending="exit 1"))
    assert f"- `{told}`" in markdown(found)


def test_what_differs_in_own_names_alone_is_told_once():
    """Applications with the same fields, conditions and objects but for their names are told as one
    with the others' names; another value stands alone, and `-o wide`, plain and JSON tell each.
    """

    def made(stem, value="2"):
        why = ReportCondition(type="InvalidSpecError", message=f"set.yaml:9: no prod-{stem} here")
        moved = field("/spec/destination/namespace", old=f"svc-{stem}", new=f"prod-{stem}")
        label = field("/metadata/labels/tier", old="1", new=value)
        (app,) = report(item(stem, label), conditions=(why,)).applications
        goes = ReportDestination(server="https://prod.example.com", namespace=f"svc-{stem}")
        return msgspec.structs.replace(app, name=f"{stem}-prod", destination=goes, changes=(moved,))

    stems = ("order-history", *(f"app{number}" for number in range(20)))
    apps = (*(made(stem) for stem in stems), made("odd", value="3"))
    found = msgspec.structs.replace(report(), applications=apps)
    text = " ".join(table(found).split())
    assert text.count("InvalidSpecError") == 2
    assert "svc-app0 → prod-app0" in text
    assert "svc-odd → prod-odd" in text
    assert (
        "the same fields, from and to the same values, change in 20 more applications: app1-prod, "
        in text
    )
    assert "and 8 more (-o wide)" in text
    page = markdown(found)
    assert "<b>app0-prod</b> and 20 more like it on" in page
    assert "order-history-prod" in page
    assert github(found).count("InvalidSpecError") == 2
    for every in (table(found, wide=True), "\n".join(plain(found, ending="end"))):
        assert every.count("InvalidSpecError") == 22


def test_masked_values_are_never_told_as_the_same():
    """Applications whose changes are masked stand alone: their values may differ."""
    hidden = field("/data/password", old={"masked": True}, new={"masked": True})
    (app,) = report(item("web", hidden)).applications
    apps = (app, msgspec.structs.replace(app, name="other"))
    text = table(msgspec.structs.replace(report(), applications=apps))
    assert text.count("changes    ") == 2
    assert "same values" not in text


def test_what_is_refused_is_not_to_be_recreated():
    """The reason of a refusal says why, and only what somebody forces counts as to recreate."""
    why = "spec.selector cannot be changed in place"
    parts = {"effect": Effect.RECREATE, "effect_reason": why}
    found = report(
        item("web", field(**parts), action=Action.REFUSE, reason=f"refused: {why}", **parts),
        item("api", field(**parts), **parts),
    )
    text = table(found)
    assert "2 objects: 1 refused by the API server, 1 changed, 1 to recreate" in text
    assert text.count("recreate: spec.selector") == 1
    assert "exit 2: the API server would refuse 1 object" in text


def test_markdown_shows_the_end_of_a_critical_value():
    """What is grave in a new container stands in the cell, also where it is long."""
    body = {"name": "dump", "image": "i" * 90, "args": ["a" * 40], "zone": {"privileged": True}}
    path = "/spec/template/spec/containers/1"
    for level, seen in (("critical", True), ("medium", False)):
        change = field(path, kind=FieldKind.ADDED, old=UNSET, new=body, severity=level)
        page = markdown(report(item("web", change)))
        assert ("i" * 90 in page) is seen
