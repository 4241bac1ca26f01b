"""Every problem of settings at once, each with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftd.errors import ConfigError
from driftd.settings.files import missing
from driftd.settings.load import OF_FLAGS, environment_name, inspect, load, unknown_variables
from driftd.settings.problems import Problem, errors

WRONG = """\
repositories:
  - revision: HEAD
  - url: https://bot:hunter2@git.example.com/x.git
    pol_interval: 1m
  - pollInterval: soon
  - path: /srv/b
    signatures: {mode: strict}
sweep:
  interval: 300
  workers: many
  jitter: 1h
sweeep: {}
log: {level: loud}
log: {level: info}
healing:
  rules:
    - {applications: [Dev-*], rung: prune}
    - {applications: ["a/b/c/d/e"], rung: fields}
store:
  dsn: mysql://x:hunter2@y/z
notifications:
  webhooks:
    - {url: 'ftp://x', secretFile: a}
    - {url: 'https://x/y', secretFile: a}
  slack: [{name: webhook}]
sensitive: [nonsense]
remoteBases: [{url: 'http://x/y', sha256: abc}]
repositoryAccess:
  - {url: 'https://x', githubApp: {appId: 3}}
auditLogs: {file: x}
baselines: [a, 3]
"""


def inspected(tmp_path: Path, text: str, env: dict[str, str] | None = None) -> list[Problem]:
    """What is wrong with a settings file of this text."""
    path = tmp_path / "driftd.yaml"
    path.write_text(text, encoding="utf-8")
    return list(inspect(path, env=env).problems)


def test_every_problem_is_named_with_line_and_key(tmp_path):
    """One reading finds them all, in the order of the file; none hides another or is told twice."""
    found = [(one.line, one.key) for one in inspected(tmp_path, WRONG)]
    assert found == [
        (2, "repositories[0]"),
        (3, "repositories[1].url"),
        (4, "repositories[1].pol_interval"),
        (5, "repositories[2].pollInterval"),
        (7, "repositories[3].signatures"),
        (9, "sweep.interval"),
        (10, "sweep.workers"),
        (11, "sweep.jitter"),
        (12, "sweeep"),
        (14, "log"),
        (17, "healing.rules[0].rung"),
        (18, "healing.rules[1].applications"),
        (20, "store.dsn"),
        (20, "store.dsn"),
        (23, "notifications.webhooks[0].url"),
        (24, "notifications.webhooks[1].name"),
        (25, "notifications.slack[0]"),
        (26, "sensitive[0]"),
        (27, "remoteBases[0].url"),
        (27, "remoteBases[0].sha256"),
        (29, "repositoryAccess[0].githubApp.appId"),
        (29, "repositoryAccess[0].githubApp"),
        (30, "auditLogs"),
        (31, "baselines[1]"),
    ]
    assert "hunter2" not in " ".join(one.text for one in inspected(tmp_path, WRONG))


def test_the_first_error_is_what_loading_raises_and_it_says_how_many_follow(tmp_path):
    """`load` refuses exactly what `inspect` finds errors in."""
    count = len(errors(inspected(tmp_path, WRONG)))
    with pytest.raises(
        ConfigError, match=rf"line 2: repositories\[0\].*\({count - 1} more"
    ) as caught:
        load(tmp_path / "driftd.yaml")
    assert "driftd config validate" in caught.value.message


def test_a_warning_refuses_nothing(tmp_path):
    """What can be used is used, though it hardly says what was meant."""
    (one,) = inspected(tmp_path, "sweep: {interval: 10s, jitter: 1m}\n")
    assert str(one.weight) == "warning"
    assert load(tmp_path / "driftd.yaml").sweep.jitter.text == "1m"


def test_what_is_allowed_is_said_beside_what_stands_there(tmp_path):
    """A choice lists its values, a quantity shows examples, an unquoted number asks for quotes."""
    text = "log: {level: loud}\nsandbox: {memory: 5MB}\nseverity: 5\nclusters: {watch: 'yes'}\n"
    told = {one.key: one for one in inspected(tmp_path, text)}
    assert told["log.level"].allowed == "debug, info, warning or error"
    assert told["log.level"].text.endswith("must be debug, info, warning or error, not 'loud'")
    assert "such as 65536, 64Ki or 256Mi, not '5MB'" in told["sandbox.memory"].message
    assert told["severity"].hint == "put it in quotes"
    assert told["clusters.watch"].message == "must be true or false, not 'yes'"


def test_variables_are_checked_with_the_file(tmp_path):
    """A variable's problem names the variable; what it sets is no problem of the file any more."""
    env = {"DRIFTD_SWEEP_WORKERS": "0", "DRIFTD_LOG_LEVEL": "loud", "DRIFTD_BASELINES": "[a"}
    found = inspected(tmp_path, "sweep: {workers: -1}\n", env)
    assert [(one.source, one.key) for one in found] == [
        ("DRIFTD_BASELINES", ""),
        ("DRIFTD_LOG_LEVEL", "log.level"),
        ("DRIFTD_SWEEP_WORKERS", "sweep.workers"),
    ]


def test_a_variable_that_is_nearly_a_settings_is_doubted():
    """A slip is named; variables of flags, of Kubernetes' service links and of others are not."""
    env = {
        "DRIFTD_SWEEP_INTERVALL": "1m",
        "DRIFTD_BASELINE": "flag",
        "DRIFTD_PORT": "tcp://10.0.0.1:8080",
        "DRIFTD_SERVICE_PORT_HTTP": "8080",
        "HOME": "/root",
    }
    (one,) = unknown_variables(env, {"DRIFTD_BASELINE"})
    assert (one.source, one.hint) == (
        "DRIFTD_SWEEP_INTERVALL",
        "did you mean DRIFTD_SWEEP_INTERVAL?",
    )


def test_variables_of_flags_set_no_setting():
    """`DRIFTD_SUPPRESSIONS` is the flag's, which knows files separated by spaces."""
    for key in OF_FLAGS:
        assert inspect(env={environment_name(key): "a b"}).problems == ()


def test_aliases_and_merges_are_read_once(tmp_path):
    """Anchors keep their meaning; a document that grows without end or holds itself is refused."""
    bomb = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))
    assert len(inspected(tmp_path, f"sweep: {{}}\n{bomb}")) == 60
    assert "not valid YAML" in inspected(tmp_path, "applications: &a {include: [*a]}\n")[0].message
    text = "sweep: &s {interval: 1m}\nlog: {<<: {level: debug}, format: console}\n"
    assert inspected(tmp_path, text) == []
    assert load(tmp_path / "driftd.yaml").log.level == "debug"


def test_files_are_looked_for(tmp_path):
    """A file that is missing, empty, no text or no folder is named; its content never is."""
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "dsn").write_text("oracle://driftd:hunter2@db\n")
    (tmp_path / "good").write_text("s3cret\n")
    text = f"""\
repositories:
  - url: https://git.example.com/a.git
    credentials: {{passwordFile: {tmp_path}/none, sshKeyFile: {tmp_path}/good}}
  - path: {tmp_path}/good
store: {{dsnFile: {tmp_path}/dsn}}
notifications: {{webhooks: [{{url: 'https://x', secretFile: {tmp_path}/empty}}]}}
baselines: [{tmp_path}/good, {tmp_path}/binary]
keyring: {tmp_path}/none
hashKeyFile: {tmp_path}/binary
auditLogs: [{{file: '{tmp_path}/none*.log'}}]
"""
    path = tmp_path / "driftd.yaml"
    path.write_text(text)
    problems = inspect(path, further=(missing,)).problems
    assert [(one.line, one.key, str(one.weight)) for one in problems] == [
        (3, "repositories[0].credentials.passwordFile", "error"),
        (4, "repositories[1].path", "error"),
        (5, "store.dsnFile", "error"),
        (6, "notifications.webhooks[0].secretFile", "error"),
        (7, "baselines[1]", "error"),
        (8, "keyring", "error"),
        (10, "auditLogs[0].file", "warning"),
    ]
    told = " ".join(one.text for one in problems)
    assert "hunter2" not in told
    assert "s3cret" not in told
    assert "names 'oracle'" in told


@pytest.mark.parametrize(
    ("listen", "hooks", "expected"),
    [
        ("127.0.0.1:8080", "{gitlabSecretFile: s, azureDevopsSecretFile: s}", []),
        ("0.0.0.0:8080", "{githubSecretFile: s, giteaSecretFile: s, window: 1s}", []),
        ("0.0.0.0:8080", "{gitlabSecretFile: s}", ["gitWebhooks.gitlabSecretFile"]),
        ("0.0.0.0:8080", "{azureDevopsSecretFile: s}", ["gitWebhooks.azureDevopsSecretFile"]),
    ],
)
def test_the_git_webhooks(tmp_path, listen, hooks, expected):
    """A secret that a provider shows as it is must not travel in the open; signatures may."""
    found = inspected(tmp_path, f"server: {{listen: '{listen}'}}\ngitWebhooks: {hooks}\n")
    assert [(one.key, str(one.weight)) for one in found] == [(key, "warning") for key in expected]


@pytest.mark.parametrize(
    ("hook", "expected"),
    [
        ("{listen: '127.0.0.1:8443', clusters: [{cluster: one, tokenFile: t}]}", []),
        ("{clusters: [{cluster: one, tokenFile: t}]}", [("auditWebhook.listen", "nobody can")]),
        ("{listen: '8443', clusters: [{cluster: a, tokenFile: t}]}", [("listen", "ADDRESS:PORT")]),
        ("{listen: '127.0.0.1:1'}", [("clusters", "names no cluster")]),
        (
            "{listen: '0.0.0.0:1', clusters: [{cluster: one, tokenFile: t}]}",
            [("listen", "without TLS")],
        ),
        (
            "{listen: '127.0.0.1:1', keyFile: k, clusters: [{cluster: one, tokenFile: t}]}",
            [("certificateFile", "needs its key")],
        ),
        (
            "{listen: '127.0.0.1:1', certificateFile: c, clusters: [{cluster: a, tokenFile: t}]}",
            [("keyFile", "needs its key")],
        ),
        ("{listen: '127.0.0.1:1', clusters: [{cluster: one}]}", [("clusters[0]", "nobody may")]),
        (
            "{listen: '127.0.0.1:1', clusters: [{cluster: one, clientName: c}]}",
            [("clientName", "clientCaFile"), ("clientName", "needs TLS")],
        ),
        (
            "{listen: 'localhost:1', clusters: [&a {cluster: a, tokenFile: t}, *a]}",
            [("clusters[1].cluster", "given twice")],
        ),
        (
            "{listen: 'localhost:1', maxRate: 0, clusters: [{cluster: '', tokenFile: t}]}",
            [("clusters[0].cluster", "is empty"), ("maxRate", "at least 1")],
        ),
    ],
)
def test_the_audit_webhook(tmp_path, hook, expected):
    """What would let nobody post, everybody, or tokens travel in the open, is named."""
    found = inspected(tmp_path, f"auditWebhook: {hook}\n")
    assert len(found) == len(expected), found
    for key, words in expected:
        assert any(key in one.key and words in one.message for one in found), (key, words)
