"""How git is started: bounded in time and output, nothing left behind, nothing inherited."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path

import pytest

from driftd.errors import SourceError
from driftd.source.process import Git, GitFailed, OutputLimit
from tests.testbed.gitrepo import GitRepo

pytestmark = pytest.mark.slow


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """A runner on an empty repository."""
    return Git("the repository", GitRepo(tmp_path / "checkout").path / ".git")


def _sleeper(pid_file: Path) -> dict[str, str]:
    """Configuration of a git command `hang` that notes its process and stays."""
    return {"alias.hang": f"!echo $$ > {pid_file}; exec sleep 100"}


def _runs(pid_file: Path) -> bool:
    stat = Path("/proc") / pid_file.read_text().strip() / "stat"
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


async def _until(condition: object, deadline: float = 10.0) -> None:
    """Wait, without a fixed time, until a condition holds."""
    end = time.monotonic() + deadline
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        await asyncio.sleep(0)


async def test_a_timeout_ends_the_whole_process_group(git: Git, tmp_path: Path) -> None:
    """A command over its time is an error, and its children are gone too."""
    pid_file = tmp_path / "pid"
    with pytest.raises(SourceError, match="longer than 1 s") as error:
        await git.run("hang", config=_sleeper(pid_file), timeout=1)
    assert error.value.reason == "Timeout"
    await _until(lambda: not _runs(pid_file))


async def test_cancelling_ends_the_process(git: Git, tmp_path: Path) -> None:
    """A caller that goes away takes the command and its children with it."""
    pid_file = tmp_path / "pid"
    task = asyncio.create_task(git.run("hang", config=_sleeper(pid_file)))
    await _until(lambda: pid_file.exists() and pid_file.read_text().strip() != "")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _until(lambda: not _runs(pid_file))


async def test_a_watch_ends_the_command_with_its_reason(git: Git, tmp_path: Path) -> None:
    """What the watch says becomes the error."""
    with pytest.raises(SourceError, match="the repository: enough is enough"):
        await git.run("hang", config=_sleeper(tmp_path / "pid"), watch=lambda: "enough is enough")


@pytest.mark.parametrize("kept", ["2>/dev/null", ">/dev/null"], ids=["output", "errors"])
async def test_what_git_leaves_behind_holds_nothing_up(git: Git, tmp_path: Path, kept: str) -> None:
    """A process that lives on with git's output or errors open is ended, and the run with it."""
    pid_file = tmp_path / "pid"
    left = {"alias.leave": f"!sleep 100 {kept} & echo $! > {pid_file}"}
    async with asyncio.timeout(60):
        with suppress(SourceError):
            await git.run("leave", config=left, timeout=1)
    await _until(lambda: not _runs(pid_file))


async def test_output_is_bounded(git: Git) -> None:
    """Endless output is cut off at the limit and the command ended."""
    with pytest.raises(OutputLimit) as error:
        await git.run("yes", config={"alias.yes": "!yes"}, limit=100_000)
    assert 100_000 < len(error.value.output) < 1_000_000


async def test_a_failure_has_the_last_words_of_git(git: Git) -> None:
    """The error names repository and command, and says what git said, printable."""
    with pytest.raises(GitFailed, match="the repository: git cat-file failed: fatal: ") as error:
        await git.run("cat-file", "-t", "0" * 40)
    assert str(error.value).isprintable()


async def test_the_environment_is_closed(git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the caller's environment reaches git but what is listed."""
    monkeypatch.setenv("GIT_SSH_COMMAND", "touch canary")
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "ext:file")
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    seen = (await git.run("env", config={"alias.env": "!env"})).decode()
    assert "hunter2" not in seen
    assert "GIT_SSH_COMMAND" not in seen
    assert "GIT_ALLOW_PROTOCOL=none" in seen
    assert "GIT_TERMINAL_PROMPT=0" in seen


@pytest.mark.parametrize("url", ["file:///etc", "/etc", "ext::touch canary", "git://localhost/x"])
async def test_a_local_repository_reaches_no_transport(git: Git, url: str) -> None:
    """S-02: reading a checkout can use no protocol at all, whatever the arguments."""
    with pytest.raises(GitFailed, match="not allowed"):
        await git.run("ls-remote", "--end-of-options", url)


async def test_an_option_in_place_of_a_url_is_no_option(git: Git, tmp_path: Path) -> None:
    """S-01: after `--end-of-options` the upload-pack option is a name that does not exist."""
    canary = tmp_path / "canary"
    with pytest.raises(GitFailed):
        await git.run("ls-remote", "--end-of-options", f"--upload-pack=touch {canary}", ".")
    assert not canary.exists()


async def test_a_missing_git_says_so(git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without git on PATH the error names the remedy."""
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SourceError, match="git was not found") as error:
        await git.run("version")
    assert "install git" in error.value.hint
