"""What a dry run shows: whether the write would make the object what Git says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from driftd.controller.check import Looked
from driftd.controller.foreseen import Foreseen, node_of
from driftd.controller.verdict import Verdict
from driftd.errors import CompareError
from driftd.model.report import ChangeClass
from driftd.model.resource import LiveObject
from driftd.settings.healing import Rung
from driftd.sync.plan import SyncTask, plan
from tests.unit.controller.builders import application, config_map, desired, looked_at
from tests.unit.controller.cluster import MemoryCluster

SELF_HEAL = {"automated": {"selfHeal": True}}
GIT = {"colour": "blue", "size": "1"}


async def planned(
    live: dict[str, str] | None, **extra: Any
) -> tuple[MemoryCluster, Looked, SyncTask]:
    """A ConfigMap that Git declares as `GIT`, as `live` by hand; its look and its write."""
    cluster = MemoryCluster()
    cluster.put(config_map("web", **GIT))
    if live is None:
        cluster.delete("ConfigMap", "shop", "web")
    else:
        cluster.put(config_map("web", **live), manager="kubectl-edit", operation="Update")
    app = application(syncPolicy=SELF_HEAL)
    looked = await looked_at(cluster, desired(config_map("web", **GIT), app=app))
    (task,) = plan(
        app,
        looked.report,
        looked.desired.manifests,
        rung=Rung.FIELDS,
        live=looked.live,
        node=lambda gvk: node_of(looked, gvk),
        **extra,
    ).tasks
    return cluster, looked, task


def made(cluster: MemoryCluster, manager: str = "driftd", **data: str) -> LiveObject:
    """What a dry run says that the API server would store."""
    return cluster.made(config_map("web", **data), manager=manager)


@pytest.mark.parametrize("live", [None, {"colour": "red", "size": "1"}, {"colour": "blue"}])
async def test_what_is_as_git_says_is_fine(live: dict[str, str] | None) -> None:
    """Created, changed back or completed: nothing speaks against the write."""
    cluster, looked, task = await planned(live)
    assert Foreseen(looked)(task, made(cluster, **GIT)) == ""


async def test_a_field_that_admission_sets_is_named() -> None:
    """A write that leaves the very field that it heals is told as one."""
    cluster, looked, task = await planned({"colour": "red", "size": "1"})
    why = Foreseen(looked)(task, made(cluster, colour="green", size="1"))
    assert why.startswith("the API server would accept the write and still not hold what Git says")
    assert "at /data/colour: admission" in why


async def test_another_difference_is_told_as_one() -> None:
    """A write that heals its field and breaks another one is not called in vain, but wrong."""
    cluster, looked, task = await planned({"colour": "red", "size": "1"})
    why = Foreseen(looked)(task, made(cluster, colour="blue", size="2"))
    assert why.startswith("the write would make another difference at /data/size: admission")


async def test_a_missing_object_may_be_made_otherwise() -> None:
    """What is created has no field that was healed: every difference is a new one."""
    cluster, looked, task = await planned(None)
    assert (task.create, task.heals) == (True, ())
    why = Foreseen(looked)(task, made(cluster, colour="green", size="1"))
    assert why.startswith("the write would make another difference at /data/colour")


async def test_an_addition_that_stays_does_not_count() -> None:
    """What the plan names as remaining may remain; with `undeclared` it may not."""
    live = {"colour": "red", "size": "1", "extra": "x"}
    cluster, looked, task = await planned(live)
    assert task.remains == ("/data/extra",)
    stays = made(cluster, manager="kubectl-edit", **GIT, extra="x")
    assert Foreseen(looked)(task, stays) == ""
    _, looked, task = await planned(live, undeclared=True)
    assert task.remains == ()
    assert "still not hold what Git says at /data/extra" in Foreseen(looked)(task, stays)


async def test_a_difference_that_is_no_drift_does_not_count() -> None:
    """What was rewritten before may stay so; were it healed, the same field would count."""
    cluster, looked, task = await planned({"colour": "red", "size": "2"})
    colour, size = looked.report.resources[0].changes
    rewritten = msgspec.structs.replace(size, change_class=ChangeClass.REWRITTEN)
    judged = msgspec.structs.replace(looked.report.resources[0], changes=(colour, rewritten))
    report = msgspec.structs.replace(looked.report, resources=(judged,))
    spared = msgspec.structs.replace(task, heals=(colour,))
    after = made(cluster, colour="blue", size="2")
    assert Foreseen(replace(looked, report=report))(spared, after) == ""
    assert "still not hold" in Foreseen(looked)(task, after)


async def test_three_places_are_named_and_the_rest_counted() -> None:
    """A reason stays one sentence however many fields differ."""
    cluster = MemoryCluster()
    git = {f"key{number}": "blue" for number in range(5)}
    cluster.put(config_map("web", **git))
    red = config_map("web", **dict.fromkeys(git, "red"))
    cluster.put(red, manager="kubectl-edit", operation="Update")
    app = application(syncPolicy=SELF_HEAL)
    looked = await looked_at(cluster, desired(config_map("web", **git), app=app))
    (task,) = plan(
        app, looked.report, looked.desired.manifests, rung=Rung.FIELDS, live=looked.live
    ).tasks
    why = Foreseen(looked)(task, cluster.made(red, manager="driftd"))
    assert "at /data/key0, /data/key1, /data/key2 and 2 more: admission" in why


async def test_a_comparison_that_fails_speaks_against_the_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What cannot be compared is not written: the reason says so."""
    cluster, looked, task = await planned({"colour": "red", "size": "1"})

    def disagree(*_given: Any) -> None:
        raise CompareError("walk and deepdiff disagree at /data (1 places)")

    monkeypatch.setattr("driftd.controller.foreseen.compare", disagree)
    why = Foreseen(looked)(task, made(cluster, **GIT))
    assert why == (
        "what the API server makes of it cannot be compared: "
        "walk and deepdiff disagree at /data (1 places)"
    )


async def test_without_what_the_look_was_made_from_it_is_compared_all_the_same() -> None:
    """No schema is known then; a field that is not as Git says is seen without."""
    cluster, looked, task = await planned({"colour": "red", "size": "1"})
    bare = replace(looked, shared=None)
    assert node_of(bare, task.gvk) is None
    assert node_of(looked, task.gvk) is not None
    assert Foreseen(bare)(task, made(cluster, **GIT)) == ""
    assert "/data/colour" in Foreseen(bare)(task, made(cluster, colour="red", size="1"))


async def test_driftd_is_gits_hand_whoever_else_is() -> None:
    """Where an application names its deployers, what driftd applies is Git's all the same."""
    cluster = MemoryCluster()
    app = application(annotations={"driftd.io/deployers": "helm"})
    looked = await looked_at(cluster, desired(config_map("web", **GIT), app=app))
    assert Verdict(looked.desired, looked.shared).context.deployers == {"helm"}
    assert Foreseen(looked).context.deployers == {"helm", "driftd"}
