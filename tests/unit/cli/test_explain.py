"""How `driftd explain` lays its lines out."""

from __future__ import annotations

import click
import pytest

from driftd.cli.commands.explain import asked, folded, sentences
from driftd.controller.explain import Explanation, Owner, PlaceExplanation
from driftd.model.report import (
    Change,
    ChangeClass,
    ChangeKind,
    ReportCondition,
    ResourceReport,
    ResourceStatus,
)

ORIGIN = (
    "  declared in  apps/ledger.yaml of https://github.com/example/repo.git at revision 3c4e42ca"
)


def test_a_long_line_goes_on_below_its_text() -> None:
    """A titled line is folded at words, under what stands beside the title."""
    assert folded(ORIGIN, 70).splitlines() == [
        "  declared in  apps/ledger.yaml of https://github.com/example/repo.git",
        "               at revision 3c4e42ca",
    ]


def test_a_sentence_is_indented_where_it_goes_on() -> None:
    """A line without title gets two spaces; a word that is too long stays whole."""
    assert folded("Healing would do: nothing: Argo CD is active", 30).splitlines() == [
        "Healing would do: nothing:",
        "  Argo CD is active",
    ]
    assert folded("x" * 50, 30) == "x" * 50


def test_short_lines_and_pipes_stay_as_they_are() -> None:
    """Nothing is changed that fits, or where no width is asked for."""
    assert folded(ORIGIN, 0) == ORIGIN
    assert folded("  Git       a  b", 30) == "  Git       a  b"


LINE = "shop/deployment.apps/shop/web"


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("OutOfSync", LINE), ("", LINE, "")),
        (("OutOfSync", LINE, "spec.replicas"), ("", LINE, "spec.replicas")),
        ((f"OutOfSync {LINE}",), ("", LINE, "")),
        ((f"OutOfSync {LINE}", "spec.replicas"), ("", LINE, "spec.replicas")),
        ((LINE,), ("", LINE, "")),
        ((LINE, "/spec/replicas"), ("", LINE, "/spec/replicas")),
        ((LINE, "containers[name=a/b].image"), ("", LINE, "containers[name=a/b].image")),
        (("shop", "deploy/web", "spec"), ("shop", "deploy/web", "spec")),
        (("shop", "Service", "shop/web"), ("shop", "Service/shop/web", "")),
        (("shop", "Service shop/web"), ("shop", "Service/shop/web", "")),
        (("shop", "  OutOfSync  Service shop/web"), ("shop", "Service/shop/web", "")),
        (("shop", "Missing Service shop/web  critical"), ("shop", "Service/shop/web", "")),
        (("shop", "Service shop/web", "spec.type"), ("shop", "Service/shop/web", "spec.type")),
        (("argocd/prod/shop", "deploy/web"), ("argocd/prod/shop", "deploy/web", "")),
        (("shop deploy/web",), ("shop", "deploy/web", "")),
        (("shop deploy/web spec.replicas",), ("shop", "deploy/web", "spec.replicas")),
        (("OutOfSync  shop deploy/web",), ("shop", "deploy/web", "")),
    ],
)
def test_a_line_of_names_can_be_pasted(words, meant):
    """A line of `-o name`, or an object as tables have it, quoted or not; a place may follow."""
    assert asked(*words, *[""] * (3 - len(words))) == meant


def test_an_object_is_missing():
    """An application alone, or with its status, is not enough, and the error says what is."""
    for words in (("shop", "", ""), ("Unknown", "shop", ""), ("Unknown shop", "", "")):
        with pytest.raises(click.UsageError, match="Missing argument 'KIND/NAME'"):
            asked(*words)


@pytest.mark.parametrize(
    "words",
    [
        ("OutOfSync  Service shop/web", "", ""),
        ("  Missing    Service shop/web  in Git, not in the cluster", "", ""),
        ("OutOfSync", "Service", "shop/web"),
        ("Service", "shop/web", ""),
    ],
)
def test_a_line_of_a_table_lacks_its_application(words):
    """An object as tables have it stands below its application, and the error asks for that."""
    with pytest.raises(click.UsageError, match="write driftd explain APP service/shop/web, with"):
        asked(*words)


def explanation(deployers, manager, kind=ChangeClass.DECLARED, conditions=(), order=None):
    """The lines on one field that a manager applied, where these deployers are known."""
    desired, live = (order, order[::-1]) if order else (1, 2)
    change = Change(
        kind=ChangeKind.REORDERED if order else ChangeKind.MODIFIED, change_class=kind,
        path="/spec/x", ssa_path="f:spec/f:x", desired=desired, live=live,
        reason="Git says otherwise",
    )  # fmt: skip
    place = PlaceExplanation(
        path=change.path, ssa_path="f:spec/f:x", verdict="drift", desired=desired, live=live,
        owners=(Owner(manager=manager, operation="Apply", deployer=manager in deployers),),
        changes=(change,),
    )  # fmt: skip
    resource = ResourceReport(
        group="", version="v1", kind="Service", namespace="web", name="web",
        status=ResourceStatus.OUT_OF_SYNC, changes=(change,),
    )  # fmt: skip
    found = Explanation(
        application="shop", cluster="one", deployers=deployers, resource=resource,
        places=(place,), excused={}, rules=(), healing="nothing: not asked for",
        conditions=conditions,
    )  # fmt: skip
    return "\n".join(sentences(found, asked=True))


@pytest.mark.parametrize("kind", ["LiveApplicationDiffers", "LiveApplicationEdited"])
def test_what_an_edited_application_says_is_not_called_gits_word(kind):
    """Where the live Application was edited, the class of a difference says who says otherwise."""
    assert "declared: Git says otherwise" in explanation(("argocd-controller",), "kubectl-edit")
    told = ReportCondition(type=kind, message="spec.source.path is x", severity="warning")
    text = explanation(("argocd-controller",), "kubectl-edit", conditions=(told,))
    edited = "Git (or the live Application, where that differs)"
    assert f"declared: {edited} says otherwise" in text
    assert "  rendered  1" in text
    assert f"It is not what {edited} says." in text
    assert "Git says otherwise" not in text
    told = ReportCondition(type=kind, message="spec.syncPolicy is x", severity="warning")
    text = explanation(("argocd-controller",), "kubectl-edit", conditions=(told,))
    assert "declared: Git says otherwise" in text
    told = ReportCondition(type=kind, message="the live HelmRelease was edited: spec.values.x")
    text = explanation(("helm-controller",), "kubectl-edit", conditions=(told,))
    assert "declared: Git (or the live HelmRelease, where that differs) says otherwise" in text
    used = ReportCondition(type=kind, message="the live ConfigMap web/values, which decides")
    text = explanation(("helm-controller",), "kubectl-edit", conditions=(told, used))
    assert "Git (or the live HelmRelease or ConfigMap, where that differs) says otherwise" in text


DOUBT = "a deployer by name, but what it wrote is not what Git says"


@pytest.mark.parametrize(
    ("deployers", "manager", "hand", "doubted"),
    [
        (("argocd-controller", "kubectl"), "kubectl", DOUBT, True),
        (("argocd-controller", "kubectl"), "argocd-controller", "Git's hand", True),
        (("kubectl",), "kubectl", "Git's hand", False),
        (("argocd-controller",), "kubectl", "not Git's hand", False),
    ],
)
def test_a_person_beside_an_engine(deployers, manager, hand, doubted):
    """Beside Argo CD, kubectl is not called Git's hand for a write that overrode Git."""
    text = explanation(deployers, manager)
    assert f"{manager} (Apply, at no recorded time): {hand}\n" in text
    assert ("kubectl by name, and may be a person" in text) is doubted


def test_items_in_another_order_are_named():
    """A list whose order alone differs is told by its items' names, as in tables."""
    keys = ['k:{"name":"web"}', 'k:{"name":"proxy"}']
    text = explanation((), "kubectl", order=keys)
    assert "  Git       [web, proxy]\n  live      [proxy, web]\n" in text
    assert "k:{" not in text


def test_what_git_is_silent_about_overrides_nothing():
    """A manager is doubted only for a value in place of Git's."""
    text = explanation(("argocd-controller", "kubectl"), "kubectl", ChangeClass.UNDECLARED)
    assert "kubectl (Apply, at no recorded time): Git's hand\n" in text


@pytest.mark.parametrize(("status", "verdict"), [("NotChecked", "not compared"), ("Unknown", "")])
def test_nothing_is_said_to_agree_that_nobody_compared(status, verdict):
    """An object that was not compared has no place that is no drift, nor fields that agree."""
    resource = ResourceReport(
        group="", version="v1", kind="Secret", namespace="web", name="key",
        status=ResourceStatus(status), reason="no permission to list Secrets",
    )  # fmt: skip
    place = PlaceExplanation(path="/data", ssa_path="f:data", verdict="not compared")
    found = Explanation(
        application="shop", cluster="one", deployers=(), resource=resource,
        places=(place,) if verdict else (), excused={}, rules=(), healing="nothing: no",
    )  # fmt: skip
    text = "\n".join(sentences(found, asked=True))
    assert ("verdict   not compared" if verdict else "No field was compared.") in text
    assert "no drift" not in text
    assert "Nothing differs" not in text
