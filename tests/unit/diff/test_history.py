"""The value that a look gives to the next one: digests, places, and its encoded form."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from driftd.diff.history import (
    FORMAT,
    HIDDEN,
    PRESENT,
    Digester,
    EntryDigest,
    History,
    Look,
    Told,
    decode,
    digest,
    encode,
    equal,
    located,
    marks,
)
from driftd.diff.mask import Sealer
from driftd.diff.prepare import desired_view
from driftd.errors import StateError
from driftd.model.resource import ResourceKey
from tests.unit.diff.objects import config_map, deployment, key_of, node_of

SECRET = ResourceKey("", "Secret", "shop", "login")
FULL = History(
    uid="u",
    declared={2**64 - 1: PRESENT, 5: 7},
    former={"f:data/f:a": 9},
    look=Look(
        at="2026-01-02T03:04:05Z",
        resource_version="7",
        api_version="v1",
        schema_hash="h",
        desired=11,
        open=(13,),
        entries=(EntryDigest("alice", "Update", "", "v1", None, 3),),
        injected={"f:data/f:b": 4},
        owned={8: 9},
        rewritten={10: 11},
        untraced=(12,),
    ),
    told={"added f:data/f:c": Told(after="a", before="b", manager="bob", forged=True)},
    key_mark=77,
)


def marked(body: Any, sealer: Sealer | None = None) -> dict[str, int]:
    """The marks of a desired object."""
    node = node_of(body)
    assert node is not None
    return marks(desired_view(body), node, Digester(key_of(body), sealer))


def test_encoded_and_back() -> None:
    """A history survives its encoded form, an empty one in a few bytes."""
    assert decode(encode(FULL)) == FULL
    assert decode(encode(History(uid=""))) == History(uid="")
    assert len(encode(History(uid=""))) < 20


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "cannot be read"),
        (b"nonsense", "cannot be read"),
        (encode(FULL)[:-3], "cannot be read"),
        (msgspec.msgpack.encode([FORMAT, {"uid": 5}]), "cannot be read"),
        (msgspec.msgpack.encode([FORMAT + 1, {"uid": "u"}]), f"format {FORMAT + 1}"),
    ],
)
def test_what_is_no_history_is_refused(data: bytes, text: str) -> None:
    """Damage and another format are errors with a remedy, never an empty history."""
    with pytest.raises(StateError, match=text) as raised:
        decode(data)
    assert "look anew" in raised.value.hint


def test_size() -> None:
    """The history of a Deployment is about a kilobyte."""
    places = marked(deployment())
    history = History(uid="u", declared={digest(p.encode()): v for p, v in places.items()})
    assert len(encode(history)) < 500


def test_marks_name_every_leaf_item_and_list() -> None:
    """Leaves have the digest of their value, items and lists of structs are there or not."""
    found = marked(deployment())
    container = 'f:spec/f:template/f:spec/f:containers/k:{"name":"web"}'
    assert found[container] == found[container.rpartition("/")[0]] == PRESENT
    assert found[f'{container}/f:env/k:{{"name":"A"}}'] == PRESENT
    assert found[f'{container}/f:env/k:{{"name":"A"}}/f:value'] == digest(b'"1"')
    assert found[f"{container}/f:args"] == digest(b'["--port","80"]')
    assert found["f:spec/f:replicas"] == digest(b"2")
    assert found["f:metadata/f:labels/f:app"] == digest(b'"web"')
    assert not any(place.endswith("f:template") for place in found)


def test_marks_know_spellings_and_null() -> None:
    """Quantities of one amount have one mark, others another; null declares nothing."""

    def cpu(amount: Any) -> int:
        body = deployment()
        container = body["spec"]["template"]["spec"]["containers"][0]
        container["resources"] = {"requests": {"cpu": amount}}
        return next(v for p, v in marked(body).items() if p.endswith("f:cpu"))

    assert cpu("100m") == cpu("0.1") == cpu(0.1) == cpu("0.09999")
    assert cpu("1") == cpu(1) == cpu(1.0) == cpu("1000m")
    assert len({cpu("100m"), cpu("1"), cpu("x"), cpu("1e40")}) == 4
    assert not any("f:replicas" in p for p in marked({**deployment(), "spec": {"replicas": None}}))


def test_names_with_slashes_stay_one_segment() -> None:
    """A key with a slash or a tilde is one step, and is found again."""
    body = config_map()
    body["metadata"]["annotations"] = {"example.com/a~b": "1"}
    (place,) = [p for p in marked(body) if "annotations" in p]
    assert place == "f:metadata/f:annotations/f:example.com~1a~0b"
    assert located(body, place) == (("metadata", "annotations", "example.com/a~b"), 3)


def test_located_items() -> None:
    """Places lead to items by key and value, and say where they end."""
    view = {"l": [{"name": "a"}, {"name": "b", "v": 1}], "s": ["x", "y"]}
    path, found = located(view, 'f:l/k:{"name":"b"}/f:v')
    assert found == 3
    assert [getattr(step, "live_index", step) for step in path] == ["l", 1, "v"]
    path, found = located(view, 'f:s/v:"y"')
    assert (found, path[1][2]) == (2, 1)
    path, found = located(view, 'f:l/k:{"name":"c"}/f:v/f:w')
    assert (found, len(path), path[1][2]) == (1, 4, None)
    assert located({"l": "text"}, 'f:l/k:{"name":"c"}')[1] == 1
    assert located({"l": "text"}, "f:l/f:a")[1] == 1


def test_secret_values_need_a_key() -> None:
    """Without a key a secret value has no digest at all; with one it has the key's own."""
    value = "aHVudGVyMg=="
    bare = Digester(SECRET, None)
    one, other = (Digester(SECRET, Sealer(key * 32)) for key in (b"a", b"b"))
    place, at = "f:data/f:password", ("data", "password")
    assert bare.value(place, at, value) == HIDDEN
    assert one.value(place, at, value) == one.value(place, at, value)
    assert one.value(place, at, value) != other.value(place, at, value)
    assert one.value(place, at, value) != one.value(place, at, "b3RoZXI=")
    assert digest(f'"{value}"'.encode()) not in (one.value(place, at, value), HIDDEN)
    assert bare.key_mark == HIDDEN
    assert len({HIDDEN, one.key_mark, other.key_mark}) == 3
    assert Digester(key_of(config_map()), Sealer(b"a" * 32)).key_mark == HIDDEN


def test_hidden_equals_everything() -> None:
    """What nothing is known of is never taken for a change."""
    assert equal(HIDDEN, 5)
    assert equal(5, HIDDEN)
    assert equal(5, 5)
    assert not equal(5, 6)
    assert not equal(PRESENT, 6)
