"""Fixtures that every test may ask for: real clusters, and an environment of one's own."""

from __future__ import annotations

import itertools
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, settings

from tests.testbed.cluster import ControlPlane, control_planes
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import write_kubeconfig

# The machine may be busy: no deadline. No database: a found example becomes a test of its own.
settings.register_profile(
    "driftd",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
    max_examples=60,
    print_blob=True,
)
settings.register_profile("fast", settings.get_profile("driftd"), max_examples=10)
settings.load_profile("driftd")

_numbers = itertools.count(1)
LONGEST_FIRST = (
    "e2e/test_detection.py",
    "docs/test_commands.py",
    "e2e/test_bad_input.py",
    "e2e/test_inference.py",
    "e2e/test_lived_in.py",
    "e2e/test_bad_manifests.py",
    "unit/demo/test_main.py",
    "property/test_history.py",
    "integration/test_example_repository.py",
    "e2e/test_run.py",
    "property/test_random_mutations.py",
    "e2e/test_flux.py",
    "e2e/test_baseline.py",
    "packaging/test_wheel.py",
)
"""Files by the time that they take: begun last, one would keep a worker while others idle.

The two with several full clusters (detection, lived-in) are not begun together.
"""
UNIT_DEADLINE = 120.0
"""Seconds that a step of a unit test may take on a loaded machine; what hangs, fails."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest."""
    here = Path(__file__).parent
    ranks = {here / name: rank for rank, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


@contextmanager
def _deadline(item: pytest.Item) -> Iterator[None]:
    """Let a unit test fail, where it stands, when it takes too long."""
    unit = item.path.is_relative_to(Path(__file__).parent / "unit")
    if not unit or threading.current_thread() is not threading.main_thread():
        yield
        return

    def over(_number: int, _frame: FrameType | None) -> None:
        pytest.fail(f"took longer than {UNIT_DEADLINE:g} s")

    before = signal.signal(signal.SIGALRM, over)
    # Again and again, for an event loop logs what is raised inside a callback and goes on.
    signal.setitimer(signal.ITIMER_REAL, UNIT_DEADLINE, 5)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Bound what fixtures wait for."""
    with _deadline(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Bound what the test waits for."""
    with _deadline(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Bound what fixtures wait for in the end."""
    with _deadline(item):
        return (yield)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the folders of tests, which have numbers: to find a free name takes a listing each."""
    return tmp_path_factory.mktemp("tests")


@pytest.fixture
def tmp_path(folders: Path, request: pytest.FixtureRequest) -> Path:
    """An empty folder for this test alone."""
    name = re.sub(r"\W", "_", request.node.name)[:30]
    folder = folders / f"{name}-{next(_numbers)}"
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def private_environment(monkeypatch: pytest.MonkeyPatch, folders: Path) -> Path:
    """Hide the user's settings, kubeconfig and Git configuration; returns the test's HOME."""
    for name in list(os.environ):
        if name.startswith(("DRIFTD_", "KUBE", "GIT_", "XDG_", "HELM_")):
            monkeypatch.delenv(name)
    home = folders / f"home-{next(_numbers)}"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return home


@pytest.fixture(scope="session")
def api_server() -> Iterator[ControlPlane]:
    """One bare API server for the whole session: nothing but tests writes to it."""
    with ControlPlane("bare", audit="Metadata") as cluster:
        yield cluster


@pytest.fixture
def namespace(api_server: ControlPlane) -> str:
    """A fresh namespace of `api_server`, for this test alone; its name."""
    return api_server.create_namespace(f"test-{next(_numbers)}")


@pytest.fixture(scope="session")
def full_cluster() -> Iterator[ControlPlane]:
    """One cluster with controllers and a simulated node for the whole session."""
    with ControlPlane("full", full=True, audit="Metadata") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def three_clusters() -> Iterator[dict[str, ControlPlane]]:
    """Full clusters `production`, `staging` and `development`, for one module's tests."""
    with control_planes("production", "staging", "development", audit="Metadata") as clusters:
        yield clusters


@pytest.fixture
def three_clusters_kubeconfig(three_clusters: dict[str, ControlPlane], tmp_path: Path) -> Path:
    """One kubeconfig with the read-only detector's contexts of the three clusters."""
    accesses = [cluster.access("detector") for cluster in three_clusters.values()]
    return write_kubeconfig(tmp_path / "kubeconfig", accesses)


@pytest.fixture
def git_repo(tmp_path: Path) -> GitRepo:
    """An empty Git repository with a checkout of its own."""
    return GitRepo(tmp_path / "repository")
