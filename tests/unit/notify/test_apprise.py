"""Apprise: an extra, in a thread, with URLs that nobody prints."""

from __future__ import annotations

import json
import logging
import sys

import pytest
from aiohttp import web

from driftd.errors import ConfigError
from driftd.notify.apprise import AppriseNotifier, plain
from driftd.notify.notifier import Rejected
from driftd.settings.channels import Apprise
from tests.unit.notify.messages import digest, hostile, message, texts

# What Apprise imports is deprecated in some versions of Python.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def urls(tmp_path, hook):
    """A file with a comment and one URL of Apprise to the real receiver."""
    path = tmp_path / "urls"
    host = hook.base.removeprefix("http://")
    path.write_text(f"# ours\njson://user:s3cr3t@{host}/hook\n\n")
    return path


async def test_a_message_arrives_through_apprise(urls, hook):
    """Title, text and kind are handed over; a digest too."""
    notifier = AppriseNotifier(Apprise(urls_file=str(urls)), 5, texts())
    await notifier.send(message())
    await notifier.send_digest(digest())
    first, second = hook.bodies
    assert first["title"] == "shop on production: 1 field drifted from Git"
    assert "• Deployment shop/web /spec/replicas: 3 → 5" in first["message"]
    assert first["type"] == "warning"
    assert second["title"] == "3 changes in 3 applications"


async def test_a_service_that_refuses_is_told_without_its_url(urls, hook, caplog):
    """Neither the error nor any log line repeats a URL."""
    caplog.set_level(logging.DEBUG)
    notifier = AppriseNotifier(Apprise(urls_file=str(urls)), 5, texts())
    hook.answers.append(web.Response(status=500))
    with pytest.raises(Rejected, match="at least one service") as caught:
        await notifier.send(message())
    urls.write_text("nonsense://s3cr3t\n")
    with pytest.raises(
        ConfigError, match=r"line 1 of .*urls is no URL that Apprise knows"
    ) as wrong:
        await notifier.send(message())
    text = caught.value.message + wrong.value.message + caplog.text
    assert "s3cr3t" not in text
    assert hook.base.removeprefix("http://") not in text


def test_without_the_extra_the_error_says_what_to_install(urls, monkeypatch):
    """A missing package is an error of configuration with its remedy."""
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigError, match=r"Apprise apprise needs the package") as caught:
        AppriseNotifier(Apprise(urls_file=str(urls)), 5, texts())
    assert "driftd[apprise]" in caught.value.message


def test_a_file_without_urls_is_refused(urls):
    """Comments alone are no receivers."""
    urls.write_text("# nothing\n")
    with pytest.raises(ConfigError, match="holds no URL"):
        AppriseNotifier(Apprise(urls_file=str(urls)), 5, texts())


async def test_nobody_is_called_by_what_stands_in_values(urls, hook):
    """S-63: what chats take for a mention is broken; digests of images and addresses are not."""
    await AppriseNotifier(Apprise(urls_file=str(urls)), 5, texts()).send(hostile())
    text = json.dumps(hook.bodies[0], ensure_ascii=False)
    for call in ("@everyone", "@here", "<@", "<!"):
        assert call not in text
    assert plain("@channel <@&1> <#2>") == "@\u200bchannel <\u200b@&1> <\u200b#2>"
    assert plain("nginx@sha256:0 a@b.example <b>") == "nginx@sha256:0 a@b.example <b>"
