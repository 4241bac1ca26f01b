"""`driftd silence` beside a store: what it writes, refuses and leaves for the record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from driftd.cli.main import driftd
from driftd.store import acts


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Settings whose store is a file beside them."""
    file = tmp_path / "driftd.yaml"
    file.write_text(
        f"store: {{dsn: 'sqlite:///{tmp_path}/driftd.db'}}\nsilences: {{maximum: 1d}}\n"
    )
    return file


def run(config: Path, *arguments: str) -> tuple[int, str]:
    """Exit code, and what was printed or what it was refused with."""
    done = CliRunner().invoke(
        driftd, ["silence", *arguments, f"--config={config}"], standalone_mode=False
    )
    if done.exception is not None:
        text = getattr(done.exception, "message", "") or str(done.exception)
        return 2, f"{done.exception} {text}"
    return done.return_value or 0, done.output


def test_a_silence_is_added_listed_and_removed(config: Path) -> None:
    """Each is printed with scope, end, owner and reason, and is left for the audit record."""
    code, added = run(
        config, "add", "shop", "--for", "2h", "--reason", "load test", "--owner", "alice",
        "--ticket", "OPS-1", "--object", "Deployment/web", "--path", "/spec/*",
    )  # fmt: skip
    assert code == 0
    name, _, rest = added.partition("  ")
    assert rest.startswith("/spec/* of Deployment/web of shop, until 20")
    code, listed = run(config, "list")
    assert code == 0
    assert listed.startswith(f"{name}  /spec/* of Deployment/web of shop  until ")
    assert listed.endswith("silenced by alice: load test (OPS-1)\n")
    (item,) = json.loads(run(config, "list", "-o", "json")[1])["items"]
    assert (item["id"], item["owner"], item["application"]) == (name, "alice", "shop")
    assert run(config, "remove", name)[0] == 0
    assert run(config, "list") == (0, "nothing is silenced\n")
    left = acts.left(config.with_name("driftd.db-acts"))
    assert [(one.kind, one.data["silence"]["id"]) for _, one in left] == [
        ("silence", name),
        ("unsilence", name),
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add", "--for", "1h", "--reason", "r"], "name what to silence"),
        (["add", "shop", "--reason", "r"], "needs an end"),
        (["add", "shop", "--reason", "r", "--for", "1h", "--until", "x"], "needs an end"),
        (["add", "shop", "--for", "1h"], "reason"),
        (["add", "shop", "--until", "tomorrow", "--reason", "r"], "is no time"),
        (["add", "shop", "--until", "2030-01-01T00:00:00", "--reason", "r"], "needs a zone"),
    ],
)
def test_a_silence_without_end_or_reason_is_a_usage_error(
    config: Path, arguments: list[str], words: str
) -> None:
    """Nothing is silenced for ever, for no reason or by mistake."""
    code, text = run(config, *arguments)
    assert code == 2
    assert words in text
    assert run(config, "list") == (0, "nothing is silenced\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add", "shop", "--for", "25h", "--reason", "r"], "may last 1d at most"),
        (
            ["add", "shop", "--until", "2020-01-01T00:00:00Z", "--reason", "r"],
            "has to end later than now",
        ),
        (["remove", "nonesuch"], "there is no silence nonesuch"),
    ],
)
def test_what_is_too_long_or_not_there_is_refused(
    config: Path, arguments: list[str], words: str
) -> None:
    """The limit of the settings holds, and a slip of the id ends nothing."""
    code, text = run(config, *arguments)
    assert (code, words in text) == (2, True), text
    assert run(config, "list") == (0, "nothing is silenced\n")
