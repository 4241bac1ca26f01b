"""How `driftd heal` opens an application, and how it lays a heal out."""

import msgspec
import pytest
from msgspec import UNSET

from driftd.cli import calls
from driftd.cli.commands.heal import sentences
from driftd.controller.heal_once import HealedObject, HealReport
from driftd.model.condition import Severity
from driftd.model.report import (
    ChangeClass,
    ChangeKind,
    ReportCondition,
    ReportOrigin,
    ResourceStatus,
)
from tests.unit.reports import change, resource

WEB = HealedObject(
    group="apps",
    kind="Deployment",
    namespace="shop",
    name="web",
    action="patch",
    changes=(
        change("/spec/replicas", desired=3, live=5),
        change(
            "/spec/template/spec/hostNetwork",
            kind=ChangeKind.ADDED,
            change_class=ChangeClass.UNDECLARED,
            live=True,
        ),
    ),
    impact=("its Pods are replaced (5 replicas)",),
)
HELD = HealedObject(
    group="",
    kind="ConfigMap",
    namespace="shop",
    name="settings",
    action="none",
    reason="it could not be judged",
)

AHEAD = msgspec.structs.replace(HELD, reason="Git is ahead", drifted=False)

MANAGER = "argocd-controller"
TRIED = "dry-run"
NOT_ASKED = "The API server was asked for no dry run: "


def report(*objects, **fields):
    """A heal of one application."""
    fields = {"rung": "observe", "complete": True, **fields}
    return HealReport(application="argocd/shop", cluster="prod", objects=objects, **fields)


def with_outcome(outcome, message=""):
    """The Deployment with how its write ended."""
    return msgspec.structs.replace(WEB, outcome=outcome, message=message or UNSET)


def test_a_preview_names_fields_and_impact():
    """Each field with both values, what the write sets off, and that nothing was written."""
    assert list(sentences(report(WEB, HELD))) == [
        "argocd/shop on cluster prod: 1 object to write, 1 left alone",
        "",
        "Deployment shop/web: remove what Git does not have, then apply what it declares",
        "  spec.replicas: 5 -> 3",
        "  hostNetwork: true -> (removed)",
        "  impact: its Pods are replaced (5 replicas)",
        "",
        "ConfigMap shop/settings: left alone",
        "  because it could not be judged",
        "",
        "Nothing was written: this is a preview. --yes writes, --dry-run asks the API server.",
    ]


def test_masked_values_are_told_by_their_keys():
    """Of a Secret each key is told as changed, added or removed, without a value."""
    masked = {"masked": True}
    keys = msgspec.structs.replace(
        WEB,
        impact=(),
        changes=(
            change("/data/changed", desired=masked, live=masked),
            change("/data/added", kind=ChangeKind.MISSING, desired=masked),
            change("/data/gone", kind=ChangeKind.ADDED, live=masked),
            change("/stringData", desired={"a": masked}, live={"a": masked}),
        ),
    )
    assert [line for line in sentences(report(keys)) if line.startswith("  ")] == [
        "  data.changed: the value changed, Git's is put back (masked)",
        "  data.added: (absent) -> «masked»",
        "  data.gone: «masked» -> (removed)",
        "  stringData: values of {a: «masked»} changed, Git's is put back (masked)",
    ]


def test_what_stays_is_told_as_tables_do():
    """Path, value and severity of what a write leaves, and of an object that is left alone."""
    added = {"kind": ChangeKind.ADDED, "change_class": ChangeClass.UNDECLARED}
    container = change(
        "/spec/template/spec/containers/1",
        ssa_path='f:spec/f:template/f:spec/f:containers/k:{"name":"tcpdump"}',
        live={"name": "tcpdump"},
        severity="critical",
        **added,
    )
    why = "Git is silent"
    web = msgspec.structs.replace(WEB, changes=(), impact=(), staying=(container,), reason=why)
    key = change("/data/x", live="red", severity="high", **added)
    other = change("/data/y", live="red", desired="blue", severity="medium")
    lines = list(sentences(report(web, msgspec.structs.replace(HELD, changes=(key, other)))))
    assert lines[3:5] == [
        "  stays: containers[name=tcpdump]: {name: tcpdump} (critical)",
        f"  because {why}",
    ]
    assert lines[7:9] == ["  data.y: red -> blue (medium)", "  stays: data.x: red (high)"]


def test_a_refused_heal_shows_what_it_would_take():
    """Why nothing is written, then the fields all the same, and no word of `--yes`."""
    lines = list(sentences(report(WEB, refusal="Argo CD is active")))
    assert lines[:2] == [
        "argocd/shop on cluster prod: nothing is written: Argo CD is active",
        "What putting it back would take:",
    ]
    assert "  spec.replicas: 5 -> 3" in lines
    assert "--yes" not in "".join(lines)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"resources": {"Synced": 7}}, "nothing to put back: 7 objects, all Synced"),
        (
            {"resources": {"Pending": 1, "Synced": 7}},
            "nothing to put back: 8 objects: 1 Pending, 7 Synced",
        ),
        ({}, "nothing to put back: 0 objects"),
        (
            {"resources": {"Synced": 1, "Unknown": 1}, "complete": False},
            "no drift in what could be judged: 2 objects: 1 Synced, 1 Unknown",
        ),
        (
            {"resources": {"NotChecked": 1, "Unknown": 1}, "complete": False},
            "nothing could be judged: 2 objects: 1 NotChecked, 1 Unknown",
        ),
        (
            {"resources": {"Unknown": 9}, "complete": False},
            "nothing could be judged: 9 objects, all Unknown",
        ),
        ({"complete": False}, "nothing could be judged"),
    ],
)
def test_nothing_to_put_back_is_one_line(fields, told):
    """Whoever may write: without drift no refusal is told, but what the look came to."""
    made = report(refusal="Argo CD is active", **fields)
    assert list(sentences(made)) == [f"argocd/shop on cluster prod: {told}"]


def test_what_is_to_be_corrected_has_its_place():
    """The line of the mistake in Git, of one object and of each of several with one reason."""
    wrong = [
        msgspec.structs.replace(
            HELD,
            name=name,
            reason="Git is to be corrected at /spec/x: no such field",
            origin=ReportOrigin(file="shop.yaml", line=line),
        )
        for name, line in (("a", 3), ("b", 9))
    ]
    (because,) = (line for line in sentences(report(wrong[0])) if "because" in line)
    assert because == "  because Git is to be corrected at /spec/x: no such field (shop.yaml:3)"
    assert (
        "2 objects left alone: ConfigMap shop/a (shop.yaml:3), ConfigMap shop/b (shop.yaml:9)"
    ) in list(sentences(report(*wrong)))


def test_one_cause_is_said_once():
    """Objects that are left alone for one reason stand together; a condition tells it already."""
    down = ReportCondition(type="ComparisonError", message="cluster prod: connection refused")
    blind = [
        msgspec.structs.replace(
            HELD, name=name, drifted=False, reason=f"it could not be judged: {down.message}"
        )
        for name in "abcdef"
    ]
    extra = [
        msgspec.structs.replace(HELD, name=name, reason="it is not in Git") for name in "uvwxyz"
    ]
    made = report(*blind, WEB, *extra, complete=False, conditions=(down,))
    lines = list(sentences(made))
    assert "".join(lines).count("refused") == 1
    first = ", ".join(f"ConfigMap shop/{name}" for name in "abcd")
    assert lines[3:5] == [
        f"6 objects left alone: {first} and 2 more",
        "  because they could not be judged",
    ]
    names = ", ".join(f"ConfigMap shop/{name}" for name in "uvwxyz")
    assert lines[-4:-2] == [f"6 objects left alone: {names}", "  because they are not in Git"]


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (
            report(with_outcome("dry-run"), with_outcome("not-healable", "immutable"), rung=TRIED),
            "Nothing was written: of 2 dry runs the API server accepts 1.",
        ),
        (report(WEB, rung=TRIED, refusal="Flux"), NOT_ASKED + "nothing may be written to this"),
        (report(resources={"Synced": 7}, rung=TRIED), NOT_ASKED + "there is nothing to write."),
        (report(complete=False, rung=TRIED), NOT_ASKED + "nothing could be planned."),
        (report(WEB, rung=TRIED, complete=False), NOT_ASKED + "the cluster could not be read."),
        (report(HELD, rung=TRIED), NOT_ASKED + "every object is left alone."),
    ],
)
def test_a_dry_run_says_whether_the_api_server_was_asked(driftd, monkeypatch, made, told):
    """What it accepts, and else why nothing was asked; each object has its own answer."""
    monkeypatch.setattr(calls, "heal", lambda *_args, **_flags: made)
    lines = driftd("heal", "shop", "--dry-run").stdout.splitlines()
    assert (lines[-2], lines[-1][: len(told)]) == ("", told)
    answers = [line for line in lines if line.startswith("  result: ")]
    if told.startswith("Nothing was"):
        assert answers == [
            "  result: dry run: the API server accepts it",
            "  result: not-healable: immutable",
        ]


def test_errors_of_the_application_come_first():
    """Why nothing could be judged stands above the verdict; a warning does not."""
    wrong = ReportCondition(type="ComparisonError", message="revision 'x' does not exist")
    usual = ReportCondition(type="Hint", message="0 objects", severity=Severity.WARNING)
    lines = list(sentences(report(complete=False, conditions=(usual, wrong))))
    assert lines == [
        "! ComparisonError: revision 'x' does not exist",
        "argocd/shop on cluster prod: nothing could be judged",
    ]


def test_what_could_not_be_compared_is_not_put_back():
    """Objects without a verdict in one line for each reason, beside drift and without any."""
    secret = resource("db", group="", kind="Secret", status=ResourceStatus.NOT_CHECKED)
    secret = msgspec.structs.replace(secret, reason="no permission")
    told = "NotChecked, so not put back: 1 Secret: shop/db: no permission"
    for objects in ((), (WEB,)):
        lines = list(sentences(report(*objects, not_checked=(secret,))))
        assert lines.count(told) == 1


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (report(), 0),
        (report(with_outcome("applied"), rung="fields"), 0),
        (report(WEB), 1),
        (report(HELD), 1),
        (report(with_outcome("not-healable", "immutable"), rung="fields"), 1),
        (report(with_outcome("failed", "refused"), rung="fields"), 2),
        (report(complete=False), 2),
        (report(refusal="Argo CD is active", resources={"Missing": 1}), 1),
        (report(refusal="Argo CD is active", resources={"Synced": 7, "NotChecked": 1}), 0),
        (report(AHEAD, refusal="Argo CD is active", resources={"Pending": 1}), 0),
        (report(AHEAD, with_outcome("applied"), rung="fields"), 0),
        (report(refusal="Argo CD is active", complete=False), 2),
    ],
)
def test_exit_codes(driftd, monkeypatch, made, code):
    """0: nothing is left; 1: something is; 2: something could not be judged or written."""
    monkeypatch.setattr(calls, "heal", lambda *_args, **_flags: made)
    assert driftd("heal", "shop").exit_code == code


@pytest.mark.parametrize(
    ("flags", "noted"), [((), 1), (("--hub", "prod"), 0), (("--state", "looks.db"), 0)]
)
def test_what_may_be_a_commit_that_nobody_synced_is_noted(driftd, monkeypatch, flags, noted):
    """What a deployer wrote, where nothing tells it from drift: all that `check` counts, fields
    and objects that are left alone too, and not what is accepted.
    """
    theirs = change("/spec/replicas", desired=3, live=5, manager=MANAGER)
    mine = change("/spec/paused", manager="alice")
    made = report(
        msgspec.structs.replace(WEB, changes=(theirs, mine), staying=(theirs,)),
        msgspec.structs.replace(HELD, changes=(theirs,)),
        msgspec.structs.replace(HELD, manager=MANAGER),
        msgspec.structs.replace(HELD, manager=MANAGER, drifted=False),
        deployers=(MANAGER,),
    )
    monkeypatch.setattr(calls, "heal", lambda *_args, **_flags: made)
    note = (
        "note: 4 findings are as argocd-controller wrote them: a commit that is not synced yet "
        "looks like that; --hub CONTEXT tells it (Pending) from drift"
    )
    assert driftd("heal", "shop", *flags).stderr.count(note) == noted


@pytest.mark.parametrize(
    ("flags", "asked"),
    [
        ((), (False, False, False)),
        (("--yes",), (False, True, False)),
        (("--dry-run", "--undeclared"), (True, False, True)),
    ],
)
def test_nothing_is_opened_unasked(driftd, monkeypatch, flags, asked):
    """Without flags it is a preview of the one application that was named."""
    seen = {}

    def heal(chosen, _narrator, **given):
        seen.update(given, names=chosen["applications"])
        return report(with_outcome("applied"), rung="fields")

    monkeypatch.setattr(calls, "heal", heal)
    result = driftd("heal", "shop", *flags)
    assert result.exit_code == 0, result.stderr
    assert (seen["dry_run"], seen["yes"], seen["undeclared"]) == asked
    assert seen["names"] == ("shop",)
    assert "result: applied" in result.stdout


def test_rules_of_settings_and_yes_are_not_mixed(driftd, tmp_path):
    """Who opens the application is one of the two."""
    file = tmp_path / "driftd.yaml"
    file.write_text("healing: {rules: []}\n")
    result = driftd("heal", "shop", "--config", str(file), "--yes")
    assert (result.exit_code, "give it, or --yes" in result.stderr) == (2, True)


def test_where_a_heal_is_on_record():
    """A heal without a daemon's settings says which command lists what it wrote over."""
    healed = report(with_outcome("applied"), rung="fields", record="sqlite:////var/lib/by-hand.db")
    assert list(sentences(healed))[-2:] == [
        "On record, with what was written over:",
        "  driftd restore --store sqlite:////var/lib/by-hand.db",
    ]


def test_another_order_is_no_removal():
    """Where only the order of items is put back, nothing is said to be removed."""
    moved = change("/spec/rules", kind=ChangeKind.REORDERED, desired=["a", "b"], live=["b", "a"])
    lines = list(sentences(report(msgspec.structs.replace(WEB, changes=(moved,)))))
    told = next(line for line in lines if line.startswith("Deployment shop/web"))
    assert told == "Deployment shop/web: put the items in Git's order, then apply what it declares"


def test_of_what_kubectl_deploys_a_state_tells(driftd, monkeypatch):
    """Where no engine deploys, no hub has an Application that could tell commits from drift."""
    tool = "kubectl-client-side-apply"
    theirs = change("/spec/replicas", desired=3, live=5, manager=tool)
    made = report(msgspec.structs.replace(WEB, changes=(theirs,)), deployers=(tool,))
    monkeypatch.setattr(calls, "heal", lambda *_args, **_flags: made)
    told = driftd("heal", "shop").stderr
    assert "a commit that is not applied yet looks like that; a --state FILE kept since" in told
    assert "--hub" not in told


def test_items_in_another_order_are_named():
    """Items that are put back into Git's order are told by name, as in tables."""
    keys = ['k:{"name":"web"}', 'k:{"name":"proxy"}']
    moved = change("/spec/containers", kind=ChangeKind.REORDERED, desired=keys, live=keys[::-1])
    told = "\n".join(sentences(report(msgspec.structs.replace(WEB, changes=(moved,)))))
    assert "containers: [proxy, web] -> [web, proxy]" in told
    assert "k:{" not in told
