"""What driftd says that the API server refuses, the API server refuses; the rest it takes."""

from __future__ import annotations

import pytest

from tests.cases.refused import Case, cases
from tests.testbed.client import ApiError
from tests.testbed.cluster import ControlPlane

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def place(api_server: ControlPlane) -> str:
    """A namespace that takes Pods."""
    return api_server.create_namespace("refused-objects")


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_table(api_server: ControlPlane, place: str, case: Case) -> None:
    """A dry run of the API server decides as the table says."""
    version, kind = case.body["apiVersion"], case.body["kind"]
    root = "/api" if "/" not in version else "/apis"
    where = "" if kind in ("Namespace", "ClusterRoleBinding") else f"/namespaces/{place}"
    collection = f"{kind.lower()}{'es' if kind == 'Ingress' else 's'}"
    path = f"{root}/{version}{where}/{collection}?dryRun=All&fieldValidation=Ignore"
    if not case.told:
        api_server.call("POST", path, case.body)
        return
    with pytest.raises(ApiError) as refused:
        api_server.call("POST", path, case.body)
    assert refused.value.status == 422
