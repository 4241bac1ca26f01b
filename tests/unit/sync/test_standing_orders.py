"""The file of orders: written whole, read anew, and nothing permits what cannot be read."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import msgspec
import pytest

from driftd.errors import StoreError
from driftd.sync.standing_orders import StandingOrders, orders_path
from tests.unit.sync.guarding import order


def test_without_a_file_there_are_no_orders(tmp_path):
    """And one that is removed takes its orders along."""
    file = StandingOrders(tmp_path / "orders.json")
    assert file.read() == ()
    file.change(lambda before: (*before, order("freeze")))
    assert [one.kind for one in file.read()] == ["freeze"]
    file.path.unlink()
    assert file.read() == ()


def test_what_another_process_writes_is_seen(tmp_path):
    """Each reading looks whether the file is another one."""
    reader, writer = (StandingOrders(tmp_path / "orders.json") for _ in range(2))
    assert reader.read() == ()
    for number in range(3):
        writer.change(lambda before, n=number: (*before, order("snooze", id=str(n))))
        assert [one.id for one in reader.read()] == [str(n) for n in range(number + 1)]


def test_changes_at_the_same_time_all_count(tmp_path):
    """Commands wait for each other."""
    path = tmp_path / "orders.json"

    def add(number):
        one = order("freeze", id=str(number))
        StandingOrders(path).change(lambda before: (*before, one))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.id for one in StandingOrders(path).read()} == {str(n) for n in range(8)}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b'{"orders":[{"id":"1"}],"version":1}',
        b'{"orders":[],"version":2}',
        b'{"orders":[' + b" " * (5 << 20) + b"]}",
    ],
)
def test_a_file_that_cannot_be_read_is_an_error(tmp_path, content):
    """Never an empty list of orders: then healing would go on."""
    path = tmp_path / "orders.json"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"orders\.json"):
        StandingOrders(path).read()
    with pytest.raises(StoreError, match=r"orders\.json"):
        StandingOrders(path).change(lambda before: before)
    assert path.read_bytes() == content


def test_a_change_that_fails_leaves_the_file_as_it_was(tmp_path):
    """No half of a file, and nothing beside it but the lock."""
    file = StandingOrders(tmp_path / "orders.json")
    file.change(lambda _before: (order("freeze"),))
    before = file.path.read_bytes()

    def fail(_before):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        file.change(fail)
    assert file.path.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["orders.json", "orders.json.lock"]


def test_a_folder_that_is_not_there_is_told(tmp_path):
    """With the file's name."""
    with pytest.raises(StoreError, match="cannot be written"):
        StandingOrders(tmp_path / "none" / "orders.json").change(lambda before: before)


def test_where_the_file_lies():
    """As configured, else beside an SQLite store; PostgreSQL has no place for it."""
    assert orders_path("/run/o.json", "sqlite:///d.db") == Path("/run/o.json")
    assert orders_path("", "sqlite:////var/lib/d.db") == Path("/var/lib/d.db-orders.json")
    assert orders_path("", "postgresql://driftd@db/driftd") is None


def test_orders_survive_being_written_and_read(tmp_path):
    """Every field."""
    full = order("override", application="a/b", cluster="c", object="K/n", guard="G-04")
    file = StandingOrders(tmp_path / "orders.json")
    file.change(lambda _before: (full,))
    assert StandingOrders(file.path).read() == (full,)
    assert msgspec.json.decode(file.path.read_bytes())["version"] == 1
