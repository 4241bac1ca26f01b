"""The line at which a file stops being YAML."""

import pytest

from driftd.render.broken_yaml import broken_at


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("a: b\nc: [d\n", 2, "the [ that opens here is not closed"),
        ("a: [\n", 1, "the [ that opens here is not closed"),
        ("a: {b: 1}\nc: {d: 1\ne: f\n", 2, "the { that opens here is not closed"),
        ("a: [b, {c: 1]\n", 1, "a comma or } is missing"),
        ("a: x\nlabels\nc: d\n", 2, "a colon is missing"),
        ('a: "x\nb: "y"\n', 1, "the quote that opens here ends in line 2"),
        ('a: 1\nb: "x\nc: d\n', 2, "the quote that opens here is not closed"),
        ("a: 1\nb: c: d\n", 2, "it has a second colon"),
        ("a: 1\nb: @c\n", 2, "no value may begin with @"),
        ("a: 1\nb: *c\n", 2, "there is no &c above it"),
        ("a: b\n- c\n", 2, "expected <block end>"),
        ("a:\n\tb: 1\n", 2, "it is indented with a tab"),
        ("a: 1\n---\n\nb: [\n---\nc: 1\n", 4, "the [ that opens here is not closed"),
    ],
)
def test_line(text: str, line: int, why: str) -> None:
    """The line is that of the slip, and a remedy is told."""
    broken = broken_at(text)
    assert broken is not None
    assert (broken.line, broken.remedy != "") == (line, True)
    assert broken.why.startswith(why)


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        ("path: {{path}}", "quote the value: '{{path}}'"),
        (
            "path: {{ .path.basename }}  # of the generator",
            "quote the value: '{{ .path.basename }}'",
        ),
        ("name: {{app}}-{{env}}", "quote the value: '{{app}}-{{env}}'"),
        ("- {{env}}.yaml", "quote the value: '{{env}}.yaml'"),
        ('name: {{ index .a "b" }}', "quote the value: '{{ index .a \"b\" }}'"),
        ("name: {{ default 'a' .b }}", "quote the value"),
        ("files: [{{a}}, b]", "quote the value"),
        ("{{- if .Values.a }}", "quote it, or leave files out that something else fills in"),
    ],
)
def test_placeholders_without_quotes(value: str, remedy: str) -> None:
    """A set's `{{…}}` is a mapping to YAML: the line is named, with the value in quotes."""
    broken = broken_at(f"a: '{{{{b}}}}'\nc: |\n  {{{{d}}}}\nspec:\n  {value}\n")
    assert broken is not None
    assert (broken.line, broken.remedy) == (5, remedy)
    assert "{{" in broken.why


def test_right() -> None:
    """What parses is not doubted."""
    assert broken_at("a: &x [b]\nc: *x\n---\nd: 'e\n  f'\n") is None


def test_nesting_made_to_be_expensive() -> None:
    """Brackets without end are given up at once."""
    assert broken_at("[" * 100_000) is None
