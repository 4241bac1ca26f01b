"""Which places are sensitive, and texts without their values."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from driftd.errors import ConfigError
from driftd.model import patterns, sensitive
from driftd.model.patterns import Item
from driftd.model.sensitive import Sensitive

ENV = ("spec", "template", "spec", "containers", Item({"name": "web"}), "env")


@pytest.fixture(autouse=True)
def nothing_listed() -> Iterator[None]:
    """What is shipped is in force again after each test."""
    yield
    sensitive.use(())


@pytest.mark.parametrize("name", ["DB_PASSWORD", "token", "AWS_SECRET_KEY", "PASSWORD_1"])
def test_environment_values_by_name(name: str) -> None:
    """The literal value of a variable called like a secret is masked, its name and source not."""
    rules = Sensitive.of(())
    item = Item({"name": name})
    assert rules.covers("apps", "Deployment", (*ENV, item, "value"))
    assert not rules.covers("apps", "Deployment", (*ENV, item, "name"))
    assert not rules.covers("apps", "Deployment", (*ENV, item, "valueFrom", "secretKeyRef", "key"))
    assert not rules.covers("apps", "Deployment", (*ENV, Item({"name": "COLOUR"}), "value"))


def test_listed_places_and_all_below() -> None:
    """An entry covers the places that it names in objects of its kinds, and what is inside."""
    rules = Sensitive.of(["ConfigMap:data.login*", "*.example.com/Database:spec.**.auth"])
    assert rules.covers("", "ConfigMap", ("data", "login.json"))
    assert not rules.covers("", "ConfigMap", ("data", "colour"))
    assert not rules.covers("apps", "ConfigMap", ("data", "login"))
    assert rules.covers("db.example.com", "Database", ("spec", "users", "auth", "password"))
    assert not rules.covers("db.example.com", "Database", ("spec", "users"))


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("ConfigMap", "names no kind or no path"),
        (":data.x", "names no kind or no path"),
        ("ConfigMap:", "names no kind or no path"),
        ("ConfigMap:data..x", "is no path from position"),
        ("ConfigMap:data[0]", "name a list item by its keys"),
        ("ConfigMap:metadata", "would hide what an object is called"),
    ],
)
def test_bad_entries(entry: str, why: str) -> None:
    """An error names the entry with its position, what is wrong, and what to write."""
    with pytest.raises(ConfigError, match="sensitive entry 2") as caught:
        Sensitive.of(["ConfigMap:data.x", entry])
    assert why in str(caught.value)
    assert repr(entry) in str(caught.value)
    assert caught.value.hint


def test_scrubbed_in_all_forms() -> None:
    """A value goes raw, as base64 at each alignment, for URLs, in JSON and as hex."""
    value = 'p"ss /wörd+1'
    plain = base64.b64encode(value.encode()).decode()
    inside = [base64.b64encode(b"x" * n + value.encode() + b"yy").decode() for n in range(4)]
    forms = [value, plain, quote(value, safe=""), json.dumps(value), value.encode().hex(), *inside]
    core = base64.b64encode(value.encode()).decode()[4:10]
    for form in forms:
        told = sensitive.scrubbed(f"refused: {form} is wrong", [value])
        assert sensitive.MASK in told, form
        assert core not in told
        assert value not in told
    assert sensitive.scrubbed("got &value{Value:5} of 15", ["5"]) == (
        "got &value{Value:«masked»} of 15"
    )


@pytest.mark.parametrize("name", ["passwort", "schlüssel", 'ge"heim', "ge/heim", "tab\tulator"])
def test_objects_whose_text_cannot_have_a_sensitive_place(name: str) -> None:
    """What the text of an object rules out has nothing to hide, whatever names are made of."""
    parts = (patterns.Name("data"), patterns.Name(name))
    one = Sensitive([sensitive.Rule("", "ConfigMap", patterns.Pattern(name, parts))])
    holding, other = {"data": {name: "x"}}, {"data": {"colour": f"{name}: blue"}}
    assert one.may_be_in("", "ConfigMap", orjson.dumps(holding))
    assert not one.may_be_in("", "ConfigMap", orjson.dumps(other))
    assert one.replaced("", "ConfigMap", (), holding, lambda *_: "-") == {"data": {name: "-"}}
    assert one.replaced("", "ConfigMap", (), other, lambda *_: "-") is other


@pytest.mark.parametrize(
    ("keys", "item", "may"),
    [
        ((("name", "*TOKEN*"),), {"name": "API_TOKEN", "value": "x"}, True),
        ((("name", "*TOKEN*"),), {"name": "COLOUR", "value": "x"}, False),
        ((("name", "T?KEN"),), {"name": "T-KEN", "value": "x"}, True),
        ((("name", "*"),), {"name": "COLOUR", "value": "x"}, True),
        ((("on", "True"),), {"on": True, "value": "x"}, True),
        ((("name", "schlüssel"),), {"name": "schlüssel", "value": "x"}, True),
        ((), {"name": "COLOUR", "value": "x"}, True),
    ],
)
def test_objects_without_an_item_that_is_called_so(
    keys: tuple[tuple[str, str], ...], item: dict[str, Any], may: bool
) -> None:
    """The name of an item rules objects out, and nothing that is sensitive ever is."""
    parts = (patterns.Name("env"), patterns.Keys(keys), patterns.Name("value"))
    one = Sensitive([sensitive.Rule("", "Pod", patterns.Pattern("env", parts))])
    body = {"env": [item]}
    assert one.may_be_in("", "Pod", orjson.dumps(body)) is may
    hidden = one.replaced("", "Pod", (), body, lambda *_: "-")
    assert hidden == ({"env": [{**item, "value": "-"}]} if may else body)


def test_a_map_key_that_looks_like_any_item() -> None:
    """A key `*` fits whatever an item is asked to be called, and is not ruled out."""
    one = Sensitive.of(())
    body = {"env": {"*": {"value": "x"}}}
    assert one.may_be_in("apps", "Deployment", orjson.dumps(body))
    assert one.replaced("apps", "Deployment", (), body, lambda *_: "-")["env"]["*"]["value"] == "-"
