"""Values of Secrets that a change puts where everybody may read them."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from msgspec import UNSET

from driftd.controller.preview_cleartext import secrets_in_clear, with_masks
from driftd.diff.mask import MASKED
from driftd.model.preview import Action, FieldChange, FieldKind, ObjectPreview
from driftd.model.resource import Manifest, Origin, ResourceKey

PASSWORD = "tr0ub4dor&3"


def manifest(kind: str, **body: Any) -> Manifest:
    """An object of the application."""
    group = "apps" if kind == "Deployment" else ""
    whole = {"kind": kind, "metadata": {"name": "web", "namespace": "shop"}, **body}
    key = ResourceKey(group, kind, "shop", "web")
    return Manifest(key, "v1", orjson.dumps(whole), Origin(0, "web.yaml", 0, 3))


def deployment(**variables: str) -> Manifest:
    """A Deployment with variables in clear."""
    env = [{"name": name, "value": value} for name, value in variables.items()]
    spec = {"containers": [{"name": "web", "env": env}]}
    return manifest("Deployment", spec={"template": {"spec": spec}})


SECRETS = [
    manifest("Secret", stringData={"PASSWORD": PASSWORD}),
    manifest("Secret", data={"PASSWORD": base64.b64encode(PASSWORD.encode()).decode()}),
]


@pytest.mark.parametrize("secret", SECRETS, ids=("stringData", "data"))
@pytest.mark.parametrize(
    ("new", "place", "path"),
    [
        (manifest("ConfigMap", data={"PASSWORD": PASSWORD}), "data.PASSWORD", "f:data/f:PASSWORD"),
        (
            deployment(PASSWORD=PASSWORD),
            "containers[name=web].env[name=PASSWORD]",
            'f:spec/f:template/f:spec/f:containers/k:{"name":"web"}/f:env/k:{"name":"PASSWORD"}/f:value',
        ),
    ],
)
def test_a_secret_in_clear(secret: Manifest, new: Manifest, place: str, path: str) -> None:
    """The place is told, the value is not, whether or not the Secret keeps it."""
    (one,) = secrets_in_clear([secret], [new])
    assert list(secrets_in_clear([secret], [secret, new])) == [one]
    assert (one.type, one.ssa_path) == ("SecretInClear", path)
    assert f"{place} takes the value of PASSWORD in Secret web, and" in one.told
    assert PASSWORD not in one.told


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], [manifest("ConfigMap", data={"PASSWORD": PASSWORD})]),
        (SECRETS[:1], [manifest("ConfigMap", data={"PASSWORD": "other"})]),
        (SECRETS[:1], [manifest("ConfigMap", data={"TEXT": PASSWORD})]),
        ([SECRETS[0], deployment(PASSWORD=PASSWORD)],
         [manifest("ConfigMap", data={"PASSWORD": PASSWORD})]),
        ([manifest("Secret", data={"PASSWORD": "no base64"}, stringData=[1])],
         [manifest("ConfigMap", data={"PASSWORD": "no base64"})]),
        (SECRETS[:1], [manifest("Deployment", spec={"template": {"spec": {"containers": [1]}}})]),
        ([manifest("Secret", stringData={"PASSWORD": ""})], [deployment(PASSWORD="")]),
    ],
)  # fmt: skip
def test_what_is_no_secret(before: list[Manifest], after: list[Manifest]) -> None:
    """Other values, other names and what was in clear before are no leak; odd shapes are left."""
    assert list(secrets_in_clear(before, after)) == []


def test_masks() -> None:
    """A field that holds such a value is published without it, its neighbours as they are."""
    fields = [
        FieldChange(kind=FieldKind.ADDED, path=f"/data/{name}", ssa_path=f"f:data/f:{name}",
                    new=PASSWORD, severity="high", severity_reason="")
        for name in ("PASSWORD", "TEXT")
    ]  # fmt: skip
    new = manifest("ConfigMap", data={"PASSWORD": PASSWORD, "TEXT": PASSWORD})
    told = ObjectPreview(
        group="", version="v1", kind="ConfigMap", namespace="shop", name="web",
        action=Action.CHANGE, severity="high", severity_reason="", changes=tuple(fields),
    )  # fmt: skip
    (masked,) = with_masks([told], secrets_in_clear(SECRETS[:1], [new]))
    assert [one.new for one in masked.changes] == [MASKED, PASSWORD]
    assert [one.old for one in masked.changes] == [UNSET, UNSET]
