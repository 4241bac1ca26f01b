"""Every command block, command in a sentence, and settings block of the documentation works."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from driftd.cli.main import driftd
from driftd.controller.baselines import load_suppressions
from driftd.settings.load import load
from tests.docs.blocks import ROOT, SHELL, Block, blocks, spans
from tests.docs.place import Place, deploy, make, slack
from tests.testbed.cluster import ControlPlane

pytestmark = pytest.mark.cluster

ELSEWHERE = {
    r"make \S+": "Makefile",
    r"python3 -m venv|\S*pip |\S*/driftd version|pipx |uv |DRIFTD_WHEEL_TARGET=": "tests/packaging",
    r"docker (build|run)": "tests/packaging",
    r"driftd demo": "tests/unit/demo",
    r"driftd (episodes|history)\b": "tests/unit/cli/test_episodes.py",
    r"driftd audit\b": "tests/unit/cli/test_audit.py",
    r"driftd (restore|resume)\b": "tests/e2e/test_audited_heal.py",
    r"python -m tests\.perf\.peers": "tests/perf/peers.py",
    r"python -m tests\.perf\.healing": "tests/perf/healing.py",
    r"python -m tests\.property\.score": "tests/property/test_random_mutations.py",
}  # fmt: skip
"""Commands that are too long or too large to run here, and what tests them."""
ILLUSTRATIONS = ("mermaid", "json", "text", "diff", "")
"""Languages of blocks that are no commands and no settings."""
SYNOPSIS = re.compile(r"\[[A-Z]|\b(APP|TOPIC|KIND/NAME|FILE|SHELL)\b")


@pytest.fixture(scope="module")
def receiver() -> Iterator[str]:
    """The URL of something that takes Slack's messages."""
    with slack() as url:
        yield url


@pytest.fixture
def place(
    request: pytest.FixtureRequest, documented: ControlPlane, receiver: str, tmp_path: Path
) -> Place:
    """A fresh folder for one block."""
    block = request.node.callspec.params["block"]
    return make(tmp_path, documented, receiver, flux=block.file.endswith("flux.md"))


@pytest.fixture(scope="module")
def documented() -> Iterator[ControlPlane]:
    """The cluster that the pages speak of: a hub that runs its own applications."""
    with ControlPlane("documented", audit="Metadata") as cluster:
        deploy(cluster)
        yield cluster


def elsewhere(command: str) -> str | None:
    """What tests a command that is not run here."""
    return next((place for how, place in ELSEWHERE.items() if re.match(how, command)), None)


def named(found: list[Block], *languages: str) -> list[Any]:
    """Blocks of some languages as parameters with readable names."""
    return [pytest.param(one, id=str(one)) for one in found if one.language in languages]


@pytest.mark.parametrize("block", named(blocks(), *SHELL))
def test_shell_blocks_work(block: Block, place: Place) -> None:
    """Each command of the block ends with 0, or with 1 where it looks at drift."""
    assert block.commands, f"{block} has no command"
    for command in block.commands:
        covered = elsewhere(command)
        if covered is not None:
            assert (ROOT / covered).exists(), f"{block}: {covered} does not test {command}"
            continue
        done = place.run(command)
        allowed = (0, 1) if command.startswith(("driftd check", "driftd diff")) else (0,)
        assert done.code in allowed, f"{block}: {command}\n{done.output}"


IN_BLOCKS = {command for block in blocks() if block.language in SHELL for command in block.commands}
MENTIONS = {one.text: one for one in spans() if one.text not in IN_BLOCKS}
"""The commands in sentences and tables, each once, but those that a block has as well."""


@pytest.mark.parametrize("block", named(list(MENTIONS.values()), "sh"))
def test_commands_in_sentences_work(block: Block, request: pytest.FixtureRequest) -> None:
    """A command in a sentence or a table works; a synopsis names a command that exists."""
    words = shlex.split(block.text)
    mentioned = words in (["driftd", "diff"], ["driftd", "explain"]) or words[1] == "run"
    if mentioned or SYNOPSIS.search(block.text) or elsewhere(block.text):
        known = driftd.get_command(click.Context(driftd), words[1])
        assert known is not None
        flags = {flag for one in known.params for flag in (*one.opts, *one.secondary_opts)}
        assert {word.partition("=")[0] for word in words if word.startswith("-")} <= flags
        return
    place: Place = request.getfixturevalue("place")
    for server in re.findall(r"--cluster (https://[^=]+)=", block.text):
        place.declare(server)
    if "--baseline" in words:
        place.run("driftd baseline --file drift-baseline.yaml")
    done = place.run(block.text)
    allowed = (0, 1) if words[1] in ("check", "diff") else (0,)
    assert done.code in allowed, f"{block}: {block.text}\n{done.output}"


@pytest.mark.parametrize("block", named(blocks(), "yaml"))
def test_yaml_blocks_are_valid(block: Block, place: Place) -> None:
    """Settings load, and the scripts of CI files work in their order."""
    document = yaml.safe_load(block.text)
    commands = list(scripts(document))
    for command in commands:
        done = place.run(command)
        assert done.code in (0, 1), f"{block}: {command}\n{done.output}"
    if isinstance(document, dict) and document.get("kind") == "Suppressions":
        file = place.folder / "suppressions.yaml"
        file.write_text(block.text)
        assert load_suppressions(file)
    elif not commands and isinstance(document, dict) and set(document) <= SETTINGS:
        file = place.folder / "documented.yaml"
        file.write_text(block.text)
        load(file)
    elif not commands:
        assert document, block


SETTINGS = set(yaml.safe_load((ROOT / "config" / "driftd.yaml").read_text()))


def scripts(document: Any) -> Iterator[str]:
    """The shell scripts inside a workflow of GitHub or a pipeline of GitLab."""
    if isinstance(document, list):
        for item in document:
            yield from scripts(item)
    elif isinstance(document, dict):
        for key, value in document.items():
            if key == "run" and isinstance(value, str):
                yield value
            elif key in ("script", "after_script", "before_script") and isinstance(value, list):
                yield from value
            else:
                yield from scripts(value)


def test_every_block_is_of_a_known_kind() -> None:
    """A block in a language that nothing here checks would never be tested."""
    known = {*SHELL, "yaml", *ILLUSTRATIONS}
    assert [str(one) for one in blocks() if one.language not in known] == []


def test_documented_make_targets_exist() -> None:
    """`make TARGET` in a block or a sentence names a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    texts = [page.read_text() for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md")]
    wanted = {name for text in texts for name in re.findall(r"`?make ([a-z-]+)`", text)}
    assert shutil.which("make")
    assert wanted
    assert wanted <= targets
