"""Starts git: a closed environment, bounded time and output, nothing executable from content.

Every git process of driftd is started here. The environment is built from scratch, so
neither the user's nor the machine's git configuration takes part; the repository's own
configuration cannot start programs (hooks, file system monitor, helpers and filters are
overridden, which command-line configuration does over any file).
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from driftd.errors import Disposition, SourceError
from driftd.source.url import printable

MIB = 1024 * 1024
_CHUNK = 256 * 1024
_STDERR_KEPT = 16 * 1024
_DRAIN_SECONDS = 2.0

_CONFIG = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.askPass": "",
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
    "core.quotePath": "false",
    "credential.helper": "",
    "diff.external": "",
    "fetch.fsckObjects": "true",
    "transfer.fsckObjects": "true",
    "fetch.recurseSubmodules": "false",
    "submodule.recurse": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "20",
    "log.showSignature": "false",
    "protocol.file.allow": "never",
    "safe.bareRepository": "explicit",
}
MINIMUM_GIT = (2, 38)
"""The oldest git that knows every setting that is used here."""
_INHERITED = (
    "PATH", "TMPDIR", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY",
)  # fmt: skip


_SSH_REASON = re.compile(
    r"Host key verification failed|Permission denied|Could not resolve|Connection (?:refused|timed)"
)


class OutputLimit(SourceError):
    """git wrote more than the caller accepts; `output` is what had arrived."""

    reason = "LimitExceeded"

    def __init__(self, message: str, output: bytes) -> None:
        super().__init__(message)
        self.output = output


class GitFailed(SourceError):
    """git ended with an error; the message has its last words."""

    reason = "GitFailed"


class Git:
    """Runs git commands against one repository."""

    def __init__(
        self,
        name: str,
        git_dir: Path,
        *,
        work_tree: Path | None = None,
        protocols: str = "none",
        config: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`name` is the repository in messages; `protocols` is git's allow-list, with colons."""
        self.name = name
        self.git_dir = git_dir
        self.work_tree = work_tree
        self._protocols = protocols
        self._config = {**_CONFIG, "safe.directory": str(work_tree or git_dir), **(config or {})}
        self._environment = dict(environment or {})

    async def run(
        self,
        *arguments: str,
        timeout: float = 60.0,  # noqa: ASYNC109 - the deadline also kills the process group
        limit: int = 16 * MIB,
        stdin: bytes | None = None,
        enough: Callable[[bytes], bool] | None = None,
        config: Mapping[str, str] | None = None,
        watch: Callable[[], str] | None = None,
    ) -> bytes:
        """The standard output of one git command.

        `timeout` is in seconds, `limit` in bytes; `enough` looks at each chunk and ends the
        command early by returning true; `watch` is asked twice a second and ends it by
        returning a reason. Raises `GitFailed`, `OutputLimit`, or `SourceError` (timeout).
        """
        process = await self._start(arguments, stdin is not None, config)
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        assert process.stderr is not None  # noqa: S101
        errors = asyncio.create_task(_last(process.stderr))
        feeding = asyncio.create_task(_feed(process, stdin)) if stdin is not None else None
        watching = asyncio.create_task(_watch(process, watch)) if watch is not None else None
        try:
            async with asyncio.timeout(timeout):
                output = await self._collect(process.stdout, arguments[0], limit, enough)
                code = await process.wait()
                stopped = watching.result() if watching is not None and watching.done() else ""
        except TimeoutError:
            raise SourceError(
                f"{self.name}: git {arguments[0]} took longer than {timeout:g} s",
                reason="Timeout",
            ) from None
        finally:
            await _end(process, [task for task in (feeding, watching) if task is not None])
            words = await _told(process, errors)
        if stopped:
            raise SourceError(f"{self.name}: {stopped}", reason="LimitExceeded")
        if code != 0:
            raise self._failure(arguments[0], code, words)
        return output

    async def _collect(
        self,
        stdout: asyncio.StreamReader,
        command: str,
        limit: int,
        enough: Callable[[bytes], bool] | None,
    ) -> bytes:
        output = bytearray()
        while chunk := await stdout.read(_CHUNK):
            output += chunk
            if len(output) > limit or (enough is not None and enough(chunk)):
                raise OutputLimit(f"{self.name}: git {command} wrote too much", bytes(output))
        return bytes(output)

    async def _start(
        self, arguments: Iterable[str], feed: bool, config: Mapping[str, str] | None
    ) -> asyncio.subprocess.Process:
        starting = asyncio.create_task(
            asyncio.create_subprocess_exec(
                "git",
                *arguments,
                stdin=asyncio.subprocess.PIPE if feed else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=self._full_environment(config or {}),
                cwd="/",
                start_new_session=True,
                limit=MIB,
            )
        )
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # Cancelled halfway, asyncio would end git alone and wait for what git has started.
            await _end(await starting, [])
            raise
        except FileNotFoundError:
            raise _git_missing() from None

    def _full_environment(self, config: Mapping[str, str]) -> dict[str, str]:
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        environment |= {
            "GIT_ALLOW_PROTOCOL": self._protocols,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_DIR": str(self.git_dir),
            "GIT_LFS_SKIP_SMUDGE": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_PAGER": "cat",
            "GIT_TERMINAL_PROMPT": "0",
            "HOME": "/nonexistent",
            "LC_ALL": "C",
        }
        if self.work_tree is not None:
            environment["GIT_WORK_TREE"] = str(self.work_tree)
        pairs = {**self._config, **config}
        environment["GIT_CONFIG_COUNT"] = str(len(pairs))
        for number, (key, value) in enumerate(pairs.items()):
            environment[f"GIT_CONFIG_KEY_{number}"] = key
            environment[f"GIT_CONFIG_VALUE_{number}"] = value
        return environment | self._environment

    def _failure(self, command: str, code: int, words: bytes) -> GitFailed:
        lines = [line for line in words.decode("utf-8", "replace").splitlines() if line.strip()]
        said = next((x for x in lines if x.startswith(("fatal:", "error:"))), "")
        said = said or (lines[-1] if lines else f"exit code {code}")
        if "Could not read from remote repository" in said:
            # ssh has said before why.
            said = next((line for line in lines if _SSH_REASON.search(line)), said)
        error = GitFailed(f"{self.name}: git {command} failed: {printable(said)}")
        if "dubious ownership" in said:
            error.hint = "the repository belongs to another user"
        elif any(
            x in said for x in ("Could not resolve host", "timed out", "Connection re", "HTTP 5")
        ):
            error.disposition = Disposition.TRANSIENT
        return error


async def git_version() -> str:
    """What `git --version` says, for example `2.43.0`. Raises SourceError without git."""
    try:
        process = await asyncio.create_subprocess_exec(
            "git",
            "--version",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        raise _git_missing() from error
    output, _ = await process.communicate()
    return output.decode("utf-8", "replace").strip().removeprefix("git version ")


def _git_missing() -> SourceError:
    wanted = ".".join(map(str, MINIMUM_GIT))
    return SourceError(
        "git was not found on PATH", hint=f"install git {wanted} or newer", reason="GitMissing"
    )


async def _feed(process: asyncio.subprocess.Process, data: bytes | None) -> None:
    assert process.stdin is not None  # noqa: S101 - a pipe was asked for
    with suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(data or b"")
        await process.stdin.drain()
    process.stdin.close()
    with suppress(BrokenPipeError, ConnectionResetError):
        await process.stdin.wait_closed()


async def _last(stream: asyncio.StreamReader) -> bytes:
    """The last bytes of a stream, read to its end so that the writer never blocks."""
    kept = bytearray()
    while chunk := await stream.read(_CHUNK):
        kept += chunk
        del kept[:-_STDERR_KEPT]
    return bytes(kept)


async def _told(process: asyncio.subprocess.Process, errors: asyncio.Task[bytes]) -> bytes:
    """What git said on standard error; whatever it has left behind cannot keep that open."""
    for _ in range(2):
        done, _ = await asyncio.wait([errors], timeout=_DRAIN_SECONDS)
        if done:
            return errors.result()
        _kill(process)
    errors.cancel()
    return b""


async def _watch(process: asyncio.subprocess.Process, watch: Callable[[], str]) -> str:
    while True:
        await asyncio.sleep(0.5)
        if reason := await asyncio.to_thread(watch):
            _kill(process)
            return reason


async def _end(process: asyncio.subprocess.Process, tasks: list[asyncio.Task[object]]) -> None:
    """Leaves nothing behind: the whole process group killed, the pipes drained."""
    for task in tasks:
        task.cancel()
    # Git may have ended while something that it started lives on and holds the pipe open.
    if process.returncode is None or not (process.stdout is None or process.stdout.at_eof()):
        _kill(process)
    if process.stdout is not None:
        while await process.stdout.read(_CHUNK):
            pass
    await process.wait()
    await asyncio.gather(*tasks, return_exceptions=True)


def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
