"""Slack messages: Block Kit, and the incoming webhook."""

from __future__ import annotations

import json

import pytest
from aiohttp import web

from driftd.errors import ConfigError
from driftd.model.report import ResourceStatus
from driftd.notify.blocks import BLOCK_LIMIT, escape, fitted, message_of
from driftd.notify.notifier import Rejected
from driftd.notify.slack import SlackNotifier
from driftd.notify.wording import Told, Tone, told, told_of_digest
from driftd.settings.channels import Slack
from tests.unit.notify.messages import KINDS, REPLICAS, digest, hostile, message, of_kind, texts
from tests.unit.notify.shapes import SLACK, fits
from tests.unit.reports import change, resource


def shown(found):
    """All text of all blocks, in order."""
    lines = []
    for block in message_of(told(found))["blocks"]:
        inner = [block["text"]] if "text" in block else []
        inner += block.get("fields", []) + block.get("elements", [])
        lines += [one["text"] for one in inner]
    return lines


def test_drift_shows_application_cluster_paths_values_who_and_how_bad():
    """A reader sees what, where, Git beside live, who did it when, and how severe it is."""
    found = message()
    assert message_of(told(found))["text"] == "shop on production: 1 field drifted from Git"
    lines = shown(found)
    assert lines[0] == "🔴 shop on production: 1 field drifted from Git"
    assert "`Deployment shop/web`  `/spec/replicas`" in lines
    assert lines[2:4] == ["Git\n3", "Cluster\n5"]
    assert "by kubectl-edit at 2026-03-01T11:59:00Z · severity high (capacity)" in lines
    assert lines[-1].startswith("Application argocd/shop · Cluster production · Project default")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_the_shape_that_slack_takes(kind):
    """Whatever happened, the blocks are ones that Block Kit has, within their limits."""
    fits(message_of(told(of_kind(kind))), SLACK)


def test_a_digest_has_the_shape_too():
    """Many messages in one are ten lines and a count."""
    found = message_of(told_of_digest(digest(40)))
    fits(found, SLACK)
    assert found["text"] == "40 changes in 40 applications"
    assert "… and 30 more" in json.dumps(found, ensure_ascii=False)


def test_hostile_values_neither_call_nor_link_nor_overflow():
    """S-62: nothing is left of Slack's control characters, and all limits hold."""
    found = message_of(told(hostile()))
    fits(found, SLACK)
    text = json.dumps(found, ensure_ascii=False)
    assert "<" not in text
    assert ">" not in text
    for block in found["blocks"]:
        if block.get("text", {}).get("type") == "mrkdwn":
            assert block["text"]["text"].count("`") % 2 == 0


def test_values_are_plain_text():
    """Values never stand where Slack reads formatting."""
    [section] = [
        block
        for block in message_of(told(message(resource("web", change("/a", live="*x* _y_")))))[
            "blocks"
        ]
        if "fields" in block
    ]
    assert [field["type"] for field in section["fields"]] == ["plain_text", "plain_text"]


def test_exactly_three_characters_are_escaped_and_no_escape_is_cut():
    """Slack's rule is kept to the letter; a cut text ends before an escape, not inside of it."""
    assert escape("a&b<c>d\"'`") == "a&amp;b&lt;c&gt;d\"'`"
    assert fitted("&" * 10, 100) == "&amp;" * 10
    for limit in range(6, 30):
        found = fitted("&<>" * 20, limit)
        assert len(found) <= limit
        assert found.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "") == "…"


def test_a_long_text_of_ones_own_stays_within_50_blocks():
    """The facts keep their place whatever the operator's text is."""
    own = ("<" * 1000,) * 100
    found = message_of(Told(headline="h", tone=Tone.BAD, facts=(("Time", "now"),), own=own))
    fits(found, SLACK)
    assert len(found["blocks"]) == BLOCK_LIMIT
    assert found["blocks"][-1]["elements"][0]["text"] == "Time now"


def test_only_five_drifts_are_shown_and_the_rest_counted():
    """A message stays short whatever happened."""
    lines = shown(message(resource("web", *(change(f"/spec/a{i}") for i in range(12)))))
    assert len([line for line in lines if "/spec/a" in line]) == 5
    assert "… and 7 more" in lines


def test_masked_values_stay_masked():
    """A masked value appears as dots, an absent one as absent."""
    masked = {"masked": True}
    lines = shown(message(resource("db", change("/data/password", desired=masked, live=masked))))
    assert "Git\n••••" in lines
    assert "masked" not in "".join(lines)
    assert "Git\n(absent)" in shown(message(resource("w", change("/spec/x", live=1))))


def test_whole_objects_are_said_in_words():
    """Missing and Extra objects need no path and no values."""
    lines = shown(
        message(
            resource("a", status=ResourceStatus.MISSING), resource("b", status=ResourceStatus.EXTRA)
        )
    )
    assert lines[1] == "Deployment shop/a is missing in the cluster"
    assert lines[2] == "Deployment shop/b is not in Git"


async def test_the_message_arrives_and_a_refusal_hides_the_url(tmp_path, hook, session):
    """The webhook's URL comes from a file and never appears in an error."""
    path = tmp_path / "url"
    path.write_text(hook.url)
    notifier = SlackNotifier(Slack(url_file=str(path)), session, 5, texts())
    found = message(resource("web", REPLICAS))
    await notifier.send(found)
    await notifier.send_digest(digest())
    assert hook.bodies[0] == message_of(told(found))
    assert hook.bodies[1] == message_of(told_of_digest(digest()))
    hook.answers.append(web.Response(status=403, text="invalid_token"))
    with pytest.raises(Rejected, match="Slack webhook slack answered HTTP 403: invalid_token") as e:
        await notifier.send(found)
    assert "s3cr3t" not in e.value.message


async def test_what_cannot_work_is_found_at_the_start(tmp_path, session):
    """A file without a URL is an error of configuration that does not repeat the content."""
    path = tmp_path / "url"
    path.write_text("s3cr3t")
    with pytest.raises(ConfigError, match="Slack webhook slack is not an http") as caught:
        SlackNotifier(Slack(url_file=str(path)), session, 5, texts())
    assert "s3cr3t" not in caught.value.message
