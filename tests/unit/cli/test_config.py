"""`driftd config`: what is wrong with settings, and which are in force."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from driftd.cli.main import driftd as root
from driftd.settings.load import OF_FLAGS, environment_name
from driftd.settings.shape import keys

SHIPPED = Path(__file__).parents[3]
BAD = """\
sweep:
  intervall: 5m
  workers: 0
severity: rules.yaml
suppressions: [accepted.yaml]
notifications:
  webhooks: [{url: https://alerts.example.com/driftd, secretFile: secret}]
clusters:
  kubeconfig: kubeconfig
  hubContext: hbu
"""
KUBECONFIG = """\
apiVersion: v1
kind: Config
contexts: [{name: hub, context: {cluster: hub, user: hub}}]
clusters: [{name: hub, cluster: {server: 'https://hub.example.com'}}]
users: [{name: hub, user: {token: t0ken}}]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with settings that have an error of each sort; the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "driftd.yaml").write_text(BAD)
    (tmp_path / "rules.yaml").write_text("rules: [{severity: deadly}]\n")
    (tmp_path / "accepted.yaml").write_text("nonsense: true\n")
    (tmp_path / "secret").write_text("tooshort\n")
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    return tmp_path


@pytest.mark.parametrize("command", ["validate", "show"])
def test_the_file_as_run_takes_it(driftd, folder, command, monkeypatch):
    """`--config F` is FILE; another FILE beside it is refused."""
    by_flag = driftd("config", command, "--config", "driftd.yaml")
    by_name = driftd("config", command, "driftd.yaml")
    assert (by_flag.exit_code, by_flag.stdout) == (by_name.exit_code, by_name.stdout)
    monkeypatch.setenv("DRIFTD_CONFIG", "elsewhere.yaml")
    assert driftd("config", command, "--config", "driftd.yaml").stdout == by_name.stdout
    both = driftd("config", command, "other.yaml", "--config", "driftd.yaml")
    assert both.exit_code == 2
    assert "name one" in both.stderr


def test_every_error_at_once(driftd, golden, folder):
    """Keys, values, variables, contexts and what the named files hold, each with its place."""
    env = {"DRIFTD_LOG_LEVEL": "loud", "DRIFTD_SWEEP_JITER": "1s", "DRIFTD_OUTPUT": "table"}
    result = driftd("config", "validate", "driftd.yaml", env=env)
    assert result.exit_code == 2
    golden.check("config-validate.txt", result.stdout)
    assert "tooshort" not in result.stdout


def test_as_json(driftd, folder):
    """Programs get source, line, key, message and what is allowed."""
    result = driftd("config", "validate", "driftd.yaml", "-o", "json")
    assert result.exit_code == 2
    report = json.loads(result.stdout)
    assert (report["kind"], report["valid"], report["file"]) == (
        "ConfigReport",
        False,
        "driftd.yaml",
    )
    assert report["problems"][0] == {
        "severity": "error",
        "source": "driftd.yaml",
        "line": 2,
        "key": "sweep.intervall",
        "message": "unknown setting",
        "hint": "did you mean interval?",
    }


@pytest.mark.parametrize("file", ["config/driftd.yaml", "deploy/base/driftd.yaml"])
def test_shipped_files_are_valid(driftd, file, monkeypatch, tmp_path):
    """What we ship passes, the deployed one but for the volume that only a Pod has."""
    monkeypatch.chdir(tmp_path)
    result = driftd("config", "validate", str(SHIPPED / file))
    lines = result.stdout.splitlines()
    assert [line for line in lines[:-1] if "/var/lib/driftd is no folder" not in line] == []
    assert result.exit_code == (0 if len(lines) == 1 else 2)


def test_a_file_that_is_not_there(driftd, tmp_path):
    """The file that was to be validated is the error."""
    result = driftd("config", "validate", str(tmp_path / "none.yaml"))
    assert result.exit_code == 2
    assert "cannot be read: No such file" in result.stdout


def test_show_says_where_each_setting_comes_from(driftd, tmp_path, monkeypatch):
    """File with line, variable or default; passwords and queries in URLs are masked."""
    monkeypatch.chdir(tmp_path)
    Path("driftd.yaml").write_text(
        "sweep:\n  workers: 2\n"
        "repositoryAccess: [{url: 'https://x.example.com', proxy: 'http://me:hunter2@proxy:3128'}]\n"
        "notifications: {webhooks: [{url: 'https://x/y?token=hunter2', secretFile: s}]}\n"
    )
    env = {"DRIFTD_SWEEP_INTERVAL": "1m"}
    result = driftd("config", "show", "driftd.yaml", env=env)
    assert result.exit_code == 0
    rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()}
    assert rows["sweep.workers"] == ["2", "driftd.yaml:2"]
    assert rows["sweep.interval"] == ["1m", "DRIFTD_SWEEP_INTERVAL"]
    assert rows["sweep.jitter"] == ["15s", "default"]
    assert rows["store.dsn"] == ["sqlite:///driftd.db", "default"]
    assert rows["repositoryAccess[0].proxy"] == ["http://me:«masked»@proxy:3128", "driftd.yaml:3"]
    assert rows["notifications.webhooks[0].url"][0] == "https://x/y?«masked»"
    document = driftd("config", "show", "driftd.yaml", "-o", "json", env=env)
    sweep = {"interval": "1m", "jitter": "15s", "workers": 2, "timeout": "10m"}
    sweep["pendingDeadline"] = "1h"
    assert json.loads(document.stdout)["sweep"] == sweep
    assert "hunter2" not in result.stdout + document.stdout


def test_show_refuses_what_the_daemon_would_refuse(driftd, folder):
    """There are no settings in force where the daemon would not start."""
    result = driftd("config", "show", "driftd.yaml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "(1 more: driftd config validate)" in result.stderr


def test_variables_that_flags_and_settings_share_are_known():
    """Where a flag of `driftd run` and a setting share a variable, it is the flag's."""
    command = root.get_command(click.Context(root), "run")
    flags = {option.envvar for option in command.params}
    settings = {environment_name(key): key for key, _ in keys()}
    assert {settings[name] for name in flags & settings.keys()} == OF_FLAGS
