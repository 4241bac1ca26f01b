"""`driftd check` from flags to formats."""

import json
import os
import re
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest
import yaml

from driftd.cli import calls, reference
from driftd.model.condition import Severity
from driftd.model.report import DiffReport, DriftReport, ReportCondition


def test_flags_become_options(driftd, look, tmp_path):
    """Every flag of the look arrives in the controller's options."""
    (tmp_path / "charts").mkdir()
    (tmp_path / "access.yaml").touch()
    driftd(
        "check",
        "app1",
        "--app",
        "infra-*",
        "--app",
        "app1",
        "--repo",
        str(tmp_path),
        "--repo",
        f"https://git.example.com/charts?a=b={tmp_path / 'charts'}",
        "--cluster",
        "https://staging.example.com=stage",
        "--cluster",
        "dev=kind-dev",
        "--hub",
        "hub",
        "--argocd-namespace",
        "gitops",
        "-n",
        "team-a",
        "--revision",
        "v1",
        "--fetch",
        "--access-file",
        str(tmp_path / "access.yaml"),
        "--keyring",
        "keys",
        "--kubeconfig",
        "k.yaml",
        "--context",
        "ctx",
        "--timeout",
        "1m30s",
        "--concurrency",
        "3",
    )
    assert look.options == {
        "repo": tmp_path,
        "repo_map": {"https://git.example.com/charts?a=b": tmp_path / "charts"},
        "revision": "v1",
        "worktree": False,
        "fetch": True,
        "access_file": tmp_path / "access.yaml",
        "keyring": Path("keys"),
        "kubeconfig": Path("k.yaml"),
        "context": "ctx",
        "cluster_map": {"https://staging.example.com": "stage", "dev": "kind-dev"},
        "hub": "hub",
        "argocd_namespace": "gitops",
        "namespace": "team-a",
        "applications": ("app1", "infra-*"),
        "timeout": 90.0,
        "concurrency": 3,
        "pending_deadline": 3600.0,
    }


def test_environment_sets_flags(driftd, look, tmp_path):
    """`DRIFTD_*` stands in for flags, with spaces between several values; the flag wins."""
    env = {
        "DRIFTD_CLUSTER": "a=one b=two",
        "DRIFTD_HUB": "hub",
        "DRIFTD_TIMEOUT": "5s",
        "DRIFTD_REPO": str(tmp_path),
        "DRIFTD_WORKTREE": "true",
    }
    driftd("check", "--timeout", "7", env=env)
    assert look.options["cluster_map"] == {"a": "one", "b": "two"}
    assert look.options["hub"] == "hub"
    assert look.options["timeout"] == 7.0
    assert look.options["repo"] == tmp_path
    assert look.options["worktree"] is True


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--repo", "/nowhere/at/all"), "is not a folder"),
        (("--repo", ".", "--repo", "."), "second checkout"),
        (("--cluster", "prod"), "SERVER=CONTEXT"),
        (("--cluster", "prod="), "SERVER=CONTEXT"),
        (("--timeout", "soon"), "not a duration"),
        (("--timeout", "0"), "not a duration"),
        (("--show", "everything"), "choose from"),
        (("--concurrency", "0"), "--concurrency"),
        (("--worktree", "--revision", "v1"), "--worktree reads the files on disk and --revision"),
    ],
)
def test_bad_flags(driftd, look, arguments, complaint):
    """A flag that cannot be understood exits 2 before anything is read."""
    look.options = None
    result = driftd("check", *arguments)
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert look.options is None


def test_table_is_the_default(driftd, look, golden):
    """Without `-o` the report is the table, at the width of COLUMNS."""
    result = driftd("check", "-q", env={"COLUMNS": "80"})
    golden.check("bad-night-80.txt", result.stdout)
    assert result.stderr == ""


def test_json_round_trip(driftd, look):
    """`-o json` is the report and nothing else: it decodes to the same value."""
    result = driftd("check", "-o", "json")
    assert msgspec.json.decode(result.stdout, type=DriftReport) == look.report
    assert '"desired": null' not in result.stdout


def test_yaml_is_the_same_document(driftd, look):
    """`-o yaml` holds what `-o json` holds."""
    as_yaml = yaml.safe_load(driftd("check", "-o", "yaml").stdout)
    assert as_yaml == json.loads(driftd("check", "-o", "json").stdout)


def test_names(driftd, look, golden):
    """`-o name` prints one line for each object that is not fine, its status first."""
    golden.check("bad-night-names.txt", driftd("check", "-o", "name").stdout)


def test_names_of_an_application_without_objects(driftd, look, sample):
    """An application that could not be rendered is named alone."""
    unknown = msgspec.structs.replace(sample.unreachable(), resources=())
    look.report = sample.report_of(unknown)
    assert driftd("check", "-o", "name").stdout == "Unknown staging-apps\n"


def test_names_are_explained_on_standard_error(driftd, look, sample, golden):
    """With `-o name` standard error says each condition and why objects are Unknown, `-q` too."""
    golden.check("bad-night-names-stderr.txt", driftd("check", "-o", "name", "-q").stderr)


def test_dead_cluster_is_told_once(driftd, look, sample):
    """Applications that are Unknown for one reason share one line of standard error."""
    dead = sample.unreachable()
    look.report = sample.report_of(
        *(msgspec.structs.replace(dead, name=name, resources=()) for name in ("a", "b", "c", "d"))
    )
    result = driftd("check", "-o", "name", "-q")
    assert result.stdout == "Unknown a\nUnknown b\nUnknown c\nUnknown d\n"
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: 4 applications: a, b, c and 1 more: ")
    assert dead.conditions[0].message in line


@pytest.mark.parametrize("output", ["table", "wide", "json", "yaml", "name"])
def test_exit_codes(driftd, look, sample, output):
    """The exit code follows the report in every format."""
    drifted = msgspec.structs.replace(sample.production(), complete=True)
    for application, code, quiet_code in (
        (sample.synced("app"), 0, 0),
        (drifted, 1, 0),
        (sample.production(), 2, 2),
        (sample.unreachable(), 2, 2),
    ):
        look.report = sample.report_of(application)
        assert driftd("check", "-o", output).exit_code == code
        assert driftd("check", "-o", output, "--no-exit-code").exit_code == quiet_code


def test_last_line_is_the_exit_code(driftd, look, sample):
    """The table's last line says what the exit code means, `--no-exit-code` included."""
    look.report = sample.report_of(msgspec.structs.replace(sample.production(), complete=True))
    assert driftd("check").stdout.splitlines()[-1] == "exit 1: drift found"
    result = driftd("check", "--no-exit-code")
    assert result.stdout.splitlines()[-1] == "exit 0: drift found (--no-exit-code)"


def test_notes_go_to_standard_error(driftd, look):
    """Mappings and deployers are notes on standard error, once each; `-q` silences them."""
    look.says = (
        "note: destination https://prod.k8s.example.com:6443 → context production",
        "note: destination https://prod.k8s.example.com:6443 → context production",
        "reading cluster production",
    )
    result = driftd("check", "-o", "json")
    json.loads(result.stdout)
    assert result.stderr.splitlines() == [
        "note: destination https://prod.k8s.example.com:6443 → context production",
        (
            "note: deployers argocd-controller, kubectl-client-side-apply count as Git's hand: "
            "production-apps (kubectl-client-side-apply by name, and may be a person: driftd help "
            "inference)"
        ),
        (
            "note: deployers argocd-controller count as Git's hand: "
            "development-apps, development-infrastructure"
        ),
    ]
    assert "reading cluster production\n" in driftd("check", "-v").stderr
    assert driftd("check", "-q").stderr == ""


def test_what_a_deployer_wrote_may_be_a_commit_that_waits(driftd, look, sample):
    """Drift by Git's own hand is noted once, and not where the hub or a past look tells it."""
    change = sample.change("/data/a", desired="x", live="y", manager="argocd-controller")
    app = msgspec.structs.replace(
        sample.production(), resources=(sample.resource("ConfigMap", "a", change),)
    )
    look.report = sample.report_of(app)
    note = "1 finding is as argocd-controller wrote it"
    stderr = driftd("check").stderr
    assert note in stderr
    assert "where Argo CD of that cluster deploys this repository" in stderr
    assert note not in driftd("check", "--hub", "hub").stderr
    change = msgspec.structs.replace(change, manager="helm-controller")
    app = msgspec.structs.replace(
        app,
        deployers=("helm-controller",),
        resources=(sample.resource("ConfigMap", "a", change),),
    )
    look.report = sample.report_of(app)
    assert "where Flux of that cluster deploys this repository" in driftd("check").stderr


def test_what_kubectl_wrote_beside_argo_cd_is_no_commit(driftd, look, sample):
    """A person's apply is not taken for a commit that waits where an engine deploys."""
    change = sample.change("/data/a", desired="x", live="y", manager="kubectl")
    app = msgspec.structs.replace(
        sample.production(),
        deployers=("argocd-controller", "kubectl"),
        resources=(sample.resource("ConfigMap", "a", change),),
    )
    look.report = sample.report_of(app)
    assert "not synced yet" not in driftd("check").stderr
    look.report = sample.report_of(msgspec.structs.replace(app, deployers=("kubectl",)))
    assert "1 finding is as kubectl wrote it" in driftd("check").stderr


def test_show_takes_lists(driftd, look):
    """`--show review,ignored` prints these two sections and no other."""
    shown = driftd("check", "--show", "review,ignored").stdout
    assert "restartedAt" in shown
    assert "ignored by spec.ignoreDifferences[0]" in shown
    assert "istio-proxy" not in shown
    assert "istio-proxy" in driftd("check", "--show", "all").stdout


def test_schema_files_from_the_environment(driftd, monkeypatch, tmp_path):
    """`DRIFTD_SCHEMA` takes several files, separated as PATH is."""
    files = [tmp_path / name for name in ("desired.yaml", "live.yaml", "a.json", "b c.json")]
    for path in files:
        path.write_text("{}")
    seen = {}

    def compare(**arguments):
        seen.update(arguments)
        return DiffReport(complete=True, resources=())

    monkeypatch.setattr(calls, "diff", compare)
    result = driftd(
        "diff",
        "--desired",
        str(files[0]),
        "--live",
        str(files[1]),
        env={"DRIFTD_SCHEMA": os.pathsep.join(map(str, files[2:])), "DRIFTD_MODE": "strict"},
    )
    assert result.exit_code == 0, result.stderr
    assert seen["schemas"] == tuple(files[2:])
    assert seen["mode"] == "strict"
    assert result.stdout == "No objects\n\nexit 0: nothing was compared\n"


def test_names_have_one_form(driftd, look):
    """Each line of `-o name` is a status and what kubectl would call `KIND.GROUP/NAME`."""
    form = re.compile(
        r"(OutOfSync|Missing|Extra|Unknown) [a-z0-9.-]+"
        r"(/[a-z]+(\.[a-z0-9.-]+)?/([a-z0-9-]+/)?[A-Za-z0-9.:-]+)?"
    )
    lines = driftd("check", "-o", "name").stdout.splitlines()
    assert lines
    assert [line for line in lines if not form.fullmatch(line)] == []
    assert [line for line in lines if line.startswith("Missing ")] == [
        "Missing production-apps/service/production-app1/production-app1"
    ]


def test_yaml_keeps_the_schema(driftd, look):
    """`-o yaml`, parsed by a YAML reader, is valid by the published JSON Schema."""
    validator = jsonschema_rs.validator_for(reference.schema_of(DriftReport))
    validator.validate(yaml.safe_load(driftd("check", "-o", "yaml").stdout))


def test_show_all_lists_synced_applications(driftd, look, sample):
    """Names of a fleet's Synced applications are printed with `--show all` alone."""
    look.report = sample.report_of(*(sample.synced(f"app-{n}", 1) for n in range(40)))
    assert "app-39" not in driftd("check").stdout
    assert "app-39" in driftd("check", "--show", "all").stdout


def test_diff_reads_standard_input(driftd, monkeypatch, tmp_path):
    """`-` is standard input for one side; for both it is wrong usage."""
    seen = {}

    def compare(**arguments):
        seen.update(arguments)
        return DiffReport(complete=True, resources=())

    monkeypatch.setattr(calls, "diff", compare)
    manifests = tmp_path / "a.yaml"
    manifests.write_text("{}")
    assert driftd("diff", "--desired", "-", "--live", str(manifests)).exit_code == 0
    assert (seen["desired"], seen["live"]) == (Path("/dev/stdin"), manifests)
    both = driftd("diff", "--desired", "-", "--live", "-")
    assert both.exit_code == 2
    assert "only one of --desired and --live" in both.stderr


@pytest.mark.parametrize("level", [Severity.WARNING, Severity.INFO])
def test_names_tell_warnings_as_warnings(driftd, look, sample, level):
    """Beside something Unknown, a condition that hides nothing is still no error."""
    told = ReportCondition(type="Told", message="two sets make it", severity=level)
    look.report = sample.report_of(sample.unreachable(), conditions=(told,))
    look.report = msgspec.structs.replace(look.report, complete=False)
    stderr = driftd("check", "-o", "name").stderr
    assert f"{level}: Told: two sets make it" in stderr
    assert "error: Told" not in stderr


def test_audit_logs(driftd, look, tmp_path):
    """`--audit-log` takes a file, with the cluster that it is of, or several by environment."""
    from driftd.controller.options import AuditSource

    plain, odd = tmp_path / "audit.log", tmp_path / "a=b.log"
    for file in (plain, odd):
        file.write_text("")
    driftd("check", f"--audit-log=production={plain}", f"--audit-log={odd}", "--audit-window=24h")
    assert look.options["audit_logs"] == (AuditSource(plain, "production"), AuditSource(odd))
    assert look.options["audit_window"] == 86_400
    driftd("check", env={"DRIFTD_AUDIT_LOG": f"one={plain} two={plain}"})
    assert [one.cluster for one in look.options["audit_logs"]] == ["one", "two"]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("absent.log", "'absent.log' is not a file"),
        ("production=absent.log", "'absent.log' is not a file"),
        ("=absent.log", "'=absent.log' is not FILE or CLUSTER=FILE"),
    ],
)
def test_audit_logs_that_are_not_there(driftd, look, value, told):
    """A log that does not exist is a usage error that names it, before anything is read."""
    done = driftd("check", f"--audit-log={value}")
    assert done.exit_code == 2
    assert told in done.stderr
    assert look.options is None


def test_previews_have_no_authors(driftd, tmp_path):
    """A preview shows no drift, so an audit log beside it is a usage error."""
    file = tmp_path / "audit.log"
    file.write_text("")
    done = driftd("check", "--preview", f"--audit-log={file}")
    assert done.exit_code == 2
    assert "--audit-log is about drift" in done.stderr
