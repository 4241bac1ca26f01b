"""Which applications a look includes."""

from __future__ import annotations

import pytest

from driftd.controller.options import CheckOptions
from tests.unit.controller.builders import application


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ((), True),
        (("shop",), True),
        (("argocd/shop",), True),
        (("sh*",), True),
        (("*/shop",), True),
        (("other", "shop"), True),
        (("Shop",), False),
        (("other",), False),
        (("other/shop",), False),
    ],
)
def test_names_and_globs(chosen: tuple[str, ...], expected: bool) -> None:
    """Names and globs match with and without the Application's namespace; none means all."""
    assert CheckOptions(applications=chosen).chooses(application()) is expected


def test_namespace() -> None:
    """Only Applications of the given namespace are looked at, whatever their names."""
    assert CheckOptions(namespace="argocd").chooses(application())
    assert not CheckOptions(namespace="team-a", applications=("shop",)).chooses(application())
