"""`-o github`, read as the runner of GitHub Actions reads workflow commands."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.cli.github import command, github
from driftd.cli.terminal import printable
from driftd.model.condition import Severity
from driftd.model.report import DiffReport, ReportCondition, ResourceStatus
from tests.unit.cli import sample as samples

KNOWN = {"file", "line", "title"}
DATA = {"%0D": "\r", "%0A": "\n", "%25": "%"}
PROPERTY = {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ",", "%25": "%"}


def unescaped(text, rules):
    """The text behind the escapes; the percent sign comes last."""
    for escape, char in rules.items():
        text = text.replace(escape, char)
    return text


def parsed(line):
    """Name, properties and message of a line, or None where it is no command."""
    line = line.lstrip()
    if not line.startswith("::"):
        return None
    end = line.find("::", 2)
    if end < 0:
        return None
    name, _, listed = line[2:end].partition(" ")
    properties = {}
    for pair in listed.strip().split(","):
        if pair:
            key, equals, value = pair.partition("=")
            assert equals, pair
            assert key not in properties
            properties[key] = unescaped(value, PROPERTY)
    return name, properties, unescaped(line[end + 2 :], DATA)


def commands(text):
    """Every line, each of which must be a command with properties that GitHub knows."""
    found = [parsed(line) for line in text.split("\n")[:-1]]
    for name, properties, message in found:
        assert name in {"notice", "warning", "error"}
        assert set(properties) <= KNOWN
        assert properties["title"]
        assert message
    return found


def only(*found, **fields):
    """A report of one application with these objects."""
    app = msgspec.structs.replace(
        samples.production(), resources=found, conditions=(), complete=True, **fields
    )
    return samples.report_of(app)


ESCAPES = st.text() | st.text(alphabet="%0123ACD:,=\r\n ~a")


@given(message=ESCAPES, title=ESCAPES.map(str.strip), file=ESCAPES)
def test_escapes(message, title, file):
    """Whatever is in message and properties comes out of the runner's parser as it went in."""
    line = command("error", message, file=file, title=title or "t")
    assert "\n" not in line
    assert "\r" not in line
    assert parsed(line) == ("error", {"file": file, "title": title or "t"}, message)


@given(value=st.text(), manager=st.text(min_size=1))
def test_no_command_out_of_a_cluster(value, manager):
    """A value or manager with line breaks and `::` never makes a second command."""
    changed = samples.change("/data/a", desired="git", live=value, manager=manager)
    text = github(only(samples.resource("ConfigMap", "a", changed)))
    assert text.count("\n") == 2
    _, (_, properties, message) = commands(text)
    assert properties["title"] == "declared: ConfigMap production-app1/a data.a"
    assert printable(manager) in message


@pytest.mark.parametrize(
    "report",
    [
        samples.bad_night(),
        samples.report_of(),
        samples.report_of(samples.synced("a", 0), samples.unreachable()),
        DiffReport(complete=True, resources=(samples.deployment(),)),
    ],
)
def test_every_line_is_a_command(report):
    """Every sample is commands alone, the summary first."""
    first, *_ = commands(github(report))
    assert first[:2] == ("notice", {"title": "driftd"})


def test_one_command_for_each_change(sample):
    """Each drifted field and object is told once, with its file; the worst comes first."""
    _, *found = commands(github(sample.report_of(sample.production())))
    drift = [c for c in found if not c[1]["title"].startswith(("Unknown", "production-apps"))]
    assert len(drift) == 10
    name, properties, message = drift[0]
    assert name == "error"
    assert properties == {
        "file": "apps/app1/base/deployment.yaml",
        "title": "critical: Deployment production-app1/production-app1 containers[name=app1].image",
    }
    assert message.split("\n") == [
        (
            "containers[name=app1].image, Git → cluster: "
            "ghcr.io/example/app1:v1.0.0 → ghcr.io/example/app1-debug:v1.0.0"
        ),
        "by kubectl-edit (Update), 3h ago (2026-03-04T08:41:12Z), exact",
        "critical: an image decides what runs",
        "application production-apps on cluster production",
    ]
    assert [c[0] for c in drift] == ["error"] * 6 + ["warning"] * 4
    lined = [c[1] for c in drift if "line" in c[1]]
    assert {p["line"] for p in lined} == {"1", "6", "12", "41"}
    (scaled,) = (c[1] for c in drift if c[1]["title"].endswith("spec.replicas"))
    assert scaled["file"] == "apps/app1/overlays/production/deployment-patch.yaml"
    assert scaled["line"] == "6"
    assert "istio-proxy" not in github(sample.bad_night())


@pytest.mark.parametrize(
    ("repository", "named"),
    [
        ("", True),
        ("example/gitops", True),
        ("Example/GitOps", True),
        ("example/other", False),
        ("ple/gitops", False),
    ],
)
def test_files_of_other_repositories(sample, repository, named):
    """A file of another repository is no place of this one, so it is in the text alone."""
    placed = sample.resource(
        "Service",
        "a",
        status=ResourceStatus.MISSING,
        origin=msgspec.structs.replace(
            sample.origin("a.yaml", line=3), repo_url="ssh://git@git.example.com/example/gitops.git"
        ),
    )
    _, (_, properties, message) = commands(github(only(placed), repository=repository))
    assert ("file" in properties) is named
    assert ("in a.yaml:3 of ssh://git@git.example.com/example/gitops.git" in message) is not named


def test_unknown_is_told_once_for_each_reason(sample):
    """Eight objects of a cluster that does not answer are one warning beside its condition."""
    _, *found = commands(github(sample.report_of(sample.unreachable())))
    assert [name for name, _, _ in found] == ["error", "warning"]
    assert found[1][1]["title"].endswith("and 6 more")


@pytest.mark.parametrize(
    ("message", "file", "line"),
    [
        ("argocd/production.yaml: there is no project shpo", "argocd/production.yaml", None),
        ("clusters/a/apps.yaml:11: Kustomization a/b: spec.prune", "clusters/a/apps.yaml", "11"),
        ("source charts/shop: charts/shop/values.yaml:4 is no YAML", "charts/shop/values.yaml",
         "4"),
        ("Kustomization p/apps (c/apps.yaml) cannot be read", "c/apps.yaml", None),
        ("source oci://r.example/c: templates/a.yaml:4 fails", None, None),
        ("/etc/passwd.yaml:4: no", None, None),
        ("the cluster does not answer (a.yaml:4)", None, None),
    ],
)  # fmt: skip
def test_conditions_are_annotations_of_their_file(sample, message, file, line):
    """A message that begins with its file, or names its object by it, is placed there."""
    told = ReportCondition(type="ComparisonError", message=message, severity=Severity.ERROR)
    app = msgspec.structs.replace(
        sample.production(), resources=(), conditions=(told,), complete=False
    )
    _, (_, properties, text) = commands(github(sample.report_of(app)))
    assert (properties.get("file"), properties.get("line")) == (file, line)
    assert text == f"ComparisonError: {message}"


@pytest.mark.parametrize(("repository", "file"), [("example/gitops", "a.yaml"), ("a/b", None)])
def test_unknown_objects_are_placed_where_their_reason_lies(sample, repository, file):
    """A reason that begins with a file of the workflow's repository is placed there."""
    url = "https://git.example.com/example/gitops.git"
    unknown = sample.resource(
        "Sevice",
        "a",
        status=ResourceStatus.UNKNOWN,
        reason="a.yaml:2: the cluster serves no kind Sevice",
        origin=msgspec.structs.replace(sample.origin("a.yaml", line=1), repo_url=url),
    )
    *_, (name, properties, _) = commands(github(only(unknown), repository=repository))
    assert name == "warning"
    assert properties["title"].startswith("Unknown: Sevice")
    assert properties.get("file") == file
    assert properties.get("line") == (file and "2")


def test_masked_values_stay_masked(sample):
    """What the report masks is masked here."""
    masked = sample.change("/data/password", desired=sample.MASKED, live=sample.MASKED)
    _, (_, _, message) = commands(github(only(sample.resource("Secret", "a", masked))))
    assert "data.password, values differ (masked)" in message


def test_command(driftd, look, golden):
    """`driftd check -o github` prints commands alone; the workflow's repository decides files."""
    result = driftd("check", "-q", "-o", "github", env={"GITHUB_REPOSITORY": ""})
    assert result.exit_code == 2
    golden.check("bad-night-github.txt", result.stdout)
    other = driftd("check", "-q", "-o", "github", env={"GITHUB_REPOSITORY": "some/where"})
    assert "file=" not in other.stdout
