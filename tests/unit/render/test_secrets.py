"""No error text of a renderer quotes a secret value of its source."""

from __future__ import annotations

import pytest

from driftd.model.tree import Tree
from driftd.render import secrets

FILES = {
    "values.yaml": b"db:\n  adminPassword: hunter22 # change me\n  host: db.example.com\n",
    "one-line.json": b'{"apiToken": "t0ken-one"}',
    "kustomization.yaml": b'{secretGenerator: [{name: x, literals: ["k=l1teral", "broken"]}]}',
    "secret.yaml": b"kind: Secret\nmetadata: {name: login}\ndata: {user: Ym9iYnk=}\n",
    "templates/secret.yaml": b"kind: Secret\nstringData:\n  x: {{ .Values.x }}\n  pin: s3cr3tpin\n",
}
SOURCE = {"helm": {"parameters": [{"name": "smtp.token", "value": "p4rameter"}]}}


@pytest.mark.parametrize(
    "value", ["hunter22", "t0ken-one", "k=l1teral", "Ym9iYnk=", "bobby", "s3cr3tpin", "p4rameter"]
)
def test_scrubbed(value: str) -> None:
    """Values of files and of the Application go, also decoded; what is no secret stays."""
    tree = Tree(id="0", files=FILES)
    text = secrets.scrubbed(f"db.example.com: bad {value} of login", [tree], SOURCE)
    assert text == "db.example.com: bad «masked» of login"
