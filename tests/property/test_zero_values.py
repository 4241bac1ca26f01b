"""The shipped table of empty values is what a real API server makes of them.

`EMPTIES=all` tries all objects of the corpus instead of some.
"""

from __future__ import annotations

import json
import os

import pytest

from tests.defaults.empties import TABLE, generate
from tests.defaults.generate import corpus
from tests.testbed.cluster import ControlPlane

# Read here: tests run with an environment of their own later on.
ALL = os.environ.get("EMPTIES") == "all"
SAMPLE = ("DaemonSet", "Service", "NetworkPolicy", "PodDisruptionBudget", "IngressClass")

pytestmark = pytest.mark.cluster


def test_table_is_the_servers(api_server: ControlPlane) -> None:
    """What is kept, dropped and filled in; a server that does otherwise shows up here."""
    shipped = json.loads(TABLE.read_text("utf-8"))
    if ALL:
        assert generate(api_server, corpus()) == shipped
        return
    seen = generate(api_server, (body for body in corpus() if body["kind"] in SAMPLE))
    for what, found in seen.items():
        listed = {(c, field) for c, fields in shipped[what].items() for field in fields}
        tried = {(c, field) for c, fields in found.items() for field in fields}
        assert len(tried) > 3, what
        assert tried <= listed, what
