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
        "a/lost.yaml: document 1: yaml: line 1: found character",
        "a/tab.yaml: something else",
        "",
    ],
)
def test_other_errors_stay(text: str) -> None:
    """Where YAML is no reason, or the file is not known, nothing is added."""
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


def test_values_of_another_source() -> None:
    """What is suggested is written as the values files of `$ref` are."""
    file = "a/values-prodution.yaml"
    text = f"value file $values/{file}: {file} does not exist in the repository"
    assert in_words(text, TREE) == f"{text}; did you mean $values/a/values-production.yaml?"


def test_without_indentation() -> None:
    """A parser's own place and words stand where no slip is recognised."""
    assert yaml_said("a.yaml", "a: b", "1", "bad") == (
        "a.yaml:1 is no YAML: bad", "correct that line, or those just above and below it"
    )  # fmt: skip
    assert yaml_said("a.yaml", "a: b", None, "bad")[0] == "a.yaml is no YAML: bad"


def test_placeholders_without_quotes() -> None:
    """What a set's generators fill in is told with line and remedy, not as a map key of Go."""
    tree = Tree("s", {"apps.yaml": b"kind: ApplicationSet\nspec:\n  path: {{path}}\n"})
    told = in_words("apps.yaml, document 1: yaml: invalid map key: map[interface {}]", tree)
    why = "apps.yaml:3 is no YAML: a value that begins with {{ has no quotes"
    assert told.startswith(f"{why}; quote the value: '{{{{path}}}}'. The parser says: ")
    assert remedy_of(told)[1] == "quote the value: '{{path}}'"


@pytest.mark.parametrize(
    ("within", "file"),
    [
        ("", "shop/values.yaml"),
        ("error unpacking subchart cache in shop: ", "shop/charts/cache/values.yaml"),
        (
            "error unpacking subchart cache in shop: error unpacking subchart tls in cache: ",
            "shop/charts/cache/charts/tls/values.yaml",
        ),
    ],
)
def test_values_of_charts(within: str, file: str) -> None:
    """Where the default values of a chart do not parse, their file and line are named."""
    tree = Tree("c", {file: b"# defaults\na: 1\nx: [\nb: 2\nc: 3\n"})
    text = f"shop/Chart.yaml: {within}cannot load values.yaml: error converting: yaml: line 4: bad"
    told = in_words(text, tree)
    assert told.startswith(f"{file}:3 is no YAML: the [ that opens here is not closed; close it")
    assert remedy_of(f"source shop: {told}")[1] == "close it with ], or correct the lines up to 5"


def test_document() -> None:
    """Of several documents it is the one that the message names."""
    tree = Tree("d", {"a.yaml": b"a: [\n---\nb: 1\n---\nc: {\n"})
    for number, line in ((1, 1), (3, 5)):
        told = in_words(f"a.yaml, document {number}: yaml: line 1: bad", tree)
        assert told.startswith(f"a.yaml:{line} is no YAML: the ")
