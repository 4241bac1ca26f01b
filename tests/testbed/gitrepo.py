"""Git repositories made by tests, with nothing of the machine's Git configuration in them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_AUTHOR = {
    "GIT_AUTHOR_NAME": "Platform Team",
    "GIT_AUTHOR_EMAIL": "platform@example.com",
    "GIT_COMMITTER_NAME": "Platform Team",
    "GIT_COMMITTER_EMAIL": "platform@example.com",
}


_CONFIG = """[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = false
\tlogallrefupdates = true
"""


class GitRepo:
    """A repository with a checkout at `path`, on branch `main`; created when it is not there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not (path / ".git").exists():
            self._initialise(path / ".git")

    @staticmethod
    def _initialise(folder: Path) -> None:
        """Write what `git init` writes: thousands of tests begin so, and a process takes longer."""
        for name in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info"):
            (folder / name).mkdir(parents=True)
        (folder / "HEAD").write_text("ref: refs/heads/main\n")
        (folder / "config").write_text(_CONFIG)

    def write(self, path: str, text: str) -> Path:
        """Write one file of the checkout, folders included; it is committed by `commit`."""
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def remove(self, path: str) -> None:
        """Delete one file of the checkout."""
        (self.path / path).unlink()

    def commit(self, message: str = "Change", *, date: str = "2026-01-01T00:00:00Z") -> str:
        """Commit everything in the checkout and return the commit's id; an empty one too."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={message}", date=date)
        return self.head

    @property
    def head(self) -> str:
        """The id of the commit that HEAD names."""
        folder = self.path / ".git"
        if folder.is_dir():
            told = (folder / "HEAD").read_text().strip()
            reference = folder / told.removeprefix("ref: ")
            if told.startswith("ref: ") and reference.is_file():
                return reference.read_text().strip()
        return self.git("rev-parse", "HEAD").strip()

    def set_remote(self, url: str, name: str = "origin") -> None:
        """Name a remote, replacing the URL that it had."""
        config = self.path / ".git" / "config"
        if f'[remote "{name}"]' in config.read_text():
            self.git("remote", "set-url", name, url)
            return
        quoted = url.replace("\\", "\\\\").replace('"', '\\"')
        with config.open("a") as file:
            file.write(f'[remote "{name}"]\n\turl = "{quoted}"\n')
            file.write(f"\tfetch = +refs/heads/*:refs/remotes/{name}/*\n")

    def git(self, *arguments: str, date: str = "2026-01-01T00:00:00Z") -> str:
        """Run git in the checkout and return what it prints; an error carries its stderr."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.path),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_AUTHOR_DATE": date,
            "GIT_COMMITTER_DATE": date,
            "LC_ALL": "C",
            **_AUTHOR,
        }
        done = subprocess.run(
            # Nor does it look after each commit whether there is something to tidy up.
            ["git", "-c", "commit.gpgsign=false", "-c", "maintenance.auto=false", *arguments],
            cwd=self.path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout
