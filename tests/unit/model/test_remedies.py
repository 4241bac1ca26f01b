"""What messages say to do."""

import pytest

from driftd.model.remedies import is_of_git, own_words, remedy_of


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("no cluster is known; say which one; there are two", None, "say which one; there are two"),
        ("timed out", None, ""),
        ("source a: k.yaml: no matches; failed to find unique target", None, ""),
        ("source a: plugins are not supported; render to plain manifests", None, "render to plain"),
        ("a.yaml, document 2: metadata.name is missing; the object is left out", None, ""),
        (
            "source a: b.yaml: kind is missing; add it; it is left out",
            "source a: b.yaml: kind is missing; it is left out",
            "add it",
        ),
        (
            "source a: K:2 names b.yaml; correct the path. Kustomize says: no; remove it; sorry",
            "source a: K:2 names b.yaml. Kustomize says: no; remove it; sorry",
            "correct the path",
        ),
    ],
)
def test_remedies(text: str, message: str | None, remedy: str) -> None:
    """Only driftd's own remedy is what to do; the words of renderers stay whole."""
    found = remedy_of(text)
    assert found[1].startswith(remedy)
    assert bool(found[1]) == bool(remedy)
    assert message is None or found[0] == message
    assert remedy or found[0] == text


def test_own_words() -> None:
    """What Kustomize and the parser say of an error is cut after driftd's own words."""
    text = "a.yaml:2 names b.yaml; did you mean c.yaml?"
    assert own_words(f"{text} Kustomize says: a.yaml: accumulating: b.yaml") == text
    assert own_words("a.yaml:2 has b; remove it. Kustomize says: a") == "a.yaml:2 has b; remove it"
    said = "a.yaml:2 is no YAML: a colon is missing; add it"
    assert own_words(f"{said}. The parser says: a.yaml: yaml: line 3: x; it is left out") == said


def test_messages_about_git() -> None:
    """What Git holds is told apart from what a cluster or a kubeconfig lacks."""
    assert is_of_git("source a: b: c")
    assert is_of_git("b.yaml, document 2: kind is missing; the object is left out")
    assert not is_of_git("no cluster is known for destination https://a")
