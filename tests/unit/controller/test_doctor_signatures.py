"""What doctor says of the tools and keys for signatures."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from driftd.controller.doctor_signatures import signing_problems
from driftd.controller.integrity import Integrity
from driftd.model.project import AppProject, AppProjectSpec, SignatureKey

DEMANDING = AppProject(
    name="team", spec=AppProjectSpec(signature_keys=(SignatureKey(key_id="D56C4FCA57A46444"),))
)


def _workspace(keyring: Path | None) -> Any:
    return SimpleNamespace(integrity=Integrity(keyring), hub=None)


def _entries(*projects: AppProject | None) -> Any:
    return [SimpleNamespace(project=project) for project in projects]


async def test_nothing_is_said_without_a_demand(tmp_path: Path) -> None:
    """Where no project demands signatures, neither tools nor keys matter."""
    entries = _entries(AppProject(name="open"), None)
    assert await signing_problems(_workspace(tmp_path / "none"), entries) == ("", [])


async def test_missing_tools_and_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each missing tool is told with its package, and so are keys that are not there."""
    monkeypatch.setenv("PATH", str(tmp_path))
    text, problems = await signing_problems(_workspace(None), _entries(DEMANDING))
    assert text == "project team demands signed revisions; known are 0 GPG keys and 0 SSH keys"
    assert [one.message.partition(" ")[0] for one in problems] == ["gpgv", "ssh-keygen", "no"]
    assert "Debian package openssh-client" in problems[1].message
    assert "--keyring" in problems[2].message


async def test_folder_that_cannot_be_read(tmp_path: Path) -> None:
    """A keyring folder that is not there is told, and broken files in one by name."""
    _, problems = await signing_problems(_workspace(tmp_path / "none"), _entries(DEMANDING))
    assert ["cannot be read" in str(one) for one in problems] == [True]
    (tmp_path / "allowed_signers").write_text("# team\ncarol ssh-ed25519 AAAA\n\n")
    (tmp_path / "broken.asc").write_text("rubbish")
    text, problems = await signing_problems(_workspace(tmp_path), _entries(DEMANDING))
    assert text.endswith("known are 0 GPG keys and 1 SSH key")
    assert ["broken.asc" in str(one) for one in problems] == [True]
