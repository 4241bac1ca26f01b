"""What a daemon does only with the operator's word, field by field (S-76)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from driftd.cluster.access import ClusterAccess
from driftd.cluster.clustersecret import HubCluster
from driftd.cluster.destinations import ClusterTarget, TargetKind
from driftd.cluster.kubeconfig import Kubeconfig, load_kubeconfig
from driftd.cluster.permitted import is_link_local, require_permitted, unverified
from driftd.cluster.registry import ClusterRegistry
from driftd.errors import ConfigError, Unauthorized
from driftd.settings.types import ClusterPermissions

HTTPS = "https://one.example.com"
PLUGIN = {"command": "aws", "args": ["eks"], "apiVersion": "client.authentication.k8s.io/v1"}


def access(server: str = HTTPS, **fields: Any) -> ClusterAccess:
    """A description with fields of the user, or of the cluster (`cluster__` before them)."""
    cluster, user = {"server": server}, {}
    for name, value in fields.items():
        of_cluster = name.startswith("cluster__")
        entry = cluster if of_cluster else user
        entry[name.removeprefix("cluster__").replace("_", "-")] = value
    if "tokenfile" in user:
        user["tokenFile"] = user.pop("tokenfile")
    origin = "kubeconfig (/etc/driftd/kubeconfig), user 'u'"
    return ClusterAccess(name="one", server=server, cluster=cluster, user=user, origin=origin)


@pytest.mark.parametrize(
    ("asked", "setting", "allow"),
    [
        (access(exec=PLUGIN), "exec", {"exec": True}),
        (access(client_certificate="/etc/shadow"), "folders", {"folders": ("/etc",)}),
        (access(client_key="/etc/shadow"), "folders", {"folders": ("/etc",)}),
        (access(tokenfile="/run/token"), "folders", {"folders": ("/run",)}),
        (access(cluster__certificate_authority="/x/ca.crt"), "folders", {"folders": ("/x",)}),
        (access(tokenfile="/etc/driftd/../passwd"), "folders", {"folders": ("/etc",)}),
        (access(cluster__proxy_url="http://proxy:3128"), "proxies", {"proxies": True}),
        (access(cluster__insecure_skip_tls_verify=True), "insecure", {"insecure": True}),
        (access("http://one.example.com"), "insecure", {"insecure": True}),
        (access("https://169.254.169.254"), "linkLocal", {"link_local": True}),
        (access("https://[fe80::1]:6443"), "linkLocal", {"link_local": True}),
        (access("https://[::ffff:169.254.169.254]"), "linkLocal", {"link_local": True}),
    ],
)
def test_each_field_needs_its_setting(
    asked: ClusterAccess, setting: str, allow: dict[str, Any]
) -> None:
    """It is refused, naming file, user and setting; with that setting alone it is permitted."""
    folder = [Path("/etc/driftd")]
    with pytest.raises(ConfigError) as caught:
        require_permitted(asked, ClusterPermissions(), folder, own=True)
    assert f"clusters.allow.{setting} in the settings" in caught.value.message
    assert "kubeconfig (/etc/driftd/kubeconfig), user 'u'" in caught.value.message
    require_permitted(asked, ClusterPermissions(**allow), folder, own=True)


@pytest.mark.parametrize(
    "asked",
    [access(auth_provider={"name": "gcp"}), access("ftp://one.example.com"), access("unix:///x")],
)
def test_some_things_no_setting_permits(asked: ClusterAccess) -> None:
    """Removed authentication and other kinds of addresses are refused whatever is permitted."""
    everything = ClusterPermissions(
        exec=True, insecure=True, proxies=True, link_local=True, folders=("/",)
    )
    with pytest.raises(ConfigError, match="is not permitted"):
        require_permitted(asked, everything, [], own=True)


def test_what_is_usual_needs_no_word(tmp_path: Path) -> None:
    """Tokens, inline certificates, files beside the kubeconfig, also behind the links of a Pod."""
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "token").write_text("t")
    (tmp_path / "token").symlink_to("..data/token")
    for asked in (
        access(token="t"),
        access(client_certificate_data="Q0E=", client_key_data="Q0E="),
        access(tokenfile=str(tmp_path / "token")),
        access("https://127.0.0.1:6443", token="t"),
    ):
        require_permitted(asked, ClusterPermissions(), [tmp_path], own=True)


def test_without_tls_on_this_machine() -> None:
    """A proxy of kubectl beside the daemon is usual in its own kubeconfig, not in a Secret."""
    asked = access("http://127.0.0.1:8001")
    require_permitted(asked, ClusterPermissions(), [], own=True)
    with pytest.raises(ConfigError, match="server http:// is not permitted"):
        require_permitted(asked, ClusterPermissions(), [], own=False)


def test_a_link_out_of_the_folder_is_followed(tmp_path: Path) -> None:
    """A file beside the kubeconfig that is a link elsewhere lies elsewhere."""
    (tmp_path / "token").symlink_to("/etc/passwd")
    with pytest.raises(ConfigError, match="which does not lie beside the kubeconfig"):
        require_permitted(
            access(tokenfile=str(tmp_path / "token")), ClusterPermissions(), [tmp_path], own=True
        )


def test_what_tls_does_not_prove_is_known() -> None:
    """Without TLS or without verification nobody knows who answers."""
    assert unverified(access()) == ""
    assert "without TLS" in unverified(access("http://one.example.com"))
    assert "not verified" in unverified(access(cluster__insecure_skip_tls_verify=True))
    assert not is_link_local("one.example.com")


async def test_no_plugin_is_run(tmp_path: Path) -> None:
    """A daemon's registry refuses at the first request what it was not told to run."""
    ran = tmp_path / "ran"
    plugin = {**PLUGIN, "command": "touch", "args": [str(ran)]}
    document = {
        "clusters": [{"name": "c", "cluster": {"server": HTTPS}}],
        "users": [{"name": "u", "user": {"exec": plugin}}],
        "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(document))
    target = ClusterTarget(TargetKind.CONTEXT, "a")
    async with ClusterRegistry(
        lambda: load_kubeconfig(str(path)), permitted=ClusterPermissions()
    ) as clusters:
        with pytest.raises(ConfigError, match=r"exec plugin 'touch' is not permitted"):
            clusters.open(target)
        assert clusters.unverified(target) == ""
    assert not ran.exists()


async def test_a_secret_that_asks_for_more_ends_its_cluster(server) -> None:
    """A cluster Secret that gives up TLS takes its cluster away, until it is as before."""
    known = HubCluster("prod", server.url, server.access, "argocd/prod")
    target = ClusterTarget(TargetKind.HUB_CLUSTER, "prod", server.url)
    async with ClusterRegistry(Kubeconfig, permitted=ClusterPermissions(insecure=True)) as clusters:
        await clusters.use_hub_clusters([known])
        cluster = clusters.open(target)
        worse = ClusterAccess(
            name="prod", server=server.url, cluster={"proxy-url": "http://p:1"}, origin="o"
        )
        await clusters.use_hub_clusters([HubCluster("prod", server.url, worse, "argocd/prod")])
        with pytest.raises(Unauthorized, match="proxy-url is not permitted"):
            await cluster.version()
    assert server.requests == []
