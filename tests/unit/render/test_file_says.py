"""Files that do not parse or are not there, in driftd's words."""

import pytest

from driftd.model.remedies import remedy_of
from driftd.model.tree import Tree
from driftd.render.file_says import in_words, yaml_said

TREE = Tree(
    "t",
    {
        "a/tab.yaml": b"a:\n\tb: 1\n",
        "a/odd.yaml": b"a: 1\n---\nb:\n   c: 1\n  d: 2\n",
        "a/open.yaml": b"a: [\n",
        "a/values-production.yaml": b"",
        "a/values.yaml": b"",
    },
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a/tab.yaml: document 1: yaml: line 2: found character that cannot start any token",
         "a/tab.yaml:2 is no YAML: it is indented with a tab; indent with spaces"),
        ("a/odd.yaml, document 2: yaml: line 3: did not find expected key",
         "a/odd.yaml:5 is no YAML: its indentation fits no line above it; correct its indent"),
        ("a/tab.yaml: cannot unmarshal yaml document: error converting YAML to JSON: yaml: bad",
         "a/tab.yaml:2 is no YAML: it is indented with a tab; indent with spaces"),
    ],
)  # fmt: skip
def test_indentation(text: str, words: str) -> None:
    """The line of the wrong indentation comes first, what the parser says after it, whole."""
    told = in_words(text, TREE)
    assert told.startswith(words)
    assert told.endswith(f". The parser says: {text}")
    assert words.partition("; ")[2] in remedy_of(f"source a: {told}; it is left out")[1]


@pytest.mark.parametrize(
    "text",
    [
        "a/open.yaml: document 1: yaml: line 1: did not find expected node content",
        "a/lost.yaml: document 1: yaml: line 1: found character",
        "a/tab.yaml: something else",
        "",
    ],
)
def test_other_errors_stay(text: str) -> None:
    """Where indentation is no reason, or the file is not known, nothing is added."""
    assert in_words(text, TREE) == text


@pytest.mark.parametrize(
    ("written", "remedy"),
    [
        ("values-prodution.yaml", "did you mean values-production.yaml?"),
        ("values-test.yaml", "correct valueFiles, add the file to Git, or set ignoreMissingVal"),
        ("valus.yaml", "correct valueFiles, add the file to Git, or set ignoreMissingVal"),
    ],
)
def test_values_that_are_not_there(written: str, remedy: str) -> None:
    """The file that may be meant is named, but never the one that every chart has."""
    text = f"value file {written}: a/{written} does not exist in the repository"
    assert in_words(text, TREE).startswith(f"{text}; {remedy}")


def test_without_indentation() -> None:
    """A parser's own place and words stand where the indentation is right."""
    assert yaml_said("a.yaml", "a: [", "1", "bad") == (
        "a.yaml:1 is no YAML: bad", "correct that line or the ones above it"
    )  # fmt: skip
    assert yaml_said("a.yaml", "a: [", None, "bad")[0] == "a.yaml is no YAML: bad"
