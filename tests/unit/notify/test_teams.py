"""Cards for Microsoft Teams."""

from __future__ import annotations

import json

import pytest
from aiohttp import web

from driftd.errors import ConfigError
from driftd.notify.notifier import Rejected
from driftd.notify.teams import SIZE_LIMIT, TeamsNotifier, card
from driftd.notify.wording import Told, Tone, told
from driftd.settings.channels import Teams
from tests.unit.notify.messages import KINDS, digest, hostile, message, of_kind, texts
from tests.unit.notify.shapes import TEAMS, fits


def runs(found):
    """The text of every run, in order."""
    lines = []

    def walk(node):
        if isinstance(node, dict):
            if node.get("type") == "TextRun":
                lines.append(node["text"])
            for inner in node.values():
                walk(inner)
        elif isinstance(node, list):
            for inner in node:
                walk(inner)

    walk(found)
    return lines


@pytest.fixture
def notifier(tmp_path, hook, session):
    """A notifier to the real receiver."""
    path = tmp_path / "url"
    path.write_text(hook.url)
    return TeamsNotifier(Teams(url_file=str(path)), session, 5, texts())


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_arrives_as_a_card(notifier, hook, kind):
    """Whatever happened, the receiver gets an Adaptive Card in the envelope that it takes."""
    await notifier.send(of_kind(kind))
    fits(hook.bodies[0], TEAMS)


async def test_a_card_shows_what_where_and_who(notifier, hook):
    """A reader sees application, object, field, both values, author and severity."""
    await notifier.send(message())
    lines = runs(hook.bodies[0])
    assert lines[0] == "shop on production: 1 field drifted from Git"
    assert lines[1:6] == ["Deployment shop/web", "  /spec/replicas", "3", " → ", "5"]
    assert lines[6] == "by kubectl-edit at 2026-03-01T11:59:00Z · severity high (capacity)"


async def test_a_digest_is_one_card(notifier, hook):
    """Many messages are one card."""
    await notifier.send_digest(digest(30))
    [found] = hook.bodies
    fits(found, TEAMS)
    assert "… and 20 more" in runs(found)


def test_hostile_values_are_text_runs_alone():
    """S-63: text runs know no Markdown, and without entities nobody is mentioned."""
    found = card(told(hostile()))
    fits(found, TEAMS)
    assert '"TextBlock"' not in json.dumps(found)
    assert '"entities"' not in json.dumps(found)


def test_a_card_that_is_too_long_loses_its_end_and_not_its_place():
    """Workflows take 28 KB; what a message is found by stays."""
    own = ("ä" * 1000,) * 100
    found = card(Told(headline="h", tone=Tone.BAD, facts=(("Time", "now"),), own=own))
    fits(found, TEAMS)
    assert 20_000 < len(json.dumps(found, ensure_ascii=False).encode()) <= SIZE_LIMIT + 4000
    assert runs(found)[-1] == "Time now"


async def test_a_refusal_hides_the_url(notifier, hook):
    """The workflow's URL is a secret."""
    hook.answers.append(web.Response(status=401, text="denied"))
    with pytest.raises(Rejected, match="Teams workflow teams answered HTTP 401: denied") as caught:
        await notifier.send(message())
    assert "s3cr3t" not in caught.value.message


def test_what_cannot_work_is_found_at_the_start(tmp_path, session):
    """A file without a URL is an error of configuration."""
    path = tmp_path / "url"
    path.write_text("s3cr3t")
    with pytest.raises(ConfigError, match="Teams workflow teams is not an http"):
        TeamsNotifier(Teams(url_file=str(path)), session, 5, texts())
