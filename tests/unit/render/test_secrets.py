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


CHECKOUT = {
    "apps/checkout/db.yaml": b"password: checkout\ntoken: db.yaml is\napiKey: a/b.yaml\n",
    "charts/x/templates/checkout.yaml": b"",
    "a/b.yaml": b"",
    "checkout.yaml": b"",
}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("apps/checkout/db.yaml:3: checkout", "apps/checkout/db.yaml:3: «masked»"),
        ("(checkout/templates/checkout.yaml).", "(«masked»/templates/checkout.yaml)."),
        ("at 'checkout/db.yaml', checkout", "at 'checkout/db.yaml', «masked»"),
        ("apps/checkout/other.yaml", "apps/«masked»/other.yaml"),
        ("db://checkout@apps/checkout/db.yaml", "db://«masked»@apps/checkout/db.yaml"),
        ("xapps/checkout/db.yaml", "xapps/checkout/db.yaml"),
        ("apps/checkout/db.yamlx", "apps/«masked»/db.yamlx"),
        ("apps/checkout/db.yaml is", "apps/«masked»/«masked»"),
        ("a/b.yaml", "«masked»"),
        ("checkout.yaml: checkout.", "checkout.yaml: «masked»."),
    ],
)
def test_names_of_files_stay(text: str, shown: str) -> None:
    """A piece of a file's path stays; not what is a value as a whole, goes on, or is no file."""
    assert secrets.scrubbed(text, [Tree(id="0", files=CHECKOUT)], {}) == shown


GENERATES = {
    "patches/web.yaml": b"",
    "env/own.txt": b"",
    "prod/kustomization.yaml": b"""\
patches:
- path: ../patches/web.yaml
- path: ../patches/wbe.yaml
- patch: |
    kind: Secret
    data:
      path: aGFsbG8/aGFsbG8=
secretGenerator:
- name: db
  envs: [../env/prod.env, ../env/own.txt]
  literals:
  - path=../s3cret
  - user=../env/own.txt
  - pin=abc/defg.yaml
""",
}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("trouble reading ../patches/web.yaml", "trouble reading ../patches/web.yaml"),
        ("'prod/../patches/wbe.yaml' is not there", "'prod/../patches/wbe.yaml' is not there"),
        ("[../env/prod.env, ../env/own.txt]", "[../env/prod.env, «masked»]"),
        ("aGFsbG8/aGFsbG8=", "«masked»"),
        ("../s3cret abc/defg.yaml", "«masked» «masked»"),
    ],
)
def test_files_of_a_kustomization_stay(text: str, shown: str) -> None:
    """What a kustomization that generates Secrets names as files is none; its literals are."""
    assert secrets.scrubbed(text, [Tree(id="0", files=GENERATES)], {}) == shown
