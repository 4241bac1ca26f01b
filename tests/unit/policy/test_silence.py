"""What a silence covers, and what an annotation has to say to be one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from driftd.model.condition import Severity
from driftd.model.resource import ResourceKey
from driftd.model.silence import Silence
from driftd.policy.silence import ANNOTATION, annotated, covering, in_force

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
WEB = ResourceKey("apps", "Deployment", "shop", "web")


def silence(**fields: Any) -> Silence:
    """A silence of an hour."""
    given = {"id": "a", "until": NOW + timedelta(hours=1), "owner": "alice", "reason": "why"}
    return Silence(**{**given, **fields})


@pytest.mark.parametrize(
    ("fields", "path", "covers"),
    [
        ({}, "/spec/replicas", True),
        ({}, "", True),
        ({"object": "deployment/web"}, "/spec/replicas", True),
        ({"object": "Deployment/shop/w*"}, "", True),
        ({"object": "Deployment/web2"}, "", False),
        ({"object": "Service/web"}, "", False),
        ({"path": "/spec/replicas"}, "/spec/replicas", True),
        ({"path": "/spec/*"}, "/spec/template/spec", True),
        ({"path": "/spec/replicas"}, "/spec/replicas2", False),
        ({"path": "/spec/*"}, "", False),
    ],
)
def test_what_a_silence_covers(fields: dict[str, str], path: str, covers: bool) -> None:
    """Objects by kind and name, fields by pointer; one of fields covers no missing object."""
    assert (covering([silence(**fields)], WEB, path) is not None) is covers


@pytest.mark.parametrize("application", ["production/apps", "flux-system/production/a*"])
def test_a_silence_names_an_application_of_flux(application: str) -> None:
    """As commands print it, root and name, and with its namespace."""
    assert silence(application=application).about("flux-system/production/apps", "production")
    assert not silence(application=application).about("flux-system/staging/apps", "staging")


@pytest.mark.parametrize(
    ("fields", "counts"),
    [
        ({"application": "shop"}, True),
        ({"application": "argocd/sh*"}, True),
        ({"application": "other/shop"}, False),
        ({"application": "sho"}, False),
        ({"cluster": "prod-*"}, True),
        ({"cluster": "prod"}, False),
        ({"until": NOW}, False),
        ({"until": NOW - timedelta(seconds=1)}, False),
        ({"until": NOW + timedelta(days=1)}, True),
        ({"until": NOW + timedelta(days=1, seconds=1)}, False),
    ],
)
def test_which_silences_count(fields: dict[str, Any], counts: bool) -> None:
    """Those about the application and the cluster, until they end, and never for too long."""
    found = in_force([silence(**fields)], "argocd/shop", "prod-1", NOW, timedelta(days=1))
    assert bool(found) is counts


def test_the_longest_silence_comes_first() -> None:
    """Of two that cover a drift the one that ends last says until when it is silenced."""
    later = silence(id="b", until=NOW + timedelta(hours=2))
    found = in_force([silence(), later], "argocd/shop", "c", NOW, timedelta(days=1))
    assert covering(found, WEB, "") == later


def test_an_annotation_silences() -> None:
    """With an end, a reason and an owner; the application shows it."""
    text = (
        "until=2026-01-02T00:00:00Z; reason=a big sale; owner=team shop; ticket=OPS-1; "
        "object=Deployment/web; path=/spec/replicas"
    )
    found = annotated({ANNOTATION: text})
    assert found.silence == silence(
        id="annotation",
        until=datetime(2026, 1, 2, tzinfo=UTC),
        owner="team shop",
        reason="a big sale",
        ticket="OPS-1",
        object="Deployment/web",
        path="/spec/replicas",
    )
    (condition,) = found.conditions
    assert (condition.type, condition.severity) == ("Silenced", Severity.INFO)
    assert "silenced by team shop: a big sale (OPS-1); until 2026-01-02" in condition.message
    assert annotated({}) == (None, ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "needs until"),
        ("true", "does not know 'true'"),
        ("until=2026-01-02T00:00:00Z; owner=a", "needs reason"),
        ("until=2026-01-02T00:00:00Z; reason=a; owner=", "needs owner"),
        ("until=tomorrow; reason=a; owner=b", "is no time"),
        ("until=2026-01-02T00:00:00; reason=a; owner=b", "is no time"),
        ("until=2026-01-02T00:00:00Z; reason=a; owner=b; for=ever", "does not know 'for'"),
    ],
)
def test_an_annotation_that_is_not_whole_silences_nothing(text: str, words: str) -> None:
    """Without an end or somebody who answers for it nothing is hidden, and it says why."""
    found = annotated({ANNOTATION: text})
    assert found.silence is None
    (condition,) = found.conditions
    assert (condition.type, words in condition.message) == ("SilenceNotValid", True)
