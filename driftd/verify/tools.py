"""Runs gpgv and ssh-keygen, which judge signatures: nothing here decides by itself.

gpgv, not gpg: it has no agent, no configuration and no trust database, so nothing is left running
and nothing of the machine's own keys takes part. Every run has a private folder and an environment
built from scratch.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from driftd.errors import VerificationError
from driftd.verify.keys import KeySet
from driftd.verify.openpgp import Malformed, detached_signature
from driftd.verify.outcome import Finding, Outcome
from driftd.verify.sshsig import NAMESPACE, read_signature

TIMEOUT = 20.0
"""Seconds that one check may take."""
PACKAGES = {"gpgv": "gpgv", "ssh-keygen": "openssh-client"}
"""The tools with the Debian packages that hold them."""

_STATUS = "[GNUPG:] "
_VERDICTS = {
    "GOODSIG": Outcome.GOOD,
    "BADSIG": Outcome.BAD,
    "EXPSIG": Outcome.EXPIRED_SIGNATURE,
    "EXPKEYSIG": Outcome.EXPIRED_KEY,
    "REVKEYSIG": Outcome.REVOKED_KEY,
    "ERRSIG": Outcome.UNSUPPORTED,
}
_NO_KEY = "9"
"""The reason that ERRSIG gives where the key is missing."""
_OUTPUT = 1 << 16


class _Ran(msgspec.Struct, frozen=True):
    code: int
    output: str
    errors: str


async def openpgp_finding(payload: bytes, armoured: bytes, keys: KeySet) -> Finding:
    """What gpgv says of a detached signature. Raises `VerificationError` if it cannot run."""
    try:
        signature = detached_signature(armoured)
    except Malformed as error:
        return Finding(Outcome.MALFORMED, detail=str(error))
    return await _gpgv(payload, signature, keys.openpgp)


async def _gpgv(payload: bytes, signature: bytes, keyring: bytes) -> Finding:
    files = {"keys.gpg": keyring, "signature": signature, "payload": payload}
    with _Folder(files) as folder:
        ran = await _run(
            "gpgv", "--homedir", folder, "--keyring", f"{folder}/keys.gpg", "--status-fd", "1",
            f"{folder}/signature", f"{folder}/payload",
            folder=folder,
        )  # fmt: skip
    return read_status(ran.output, ran.code)


def read_status(output: str, code: int) -> Finding:
    """What gpgv's status lines say. Exactly one signature must be judged exactly once."""
    lines = [line.removeprefix(_STATUS).split(" ") for line in output.splitlines()
             if line.startswith(_STATUS)]  # fmt: skip
    verdicts = [words for words in lines if words[0] in _VERDICTS]
    valid = [words for words in lines if words[0] == "VALIDSIG"]
    if len(verdicts) != 1 or len(valid) > 1 or sum(words[0] == "NEWSIG" for words in lines) > 1:
        return Finding(Outcome.MALFORMED, detail="gpgv does not judge it as one signature")
    words = verdicts[0]
    outcome = _VERDICTS[words[0]]
    key = words[1] if len(words) > 1 else ""
    if words[0] == "ERRSIG":
        key = words[7] if len(words) > 7 and words[7] not in {"", "-"} else key
        if len(words) > 6 and words[6] == _NO_KEY:
            return Finding(Outcome.UNKNOWN_KEY, key)
        return Finding(outcome, key, detail="gpgv cannot check it")
    if not valid:
        if outcome is Outcome.GOOD:
            return Finding(Outcome.MALFORMED, key, detail="gpgv says nothing of its key")
        return Finding(outcome, key)
    if outcome is Outcome.GOOD and code != 0:
        return Finding(Outcome.MALFORMED, key, detail=f"gpgv ended with {code}")
    primary = valid[0][10] if len(valid[0]) > 10 else ""
    return Finding(outcome, valid[0][1], primary)


async def ssh_finding(payload: bytes, armoured: bytes, keys: KeySet) -> Finding:
    """What ssh-keygen says of an SSH signature. Raises `VerificationError` if it cannot run.

    The key must be in `allowed_signers` now, whenever the signature was made.
    """
    try:
        claimed = read_signature(armoured)
    except Malformed as error:
        return Finding(Outcome.MALFORMED, detail=str(error))
    key = claimed.fingerprint
    if claimed.namespace != NAMESPACE:
        text = f"it was made for {claimed.namespace[:40]!a}, not for {NAMESPACE}"
        return Finding(Outcome.BAD, key, detail=text)
    if "-cert-" in claimed.key_type:
        return Finding(Outcome.UNSUPPORTED, key, detail="SSH certificates are not read")
    if not keys.allowed_signers:
        return Finding(Outcome.UNKNOWN_KEY, key)
    files = {"signature": armoured, "signers": keys.allowed_signers, "revoked": keys.revoked}
    with _Folder(files) as folder:
        return await _ssh_keygen(payload, key, folder, revoked=bool(keys.revoked))


async def _ssh_keygen(payload: bytes, key: str, folder: str, *, revoked: bool) -> Finding:
    signature, signers = f"{folder}/signature", f"{folder}/signers"
    asked = await _run(
        "ssh-keygen", "-Y", "find-principals", "-s", signature, "-f", signers, folder=folder
    )
    principals = [line for line in asked.output.splitlines() if line.strip()]
    if asked.code != 0 or not principals:
        expired = "has expired" in asked.errors or "valid-before" in asked.errors
        return Finding(Outcome.EXPIRED_KEY if expired else Outcome.UNKNOWN_KEY, key)
    flags = ("-r", f"{folder}/revoked") if revoked else ()
    asking = ("-Y", "verify", "-f", signers, "-I", principals[0], "-n", NAMESPACE, "-s", signature)
    ran = await _run("ssh-keygen", *asking, *flags, folder=folder, stdin=payload)
    # The fingerprint was read from the same bytes; both readers must have seen the same key.
    if ran.code == 0 and key in ran.output.split():
        return Finding(Outcome.GOOD, key)
    if revoked:  # ssh-keygen does not say which of the two is wrong
        again = await _run("ssh-keygen", *asking, folder=folder, stdin=payload)
        if again.code == 0:
            return Finding(Outcome.REVOKED_KEY, key)
    return Finding(Outcome.BAD, key)


class _Folder(tempfile.TemporaryDirectory[str]):
    """A private folder with files, removed at the end."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__(prefix="driftd-verify-", ignore_cleanup_errors=True)
        for name, data in files.items():
            Path(self.name, name).write_bytes(data)


async def _run(program: str, *arguments: str, folder: str, stdin: bytes = b"") -> _Ran:
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": folder,
        "GNUPGHOME": folder,
        "LC_ALL": "C",
        "TZ": "UTC",
    }
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            cwd=folder,
            start_new_session=True,
        )
    except OSError as error:
        raise tool_missing(program) from error
    try:
        async with asyncio.timeout(TIMEOUT):
            output, errors = await process.communicate(stdin)
    except TimeoutError:
        raise VerificationError(
            f"{program} took longer than {TIMEOUT:g} s to check a signature"
        ) from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return _Ran(process.returncode or 0, _text(output), _text(errors))


def _text(data: bytes) -> str:
    return data[:_OUTPUT].decode("utf-8", "replace")


def tool_missing(program: str) -> VerificationError:
    """The error where a tool is not installed."""
    return VerificationError(
        f"{program} was not found on PATH, so signatures cannot be checked",
        hint=f"install it (Debian package {PACKAGES[program]})",
    )


def missing_tools() -> list[VerificationError]:
    """What is to be said of each tool that is not on PATH."""
    return [tool_missing(name) for name in PACKAGES if shutil.which(name) is None]
