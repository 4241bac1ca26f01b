"""Which settings can change while the daemon runs."""

from __future__ import annotations

from msgspec.structs import replace

from driftd.settings.githooks import GitWebhooks
from driftd.settings.notifications import Slack
from driftd.settings.quantity import Duration
from driftd.settings.reload import AT_START, change
from driftd.settings.shape import keys
from driftd.settings.types import AuditPoster, AuditWebhook, Server, Settings, Store, Sweep

OLD = Settings(store=Store(dsn="sqlite:///a.db"), server=Server(listen="127.0.0.1:1"))


def test_what_can_be_is_in_force_and_the_rest_is_named():
    """Store and address stay as they were; everything else is the new settings'."""
    new = Settings(
        store=Store(dsn="sqlite:///b.db", retention=Duration("1d")),
        server=Server(listen="127.0.0.1:2"),
        sweep=Sweep(workers=9),
        notifications=replace(OLD.notifications, slack=(Slack(url_file="x"),)),
    )
    found = change(OLD, new)
    assert found.applied == ("sweep.workers", "store.retention", "notifications.slack")
    assert found.at_start == ("store.dsn", "server.listen")
    assert found.settings.store == Store(dsn="sqlite:///a.db", retention=Duration("1d"))
    assert found.settings.server == OLD.server
    assert found.settings.sweep.workers == 9


def test_the_audit_endpoint_stays_as_it_is():
    """What listens, and who may post, holds for the process."""
    hook = AuditWebhook(listen="127.0.0.1:8443", clusters=(AuditPoster(cluster="one"),))
    found = change(OLD, replace(OLD, audit_webhook=hook))
    assert (found.applied, found.settings) == ((), OLD)
    assert found.at_start == ("auditWebhook.listen", "auditWebhook.clusters")


def test_the_git_webhooks_stay_as_they_are():
    """Which providers may post, and how often a repository is asked, holds for the process."""
    hooks = GitWebhooks(github_secret_file="s", window=Duration("1m"))
    found = change(OLD, replace(OLD, git_webhooks=hooks))
    assert (found.applied, found.settings) == ((), OLD)
    assert found.at_start == ("gitWebhooks.githubSecretFile", "gitWebhooks.window")


def test_the_same_settings_change_nothing():
    """However they are written: 60s is 1m to a reader, but another text all the same."""
    assert change(OLD, OLD) == (OLD, (), ())


def test_only_settings_that_exist_wait_for_a_start():
    """The list cannot go stale silently."""
    assert set(AT_START) <= {key for key, _ in keys()}
