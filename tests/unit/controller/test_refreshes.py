"""Repositories that are said to have moved: each at most once in its window, none forgotten."""

from __future__ import annotations

import asyncio

from driftd.controller.refreshes import Refreshes

ONE, TWO = "https://git.example.com/one.git", "git@git.example.com:two"
KEYS = ("git.example.com/one", "git.example.com/two")


class Time:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def made(*urls: str) -> tuple[Refreshes, Time]:
    """Refreshes with a window of ten seconds, and their clock."""
    time = Time()
    refreshes = Refreshes(10.0, monotonic=time)
    refreshes.know(urls or (ONE, TWO))
    return refreshes, time


def test_the_first_is_at_once_and_the_next_at_the_end_of_the_window() -> None:
    """However often it is asked, there is one refresh in ten seconds, and one after the last."""
    refreshes, time = made()
    found = []
    for tenths in range(400):
        time.now = tenths / 10
        refreshes.ask([ONE])
        found += [time.now for _ in refreshes.take().keys]
    time.now = 40.0
    assert found == [0.0, 10.0, 20.0, 30.0]
    assert refreshes.take().keys == {KEYS[0]}


def test_each_repository_has_its_own_window() -> None:
    """One that is busy delays no other, and what waits says how long."""
    refreshes, time = made()
    refreshes.ask([ONE])
    assert refreshes.take().keys == {KEYS[0]}
    time.now += 4
    refreshes.ask([ONE])
    refreshes.ask([TWO])
    due = refreshes.take()
    assert (due.keys, due.wait) == ({KEYS[1]}, 6.0)


def test_what_nobody_reads_is_dropped() -> None:
    """A repository that no application reads is neither kept nor asked, nor is one that went."""
    refreshes, _ = made(ONE)
    assert not refreshes.ask([TWO])
    assert refreshes.ask(["https://git.example.com/ONE", "nonsense", TWO])
    refreshes.know([TWO])
    assert refreshes.take().keys == frozenset()


def test_before_anything_is_known_all_is_kept_within_bounds() -> None:
    """Posts at the start are not lost, and a flood of names does not fill the memory."""
    refreshes = Refreshes(10.0)
    kept = sum(refreshes.ask([f"https://git.example.com/{n}"]) for n in range(10000))
    assert kept == 4096
    refreshes.know([ONE, "https://git.example.com/7"])
    assert refreshes.take().keys == {"git.example.com/7"}


def test_azure_devops_has_two_addresses() -> None:
    """The address for ssh and the one for https mean one repository."""
    refreshes, _ = made("git@ssh.dev.azure.com:v3/platform/shop/gitops")
    assert refreshes.ask(["https://platform@dev.azure.com/platform/shop/_git/gitops"])
    assert refreshes.take().keys == {"dev.azure.com/platform/shop/_git/gitops"}


async def test_whoever_waits_is_woken() -> None:
    """A post wakes the daemon; the end of a window does, too."""
    refreshes = Refreshes(0.05)
    refreshes.know([ONE])
    async with asyncio.timeout(10):
        waiting = asyncio.create_task(refreshes.due())
        refreshes.ask([ONE])
        assert await waiting == {KEYS[0]}
        refreshes.ask([ONE])
        assert await refreshes.due() == {KEYS[0]}
