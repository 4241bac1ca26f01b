"""Changes that are mistakes in Git: every format says so, and none looks for an author."""

import json
import re

import msgspec
import pytest

from driftd.cli.mistakes import NO_SUCH_FIELD, difference, mistake_of
from driftd.cli.values import MASKED, NOT_IN_CLUSTER
from driftd.model.report import DriftReport

FILES = {
    "table": "mistakes.txt",
    "wide": "mistakes-wide.txt",
    "plain": "mistakes-plain.txt",
    "markdown": "mistakes.md",
    "github": "mistakes-github.txt",
    "junit": "mistakes-junit.xml",
    "sarif": "mistakes.sarif",
    "yaml": "mistakes.yaml",
}
TOLD = ("did you mean replicas?", "an integer is expected at containerPort")


@pytest.mark.parametrize("output", FILES)
def test_formats(driftd, look, sample, golden, output):
    """What was meant, what is expected and the lines in Git stand there; no author does."""
    look.report = sample.mistakes()
    result = driftd("check", "-o", output, env={"COLUMNS": "120"})
    assert result.exit_code == 1
    text = re.sub(r"\s+", " ", result.stdout)
    for told in TOLD:
        assert told in text
    assert "removal" not in text
    assert "author" not in text
    if output not in ("yaml", "sarif"):  # they hold the owner of the live value as it is
        assert "kubectl-edit" not in text
    golden.check(FILES[output], result.stdout)


def test_json(driftd, look, sample):
    """Programs get the cause, the place and the field that was meant."""
    look.report = sample.mistakes()
    text = driftd("check", "-o", "json").stdout
    assert msgspec.json.decode(text, type=DriftReport) == sample.mistakes()
    (resource,) = json.loads(text)["applications"][0]["resources"]
    assert resource["changes"][0]["invalid"] == {
        "cause": "UnknownField",
        "path": "/spec/replcas",
        "message": "the kind has no field replcas here: the API server drops it or refuses the "
        "object; did you mean replicas?",
        "meant": "/spec/replicas",
    }


def test_difference(sample):
    """The place of a field that does not exist is not empty: there is none."""
    (resource,) = sample.mistakes().applications[0].resources
    pairs = [difference(change, width=0, max_lines=9) for change in resource.changes]
    assert [(pair.git, pair.live) for pair in pairs] == [
        ("2", NO_SUCH_FIELD),
        ('{containerPort: "80"}', "{containerPort: 80, protocol: TCP}"),
        (MASKED, NOT_IN_CLUSTER),
    ]


def test_other_changes(sample):
    """A change that is no mistake has none."""
    (change,) = sample.resource("ConfigMap", "a", sample.change("/data/a", desired="b")).changes
    assert mistake_of(change) == ""
