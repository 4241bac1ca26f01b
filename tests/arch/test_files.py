"""What is committed: nothing of a machine, nothing of a package registry, no binary, no secret."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REGISTRIES = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("proxy", "golang", "org"),
        ("sum", "golang", "org"),
        ("npmjs", "org"),
        ("crates", "io"),
        ("go", "dev/dl"),
    )
]
HOMES = re.compile(r"(?<![\w.])/(?:root|home/[a-z_][\w-]*|Users/\w+)/\S")
CREDENTIALS = {
    "private key": re.compile("-----BEGIN [A-Z ]*PRIVATE " + "KEY-----\n[A-Za-z0-9+/=\n]{100}"),
    "token of a service account": re.compile(r"\beyJhbGciOi[\w-]{20,}\.[\w-]{20,}\.[\w-]{20,}"),
    "cloud key": re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
}


@cache
def committed() -> dict[str, bytes]:
    """The content of every file that Git tracks, by path."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    paths = [path for path in done.stdout.decode().split("\0") if path]
    return {path: (ROOT / path).read_bytes() for path in paths if (ROOT / path).is_file()}


@cache
def texts() -> dict[str, str]:
    """The committed files as text."""
    return {path: content.decode(errors="replace") for path, content in committed().items()}


def test_there_is_something_to_look_at() -> None:
    """The scan sees the repository."""
    assert {"README.md", "pyproject.toml", "driftd/app.py"} <= set(committed())


@pytest.mark.parametrize("pattern", [re.escape(f"{ROOT}/"), HOMES.pattern], ids=["root", "home"])
def test_no_paths_of_a_machine(pattern: str) -> None:
    """No committed file names a folder of the machine that it was written on."""
    found = [path for path, text in texts().items() if re.search(pattern, text)]
    assert found == []


@pytest.mark.parametrize("host", REGISTRIES)
def test_no_package_registry(host: str) -> None:
    """No committed file says where packages come from: that is each machine's own setting."""
    assert [path for path, text in texts().items() if host in text] == []


def test_lock_files_have_hashes_and_no_addresses() -> None:
    """Requirements are locked by hash and record neither index nor address."""
    locks = [path for path in texts() if path.startswith("requirements/") and path.endswith(".txt")]
    assert locks
    for path in locks:
        text = texts()[path]
        assert "--hash=sha256:" in text, path
        assert re.findall(r"^--(?:index|extra|find|trusted)\S*", text, re.MULTILINE) == [], path
        assert "://" not in text, path


def test_extras_that_packages_ask_for_are_pinned_as_extras() -> None:
    """Else pip takes the newest version for them, and refuses it the day after a release."""
    text = texts()["requirements/dev.txt"]
    asked = {
        match[0]
        for distribution in importlib.metadata.distributions()
        for requirement in distribution.requires or ()
        if "extra ==" not in requirement
        and (match := re.match(r"[\w.-]+\[[\w,-]+\]", requirement))
        and distribution.metadata["Name"] != "driftd"
    }
    assert asked
    assert {one for one in asked if f"\n{one.lower()}==" not in f"\n{text}"} == set()


def test_no_binaries() -> None:
    """Committed files are text: what is built is built from them."""
    assert [path for path, content in committed().items() if b"\0" in content] == []


@pytest.mark.parametrize("kind", sorted(CREDENTIALS))
def test_no_credentials(kind: str) -> None:
    """No committed file holds a real credential."""
    pattern = CREDENTIALS[kind]
    assert [path for path, text in texts().items() if pattern.search(text)] == []
