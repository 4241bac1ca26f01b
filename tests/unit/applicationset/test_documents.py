"""Documents of Argo CD that are not what they should be, told in plain words."""

from __future__ import annotations

from typing import Any

import pytest

from driftd.applicationset.documents import InvalidDocument, application

KEY = "has a key that is not text; quote it"


@pytest.mark.parametrize(
    ("metadata", "spec", "words"),
    [
        ({}, {1: "x"}, f"spec {KEY}"),
        ({}, {"source": {True: "x"}}, f"spec.source {KEY}"),
        (
            {},
            {"source": {"helm": {"valuesObject": {1: "x"}}}},
            f"spec.source.helm.valuesObject {KEY}",
        ),
        (
            {},
            {"sources": [{"directory": {"jsonnet": {"tlas": [{3: 4}]}}}]},
            f"spec.sources[0].directory.jsonnet.tlas[0] {KEY}",
        ),
        (
            {},
            {"source": {"kustomize": {"commonLabels": {"a": 1}}}},
            "spec.source.kustomize.commonLabels[] must be text, not a whole number",
        ),
        ({"labels": {1: "x"}}, {}, f"metadata.labels {KEY}"),
        ({"annotations": {"a": 1}}, {}, "metadata.annotations['a'] is not text; quote it"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    metadata: dict[str, Any], spec: dict[Any, Any], words: str
) -> None:
    """Keys and values of the wrong kind name the map that they stand in."""
    document = {"metadata": {"name": "shop", **metadata}, "spec": spec}
    with pytest.raises(InvalidDocument) as error:
        application(document, "shop.yaml")
    assert str(error.value) == words
