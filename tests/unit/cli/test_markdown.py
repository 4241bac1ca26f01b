"""`-o markdown`, read by a Markdown parser with GitHub's tables."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from driftd.cli import values
from driftd.cli.markdown import LIMIT, code, markdown
from driftd.cli.terminal import printable
from driftd.model.report import DiffReport, ResourceStatus
from tests.unit.cli import sample as samples

PARSER = MarkdownIt("commonmark").enable("table")
HTML = {"<br>", "</details>\n"}


def tables(text):
    """Each table as rows of cells, a cell as its inline tokens; rows have the head's width."""
    tokens = PARSER.parse(text)
    lines = text.splitlines()
    found = []
    for number, token in enumerate(tokens):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
            if token.map:
                # The parser pads and cuts rows silently, so the line itself is counted too.
                line = lines[token.map[0]]
                assert len(re.split(r"(?<!\\)\|", line)) - 2 == width_of(tokens, number, found[-1])
        elif token.type in {"th_open", "td_open"}:
            found[-1][-1].append(tokens[number + 1].children)
    for table in found:
        assert {len(row) for row in table} == {len(table[0])}
    return found


def width_of(tokens, number, table):
    """The number of cells of the table's head."""
    if len(table) > 1:
        return len(table[0])
    end = next(i for i, t in enumerate(tokens[number:], number) if t.type == "tr_close")
    return sum(token.type == "th_open" for token in tokens[number:end])


def words(cell):
    """The text of a cell."""
    return "".join(token.content for token in cell if token.type in {"text", "code_inline"})


def html(text):
    """Every piece of HTML that the parser sees."""
    return [
        token.content
        for block in PARSER.parse(text)
        for token in (block, *(block.children or ()))
        if token.type in {"html_inline", "html_block"}
    ]


def only(*found, **fields):
    """A report of one application with these objects."""
    app = msgspec.structs.replace(samples.production(), resources=found, **fields)
    return samples.report_of(app)


@pytest.mark.parametrize(
    "report",
    [
        samples.bad_night(),
        samples.report_of(),
        samples.report_of(samples.synced("a", 0), samples.unreachable()),
        DiffReport(complete=True, resources=(samples.deployment(),)),
    ],
)
def test_tables_are_whole(report):
    """Every row of every table has as many cells as its head, and no foreign HTML is in it."""
    text = markdown(report)
    tables(text)
    details = re.compile(r"<details><summary>[0-9]+ [a-z ]+</summary>\n")
    assert [h for h in html(text) if h not in HTML and not details.fullmatch(h)] == []


def test_changes(sample):
    """A row says how bad, which object and file, which field, both values, and who."""
    _, overview, changes, _ = tables(markdown(sample.report_of(sample.production())))
    assert [words(cell) for cell in overview[1]] == [
        "OutOfSync",
        "production-apps",
        "production",
        "critical",
        "5",
    ]
    first = [words(cell) for cell in changes[1]]
    assert first[0] == "critical"
    assert first[1].startswith(
        "Deployment production-app1/production-app1in apps/app1/base/deployment.yaml"
        "containers[name=app1].image"
    )
    assert first[1].endswith("an image decides what runs")
    assert first[2:4] == [
        "ghcr.io/example/app1:v1.0.0",
        "ghcr.io/example/app1-debug:v1.0.0",
    ]
    assert first[4].startswith("kubectl-edit (Update), 3h ago")
    levels = [words(row[0]).partition(":")[0] for row in changes[1:6]]
    assert levels == ["critical", "critical", "critical", "medium", "medium"]


def test_what_is_not_drift_is_folded(sample):
    """Review, injected, rewritten, pending and ignored changes are inside `<details>` alone."""
    text = markdown(sample.report_of(sample.production()))
    before, _, rest = text.partition("<details>")
    inside, closing, after = rest.partition("</details>")
    assert closing
    assert "istio-proxy" in inside
    assert "istio-proxy" not in before + after
    *_, folded = tables(text)
    sections = [words(row[0]) for row in folded[1:]]
    assert sorted(sections) == ["ignored", "injected", "pending", "review", "rewritten"]


@given(value=st.text(), manager=st.text(min_size=1), name=st.text())
def test_whatever_a_cluster_says(value, manager, name):
    """Values, managers and names come out of the parser as they went in, in their own cells."""
    changed = samples.change("/data/a", desired="git", live=value, manager=manager, severity="high")
    text = markdown(only(samples.resource("ConfigMap", name, changed)))
    *_, changes = tables(text)
    severity, place, _, live, who = (words(cell) for cell in changes[1])
    assert severity == "high"
    object_name = values.shorten(printable(f"ConfigMap production-app1/{name}"), 100)
    assert place == f"{object_name}data.a"
    assert who == values.shorten(printable(manager), 140)
    shown = values.difference("git", value, width=100, max_lines=6)
    if isinstance(shown, values.Pair):
        assert live == shown.live
    assert [h for h in html(text) if h not in HTML] == []


@given(st.text(min_size=1, max_size=60))
def test_code_spans(text):
    """A code span gives back its text, also outside tables, whatever backticks are in it."""
    shown = printable(text)
    (paragraph,) = [t for t in PARSER.parse(f"x{code(text, 0)}x") if t.type == "inline"]
    kinds = [token.type for token in paragraph.children]
    assert kinds == ["text", "code_inline", "text"]
    assert paragraph.children[1].content == shown


def huge(sample, objects, applications=1):
    """A report with far more than fits."""
    changes = [
        sample.change(f"/data/key{number}", desired="x" * 90, live="y|" * 50, severity="high")
        for number in range(10)
    ]
    found = [sample.resource("ConfigMap", f"config-{n}", *changes) for n in range(objects)]
    return sample.report_of(
        *(
            msgspec.structs.replace(
                sample.production(), name=f"app-{n}", resources=tuple(found), conditions=()
            )
            for n in range(applications)
        )
    )


@pytest.mark.slow
@pytest.mark.parametrize(("objects", "applications"), [(400, 1), (3, 300), (1, 60)])
def test_cut(sample, objects, applications):
    """A report of any size keeps to the limit, its tables stay whole, and it says what is cut."""
    report = huge(sample, objects, applications)
    text = markdown(report)
    assert 0.9 * LIMIT < len(text) <= LIMIT
    counts, _, *applied = tables(text)
    shown = sum(len(table) - 1 for table in applied)
    assert words(counts[3][1]) == str(objects * applications * 10)
    note = re.search(r"> Cut to 60,000 characters; not shown: (.*)\. `driftd", text)
    cut = dict(reversed(part.split(" ", 1)) for part in note[1].split(", "))
    heads = text.count("### app-")
    assert int(cut.get("applications", 0)) == applications - heads
    assert int(cut["changes"]) + shown == heads * objects * 10
    assert text.endswith("Looked at 2026-03-04T12:00:00Z\n")


def test_cut_inside_details(sample):
    """Where the folded part is cut, it is closed all the same."""
    rows = [sample.change(f"/data/key{n}", "review", live="y" * 90) for n in range(900)]
    text = markdown(only(sample.resource("ConfigMap", "a", *rows)))
    assert len(text) <= LIMIT
    assert text.count("<details>") == text.count("</details>") == 1
    assert "changes that are not drift" in text


def test_object_findings(sample):
    """A Missing, an Extra and a deleted object have a row of their own with the reason."""
    found = [
        sample.resource("Service", status, status=ResourceStatus(status), reason=f"why {status}")
        for status in ("Missing", "Extra", "OutOfSync")
    ]
    *_, changes = tables(markdown(only(*found)))
    rows = [" ".join(words(cell) for cell in row) for row in changes[1:]]
    assert len(rows) == 3
    for status in ("Missing", "Extra", "OutOfSync"):
        assert any(f"{status}:" in row and f"why {status}" in row for row in rows)


def test_masked_values_stay_masked(sample):
    """What the report masks is masked here."""
    masked = sample.change("/data/password", desired=sample.MASKED, live=sample.MASKED)
    text = markdown(only(sample.resource("Secret", "a", masked)))
    assert "| values differ (masked) | values differ (masked) |" in text


def test_command(driftd, look, golden):
    """`driftd check -o markdown` prints the page alone and keeps the exit code."""
    result = driftd("check", "-q", "-o", "markdown")
    assert result.exit_code == 2
    golden.check("bad-night.md", result.stdout)
