"""`driftd help`: topics, commands, and that what the topics say is there."""

import itertools
import re
import shlex
import textwrap
from pathlib import Path

import click
import pytest

from driftd.cli import topic_pages
from driftd.cli.main import COMMANDS
from driftd.cli.main import driftd as root
from driftd.controller.baselines import load_acceptance
from driftd.model.report import ChangeClass, ResourceStatus

FOLDER = Path(topic_pages.__file__).parent / "topics"
TOPICS = sorted(topic_pages.TOPICS)
_SPAN = re.compile(r"`([^`]+)`")
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def example(driftd, topic, folder):
    """The example of a topic as a person copies it from the terminal, in a file."""
    lines = driftd("help", topic).stdout.splitlines()
    first = lines.index("    apiVersion: driftd.io/v1")
    body = itertools.takewhile(bool, lines[first:])
    file = folder / f"{topic}.yaml"
    file.write_text(textwrap.dedent("\n".join(body)))
    return file


def test_the_example_baseline_loads(driftd, tmp_path):
    """What the topic shows is a valid baseline, of a change and of a whole object."""
    file = example(driftd, "baseline", tmp_path)
    change, whole = load_acceptance([file]).baselines
    assert (change.entry.path, whole.entry.status) == ("f:spec/f:replicas", "Extra")
    assert re.fullmatch("sha256:[0-9a-f]{64}", change.entry.value)


def test_the_example_suppressions_load(driftd, tmp_path):
    """What the topic shows is a valid suppression file."""
    file = example(driftd, "suppressions", tmp_path)
    (entry,) = load_acceptance(suppressions=[file]).suppressions
    assert [one.text for one in entry.paths] == ["containers[name=app].resources", "spec.replicas"]


def test_every_page_is_listed():
    """Each page is a topic with a summary, and each topic has a page."""
    assert sorted(path.stem for path in FOLDER.iterdir()) == TOPICS
    assert not set(TOPICS) & (set(COMMANDS) - {"baseline"})


def test_list(driftd):
    """Without a topic every topic and every command is listed."""
    result = driftd("help")
    assert result.exit_code == 0
    for name in (*TOPICS, *COMMANDS):
        assert re.search(rf"^  {name} ", result.stdout, re.MULTILINE), name


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("width", [40, 80])
def test_pages_fit(topic, width):
    """A page has no marks of Markdown and no line wider than the terminal, commands excepted."""
    text = topic_pages.rendered(_FENCE.sub("", topic_pages.source(topic)), width)
    assert not re.search(r"[`|#]|\]\(", text)
    long = [line for line in text.splitlines() if len(line) > width]
    assert [line for line in long if not re.match(r" +(driftd|clusterrole|\S+$)", line)] == []


def known_flags(name, below=None):
    """The flags of a command; of a group, of the one command below it, or of all."""
    command = root.get_command(click.Context(root), name)
    found = [command]
    if isinstance(command, click.Group):
        known = command.commands
        assert below is None or below.startswith("-") or below in known, f"{name} {below}"
        found = [known[below]] if below in known else [command, *known.values()]
    return {flag for c in found for one in c.params for flag in (*one.opts, *one.secondary_opts)}


@pytest.mark.parametrize("topic", TOPICS)
def test_commands_are_real(topic):
    """Every command and every flag that a page names exists."""
    flags = set().union(*(known_flags(name) for name in COMMANDS))
    for span in _SPAN.findall(_FENCE.sub("", topic_pages.source(topic))):
        words = shlex.split(span)
        if words[0] == "driftd" and len(words) > 1:
            assert root.get_command(click.Context(root), words[1]) is not None, span
            known = known_flags(*words[1:3])
            assert {word for word in words if word.startswith("-")} <= known, span
            if words[1] == "help":
                assert words[2] == "TOPIC" or words[2] in topic_pages.TOPICS, span
        elif words[0].startswith("--"):
            assert words[0] in flags, span


def test_topic(driftd):
    """A topic is printed as plain text; its headings are in capitals."""
    result = driftd("help", "exit-codes")
    assert result.exit_code == 0
    assert result.stdout.startswith("EXIT CODES\n\n")
    assert re.search(r"^  1 +Drift: ", result.stdout, re.MULTILINE)


def test_command(driftd):
    """The name of a command gives its flags; a topic of the same name comes first."""
    assert "--against" in driftd("help", "check").stdout
    assert driftd("help", "baseline").stdout.startswith("BASELINE\n")


@pytest.mark.parametrize(
    ("asked", "told"),
    [("exitcodes", "did you mean exit-codes?"), ("chekc", "did you mean check?")],
)
def test_unknown(driftd, asked, told):
    """An unknown topic is one line that names the nearest, and all topics; exit 2."""
    result = driftd("help", asked)
    assert result.exit_code == 2
    topics = ", ".join(topic_pages.TOPICS)
    wanted = f"error: there is no help topic {asked!r}; {told} topics: {topics}\n"
    assert result.stderr == wanted


def test_nothing_near(driftd):
    """Where nothing is near, the topics are listed."""
    assert "; topics: inference, classes, " in driftd("help", "xyzzy").stderr


def test_classes_are_all_there():
    """The page of classes explains every class, and names every status that is no class."""
    page = topic_pages.source("classes")
    assert [one for one in ChangeClass if f"| {one} |" not in page] == []
    wanted = set(ResourceStatus) - {ResourceStatus.SYNCED, ResourceStatus.OUT_OF_SYNC}
    assert [one for one in wanted - {ResourceStatus.PENDING} if one not in page] == []


def test_formats_are_all_there():
    """The page of formats has a row for every format of `driftd check`."""
    check = root.get_command(click.Context(root), "check")
    (output,) = [one for one in check.params if one.name == "output"]
    page = topic_pages.source("formats")
    assert [one for one in output.type.choices if f"`{one}`" not in page] == []
