"""Slack messages."""

from __future__ import annotations

import json

import pytest
from aiohttp import web

from driftd.errors import ConfigError
from driftd.model.report import ReportCondition, ResourceStatus
from driftd.notify.message import build
from driftd.notify.notifier import Rejected
from driftd.notify.slack import SlackNotifier, payload
from driftd.settings.notifications import Slack
from driftd.store.episodes import Before, state_change
from tests.unit.reports import START, after, change, report, resource


def message(*resources, **fields):
    """The message of a first look."""
    return build(state_change(Before(), [], report(*resources, **fields), START))


def body(found):
    """All text of all blocks."""
    blocks = payload(found)["blocks"]
    return "\n".join(b["text"]["text"] for b in blocks if b["type"] == "section")


def test_drift_shows_application_cluster_paths_values_and_who():
    """A reader sees what, where, Git beside live, and who did it when."""
    found = message(
        resource(
            "web",
            change(
                "/spec/replicas",
                desired=3,
                live=5,
                manager="kubectl-edit",
                time="2026-03-01T11:59:00Z",
            ),
        )
    )
    assert payload(found)["text"] == "shop on production: 1 field drifted from Git"
    assert (
        "• Deployment shop/web `/spec/replicas`: `3` → `5` by kubectl-edit at 2026-03-01T11:59:00Z"
    ) in body(found)


def test_a_person_wins_over_the_field_manager():
    """The person that an audit log proves is told, with Slack's control characters defused."""
    known = {"user": "<@U0>alice"}
    proved = change("/x", manager="kubectl", confidence="audit", attribution=known)
    assert "by &lt;@U0&gt;alice" in body(message(resource("web", proved)))


def test_only_five_drifts_are_shown_and_the_rest_counted():
    """A message stays short whatever happened."""
    found = message(resource("web", *(change(f"/spec/a{i}") for i in range(12))))
    assert body(found).count("• ") == 5
    assert "… and 7 more" in body(found)


def test_masked_values_stay_masked():
    """A masked value appears as dots, an absent one as absent."""
    masked = {"masked": True}
    text = body(message(resource("db", change("/data/password", desired=masked, live=masked))))
    assert "•••• → ••••" in text
    assert "masked" not in text
    assert "(absent) → `1`" in body(message(resource("w", change("/spec/x", live=1))))


def test_values_cannot_mention_people_link_or_break_out():
    """Slack's control characters, backticks and line ends of values are defused."""
    text = body(message(resource("web", change("/a", desired="<!channel>`*x*\nnew", live="a&b"))))
    assert "&lt;!channel&gt;'*x* new" in text
    assert "`a&amp;b`" in text


def test_whole_objects_are_said_in_words():
    """Missing and Extra objects need no path."""
    text = body(
        message(
            resource("a", status=ResourceStatus.MISSING), resource("b", status=ResourceStatus.EXTRA)
        )
    )
    assert "Deployment shop/a is missing in the cluster" in text
    assert "Deployment shop/b is not in Git" in text


def test_unknown_shows_the_conditions_and_recovery_shows_no_field():
    """An application that cannot be judged says why; a recovered one is one line."""
    why = ReportCondition(type="ComparisonError", message="cluster production: timeout")
    text = body(message(complete=False, conditions=(why,)))
    assert "cannot be judged" in text
    assert "• cluster production: timeout" in text
    first = state_change(Before(), [], report(resource("web", change("/spec/x"))), START)
    recovered = build(state_change(Before(status=first.status), first.open, report(), after(60)))
    assert body(recovered) == "*shop on production: in sync with Git again*"


def test_long_values_keep_blocks_within_the_limit_of_slack():
    """Sections stay below 3,000 characters, the limit of Block Kit."""
    long = "x" * 100_000
    found = message(
        *(resource("n" * 253, change(f"/{i}" + long, desired=long, live=long)) for i in range(5))
    )
    assert all(
        len(b["text"]["text"]) < 3000 for b in payload(found)["blocks"] if b["type"] == "section"
    )


async def test_the_message_arrives_and_a_refusal_hides_the_url(tmp_path, hook, session):
    """The webhook's URL comes from a file and never appears in an error."""
    path = tmp_path / "url"
    path.write_text(hook.url)
    notifier = SlackNotifier(Slack(url_file=str(path)), session, 5)
    found = message(resource("web", change("/spec/replicas", desired=3, live=5)))
    await notifier.send(found)
    [(_, sent)] = hook.requests
    assert json.loads(sent) == payload(found)
    hook.answers.append(web.Response(status=403, text="invalid_token"))
    with pytest.raises(Rejected, match="Slack webhook slack answered HTTP 403: invalid_token") as e:
        await notifier.send(found)
    assert "s3cr3t" not in e.value.message


async def test_what_cannot_work_is_found_at_the_start(tmp_path, session):
    """A file without a URL is an error of configuration that does not repeat the content."""
    path = tmp_path / "url"
    path.write_text("s3cr3t")
    with pytest.raises(ConfigError, match="Slack webhook slack is not an http") as caught:
        SlackNotifier(Slack(url_file=str(path)), session, 5)
    assert "s3cr3t" not in caught.value.message
