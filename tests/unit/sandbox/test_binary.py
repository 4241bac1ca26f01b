"""Which worker is started, and which one is refused."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from driftd.errors import SandboxError
from driftd.sandbox import binary
from driftd.sandbox.binary import check_hello, find_worker
from driftd.sandbox.build import BINARY, source_hash
from driftd.sandbox.pool import SandboxPool
from driftd.sandbox.results import Hello, Isolation

HELLO = Hello(
    protocol=1,
    source_hash=source_hash() or "",
    go="1.26",
    libraries={},
    isolation=Isolation(landlock=True, seccomp=True, no_new_privs=True, rlimits=True),
)


def test_built_binary_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an override the package's own binary is used."""
    monkeypatch.delenv(binary.OVERRIDE, raising=False)
    assert find_worker() == BINARY


@pytest.mark.parametrize("override", ["/nonexistent/worker", "/etc/passwd"])
def test_missing_override_is_an_error(monkeypatch: pytest.MonkeyPatch, override: str) -> None:
    """An override that cannot be executed is named, with the remedy."""
    monkeypatch.setenv(binary.OVERRIDE, override)
    with pytest.raises(SandboxError, match=override) as caught:
        find_worker()
    assert "make worker" in caught.value.hint


def test_missing_build_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where nothing was built, the error says how to build."""
    monkeypatch.delenv(binary.OVERRIDE, raising=False)
    monkeypatch.setattr(binary, "BINARY", tmp_path / "none")
    with pytest.raises(SandboxError, match="missing") as caught:
        find_worker()
    assert "make worker" in caught.value.message


def test_stale_worker_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker from other sources or of another protocol is refused; an override is trusted."""
    monkeypatch.delenv(binary.OVERRIDE, raising=False)
    check_hello(HELLO)
    stale = msgspec.structs.replace(HELLO, source_hash="other")
    with pytest.raises(SandboxError, match="stale"):
        check_hello(stale)
    with pytest.raises(SandboxError, match="protocol 2"):
        check_hello(msgspec.structs.replace(HELLO, protocol=2))
    monkeypatch.setenv(binary.OVERRIDE, str(BINARY))
    check_hello(stale)


async def test_program_that_is_no_worker(tmp_path: Path) -> None:
    """A binary that ends, talks nonsense or cannot be run is an error, not a hang."""
    for name, text, message in (
        ("ends", "#!/bin/sh\nexit 3\n", "died in hello"),
        ("shouts", "#!/bin/sh\necho hello hello\nread x\n", "out of protocol"),
        ("broken", "#!/nonexistent/interpreter\n", "does not start"),
    ):
        program = tmp_path / name
        program.write_text(text)
        program.chmod(0o755)
        async with SandboxPool(binary=program) as pool:
            with pytest.raises(SandboxError, match=message):
                await pool.hello()
