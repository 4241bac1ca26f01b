"""Who made a change, told within seconds from what a real API server posts."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.daemon import Daemon, free_port
from tests.e2e.receivers import SECRET, Receivers, receivers
from tests.e2e.site import CONTEXT, URL, application, config_map
from tests.testbed.cluster import ControlPlane
from tests.testbed.gitrepo import GitRepo
from tests.testbed.kubeconfig import write_kubeconfig

pytestmark = pytest.mark.cluster
NAMESPACE = "shop"
TOKEN = "a-token-of-thirty-two-characters"


@dataclass(frozen=True, slots=True)
class Posting:
    """A daemon whose cluster posts its audit events to it."""

    cluster: ControlPlane
    daemon: Daemon
    got: Receivers
    port: int
    folder: Path

    def post(self, body: bytes, **headers: str) -> tuple[int, str]:
        """Post something to the endpoint, as somebody else than the API server."""
        context = ssl.create_default_context(cafile=str(self.folder / "tls.crt"))
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context)
        try:
            connection.request("POST", f"/audit/{CONTEXT}", body, headers)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def patch(self, name: str, user: str, agent: str, body: dict[str, Any]) -> None:
        """Write to a ConfigMap as somebody."""
        self.cluster.call(
            "PATCH",
            f"/api/v1/namespaces/{NAMESPACE}/configmaps/{name}?fieldManager={agent}",
            body,
            user=user,
            user_agent=f"{agent}/v1.36.0",
            content_type="application/merge-patch+json",
        )


def _certificate(folder: Path) -> None:
    """A certificate of 127.0.0.1 that signs itself."""
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", "/CN=driftd", "-addext",
            "subjectAltName=IP:127.0.0.1", "-keyout", "tls.key", "-out", "tls.crt",
        ],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip


def _webhook(folder: Path, port: int) -> tuple[str, ...]:
    """The flags of an API server that posts to a port, as docs/how-to/audit-log.md has them."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "driftd",
                "cluster": {
                    "server": f"https://127.0.0.1:{port}/audit/{CONTEXT}",
                    "certificate-authority": str(folder / "tls.crt"),
                },
            }
        ],
        "users": [{"name": "api-server", "user": {"token": TOKEN}}],
        "contexts": [{"name": "driftd", "context": {"cluster": "driftd", "user": "api-server"}}],
        "current-context": "driftd",
    }
    (folder / "webhook.yaml").write_text(yaml.safe_dump(config))
    return (
        f"--audit-webhook-config-file={folder / 'webhook.yaml'}",
        "--audit-webhook-batch-max-wait=1s",
        "--audit-webhook-initial-backoff=1s",
    )


@pytest.fixture(scope="module")
def posting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Posting]:
    """A fresh API server that posts, and a daemon that watches it."""
    folder = tmp_path_factory.mktemp("posting")
    _certificate(folder)
    port = free_port()
    with ControlPlane("posting", audit="Metadata", flags=_webhook(folder, port)) as cluster:
        cluster.create_namespace(NAMESPACE)
        repo = GitRepo(folder / "repository")
        repo.set_remote(URL)
        repo.write("argocd/shop.yaml", application("shop", NAMESPACE))
        for name in ("web", "gone"):
            repo.write(f"apps/shop/{name}.yaml", config_map(name, colour="blue", size="small"))
            cluster.kubectl(
                "apply", "--server-side", "--field-manager=argocd-controller",
                "-n", NAMESPACE, "-f", "-",
                input=config_map(name, colour="blue", size="small"), user="control",
            )  # fmt: skip
        repo.commit("Declare the shop")
        config = write_kubeconfig(
            folder / "kubeconfig", [cluster.access("detector", context=CONTEXT)]
        )
        (folder / "home").mkdir()
        (folder / "secret").write_text(SECRET)
        (folder / "token").write_text(f"another\n{TOKEN}\n")
        settings: dict[str, Any] = {
            "repositories": [{"path": str(repo.path)}],
            "clusters": {
                "kubeconfig": str(config),
                "destinations": {"https://kubernetes.default.svc": CONTEXT},
            },
            "store": {"dsn": f"sqlite:///{folder / 'driftd.db'}"},
            "auditWebhook": {
                "listen": f"127.0.0.1:{port}",
                "certificateFile": str(folder / "tls.crt"),
                "keyFile": str(folder / "tls.key"),
                "maxBody": "1Mi",
                "maxRate": 50,
                "clusters": [{"cluster": CONTEXT, "tokenFile": str(folder / "token")}],
                "wait": "30s",
            },
        }
        with receivers() as got:
            webhook = {"url": f"{got.url}/hook", "secretFile": str(folder / "secret")}
            settings["notifications"] = {
                "allowNetworks": ["127.0.0.0/8"],
                "storm": {"messages": 1000},
                "webhooks": [webhook],
            }
            with Daemon(folder, settings, folder / "home") as daemon:
                daemon.wait_ready()
                taken = f'driftd_audit_posts_total{{cluster="{CONTEXT}",result="taken"}}'
                daemon.wait(lambda: daemon.metric(taken) > 0, "the first post")
                yield Posting(cluster, daemon, got, port, folder)


def _told(posting: Posting, name: str) -> list[dict[str, Any]]:
    """What the messages say of an object."""
    return [
        drift for one in posting.got.of("shop") for drift in one["drifts"] if drift["name"] == name
    ]


def test_an_edit_is_told_with_its_author(posting: Posting) -> None:
    """The first message of a drift names the person and the client, within seconds."""
    started = time.monotonic()
    posting.patch("web", "alice", "kubectl-edit", {"data": {"colour": "red"}})
    posting.daemon.wait(lambda: _told(posting, "web"), "the message")
    seconds = time.monotonic() - started
    drift = _told(posting, "web")[0]
    assert (drift["path"], drift["user"], drift["userAgent"]) == (
        "/data/colour",
        "alice",
        "kubectl-edit/v1.36.0",
    )
    print(f"told with its author after {seconds:.1f} s")  # noqa: T201
    assert seconds < 25  # before its time is over; within three on a quiet machine
    (episode,) = [one for one in posting.daemon.episodes("shop") if one["name"] == "web"]
    assert episode["change"]["confidence"] == "audit"
    assert "held" not in episode


def test_a_deletion_is_told_with_its_author(posting: Posting) -> None:
    """Whoever deleted an object left nothing in the cluster but the event."""
    path = f"/api/v1/namespaces/{NAMESPACE}/configmaps/gone"
    posting.cluster.call("DELETE", path, user="bob", user_agent="k9s/v0.50")

    def named() -> bool:
        found = [one for one in posting.daemon.episodes("shop") if one["name"] == "gone"]
        return bool(found) and found[0].get("attribution", {}).get("user") == "bob"

    posting.daemon.wait(named, "the author of the deletion")
    assert [one["change"] for one in _told(posting, "gone")][:1] == ["Missing"]


@pytest.mark.parametrize(
    ("body", "headers", "status", "text"),
    [
        (b"{}", {}, 401, "must show a token"),
        (b"{}", {"Authorization": "Bearer wrong"}, 401, "must show a token"),
        (b"{}", {"Authorization": f"Bearer {TOKEN}"}, 400, "must be an EventList"),
        (b"[", {"Authorization": f"Bearer {TOKEN}"}, 400, "is no EventList"),
        (b"x" * (2 << 20), {"Authorization": f"Bearer {TOKEN}"}, 413, "longer than 1Mi"),
        (
            b"no gzip",
            {"Authorization": f"Bearer {TOKEN}", "Content-Encoding": "gzip"},
            400,
            "no gzip",
        ),
    ],
)
def test_who_else_posts_is_refused(
    posting: Posting, body: bytes, headers: dict[str, str], status: int, text: str
) -> None:
    """A stranger, and what is no batch, gets an answer in words; the daemon goes on."""
    code, said = posting.post(body, **headers)
    assert (code, text in said) == (status, True), said
    assert posting.daemon.get("/healthz")[0] == 200


def test_a_post_that_is_repeated_changes_nothing(posting: Posting) -> None:
    """A batch of an old event, posted twice with a broken one beside it, counts once."""
    event = {
        "level": "Metadata",
        "auditID": "repeated",
        "stage": "ResponseComplete",
        "requestURI": f"/api/v1/namespaces/{NAMESPACE}/configmaps/other",
        "verb": "patch",
        "user": {"username": "carol"},
        "objectRef": {
            "resource": "configmaps",
            "namespace": NAMESPACE,
            "name": "other",
            "apiVersion": "v1",
        },
        "responseStatus": {"code": 200},
        "requestReceivedTimestamp": datetime.now().astimezone().isoformat(),
        "stageTimestamp": datetime.now().astimezone().isoformat(),
    }
    body = json.dumps(
        {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [{"verb": 1}, event]}
    ).encode()
    said = [posting.post(body, Authorization=f"Bearer {TOKEN}") for _ in range(2)]
    assert said == [(200, "1 taken\n"), (200, "0 taken\n")]


# Read here: tests run with an environment of their own later on.
FLOOD = int(os.environ.get("AUDIT_FLOOD", "1000"))
CEILING = 64 << 20
"""Bytes by which a flood may make the daemon grow; `maxMemory` alone is 32 MiB."""


def _flood(posting: Posting, numbers: range) -> Counter[int]:
    """Post batches of twenty writes over one connection, as fast as they are answered."""
    context = ssl.create_default_context(cafile=str(posting.folder / "tls.crt"))
    connection = http.client.HTTPSConnection("127.0.0.1", posting.port, context=context)
    statuses: Counter[int] = Counter()
    now = datetime.now().astimezone().isoformat()
    items = [
        {
            "auditID": f"NUMBER-{item}",
            "stage": "ResponseComplete",
            "verb": "patch",
            "user": {"username": "carol"},
            "objectRef": {"resource": "configmaps", "namespace": NAMESPACE, "name": "o-NUMBER"},
            "requestObject": {"data": {"key": "x" * 1000}},
            "responseStatus": {"code": 200},
            "requestReceivedTimestamp": now,
            "stageTimestamp": now,
        }
        for item in range(20)
    ]
    batch = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": items}
    body = json.dumps(batch)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for number in numbers:
        told = body.replace("NUMBER", f"{number:06}")
        connection.request("POST", f"/audit/{CONTEXT}", told, headers)
        response = connection.getresponse()
        response.read()
        statuses[response.status] += 1
    connection.close()
    return statuses


def test_a_flood_of_posts_is_bounded(posting: Posting) -> None:
    """F-41: beyond the rate posts are asked to come again, memory stays, and drift is told still.

    `AUDIT_FLOOD=10000` posts as many as the fault says.
    """
    before = posting.daemon.rss()
    started = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        parts = [range(first, FLOOD, 4) for first in range(4)]
        statuses = sum(pool.map(partial(_flood, posting), parts), Counter[int]())
    seconds = time.monotonic() - started
    grown = posting.daemon.rss() - before
    kept = posting.daemon.metric(f'driftd_audit_writes_kept{{cluster="{CONTEXT}"}}')
    print(  # noqa: T201
        f"{FLOOD} posts in {seconds:.1f} s: {statuses[200]} taken, {statuses[429]} asked to come "
        f"again, {kept:.0f} writes kept, grown by {grown / (1 << 20):.1f} MiB"
    )
    assert statuses[200] + statuses[429] == FLOOD
    assert statuses[429] > 0
    assert 0 < kept <= 20_000
    assert grown < CEILING
    posting.patch("web", "alice", "kubectl-edit", {"data": {"size": "huge"}})
    posting.daemon.wait(
        lambda: any(one.get("path") == "/data/size" for one in _told(posting, "web")),
        "an edit after the flood",
    )
