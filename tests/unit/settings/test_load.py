"""Settings: the shipped file, the layers, and what errors say."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from driftd.errors import ConfigError
from driftd.settings.documents import read_file
from driftd.settings.healing import HealingRule, Rung
from driftd.settings.load import environment_name, load, read_secret, store_dsn
from driftd.settings.quantity import Duration, Size
from driftd.settings.shape import is_table, keys
from driftd.settings.types import AuditLogFile, Settings, Store

ENTRIES = (
    "repositories",
    "repositoryAccess",
    "remoteBases",
    "notifications.webhooks",
    "notifications.slack",
    "notifications.slackApps",
    "notifications.email",
    "notifications.teams",
    "notifications.pagerduty",
    "notifications.opsgenie",
    "notifications.github",
    "notifications.alertmanager",
    "notifications.apprise",
    "notifications.routes",
    "healing.rules",
    "auditLogs",
    "auditWebhook.clusters",
)
"""Lists of tables; the shipped file shows each with example entries."""
SHIPPED = Path(__file__).parents[3] / "config" / "driftd.yaml"


def write(tmp_path: Path, text: str) -> Path:
    """A settings file with `text`."""
    path = tmp_path / "driftd.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def examples() -> str:
    """The shipped file with its example entries switched on."""
    text = re.sub(r"(?m)^#(?= )(?=  )(.*)$", r"\1", SHIPPED.read_text(encoding="utf-8"))
    return (
        re.sub(
            r"(?m)^(\s*(?:repositories|webhooks|slack|rules|baselines|suppressions|sensitive|auditLogs"
            r"|repositoryAccess|remoteBases|clusters|slackApps|email|teams|pagerduty|opsgenie"
            r"|github|alertmanager|apprise|routes))"
            r": \[\]$",
            r"\1:",
            text,
        )
        .replace("destinations: {}", "destinations:")
        .replace("identities: {}", "identities:")
    )


def test_shipped_file_loads_to_the_defaults():
    """`config/driftd.yaml` states exactly the defaults."""
    assert load(SHIPPED) == Settings() == load()


def test_shipped_file_shows_every_setting_with_a_comment():
    """No setting is missing from the shipped file and each has a comment right above it."""
    document, problems = read_file(SHIPPED)
    assert (document is not None, problems) == (True, [])
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    for key, _ in keys():
        written = document
        for part in key.split("."):
            assert part in written.value, key
            written = written.value[part]
        assert lines[written.line - 2].lstrip().startswith("#"), key
        words = lines[written.line - 2].lstrip(" #")
        assert len(words.split()) > 1, key


def test_shipped_examples_show_every_field_of_list_entries_and_are_valid(tmp_path):
    """Switching the example entries on gives valid settings that use each field once."""
    text = examples()
    settings = load(write(tmp_path, text))
    assert [r.url or r.path for r in settings.repositories] == [
        "https://git.example.com/platform/kubernetes-gitops.git",
        "/srv/git/kubernetes-gitops",
    ]
    opened = HealingRule(applications=("development-*",), rung=Rung.FIELDS)
    assert settings.healing.rules == (opened,)
    assert settings.baselines == ("/etc/driftd/accepted/drift-baseline.yaml",)
    assert settings.suppressions == ("/etc/driftd/accepted/suppressions.yaml",)
    assert settings.sensitive == (
        "ConfigMap:data.password",
        "db.example.com/Database:spec.**.password",
    )
    assert settings.clusters.destinations == {"https://staging-cluster-api.example.com": "staging"}
    assert settings.audit_logs == (
        AuditLogFile(file="/var/log/kubernetes/audit*.log", cluster="production"),
    )
    assert [one.type for one in settings.repository_access] == ["helm", "git"]
    document, _ = read_file(tmp_path / "driftd.yaml")
    assert {key for key, _ in entry_kinds(Settings)} == set(ENTRIES)
    for key, kind in entry_kinds(Settings):
        entries = document
        for part in key.split("."):
            entries = entries.value[part]
        assert_shown(entries.value, kind, key)


def assert_shown(entries, kind, at):
    """The entries together show every field of their type, those of tables inside too."""
    fields = msgspec.structs.fields(kind)
    shown = {name for entry in entries for name in entry.value}
    assert shown == {field.encode_name for field in fields}, at
    for field in fields:
        name = field.encode_name
        for one in (field.type, *getattr(field.type, "__args__", ())):
            if is_table(one):
                inner = [entry.value[name] for entry in entries if name in entry.value]
                assert_shown(inner, one, f"{at}.{name}")


def entry_kinds(table, at=""):
    """Every list of tables among the settings with the type of its entries."""
    for field in msgspec.structs.fields(table):
        key = f"{at}{field.encode_name}"
        if is_table(field.type):
            yield from entry_kinds(field.type, f"{key}.")
        else:
            yield from ((key, one) for one in getattr(field.type, "__args__", ()) if is_table(one))


def test_later_layers_win_key_by_key(tmp_path):
    """The environment beats the file, which beats defaults."""
    path = write(tmp_path, "sweep: {interval: 1m, workers: 2}\nlog: {level: debug}\n")
    env = {"DRIFTD_SWEEP_INTERVAL": "2m", "DRIFTD_LOG_LEVEL": "warning", "OTHER": "x"}
    settings = load(path, env=env)
    assert settings.sweep.interval == Duration("2m")
    assert settings.sweep.workers == 2
    assert settings.sweep.jitter == Duration("15s")
    assert settings.log.level == "warning"
    assert settings.log.format == "json"


def test_environment_reads_lists_and_booleans_as_yaml():
    """A variable for a list, map, number or boolean is YAML; for text it is taken literally."""
    settings = load(
        env={
            "DRIFTD_APPLICATIONS_INCLUDE": "[a, 'b-*']",
            "DRIFTD_SANDBOX_REQUIRE_ISOLATION": "false",
            "DRIFTD_SANDBOX_MEMORY": "1Gi",
            "DRIFTD_CLUSTERS_DESTINATIONS": "{in-cluster: kind-a}",
            "DRIFTD_CLUSTERS_HUB_CONTEXT": "123",
        }
    )
    assert settings.applications.include == ("a", "b-*")
    assert settings.sandbox.require_isolation is False
    assert settings.sandbox.memory == Size("1024Mi")
    assert settings.clusters.destinations == {"in-cluster": "kind-a"}
    assert settings.clusters.hub_context == "123"


def test_environment_names_are_unique():
    """No two settings share an environment variable."""
    names = [environment_name(key) for key, _ in keys()]
    assert len(names) == len(set(names)) > 20


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sweeep: {}", ["sweeep: unknown setting", "did you mean sweep?"]),
        ("sweep: {intervall: 5m}", ["sweep.intervall: unknown setting", "did you mean interval"]),
        (
            "log: {hub-context: x}",
            ["log.hub-context: unknown setting", "did you mean clusters.hubContext?"],
        ),
        ("zzz: 1", ["zzz: unknown setting", "top-level settings: applications"]),
        (
            "# ours\napiVersion: v1\nkind: ConfigMap\nmetadata: {}",
            [
                (
                    "line 2: is a Kubernetes object (ConfigMap), not a settings file of driftd; "
                    "name another file with --config"
                )
            ],
        ),
        (
            "replicaCount: 1\nimage: {tag: a}\nservice: {}\nenv: []",
            [
                (
                    "is not a settings file of driftd: none of its keys is a setting "
                    "(replicaCount, image, service, …)"
                )
            ],
        ),
        ("sweep: {}\n---\nlog: {}", ["line 2: begins another YAML document here, and"]),
        ("kind: 1\nsweeep: {}", ["kind: unknown setting (1 more: "]),
        ("apiVersion: v1\nsweep: {}", ["apiVersion: unknown setting; top-level"]),
        (
            "repositories: [{path: a}, {path: b, pol_interval: 1m}]",
            ["repositories[1].pol_interval: unknown setting", "did you mean pollInterval?"],
        ),
        ("sweep: {workers: many}", ["sweep.workers: must be a whole number, not 'many'"]),
        ("sweep: {interval: soon}", ["sweep.interval", "such as 90s", "'soon'"]),
        ("sweep: {interval: 300}", ["sweep.interval", "such as 90s"]),
        ("sandbox: {memory: 5MB}", ["sandbox.memory", "such as 65536"]),
        ("sweep: {workers: 0}", ["sweep.workers: must be at least 1"]),
        ("sweep: {interval: 0s}", ["sweep.interval: must be at least 1s"]),
        ("log: {level: loud}", ["log.level", "loud"]),
        ("- a", ["must hold a mapping"]),
        ("sweep: [", ["line 1: is not valid YAML"]),
        (
            "log:\n  level: info\n  level: debug",
            ["line 3: log.level: is set a second time, after line 2"],
        ),
        (
            "repositories: [{revision: HEAD}]",
            [
                (
                    "line 1: repositories[0]: needs url (an address) or path (a checkout on this "
                    "machine)"
                )
            ],
        ),
        (
            "repositories:\n- url: https://git.example/a\n  path: /srv/a",
            [
                (
                    "line 3: repositories[0].path: stands beside url, and only one counts: url "
                    "for what driftd fetches, path for a checkout on this machine"
                )
            ],
        ),
        (
            "repositories: [{path: a, signatures: {mode: strict}}]",
            ["repositories[0].signatures: needs keys"],
        ),
        (
            "repositories: [{path: a, signatures: {mode: all}}]",
            ["repositories[0].signatures.mode", "all"],
        ),
        ("server: {listen: nowhere}", ["server.listen: must be ADDRESS:PORT"]),
        (
            "notifications: {slack: [{urlFile: a}, {urlFile: b}]}",
            ["two receivers are named 'slack'"],
        ),
        (
            "healing: {rules: [{applications: [a], rung: prune}]}",
            ["healing.rules[0].rung", "prune"],
        ),
    ],
)
def test_a_wrong_file_names_file_key_and_remedy(tmp_path, text, expected):
    """Each mistake is named with the file, the key's path and, if there is one, what was meant."""
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    for part in [str(path), *expected]:
        assert part in caught.value.message


def test_a_password_in_a_setting_is_refused_without_printing_it(tmp_path):
    """URLs and DSNs with passwords are refused in favour of files, and never repeated."""
    texts = (
        "repositories: [{url: 'https://bot:hunter2@git.example.com/a.git'}]",
        "store: {dsn: 'postgresql://driftd:hunter2@db/driftd'}",
    )
    for text in texts:
        with pytest.raises(ConfigError, match="holds a password") as caught:
            load(write(tmp_path, text))
        assert "File" in caught.value.message
        assert "hunter2" not in caught.value.message


def test_a_wrong_variable_is_named():
    """An error in the environment names the variable, not the file."""
    with pytest.raises(ConfigError, match=r"DRIFTD_SWEEP_WORKERS: sweep\.workers: must be a whole"):
        load(env={"DRIFTD_SWEEP_WORKERS": "many"})
    with pytest.raises(ConfigError, match="DRIFTD_APPLICATIONS_INCLUDE: is not valid YAML"):
        load(env={"DRIFTD_APPLICATIONS_INCLUDE": "[a"})


def test_a_missing_file_is_an_error_with_a_remedy(tmp_path):
    """A settings file that was named but cannot be read is never taken as empty."""
    with pytest.raises(ConfigError, match="No such file") as caught:
        load(tmp_path / "none.yaml")
    assert "--config" in caught.value.message


def test_an_empty_file_means_defaults(tmp_path):
    """A file with comments only is valid."""
    assert load(write(tmp_path, "# nothing\n")) == Settings()


def test_secrets_come_from_files_and_errors_do_not_hold_them(tmp_path):
    """A secret is the trimmed content of its file; an absent or empty one is a ConfigError."""
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    assert read_secret(str(secret), "signing secret") == "s3cret"
    secret.write_text(" \n")
    with pytest.raises(ConfigError, match=r"signing secret in .* is empty"):
        read_secret(str(secret), "signing secret")
    with pytest.raises(ConfigError, match="cannot read signing secret"):
        read_secret(str(tmp_path / "absent"), "signing secret")


def test_the_dsn_comes_from_its_file_if_one_is_named(tmp_path):
    """`dsnFile` beats `dsn`, so that a DSN with a password never stands in the settings."""
    path = tmp_path / "dsn"
    path.write_text("postgresql://driftd:pw@db/driftd\n")
    assert store_dsn(Settings().store) == "sqlite:///driftd.db"
    assert store_dsn(Store(dsn_file=str(path))) == "postgresql://driftd:pw@db/driftd"
