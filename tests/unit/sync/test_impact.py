"""What a planned write sets off."""

from __future__ import annotations

from driftd.model.report import ChangeKind
from driftd.sync.impact import fixed_fields, impact_of
from driftd.sync.plan import SyncTask
from tests.unit.reports import change
from tests.unit.sync.builders import manifest

LIVE = {"spec": {"replicas": 4}}
IMAGE = change("/spec/template/spec/containers/0/image", desired="a", live="b")


def task(*heals, kind="Deployment", api_version="apps/v1", create=False):
    """A task that puts these changes back."""
    made = manifest("web", kind=kind, api_version=api_version)
    return SyncTask(key=made.key, gvk=made.gvk, body=b"{}", wave=0, create=create, heals=heals)


def test_a_pod_template_replaces_pods_once():
    """However many of its fields are put back, with how many Pods that is."""
    other = change("/spec/template/spec/hostNetwork", kind=ChangeKind.ADDED, live=True)
    assert impact_of(task(IMAGE, other), LIVE) == ("its Pods are replaced (4 replicas)",)


def test_scaling_is_told_in_numbers():
    """From the live count to Git's."""
    scaled = change("/spec/replicas", desired=2, live=4)
    assert impact_of(task(scaled), LIVE) == ("scaled from 4 to 2 replicas",)
    alone = change("/spec/replicas", desired=1, live=4)
    assert impact_of(task(alone), LIVE) == ("scaled from 4 to 1 replica",)


def test_a_missing_workload_starts_pods_and_a_config_map_does_not():
    """Creation says what runs because of it."""
    assert impact_of(task(create=True), None) == ("the object is created, and its Pods start",)
    config = task(kind="ConfigMap", api_version="v1", create=True)
    assert impact_of(config, None) == ("the object is created",)


def test_fields_that_cannot_be_changed_in_place_are_foretold():
    """The API server will refuse them; the words say what can be done."""
    selector = change("/spec/selector/matchLabels/app", desired="a", live="b")
    assert fixed_fields(task(selector), LIVE) == (
        "spec.selector cannot be changed in place: recreate the object",
    )
    assert "will refuse" in impact_of(task(selector), LIVE)[0]
    assert fixed_fields(task(IMAGE), LIVE) == ()
