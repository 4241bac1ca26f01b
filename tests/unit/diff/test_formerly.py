"""What Git has removed, and what of it is still live as Git had declared it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from driftd.diff.formerly import Formerly
from driftd.diff.history import PRESENT, Digester, History
from driftd.diff.prepare import desired_view, live_view
from tests.unit.diff.objects import deployment, key_of, node_of

POD = "f:spec/f:template/f:spec"
CONTAINER = f'{POD}/f:containers/k:{{"name":"web"}}'


def next_look(history: History | None, wanted: Any, live: Any, sent: Any = None) -> Formerly:
    """What is known after Git has come to declare `wanted` while the cluster holds `live`."""
    node = node_of(wanted)
    assert node is not None
    found = Formerly(history, live, Digester(key_of(wanted), None))
    view = desired_view(wanted)
    given = None if sent is None else (lambda: desired_view(sent))
    found.take(view, live_view(live, view), node, given)
    return found


def left(found: Formerly) -> History:
    """The part of a history that passes what was declared on."""
    return History(uid="u", declared=dict(found.declared), former=dict(found.former))


def without(body: Any, *path: Any) -> Any:
    """An object without one place."""
    body = deepcopy(body)
    at = body
    for step in path[:-1]:
        at = at[step]
    del at[path[-1]]
    return body


def test_removed_field_is_former_while_live_holds_it() -> None:
    """A field that Git has removed is former with its value, and gone once live lacks it."""
    body = deployment()
    first = next_look(None, body, body)
    assert first.former == {}
    later = without(body, "spec", "template", "spec", "containers", 0, "args")
    second = next_look(left(first), later, body)
    assert set(second.former) == {f"{CONTAINER}/f:args"}
    third = next_look(left(second), later, later)
    assert third.former == {}
    assert next_look(left(third), later, body).former == {}


def test_removed_item_is_former_by_its_key() -> None:
    """An item is former whatever the server has filled in, and so is the list that it leaves."""
    body = deployment(volumes=[{"name": "a", "emptyDir": {}}])
    first = next_look(None, body, body)
    live = deepcopy(body)
    live["spec"]["template"]["spec"]["volumes"][0]["emptyDir"] = {"medium": "Memory"}
    second = next_look(left(first), without(body, "spec", "template", "spec", "volumes"), live)
    item = f'{POD}/f:volumes/k:{{"name":"a"}}'
    present = {place for place, value in second.former.items() if value == PRESENT}
    assert present == {f"{POD}/f:volumes", item}
    assert second.former.keys() - present == {f"{item}/f:name"}
    path = ("spec", "template", "spec", "volumes")
    assert second.was_declared(path, live["spec"]["template"]["spec"]["volumes"])


def test_another_value_was_never_declared() -> None:
    """A value that somebody has put in place of Git's is his, not Git's former one."""
    body = deployment()
    first = next_look(None, body, body)
    live = deepcopy(body)
    live["spec"]["replicas"] = 9
    second = next_look(left(first), without(body, "spec", "replicas"), live)
    assert second.former == {}
    third = next_look(left(first), without(body, "spec", "replicas"), body)
    assert third.was_declared(("spec", "replicas"), 2)
    assert not third.was_declared(("spec", "replicas"), 9)
    assert not third.was_declared(("spec", "paused"), True)


@pytest.mark.parametrize(("amount", "former"), [("0.1", True), ("100m", True), ("200m", False)])
def test_spelling_of_an_amount_is_no_other_value(amount: str, former: bool) -> None:
    """The server prints quantities in its own way; the amount counts."""
    body = deployment()
    first = next_look(None, body, body)
    live = deepcopy(body)
    container = live["spec"]["template"]["spec"]["containers"][0]
    container["resources"]["requests"]["cpu"] = amount
    later = without(body, "spec", "template", "spec", "containers", 0, "resources")
    second = next_look(left(first), later, live)
    assert set(second.former) == (
        {f"{CONTAINER}/f:resources/f:requests/f:cpu"} if former else set()
    )


def test_declared_again_is_former_no_more() -> None:
    """What Git takes back is declared, not former."""
    body = deployment()
    later = without(body, "spec", "replicas")
    second = next_look(left(next_look(None, body, body)), later, body)
    assert set(second.former) == {"f:spec/f:replicas"}
    third = next_look(left(second), body, body)
    assert third.former == {}
    assert third.stayed("f:metadata/f:labels/f:app")
    assert not third.stayed("f:spec/f:replicas")
    assert not third.stayed("f:spec/f:paused")


def test_last_applied_record_stands_for_a_history_that_is_not_there() -> None:
    """At the first look alone a record of what was sent says what Git had declared."""
    body = deployment()
    later = without(body, "spec", "replicas")
    assert set(next_look(None, later, body, sent=body).former) == {"f:spec/f:replicas"}
    known = left(next_look(None, later, later))
    assert next_look(known, later, body, sent=body).former == {}
