"""No secret byte leaves the comparison."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.diff import mask
from driftd.diff.compare import Context, compare
from driftd.diff.finding import ABSENT
from driftd.diff.history import Moment
from driftd.diff.paths import Item, ssa_path
from driftd.diff.prepare import LAST_APPLIED
from driftd.model import sensitive
from driftd.model.resource import ResourceKey
from tests.unit.diff.objects import applied, changes, config_map, entry

SECRET = ResourceKey("", "Secret", "shop", "login")
HASH_KEY = b"0123456789abcdef0123456789abcdef"
MARK = "s3cr3t"
VALUES = st.text(max_size=4).map(lambda text: f"{MARK}{text}")
KEYS = st.sampled_from(["a", "b", "c.d", "e"])
DATA = st.dictionaries(KEYS, VALUES, max_size=4)


def secret(**more: Any) -> Any:
    """A Secret."""
    metadata = {"name": "login", "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, **more}


def encoded(data: dict[str, str]) -> dict[str, str]:
    """The data of a Secret as it is stored."""
    return {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}


@given(DATA, DATA, DATA, st.booleans())
def test_no_secret_byte_in_any_change(
    declared: dict[str, str], plain: dict[str, str], stored: dict[str, str], owned: bool
) -> None:
    """Whatever differs between two Secrets, neither text nor base64 of a value is published."""
    desired = secret(data=encoded(declared), stringData=plain)
    live = applied(secret(data=encoded(stored)))
    if owned:
        fields = {"f:data": {f"f:{name}": {} for name in stored}}
        live["metadata"]["managedFields"].append(entry("alice", fields))
    live["metadata"]["annotations"] = {LAST_APPLIED: json.dumps(desired)}
    found = changes(desired, live)
    text = msgspec.json.encode(found).decode()
    start = base64.b64encode(MARK.encode()).decode()[:8]
    assert MARK not in text
    assert start not in text
    wanted = {**declared, **plain}
    differing = {k for k in wanted.keys() | stored.keys() if wanted.get(k) != stored.get(k)}
    assert {c.path.removeprefix("/data/") for c in found} == differing


@given(DATA, DATA, st.booleans())
def test_seals_tell_values_apart_and_give_none_away(
    declared: dict[str, str], stored: dict[str, str], bare: bool
) -> None:
    """Each masked change has a seal; neither a value nor its unkeyed hash is in what leaves."""
    desired, live = secret(data=encoded(declared)), secret(data=encoded(stored))
    sealer = mask.Sealer(HASH_KEY)
    found = compare(SECRET, desired, live, None, Context(sealer=None if bare else sealer))
    assert len(found.seals) == (0 if bare else len(found.changes))
    text = msgspec.json.encode([found.changes, list(found.seals.values())]).decode()
    text += repr(sealer) + repr(Context(sealer=sealer))
    assert HASH_KEY.decode() not in text
    for value in (*declared.values(), *stored.values()):
        for form in (value, base64.b64encode(value.encode()).decode()):
            assert form not in text
            for quoted in (form, json.dumps(form)):
                assert hashlib.sha256(quoted.encode()).hexdigest() not in text


def test_seals_depend_on_place_kind_value_and_key() -> None:
    """Equal values at two places have two seals; presence, value and key count."""
    one = mask.Sealer(HASH_KEY)
    other = ResourceKey("", "Secret", "shop", "other")
    seals = {
        one.seal(SECRET, "f:data/f:a", "modified", "x", "y"),
        one.seal(SECRET, "f:data/f:b", "modified", "x", "y"),
        one.seal(other, "f:data/f:a", "modified", "x", "y"),
        one.seal(SECRET, "f:data/f:a", "added", ABSENT, "y"),
        one.seal(SECRET, "f:data/f:a", "added", None, "y"),
        one.seal(SECRET, "f:data/f:a", "modified", "y", "x"),
        mask.Sealer(b"another key of bytes").seal(SECRET, "f:data/f:a", "modified", "x", "y"),
    }
    assert len(seals) == 7
    assert one.seal(SECRET, "f:data/f:a", "modified", "x", "y") in seals


def test_presence_survives_the_mask() -> None:
    """A masked value is told from an absent one, and the keys of a struct are shown."""
    assert mask.shown(SECRET, ("data", "a"), "x") == {"masked": True}
    assert mask.shown(SECRET, ("data", "a"), ABSENT) is ABSENT
    assert mask.shown(SECRET, ("data",), {"a": "x", "b": "y"}) == {
        "a": {"masked": True},
        "b": {"masked": True},
    }
    assert mask.shown(SECRET, ("stringData", "a"), ["x"]) == {"masked": True}


def test_what_is_not_masked() -> None:
    """A Secret's type and metadata, and the data of other kinds, are shown."""
    assert mask.shown(SECRET, ("type",), "Opaque") == "Opaque"
    assert mask.shown(SECRET, ("metadata", "labels", "a"), "x") == "x"
    other = ResourceKey("", "ConfigMap", "shop", "settings")
    assert mask.shown(other, ("data", "a"), "x") == "x"
    custom = ResourceKey("example.com", "Secret", "shop", "x")
    assert mask.shown(custom, ("data", "a"), "x") == "x"


def test_last_applied_records_are_masked_everywhere() -> None:
    """The record of a Secret holds its data, whatever kind carries the annotation."""
    path = ("metadata", "annotations", LAST_APPLIED)
    assert mask.is_sensitive(ResourceKey("", "ConfigMap", "", "x"), path)


def test_the_compared_objects_are_left_alone() -> None:
    """Masking works on what is published, never on the objects themselves."""
    desired, live = secret(data=encoded({"a": "1"})), applied(secret(data=encoded({"a": "2"})))
    before = json.dumps([desired, live])
    (change,) = changes(desired, live)
    assert (change.desired, change.live) == ({"masked": True}, {"masked": True})
    assert json.dumps([desired, live]) == before


def test_other_kinds_show_their_values() -> None:
    """The values of a ConfigMap are published."""
    (change,) = changes(config_map(a="1"), applied(config_map(a="2")))
    assert (change.desired, change.live) == ("1", "2")


@pytest.fixture
def listed() -> Iterator[None]:
    """A key of ConfigMaps is listed as sensitive, for one test."""
    sensitive.use(["ConfigMap:data.login"])
    yield
    sensitive.use(())


@pytest.mark.usefixtures("listed")
def test_listed_places_are_masked_sealed_and_not_remembered() -> None:
    """A listed value is published masked, sealed with the key, and in no digest without one."""
    key = ResourceKey("", "ConfigMap", "shop", "settings")
    desired = config_map(login=f"{MARK}-git", open="blue")
    live = applied(config_map(login=f"{MARK}-live", open="red"))
    sealed = compare(key, desired, live, None, Context(sealer=mask.Sealer(HASH_KEY)))
    by_path = {change.path: change for change in sealed.changes}
    assert by_path["/data/login"].live == {"masked": True}
    assert by_path["/data/open"].live == "red"
    assert [place for place, _ in sealed.seals] == ["f:data/f:login"]
    looks = [
        compare(key, one, live, None, Context(), moment=Moment(now="2026-01-01T00:00:00Z"))
        for one in (desired, config_map(login="other", open="blue"))
    ]
    assert looks[0].history == looks[1].history
    assert MARK not in msgspec.json.encode(sealed.changes).decode()


def test_values_inside_of_a_struct_are_masked() -> None:
    """An injected container is shown, but for the values of variables called like secrets."""
    key = ResourceKey("apps", "Deployment", "shop", "web")
    env = [{"name": "DB_PASSWORD", "value": MARK}, {"name": "COLOUR", "value": "red"}]
    path = ("spec", "template", "spec", "containers")
    shown = mask.shown(key, path, [{"name": "spy", "env": env}])
    assert shown == [
        {
            "name": "spy",
            "env": [
                {"name": "DB_PASSWORD", "value": {"masked": True}},
                {"name": "COLOUR", "value": "red"},
            ],
        }
    ]


def test_a_member_of_a_sensitive_set_is_not_its_own_name() -> None:
    """The path of a set's item, which is its value, is published without it."""
    sensitive.use(["example.com/Door:spec.codes"])
    try:
        key = ResourceKey("example.com", "Door", "shop", "front")
        path = ("spec", "codes", Item(f'v:"{MARK}"', None, 0))
        assert ssa_path(mask.told_path(key, path)) == 'f:spec/f:codes/v:"masked"'
    finally:
        sensitive.use(())
