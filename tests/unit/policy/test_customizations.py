"""Excluded and included kinds as `argocd-cm` has them."""

from __future__ import annotations

import pytest

from driftd.policy.customizations import Customizations, ResourceFilter

SERVER = "https://staging.example.com"


@pytest.mark.parametrize(
    ("group", "kind", "excluded"),
    [
        ("", "Event", True),
        ("coordination.k8s.io", "Lease", True),
        ("metrics.k8s.io", "PodMetrics", True),
        ("cilium.io", "CiliumIdentity", True),
        ("apps", "Deployment", False),
    ],
)
def test_exclusions(group: str, kind: str, excluded: bool) -> None:
    """What Argo CD never manages and what the settings exclude is left out, the rest is not."""
    settings = Customizations(
        exclusions=(ResourceFilter(api_groups=("*.io",), kinds=("CiliumIdentity",)),), active=True
    )
    assert settings.excludes(group, kind, SERVER) is excluded


def test_inclusions_leave_the_rest_out() -> None:
    """If an inclusion speaks of a cluster, only what it names is managed there."""
    apps = ResourceFilter(api_groups=("apps",), kinds=("*",), clusters=("https://staging*",))
    settings = Customizations(inclusions=(apps,), active=True)
    assert not settings.excludes("apps", "Deployment", SERVER)
    assert settings.excludes("batch", "Job", SERVER)
    assert not settings.excludes("batch", "Job", "https://production.example.com")


def test_an_exclusion_beats_an_inclusion() -> None:
    """A kind that is both included and excluded is left out."""
    both = ResourceFilter(api_groups=("apps",), kinds=("Deployment",))
    settings = Customizations(inclusions=(both,), exclusions=(both,), active=True)
    assert settings.excludes("apps", "Deployment", SERVER)


def test_without_a_hub_nothing_is_assumed() -> None:
    """Nobody knows Argo CD's settings without a hub, so nothing is left out."""
    assert not Customizations().excludes("coordination.k8s.io", "Lease", SERVER)
