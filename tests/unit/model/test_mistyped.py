"""What does not fit a type, in words."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from driftd.errors import ConfigError
from driftd.model.mistyped import headless
from driftd.model.severities import read

HEAD = "apiVersion: driftd.io/v1\nkind: Severity\n"
RULE = f"{HEAD}rules:\n- id: ab\n  level: high\n  reason: because so\n"


@pytest.mark.parametrize(
    ("document", "text"),
    [
        (None, "the file is empty; it begins with apiVersion: driftd.io/v1 and kind: Severity"),
        (["a"], "the file must hold a map, not a list; it begins with"),
        ("a", "the file must hold a map, not text; it begins with"),
        ({"kind": "Rules"}, "kind must be Severity, not 'Rules'"),
        ({"kind": "Baseline"}, "a file of kind Baseline is given with --baseline"),
        ({"kind": "Severity"}, "apiVersion is missing: write apiVersion: driftd.io/v1"),
        ({"kind": "Severity", "apiVersion": "v1"}, "apiVersion must be driftd.io/v1, not 'v1'"),
    ],
)
def test_heads_of_files(document: Any, text: str) -> None:
    """A file of another kind or version, and what is no such file, with what belongs there."""
    assert text in headless(document, "Severity")


def test_a_head_that_may_be_absent() -> None:
    """A right head is fine; an absent one where that is allowed, a wrong one never."""
    assert headless({"kind": "Severity", "apiVersion": "driftd.io/v1"}, "Severity") == ""
    assert headless({}, "Baseline", optional=True) == ""
    assert "kind must be" in headless({"kind": "X"}, "Baseline", optional=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        (f"{HEAD}ruls: []", "unknown field ruls; did you mean rules?"),
        (f"{HEAD}rules: {{}}", "rules: must be a list, not a map"),
        (RULE.replace("level: high", "kinds: []"), "rule 1 (ab): level is missing"),
        (RULE.replace("high", "hgh"), "level: must be one of critical, high, info, low, medium"),
        (RULE.replace("ab", "A B"), "must be small letters, digits and hyphens"),
        (RULE.replace("because so", "x"), "reason: must have at least 6 characters"),
        (f"{RULE}  classes: [drift]", "classes[0]: must be one of declared, undeclared,"),
        (f"{RULE}  kinds: ['']", "rule 1 (ab), kinds[0]: must not be empty"),
        (f"{RULE}  when: {{sameImage: maybe}}", "when.sameImage: must be true or false, not text"),
        (f"{RULE}  when: {{same: 1}}", "when: unknown field same; did you mean sameImage?"),
        ("a:\n\t- b", "not valid YAML at line 2: found character"),
    ],
)
def test_severity_files(text: str, message: str) -> None:
    """Each mistake names file, rule and field, and what may stand there."""
    with pytest.raises(ConfigError) as error:
        read(text, "rules.yaml", own=True)
    assert error.value.message.startswith("rules.yaml: ")
    assert message in error.value.message


def test_dates_are_no_texts() -> None:
    """A date that YAML makes of a text is refused and no crash."""
    with pytest.raises(ConfigError, match="when"):
        read(f"{RULE}  when: {{live: [2024-01-01]}}", "rules.yaml", own=True)
    assert msgspec.to_builtins(read(RULE, "rules.yaml", own=True))["rules"][0]["id"] == "ab"
