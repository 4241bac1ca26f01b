"""`driftd notify` on settings, a store and a receiver."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from driftd.cli.main import driftd
from driftd.errors import ConfigError
from driftd.store.sql import SqlStore
from tests.unit.notify.receiver import receiver
from tests.unit.notify.told import drifted
from tests.unit.reports import START, after
from tests.unit.store.due import refusal


def settings(folder: Path, url: str = "https://alerts.example.com/x", **more: object) -> Path:
    """A settings file with one webhook."""
    (folder / "secret").write_text(base64.b64encode(bytes(range(32))).decode())
    hook = {"url": url, "secretFile": str(folder / "secret"), "name": "hook"}
    document = {
        "store": {"dsn": f"sqlite:///{folder}/driftd.db"},
        "notifications": {"webhooks": [hook], "allowNetworks": ["127.0.0.0/8"], **more},
    }
    path = folder / "driftd.yaml"
    path.write_text(json.dumps(document))
    return path


def run(*arguments: str) -> Result:
    """The command as a shell runs it."""
    return CliRunner().invoke(driftd, ["notify", *arguments], standalone_mode=False)


def test_a_preview_shows_the_words_or_the_json_and_sends_nothing(tmp_path: Path) -> None:
    """Headline, what, who, why, what driftd does and how to silence it."""
    config = f"--config={settings(tmp_path)}"
    words = run("preview", config).stdout
    for part in ("hook:", "3 → 1", "alice@example.com", "capacity is lower", "driftd silence"):
        assert part in words
    document = json.loads(run("preview", config, "--kind=digest", "-o", "json").stdout)
    assert (document["kind"], len(document["messages"])) == ("Digest", 2)


@pytest.mark.parametrize("kind", ["healed", "unknown", "fighting", "heal-refused", "worsened"])
def test_every_kind_can_be_previewed(tmp_path: Path, kind: str) -> None:
    """Each sample has words of its own."""
    found = run("preview", f"--config={settings(tmp_path)}", f"--kind={kind}")
    assert found.return_value == 0
    assert "shop" in found.stdout


def test_an_unknown_receiver_is_an_error_that_names_the_known(tmp_path: Path) -> None:
    """A misspelt name tells which there are."""
    found = run("test", f"--config={settings(tmp_path)}", "hok")
    assert isinstance(found.exception, ConfigError)
    assert "hook" in found.exception.message


def test_a_test_reaches_the_receiver(tmp_path: Path) -> None:
    """One message that says that it is a test, and the answer is told."""

    async def send() -> tuple[Result, int]:
        async with receiver() as hook:
            config = f"--config={settings(tmp_path, hook.url)}"
            found = await asyncio.to_thread(run, "test", config, "hook")
            assert b"this-is-a-test" in hook.requests[0][1]
            return found, len(hook.requests)

    found, sent = asyncio.run(send())
    assert (sent, found.stdout) == (1, "hook has accepted a test message\n")


def test_dead_letters_are_listed_and_taken_up_again(tmp_path: Path) -> None:
    """Receiver, application and reason; with --retry they are due again."""
    config = f"--config={settings(tmp_path)}"

    async def give_up() -> None:
        store = await SqlStore.open(f"sqlite:///{tmp_path}/driftd.db")
        await drifted(store, START, "shop", "hook")
        (one,) = await store.due("hook", START, 10)
        await store.mark_failed(one, after(60), refusal("HTTP 500"), None)
        await store.close()

    asyncio.run(give_up())
    listed = run("dead", config)
    assert listed.return_value == 1
    assert "hook  argocd/shop" in listed.stdout
    assert "1 attempt: HTTP 500" in listed.stdout
    (as_json,) = json.loads(run("dead", config, "-o", "json").stdout)
    assert (as_json["receiver"], as_json["error"]) == ("hook", "HTTP 500")
    assert run("dead", config, "--retry").stdout == "1 message due again\n"
    assert run("dead", config).stdout == "no message was given up\n"
