"""Which live objects may be an earlier rendering's."""

from __future__ import annotations

import msgspec
import pytest

from driftd.controller.random_names import RandomNames
from driftd.model.resource import Manifest
from tests.unit.controller.builders import config_map, manifest


def random(name: str, *places: str) -> Manifest:
    """A ConfigMap that differs with each rendering, by default in its name."""
    return msgspec.structs.replace(manifest(config_map(name)), unstable=places or ("",))


@pytest.mark.parametrize(
    ("drawn", "other", "may_be"),
    [
        ("job-9kqpl", "job-x7f3a", True),
        ("9kqpl-job", "x7f3a-job", True),
        ("a.9kqpl.example", "a.x7f3a.example", True),
        ("9kqpl", "anything", True),
        ("job-9kqpl", "web-x7f3a", False),
        ("job-9kqpl", "job", False),
        ("job-9kqpl", "job-left-over", False),
    ],
)
def test_names_with_a_part_in_common(drawn: str, other: str, may_be: bool) -> None:
    """The first or the last part is the same, and there are as many of them."""
    names = RandomNames([random(drawn)])
    assert names.may_be(manifest(config_map(other)).key) is may_be


def test_other_places_and_kinds_are_others() -> None:
    """Namespace and kind count, and an object that only has random values has its own name."""
    names = RandomNames([random("job-9kqpl"), random("web-a", "/data/password")])
    assert not names.may_be(manifest(config_map("job-x7f3a", namespace="lab")).key)
    secret = {**config_map("job-x7f3a"), "kind": "Secret"}
    assert not names.may_be(manifest(secret).key)
    assert not names.may_be(manifest(config_map("web-b")).key)
