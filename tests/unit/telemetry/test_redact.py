"""Secrets never reach a log line."""

from __future__ import annotations

import pytest

from driftd.telemetry.redact import REDACTED, redact, redact_text


@pytest.mark.parametrize(
    "text",
    [
        "fetch https://bot:hunter2@git.example.com/a.git failed",
        "sent Authorization: Bearer hunter2hunter2hunter2",
        "posting to https://hooks.slack.com/services/T0/B0/hunter2",
        "key whsec_hunter2hunter2",
        "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----",
        "token eyJhunter2hunter2.eyJhunter2.sig",
    ],
)
def test_secrets_are_recognised_by_their_form(text):
    """Passwords in URLs, bearer tokens, webhook addresses, keys and JWTs are cut out of text."""
    assert "hunter2" not in redact_text(text)
    assert "redacted" in redact_text(text)


def test_secrets_are_recognised_by_their_name():
    """A value under a secret's name is hidden at any depth; names of files are not secrets."""
    found = redact(
        {"password": "a", "nested": [{"api_key": "b", "secretFile": "/x"}], "replicas": 3}
    )
    assert found == {
        "password": REDACTED,
        "nested": [{"api_key": REDACTED, "secretFile": "/x"}],
        "replicas": 3,
    }


def test_ordinary_text_is_untouched():
    """Addresses, images and paths stay readable."""
    for text in ("https://git.example.com/a.git", "ghcr.io/example/app1:v1.2.3", "/spec/replicas"):
        assert redact_text(text) == text


def test_redaction_works_on_a_copy():
    """The value that is logged is not changed by logging it."""
    value = {"token": "a"}
    redact(value)
    assert value == {"token": "a"}
