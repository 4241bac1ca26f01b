"""For which applications a preview asks whether a chart reads their values."""

from __future__ import annotations

from typing import Any, cast

import pytest
from msgspec import structs

from driftd.controller.preview_pairs import Pair
from driftd.controller.preview_values import UnreadValues, message_of
from driftd.model.flux import FluxSpec
from driftd.sandbox.results import UnreadValue
from tests.unit.controller.builders import application, desired

NOBODY = cast("Any", None)
"""Sides are asked only where the values may differ."""


class Sources:
    """A side that has no sources, and counts how often it is asked for values."""

    asked = 0

    async def sources(self, *_: Any) -> list[Any]:
        """None: nothing of the files differs."""
        return []

    @property
    def workspace(self) -> Any:
        """Asked for by who looks at values."""
        self.asked += 1
        return self

    sandbox = None


def release(**values: str) -> Any:
    """A HelmRelease with values of its own."""
    render = {"helmRelease": {"values": values}}
    flux = FluxSpec(kind="HelmRelease", object_name="shop", render=render)
    return desired(app=structs.replace(application(), flux=flux)).entry


@pytest.mark.parametrize(("new", "asked"), [("a", 0), ("b", 1)])
async def test_values_of_a_helm_release_count(new: str, asked: int) -> None:
    """A HelmRelease whose own values change is looked at, though no file of its chart does."""
    side: Any = Sources()
    urls: Any = type("Declared", (), {"urls": (), "applications": ()})
    values = UnreadValues(side, urls, side, urls)
    assert await values.of(Pair(release(name="a"), release(name=new)), NOBODY) == []
    assert side.asked == asked


@pytest.mark.parametrize(
    ("own", "subcharts", "beside", "told"),
    [
        (False, ("web.config",), (), "does not know the value config: {0}; a subchart has it: "),
        (True, ("a.config", "b.config"), (), "reads the value config: {0}; subcharts have it: "),
        (True, (), ("confg",), "no template of the chart reads the value config: {0}; did you "),
    ],
)
def test_what_was_meant_is_told(
    own: bool, subcharts: tuple[str, ...], beside: tuple[str, ...], told: str
) -> None:
    """The subcharts that have a value are named, else the name that is nearly it."""
    value = UnreadValue(
        "config", beside, "", subcharts, own, loose=False, digest="", proven=True, file="v.yaml"
    )
    text = message_of(value, "")
    assert text.startswith("v.yaml: ")
    assert told.format("it changes nothing that is rendered") in text
    assert all(place in text for place in subcharts or beside)
