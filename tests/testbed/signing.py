"""Keys made for one test, and commits and tags that are signed with them by the real programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.testbed.gitrepo import GitRepo


class GpgHome:
    """A private GNUPGHOME; a context manager that ends its own agent and removes the folder."""

    def __init__(self) -> None:
        # Not below pytest's folders: the path of a socket may have 107 characters.
        self.path = Path(tempfile.mkdtemp(prefix="driftd-gpg-"))
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.path),
            "GNUPGHOME": str(self.path),
            "LC_ALL": "C",
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        subprocess.run(["gpgconf", "--kill", "all"], env=self._environment, check=True)
        shutil.rmtree(self.path, ignore_errors=True)

    def gpg(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Run gpg with this home; an error carries its words."""
        done = subprocess.run(
            ["gpg", "--batch", "--quiet", "--no-tty", "--yes", *arguments],
            env=self._environment,
            input=stdin,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"gpg {' '.join(arguments)}: {done.stderr.decode()}")
        return done.stdout

    def key(self, name: str, *, time: str = "", expires: str = "never") -> str:
        """A new signing key of `NAME <name@example.com>`; its fingerprint.

        `time` (`20240101T000000`) is when it was made, `expires` a number of days such as `1d`.
        """
        when = (f"--faked-system-time={time}!",) if time else ()
        user = f"{name} <{name.lower()}@example.com>"
        self.gpg(
            *when, "--passphrase=", "--quick-generate-key", user, "ed25519", "sign", expires
        )  # fmt: skip
        return self.fingerprint(name)

    def fingerprint(self, name: str) -> str:
        """The fingerprint of somebody's key."""
        listed = self.gpg("--with-colons", "--list-keys", name).decode()
        lines = [line.split(":") for line in listed.splitlines()]
        return next(words[9] for words in lines if words[0] == "fpr")

    def subkey(self, fingerprint: str) -> str:
        """A new signing subkey of a key; its fingerprint."""
        self.gpg("--passphrase=", "--quick-add-key", fingerprint, "ed25519", "sign", "never")
        listed = self.gpg("--with-colons", "--list-keys", fingerprint).decode()
        return [words[9] for line in listed.splitlines() if (words := line.split(":"))[0] == "fpr"][
            -1
        ]

    def revoke(self, fingerprint: str) -> None:
        """Revoke a key with the certificate that was made with it."""
        certificate = (self.path / "openpgp-revocs.d" / f"{fingerprint}.rev").read_text()
        self.gpg("--import", stdin=certificate.replace(":-----BEGIN", "-----BEGIN").encode())

    def public(self, *names: str) -> str:
        """The armoured public keys of some people."""
        return self.gpg("--armor", "--export", *names).decode()

    def detached(self, fingerprint: str, data: bytes, *, time: str = "") -> bytes:
        """An armoured detached signature; `fingerprint!` names one subkey."""
        when = (f"--faked-system-time={time}!",) if time else ()
        arguments = ("--armor", "--detach-sign", "--local-user", fingerprint, "--output", "-")
        return self.gpg(*when, *arguments, stdin=data)


class SshKey:
    """An SSH key in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / name
        _ssh_keygen("-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(self.path))

    @property
    def public(self) -> str:
        """Type and key, without the comment."""
        return " ".join(self.path.with_suffix(".pub").read_text().split()[:2])

    @property
    def fingerprint(self) -> str:
        """`SHA256:…`."""
        return _ssh_keygen("-l", "-f", str(self.path)).split()[1]

    def signature(self, data: bytes, namespace: str = "git") -> bytes:
        """An armoured signature of some data."""
        done = subprocess.run(
            ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(self.path)],
            input=data,
            capture_output=True,
            check=True,
        )
        return done.stdout


def _ssh_keygen(*arguments: str) -> str:
    done = subprocess.run(["ssh-keygen", *arguments], capture_output=True, text=True, check=True)
    return done.stdout


class SignedRepo(GitRepo):
    """A repository whose commits and tags are signed on demand."""

    def signed_commit(
        self, message: str, home: GpgHome, key: str, *, trailer: str = "", parents: str = ""
    ) -> str:
        """Commit everything, signed with a GPG key; `parents` are more that are merged."""
        return self._commit(message, ("-c", "gpg.format=openpgp"), key, home, trailer, parents)

    def ssh_commit(self, message: str, key: SshKey, *, trailer: str = "") -> str:
        """Commit everything, signed with an SSH key."""
        return self._commit(message, ("-c", "gpg.format=ssh"), str(key.path), None, trailer, "")

    def _commit(
        self,
        message: str,
        settings: tuple[str, ...],
        key: str,
        home: GpgHome | None,
        trailer: str,
        parents: str,
    ) -> str:
        self.git("add", "--all")
        if parents:
            self.git("merge", "--quiet", "--no-ff", "--no-commit", "--strategy=ours", parents)
        more = (f"--trailer={trailer}",) if trailer else ()
        arguments = ("commit", "--quiet", "--allow-empty", f"--message={message}", *more)
        self._with_home(home, *settings, *arguments, f"--gpg-sign={key}")
        return self.head

    def signed_tag(self, name: str, home: GpgHome, key: str, target: str = "HEAD") -> str:
        """An annotated tag signed with a GPG key; the id of its object."""
        arguments = ("tag", f"--local-user={key}", f"--message=Release {name}", name, target)
        self._with_home(home, *arguments)
        return self.git("rev-parse", f"refs/tags/{name}").strip()

    def raw(self, kind: str, data: bytes) -> str:
        """Store bytes as an object of a kind, without any check; its id."""
        done = subprocess.run(
            ["git", "hash-object", "-w", "--literally", "-t", kind, "--stdin"],
            cwd=self.path,
            input=data,
            capture_output=True,
            check=True,
        )
        return done.stdout.decode().strip()

    def _with_home(self, home: GpgHome | None, *arguments: str) -> None:
        program: tuple[str, ...] = ()
        if home is not None:
            wrapper = home.path / "gpg-of-this-home"
            wrapper.write_text(f'#!/bin/sh\nexec gpg --batch --homedir "{home.path}" "$@"\n')
            wrapper.chmod(0o755)
            program = ("-c", f"gpg.program={wrapper}")
        self.git(*program, *arguments)
