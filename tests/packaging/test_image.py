"""The image's recipe: it copies what it needs, and what it copies exists."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
INSTRUCTIONS = [line for line in DOCKERFILE.splitlines() if re.match(r"[A-Z]+ ", line)]


def copied() -> list[str]:
    """The paths of the checkout that the image is built from."""
    copies = [line.split()[1:] for line in INSTRUCTIONS if line.startswith("COPY ")]
    own = [words for words in copies if not words[0].startswith("--from")]
    return [source.rstrip("/") for words in own for source in words[:-1]]


def test_what_is_copied_exists_and_is_let_in() -> None:
    """Each source of a COPY is in the checkout, and .dockerignore does not hold it back."""
    let_in = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    assert copied()
    for source in copied():
        assert (ROOT / source).exists(), source
        parents = {source, *(str(parent) for parent in Path(source).parents)}
        assert parents & let_in, source


def test_what_the_build_needs_is_copied() -> None:
    """The build hook and each path that the wheel takes in are there when the wheel is made."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {
        "pyproject.toml",
        project["tool"]["hatch"]["build"]["hooks"]["custom"]["path"],
        project["project"]["readme"],
        *project["project"]["license-files"],
        *wheel["packages"],
        *wheel["force-include"],
    }
    assert needed - set(copied()) == set()


def test_locks_that_are_installed_are_copied() -> None:
    """Each file of locked requirements that a step installs was copied, and none is unlocked."""
    installed = re.findall(r"-r (\S+)", DOCKERFILE)
    assert set(installed) == {path for path in copied() if path.startswith("requirements/")}
    assert len(installed) == DOCKERFILE.count("--require-hashes")


def test_image_runs_as_the_user_of_the_deployment() -> None:
    """The last user is the unprivileged one of deploy/, by number, as runAsNonRoot demands."""
    users = [line.split()[1] for line in INSTRUCTIONS if line.startswith("USER ")]
    deployment = (ROOT / "deploy/base/deployment.yaml").read_text()
    user = re.search(r"runAsUser: (\d+)", deployment)
    group = re.search(r"runAsGroup: (\d+)", deployment)
    assert user is not None
    assert group is not None
    assert users == [f"{user[1]}:{group[1]}"]
    assert "readOnlyRootFilesystem: true" in deployment


def test_version_of_the_image_is_that_of_the_project() -> None:
    """The label's default is the version in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"ARG VERSION={project['version']}" in INSTRUCTIONS
