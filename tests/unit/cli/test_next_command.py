"""The command that a look with drift ends with."""

import shlex

import msgspec
import pytest

from driftd.cli.next_command import LEAD, UNKNOWN_LEAD, folded
from driftd.model import sensitive
from driftd.model.report import ResourceStatus


def told(output):
    """The words of the command, as a shell reads what was printed."""
    joined = output.replace("\\\n", " ")
    (line,) = [one for one in joined.splitlines() if one.startswith(LEAD)]
    return shlex.split(line.removeprefix(LEAD))


@pytest.fixture
def drifted(sample, look):
    """Let the look find one OutOfSync Deployment, changed as a test says."""

    def find(*others, name="app1", **fields):
        found = sample.resource(
            "Deployment", fields.pop("object", "web"), sample.change("/spec/replicas"),
            group="apps",
        )  # fmt: skip
        app = sample.production()
        app = msgspec.structs.replace(
            app, name=name, resources=(msgspec.structs.replace(found, **fields), *others)
        )
        look.report = sample.report_of(app)

    return find


def test_the_worst_finding_can_be_pasted(driftd, look):
    """The last lines are the command that explains the first finding, and what mends Unknowns."""
    for output in ("table", "wide", "plain"):
        lines = driftd("check", "-o", output).stdout.splitlines()
        assert lines[-1].lower().startswith("exit 2")
        assert lines[-3].lower() == (
            "what to do: driftd explain production-apps deployment/production-app1"
        )
        assert lines[-2].lower() == (
            "where unknown: production-apps: grant get, list, watch to the reader "
            "(2 other causes above)"
        )


def test_what_to_do_about_unknowns(driftd, drifted, sample):
    """Beside drift the remedy of the first cause is told; without Unknowns there is no line."""
    drifted()
    assert UNKNOWN_LEAD not in driftd("check").stdout
    lost = sample.resource("Deploymnet", "api", status=ResourceStatus.UNKNOWN)
    reason = "a.yaml:2: not served; did you mean Deployment (apps/v1)? Correct kind in Git"
    drifted(msgspec.structs.replace(lost, reason=reason))
    lines = driftd("check").stdout.splitlines()
    assert lines[-2] == (
        f"{UNKNOWN_LEAD}app1: did you mean Deployment (apps/v1)? Correct kind in Git"
    )
    dull = msgspec.structs.replace(lost, name="a", reason="the list of its kind is incomplete")
    drifted(dull, msgspec.structs.replace(lost, reason=reason))
    assert driftd("check").stdout.splitlines()[-2] == (
        f"{UNKNOWN_LEAD}app1: did you mean Deployment (apps/v1)? Correct kind in Git "
        "(1 other cause above)"
    )
    drifted(dull)
    assert driftd("check").stdout.splitlines()[-2] == (
        f"{UNKNOWN_LEAD}app1: driftd doctor says what is lacking"
    )


@pytest.mark.parametrize("output", ["table", "wide", "plain"])
def test_the_doctor_is_asked_with_the_flags_of_the_look(driftd, drifted, sample, tmp_path, output):
    """The command that says what is lacking sees the same clusters and repository."""
    lost = sample.resource("Deploymnet", "api", status=ResourceStatus.UNKNOWN)
    drifted(msgspec.structs.replace(lost, reason="the list of its kind is incomplete"))
    flags = ["--cluster", "https://a.example.com=one two", "--hub", "h", "--repo", str(tmp_path)]
    printed = driftd("check", *flags, "-o", output, "--no-exit-code").stdout
    told = " ".join(printed.split()).partition(": app1: ")[2].partition(" says what")[0]
    words = shlex.split(told)
    assert words[:2] == ["driftd", "doctor"]
    assert sorted(words[2:]) == sorted(flags)


@pytest.mark.parametrize("output", ["table", "wide", "plain"])
def test_what_to_do_where_all_is_unknown(driftd, look, sample, output):
    """Without drift the remedy is told too, and not with --quiet."""
    lost = sample.resource("Deploymnet", "api", status=ResourceStatus.UNKNOWN)
    lost = msgspec.structs.replace(lost, reason="it has no name; set metadata.name in Git")
    app = msgspec.structs.replace(sample.production(), resources=(lost,))
    look.report = sample.report_of(app)
    assert driftd("check", "-o", output).stdout.splitlines()[-2].lower() == (
        f"{UNKNOWN_LEAD.lower()}{app.name}: set metadata.name in git"
    )
    assert UNKNOWN_LEAD not in driftd("check", "-o", output, "--quiet").stdout.lower()


@pytest.mark.parametrize("output", ["json", "yaml", "name", "markdown", "junit", "sarif", "github"])
def test_programs_are_told_no_command(driftd, look, output):
    """Formats for programs and for other pages have no such line."""
    assert "driftd explain production-apps" not in driftd("check", "-o", output).stdout


def test_no_command_where_it_is_not_wanted(driftd, look, sample):
    """With --quiet, and without drift, there is nothing to go on with."""
    assert LEAD not in driftd("check", "--quiet").stdout
    app = msgspec.structs.replace(sample.production(), resources=(sample.resource("Service", "a"),))
    look.report = sample.report_of(app)
    assert LEAD not in driftd("check").stdout


def test_flags_that_decide_what_is_seen_are_repeated(driftd, drifted, tmp_path, monkeypatch):
    """Connections, baselines and masks come along; formats and the environment do not."""
    monkeypatch.setattr(sensitive, "_in_force", sensitive.in_force())  # restored afterwards
    monkeypatch.setenv("DRIFTD_HUB", "hub")
    drifted()
    flags = [
        "--cluster", "https://a.example.com=one two", "--cluster", "b=two", "--timeout", "1m30s",
        "--kubeconfig", "k 1.yaml", "--baseline", "ok.yaml", "--worktree",
        "--sensitive", "ConfigMap:data.a", "--repo", str(tmp_path),
    ]  # fmt: skip
    words = told(driftd("check", *flags, "--show", "all", "--no-color", "--no-exit-code").stdout)
    assert (words[:2], words[-2:]) == (["driftd", "explain"], ["app1", "deployment/web"])
    given = words[2:-2]
    assert "90s" in given
    assert sorted(given) == sorted("90s" if word == "1m30s" else word for word in flags)
    assert given[given.index("--kubeconfig") + 1] == "k 1.yaml"


def test_names_are_as_long_as_they_must_be(driftd, drifted, sample):
    """Namespace and group stand only where another object of the application has the name."""
    drifted(sample.resource("Deployment", "web", group="apps", namespace="other"))
    assert told(driftd("check").stdout)[-1] == "deployment/production-app1/web"
    drifted(sample.resource("Deployment", "web", group="example.com"))
    assert told(driftd("check").stdout)[-1] == "deployment.apps/web"
    drifted(namespace="", status=ResourceStatus.MISSING, changes=())
    assert told(driftd("check").stdout)[-1] == "deployment/web"


def test_applications_are_named_as_they_were_asked_for(driftd, drifted):
    """Who had to name the namespace of an application is told it again."""
    drifted()
    assert told(driftd("check", "*/app1").stdout)[-2] == "argocd/app1"
    assert told(driftd("check", "app1").stdout)[-2] == "app1"


def test_hostile_names_stay_words(driftd, drifted):
    """What Git calls things is neither run by the shell nor taken for a flag."""
    drifted(name="--output=x; $(reboot)", object="a b'`id`\x1b[2J")
    words = told(driftd("check").stdout)
    assert words[2:4] == ["--", "--output=x; $(reboot)"]
    assert words[4] == r"deployment/a b'`id`\x1b[2J"


def test_long_commands_are_folded_for_the_shell(driftd, drifted, monkeypatch):
    """No line is wider than the terminal, and a shell reads the lines as one command."""
    drifted()
    monkeypatch.setenv("COLUMNS", "50")
    flags = ("--kubeconfig", "clusters/production.yaml", "--context", "production")
    output = driftd("check", *flags).stdout
    assert told(output) == ["driftd", "explain", *flags, "app1", "deployment/web"]
    assert max(map(len, output.splitlines())) <= 50
    assert list(folded(("driftd", "x" * 60), 50)) == [f"{LEAD}driftd \\", f"    {'x' * 60}"]
