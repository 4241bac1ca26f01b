"""`-o plain`, the report for screen readers."""

import re
import subprocess
import sys

import msgspec
import pytest

from driftd.cli.order import OPTIONAL_SECTIONS
from driftd.cli.plain import plain
from driftd.model.report import ResourceStatus

FACT = re.compile(
    r"(Applications|Objects|Fields|Condition|Application|Object|Declared in|Field|Git has|"
    r"Cluster has|Git line|Cluster line|Note|Values differ|By|Set|Author|Ignored by|Unknown|"
    r"Not checked|Synced applications|Mistake in Git|Exit)\b.*"
)


@pytest.mark.parametrize("show", [frozenset(), frozenset({"injected", "review", "ignored"})])
def test_every_line_is_a_fact(sample, show):
    """Each line begins with the word that says what it is: no indent, column or lone mark."""
    lines = list(plain(sample.bad_night(), show=show))
    assert [line for line in lines if not FACT.fullmatch(line)] == []


def test_command(driftd, look, golden):
    """`driftd check -o plain` prints ASCII marks whatever the locale, and nothing else."""
    text = driftd("check", "-o", "plain").stdout
    assert text.isascii()
    golden.check("bad-night-plain.txt", text)


def test_a_change_is_told_in_order(sample):
    """Field, Git's value, the cluster's, author: four lines that follow each other."""
    lines = list(plain(sample.report_of(sample.production()), show=frozenset()))
    start = lines.index("Field spec.replicas, severity medium, declared: Git says otherwise")
    assert lines[start + 1 : start + 4] == [
        "Git has: 3",
        "Cluster has: 5",
        "By kubectl (Update through /scale), exact",
    ]


def test_marks_where_the_locale_lacks_them():
    """Under a locale without arrows a report's marks become ASCII; other letters are escaped."""
    program = (
        "import sys\nfrom driftd.cli import terminal\n"
        "sys.stdout.reconfigure(errors=terminal.ascii_errors())\nprint('3 \\u2192 \\u00e9')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "3 -> \\xe9\n"


def test_what_was_not_checked(sample):
    """Objects that were left out have a line with names and reason, `show` all lists each name."""
    left_out = [
        sample.resource("Secret", name, status=ResourceStatus.NOT_CHECKED, reason="may not")
        for name in "abcd"
    ]
    app = msgspec.structs.replace(sample.synced("shop"), resources=tuple(left_out))
    lines = list(plain(sample.report_of(app), show=frozenset()))
    names = "production-app1/a, production-app1/b, production-app1/c"
    assert f"Not checked: 4 Secrets: {names} and 1 more: may not" in lines
    assert lines[-1] == "Exit 0: nothing was compared; left out: 4 Secrets (may not)"
    lines = list(plain(sample.report_of(app), show=frozenset(OPTIONAL_SECTIONS)))
    assert f"Not checked: 4 Secrets: {names}, production-app1/d: may not" in lines
