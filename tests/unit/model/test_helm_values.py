"""Values for charts that are secrets by their own names."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.model.helm_values import is_called_secret
from driftd.model.patterns import Item
from driftd.model.sensitive import Place, Sensitive

RELEASE = ("helm.toolkit.fluxcd.io", "HelmRelease")
APPLICATION = ("argoproj.io", "Application")


def hidden(kind: tuple[str, str], document: dict[str, Any]) -> Any:
    """The document with `***` for all that is sensitive."""
    return Sensitive.of(()).replaced(*kind, (), document, lambda _place, _value: "***")


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("TOKEN", True), ("adminPassword", True), ("api_key", True), ("private-key", True),
        ("auth.password", True), ("PASSWORD_1", True), ("credentials", True), ("secret", True),
        ("existingSecret", False), ("imagePullSecret", False), ("secretName", False),
        ("tokenTTL", False), ("key", False), ("colour", False),
    ],
)  # fmt: skip
def test_names(name: str, secret: bool) -> None:
    """What a name ends with says it, whatever its case and separators."""
    assert is_called_secret(name) is secret


def test_values_of_a_release() -> None:
    """Scalars below spec.values are hidden by name; maps, truth values and other fields are not."""
    spec = {
        "serviceAccountToken": "shown",
        "values": {
            "secrets": {"TOKEN": "a", "url": "b"},
            "secret": {"create": True, "name": "web"},
            "automountToken": False,
            "users": [{"name": "x", "password": 1}],
        },
    }
    assert hidden(RELEASE, {"spec": spec}) == {
        "spec": {
            "serviceAccountToken": "shown",
            "values": {
                "secrets": {"TOKEN": "***", "url": "b"},
                "secret": {"create": True, "name": "web"},
                "automountToken": False,
                "users": [{"name": "x", "password": "***"}],
            },
        }
    }


def test_values_of_an_application() -> None:
    """Objects, parameters and texts of values, of one source or several, in sets too."""
    helm = {
        "valuesObject": {"db": {"password": "a", "host": "b"}},
        "parameters": [{"name": "auth.token", "value": "a"}, {"name": "size", "value": "b"}],
        "values": "db:\n  password: a\n",
        "releaseName": "web",
    }
    masked = {
        "valuesObject": {"db": {"password": "***", "host": "b"}},
        "parameters": [{"name": "auth.token", "value": "***"}, {"name": "size", "value": "b"}],
        "values": "***",
        "releaseName": "web",
    }
    for wrap in (
        lambda one: {"spec": {"source": {"helm": one}}},
        lambda one: {"spec": {"template": {"spec": {"sources": [{"helm": one}]}}}},
    ):
        assert hidden(APPLICATION, wrap(helm)) == wrap(masked)
    plain = {"spec": {"source": {"helm": {"values": "existingSecret: web\nsize: 3\n"}}}}
    assert hidden(APPLICATION, plain) is plain


@pytest.mark.parametrize(
    ("kind", "place", "value", "shown"),
    [
        (RELEASE, ("spec", "values", "secrets", "TOKEN"), "a", False),
        (RELEASE, ("spec", "values", "secrets"), {"TOKEN": "a"}, False),
        (RELEASE, ("spec", "values", "secret"), {"create": True}, True),
        (RELEASE, ("spec", "value"), {"TOKEN": "a"}, False),
        (APPLICATION, ("spec", "source", "helm", "valuesObjekt"), {"token": "a"}, False),
        (RELEASE, ("spec", "interval"), "5m", True),
        (APPLICATION, ("spec", "source", "helm", "values"), "token: a", False),
        (APPLICATION, ("spec", "source", "helm", "values"), "size: 3", True),
        (APPLICATION, ("spec", "source", "helm", "parameters", Item({"name": "token"}), "value"),
         "a", False),
        (("apps", "Deployment"), ("spec", "values", "token"), "a", True),
    ],
)  # fmt: skip
def test_single_places(kind: tuple[str, str], place: Place, value: Any, shown: bool) -> None:
    """A value that is published alone is hidden as it is within its object."""
    told = Sensitive.of(()).replaced(*kind, place, value, lambda _place, _value: "***")
    assert (told is value) is shown


def test_a_place_without_its_value() -> None:
    """What is asked without the value is hidden by name; an item of unknown keys fits any."""
    rules = Sensitive.of(())
    assert rules.covers(*RELEASE, ("spec", "values", "db", "password"))
    assert rules.covers(*APPLICATION, ("spec", "source", "helm", "parameters", "*", "value"))
    assert not rules.covers(*RELEASE, ("spec", "values", "db", "host"))
