"""Which applications selections and healing rules name."""

from __future__ import annotations

from driftd.settings.healing import Healing, HealingRule, Rung
from driftd.settings.rules import rung_of, selected
from driftd.settings.types import ApplicationSelection


def test_selection_includes_excludes_and_limits_to_a_namespace():
    """Excludes beat includes; a pattern with a slash is matched against namespace/name."""
    selection = ApplicationSelection(include=("prod-*", "team/*"), exclude=("prod-x",))
    assert selected(selection, "argocd", "prod-apps")
    assert selected(selection, "team", "anything")
    assert not selected(selection, "argocd", "prod-x")
    assert not selected(selection, "argocd", "anything")
    assert not selected(ApplicationSelection(namespace="argocd"), "team", "a")


def test_an_application_of_flux_is_named_with_and_without_its_namespace():
    """Its own name has a slash; one slash alone is no wildcard for an Argo CD namespace."""
    rule = HealingRule(applications=("production/apps",), rung=Rung.FIELDS)
    assert rung_of(Healing(rules=(rule,)), "flux-system", "production/apps") is Rung.FIELDS
    assert rung_of(Healing(rules=(rule,)), "flux-system", "staging/apps") is Rung.OBSERVE
    assert rung_of(Healing(rules=(rule,)), "production", "apps") is Rung.FIELDS
    whole = HealingRule(applications=("flux-system/production/*",), rung=Rung.FIELDS)
    assert rung_of(Healing(rules=(whole,)), "flux-system", "production/apps") is Rung.FIELDS


def test_healing_is_off_without_a_rule_and_the_first_rule_counts():
    """`observe` is what an application gets unless the first rule naming it says otherwise."""
    assert rung_of(Healing(), "argocd", "a") is Rung.OBSERVE
    healing = Healing(
        rules=(
            HealingRule(applications=("prod-*",), rung=Rung.DRY_RUN),
            HealingRule(applications=("*",), rung=Rung.FIELDS),
        )
    )
    assert rung_of(healing, "argocd", "prod-a") is Rung.DRY_RUN
    assert rung_of(healing, "argocd", "dev-a") is Rung.FIELDS
    named_only = Healing(rules=(HealingRule(applications=("a",)),))
    assert rung_of(named_only, "argocd", "a") is Rung.OBSERVE
