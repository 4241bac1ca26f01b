"""What a worker can reach: nothing."""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec
import pytest

from driftd.sandbox.build import SOURCES
from driftd.sandbox.pool import SandboxPool
from driftd.sandbox.results import Isolation


async def test_hello_reports_complete_isolation(pool: SandboxPool) -> None:
    """On Linux a worker has seccomp, no new privileges and limits, and says if Landlock is off."""
    isolation = (await pool.hello()).isolation
    assert isolation.complete
    assert isolation.landlock or any("landlock" in note for note in isolation.notes)


@pytest.mark.parametrize("attempt", ["open", "create", "readdir", "listen", "dial", "exec"])
async def test_worker_can_reach_nothing(pool: SandboxPool, attempt: str) -> None:
    """Opening /etc/passwd, creating a file, sockets and processes are refused by the kernel."""
    answers = msgspec.json.decode(await pool.call("probe", {}, project="team"))
    assert "not permitted" in answers[attempt] or "permission denied" in answers[attempt]


def environment(pid: int) -> bytes:
    """A process's environment as the kernel has it."""
    return Path(f"/proc/{pid}/environ").read_bytes()


def descriptors(pid: int) -> set[str]:
    """The kinds of open files of a process."""
    return {os.readlink(entry).split(":")[0] for entry in Path(f"/proc/{pid}/fd").iterdir()}


def thread_statuses(pid: int) -> list[str]:
    """The kernel's status of each thread."""
    return [(task / "status").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]


async def test_worker_has_no_environment_and_few_descriptors(pool: SandboxPool) -> None:
    """The process starts with an empty environment and holds only its pipes and poller."""
    await pool.hello()
    pid = pool._idle[0].pid
    assert environment(pid) == b""
    assert descriptors(pid) <= {"pipe", "socket", "anon_inode"}


async def test_every_thread_is_filtered(pool: SandboxPool) -> None:
    """Seccomp and no_new_privs hold for all threads, not only for the one that asked."""
    await pool.hello()
    statuses = thread_statuses(pool._idle[0].pid)
    assert len(statuses) > 1
    for status in statuses:
        assert "Seccomp:\t2" in status
        assert "NoNewPrivs:\t1" in status


def test_isolation_is_incomplete_without_seccomp() -> None:
    """Landlock alone does not count as complete: it does not stop processes."""
    walls = Isolation(landlock=True, seccomp=False, no_new_privs=True, rlimits=True)
    assert not walls.complete


def test_trees_are_read_through_what_notes_it() -> None:
    """Only the tree's own code touches its maps: what is read unseen, a cache would not know."""
    direct = re.compile(r"\.(files|links|dirs)\[|range [\w.]*\.(files|links)\b")
    allowed = {
        "tree.go",
        "reads.go",
        # A copy of a tree with one file more; the directory of a path that was resolved.
        "flux_kustomize.go",
        "treefs.go",
    }
    for source in sorted(SOURCES.glob("*.go")):
        if source.name not in allowed:
            assert not direct.search(source.read_text()), source.name
