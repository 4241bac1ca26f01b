"""The report for people."""

import io

import msgspec
import pytest

from driftd.cli.table import View, print_diff, print_report
from driftd.cli.terminal import console_for
from driftd.model.condition import Severity
from driftd.model.report import ApplicationStatus, DiffReport, ReportCondition, ResourceStatus


@pytest.fixture
def printed(monkeypatch):
    """Print a report at a width and return the text."""

    def run(report, view=None, columns=100):
        monkeypatch.setenv("COLUMNS", str(columns))
        stream = io.StringIO()
        print_report(console_for(stream, color=True), report, view or View())
        return stream.getvalue()

    return run


@pytest.mark.parametrize("columns", [80, 120])
def test_bad_night(printed, golden, sample, columns):
    """A report with everything in it reads as the golden text and keeps to the width."""
    text = printed(sample.bad_night(), columns=columns)
    assert max(len(line) for line in text.splitlines()) <= columns
    golden.check(f"bad-night-{columns}.txt", text)


def test_wide(printed, golden, sample):
    """`-o wide` prints raw pointers, whole values, evidence and every name."""
    golden.check("bad-night-wide.txt", printed(sample.bad_night(), View(wide=True), 120))


def test_a_reason_that_the_section_says_is_not_repeated(printed, sample):
    """`-o wide` gives the reason of a class only where the section's title does not."""
    found = [
        sample.change("/data/a", desired="x", live="y", reason="Git says otherwise"),
        sample.change("/data/b", desired="x", live="y", reason="something else"),
    ]
    app = msgspec.structs.replace(
        sample.production(), resources=(sample.resource("ConfigMap", "a", *found),)
    )
    text = printed(sample.report_of(app), View(wide=True))
    assert text.count("Git says otherwise") == 1
    assert "declared: something else" in text


def test_whole_objects_come_by_their_severity(printed, sample):
    """A critical object stands before a Missing one that is medium, which says its level too."""
    mild = sample.resource("ConfigMap", "a", status=ResourceStatus.MISSING)
    mild = msgspec.structs.replace(mild, severity="medium")
    loud = msgspec.structs.replace(mild, kind="NetworkPolicy", name="z", severity="critical")
    edit = sample.change("/spec/type", desired="a", live="b", severity="high")
    changed = sample.resource("Service", "y", edit, status=ResourceStatus.OUT_OF_SYNC)
    app = msgspec.structs.replace(sample.production(), resources=(mild, changed, loud))
    lines = printed(sample.report_of(app)).splitlines()
    first, second, third = (
        next(number for number, line in enumerate(lines) if name in line)
        for name in ("/z  ", "/y", "/a  ")
    )
    assert first < second < third
    assert "medium" in lines[third]


def test_every_section(printed, golden, sample):
    """`--show all` prints what is not drift, below what is."""
    show = frozenset({"review", "injected", "rewritten", "pending", "ignored"})
    view = View(show=show, names=True)
    golden.check("every-section.txt", printed(sample.bad_night(), view))


def test_all_synced(printed, golden, sample):
    """Without drift the report is a few lines."""
    report = sample.report_of(sample.synced("development-apps"), sample.synced("monitoring"))
    golden.check("all-synced.txt", printed(report))


def test_no_application(printed, sample):
    """A look that chose nothing says so instead of claiming that all is Synced."""
    assert printed(sample.report_of()).startswith("No applications\n")


def test_worst_application_first(printed, sample):
    """OutOfSync comes before Unknown, Unknown before Synced, whatever the report's order."""
    report = sample.report_of(sample.synced("aaa"), sample.unreachable(), sample.production())
    text = printed(report)
    order = [text.index(f"\n{status}") for status in ("OutOfSync", "Unknown", "Synced")]
    assert order == sorted(order)


def test_missing_and_extra_come_with_what_is_high(printed, sample):
    """Between critical and medium fields stand objects that are Missing or Extra as a whole."""

    def application(name, *resources):
        app = msgspec.structs.replace(sample.synced(name), resources=resources)
        return msgspec.structs.replace(app, status=ApplicationStatus.OUT_OF_SYNC)

    def field(name, severity):
        changed = sample.change("/data/a", desired="x", live="y", severity=severity)
        return sample.resource("ConfigMap", name, changed)

    missing = sample.resource("Secret", "gone", status=ResourceStatus.MISSING)
    text = printed(
        sample.report_of(
            application("one", field("medium-one", "medium"), missing, field("worst", "critical")),
            application("two", field("medium-two", "medium")),
            application("three", missing),
        )
    )
    names = ["one", "worst", "gone", "medium-one", "three", "two"]
    places = [text.index(name, text.index("OutOfSync  one")) for name in names]
    assert places == sorted(places)


def test_one_cause_for_many_applications(printed, golden, sample):
    """Applications of one unreachable cluster are one entry that lists their names."""
    blind = [
        msgspec.structs.replace(sample.unreachable(), name=f"staging-{name}")
        for name in ("apps", "infrastructure", "monitoring")
    ]
    golden.check("unreachable.txt", printed(sample.report_of(*blind, sample.synced("other"))))


def test_one_cause_on_several_clusters(printed, sample):
    """Applications that cannot be judged for one cause are one entry that names their clusters."""
    cause = ReportCondition(type="ComparisonError", message="no checkout is known for X; give it")
    blind = [
        msgspec.structs.replace(
            sample.unreachable(),
            name=f"shop-{name}",
            cluster=name,
            conditions=(cause,),
            resources=(),
        )
        for name in ("east", "north", "south", "west", "")
    ]
    text = printed(sample.report_of(*blind))
    assert text.count("no checkout is known for X") == 1
    assert "Unknown    5 applications: shop-" in text
    assert "clusters east, north, south, west" in text
    assert "destination https://staging-cluster-api.example.com" in text


def test_who_made_an_extra_object(printed, sample):
    """Of an object that is Extra the report says who created it, where that is known."""
    extra = sample.resource("ConfigMap", "left-over", status=ResourceStatus.EXTRA)
    extra = msgspec.structs.replace(extra, manager="kubectl-create")
    app = msgspec.structs.replace(sample.production(), resources=(extra,))
    assert "created by kubectl-create" in printed(sample.report_of(app))


def test_a_reason_is_told_once(printed, sample):
    """What a condition of the application says is not said again of its objects."""
    blind = sample.unreachable()
    reason = blind.conditions[0].message
    resources = [msgspec.structs.replace(one, reason=reason) for one in blind.resources]
    blind = msgspec.structs.replace(blind, resources=tuple(resources))
    told = " ".join(printed(sample.report_of(blind)).split())
    assert told.count("check the network and the context's server") == 1


def test_hidden_sections_do_not_print_their_fields(printed, sample):
    """An injected container is counted, and printed only on demand."""
    report = sample.report_of(sample.production())
    assert "istio-proxy" not in printed(report)
    assert "1 injected" in printed(report)
    assert "istio-proxy" in printed(report, View(show=frozenset({"injected"})))


def test_secrets_not_checked_are_one_entry(printed, sample):
    """Four Secrets that nobody may read take one entry: three names, all with `--show all`."""
    text = printed(sample.bad_night(), columns=200)
    assert text.count("NotChecked ") == 1
    assert "\n  NotChecked 4 Secrets: production-app1/production-app1-database, " in text
    assert "production-app1/production-app1-smtp and 1 more (--show all)\n" in text
    assert "production-app1/production-app1-tls" not in text
    assert "production-app1/production-app1-tls" in printed(sample.bad_night(), View(names=True))


def _not_checked(sample, name, cluster, *secrets):
    """A Synced application of a cluster with Secrets that may not be read."""
    left_out = [
        sample.resource(
            "Secret",
            secret,
            status=ResourceStatus.NOT_CHECKED,
            reason="no permission to list Secrets; grant get",
        )
        for secret in secrets
    ]
    app = sample.synced(name)
    return msgspec.structs.replace(app, cluster=cluster, resources=(*app.resources[:1], *left_out))


def test_what_was_not_checked_is_told_beside_synced(printed, golden, sample):
    """Secrets of Synced applications are named, and no line says that everything was checked."""
    report = sample.report_of(
        _not_checked(sample, "shop", "east", "database", "smtp"),
        _not_checked(sample, "shop-west", "west", "database", "tls"),
    )
    text = printed(report)
    assert "everything was checked\n" not in text
    golden.check("not-checked.txt", text)


def test_usual_notes_of_a_healthy_fleet_are_told_on_demand(printed, sample):
    """An optional Secret that is not there: silent where all is Synced, told where it may count."""
    note = ReportCondition(
        type="FluxValuesWarning",
        severity=Severity.INFO,
        message="the optional Secret a/b is absent",
    )
    healthy = msgspec.structs.replace(sample.synced("shop"), conditions=(note,))
    report = sample.report_of(healthy)
    assert "optional" not in printed(report)
    assert "Synced     shop\n" in printed(report)
    assert "the optional Secret a/b is absent" in printed(report, View(wide=True))
    assert "the optional Secret a/b is absent" in printed(report, View(names=True))
    drifted = msgspec.structs.replace(sample.production(), conditions=(note,))
    assert "the optional Secret a/b is absent" in printed(sample.report_of(drifted))


def test_a_single_reason_is_told_once(printed, sample):
    """Where nothing has drifted the last line has the reason, and the names stand without it."""
    app = _not_checked(sample, "shop", "east", "database")
    reason = "no permission to list Secrets; grant get and list to compare them"
    app = msgspec.structs.replace(
        app, resources=(msgspec.structs.replace(app.resources[1], reason=reason),)
    )
    text = printed(sample.report_of(app))
    assert "\nNotChecked 1 Secret of these: production-app1/database\n" in text
    assert " ".join(text.split()).count(reason) == 1


def test_a_reason_that_an_entry_tells_is_not_told_again(printed, sample):
    """Secrets of Synced applications are named without the reason that stands above already."""
    loud, quiet = sample.production(), _not_checked(sample, "shop", "east", "database")
    reason = "no permission to list Secrets; grant get and list to compare them"
    left_out = msgspec.structs.replace(quiet.resources[1], reason=reason)
    quiet = msgspec.structs.replace(quiet, resources=(left_out,))
    text = printed(sample.report_of(loud, quiet))
    assert "\nNotChecked 1 Secret of these: production-app1/database on east\n" in text
    assert text.count(reason) == 1


def test_all_names_that_were_not_checked(printed, sample):
    """With `--show all` each application that holds some is an entry with their names."""
    app = _not_checked(sample, "shop", "east", "a", "b", "c", "d")
    text = printed(sample.report_of(app, sample.synced("other")), View(names=True))
    assert "Synced     shop\n" in text
    assert "NotChecked 4 Secrets: production-app1/a, production-app1/b, " in text
    assert "production-app1/d" in text
    assert "Synced     other\n" in text


def test_several_reasons_are_not_repeated_at_the_end(printed, sample):
    """The last line names the one reason, or points to the entries where there are several."""
    app = _not_checked(sample, "shop", "east", "a")
    held = sample.resource("ConfigMap", "b", status=ResourceStatus.NOT_CHECKED, reason="held")
    app = msgspec.structs.replace(app, resources=(*app.resources, held))
    text = printed(sample.report_of(app))
    assert text.endswith(
        "\nexit 0: no drift; everything was checked but 2 objects (the reasons stand above)\n"
    )


def test_terminal_sequences_are_harmless(printed, sample):
    """Escape sequences and line breaks from a cluster cannot reach the terminal."""
    evil = sample.resource(
        "ConfigMap",
        "x\x1b]0;title\x07",
        sample.change("/data/a\x1b[2J", live="\x1b[31mred\u202e", manager="evil\nexit 0: no drift"),
    )
    application = sample.production()
    report = sample.report_of(type(application)(**_fields(application, resources=(evil,))))
    text = printed(report)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\nexit 0" not in text


def test_no_color_codes_off_a_terminal(printed, sample):
    """A pipe gets plain text even where colours are allowed."""
    assert "\x1b[" not in printed(sample.bad_night())


class _Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("color", "no_color", "colored"), [(True, "", True), (False, "", False), (True, "1", False)]
)
def test_colors_on_a_terminal(monkeypatch, sample, color, no_color, colored):
    """A terminal gets colours unless `--no-color` or NO_COLOR says otherwise."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", no_color)
    stream = _Terminal()
    print_report(console_for(stream, color=color), sample.bad_night(), View())
    assert ("\x1b[" in stream.getvalue()) is colored


def test_schema_hash_is_short(printed, sample):
    """`-o wide` prints twelve characters of the schema's hash, which JSON holds whole."""
    drifted = sample.deployment()
    evidence = type(drifted.evidence)(observed_at="2026-03-04T12:00:00Z", schema_hash="0A1B" * 32)
    application = sample.production()
    resources = (type(drifted)(**_fields(drifted, evidence=evidence)),)
    report = sample.report_of(type(application)(**_fields(application, resources=resources)))
    assert "schema 0A1B0A1B0A1B · observed" in printed(report, View(wide=True))


def test_masked_values(printed, sample):
    """Two masked values are told to differ, since side by side they would look the same."""
    secret = sample.resource(
        "Secret",
        "database",
        sample.change("/data/password", desired=sample.MASKED, live=sample.MASKED, **sample.EDIT),
    )
    application = sample.production()
    report = sample.report_of(type(application)(**_fields(application, resources=(secret,))))
    assert "data.password  values differ (masked)" in printed(report)


def test_diff_report(golden, sample, monkeypatch):
    """`driftd diff` prints objects without an application around them."""
    monkeypatch.setenv("COLUMNS", "100")
    stream = io.StringIO()
    report = DiffReport(complete=True, resources=(sample.deployment(),))
    print_diff(console_for(stream, color=False), report, View(), now=sample.NOW)
    golden.check("diff.txt", stream.getvalue())


def _fields(struct, **changes):
    return {**msgspec.structs.asdict(struct), **changes}


@pytest.mark.parametrize("columns", [60, 80, 100, 160])
def test_no_path_is_broken(printed, sample, columns):
    """A path longer than the line is cut in its middle: it never continues on the next line."""
    path = "/spec/template/spec/containers/0/resources/limits/" + "example.com~1device" * 8
    found = sample.change(path, kind="missing", desired="1", ssa_path="")
    app = msgspec.structs.replace(
        sample.production(), resources=(sample.resource("Job", "a", found, group="batch"),)
    )
    lines = printed(sample.report_of(app), columns=columns).splitlines()
    assert max(map(len, lines)) <= columns
    (line,) = [line for line in lines if "containers[" in line]
    assert "…" in line
    assert line.count('device"]') == 1


def test_a_fleet_is_counted_by_cluster(printed, sample):
    """Hundreds of Synced applications take a line for each cluster; `--show all` names them."""
    fleet = [
        msgspec.structs.replace(sample.synced(f"app-{number}", 1), cluster=f"c{number % 3}")
        for number in range(300)
    ]
    text = printed(sample.report_of(sample.production(), *fleet))
    assert "Synced     300 applications on 3 clusters (--show all lists them)" in text
    assert "             100  c1\n" in text
    assert "app-299" not in text
    assert "app-299" in printed(sample.report_of(*fleet), View(names=True))


def test_one_cluster_is_not_counted_apart(printed, sample):
    """Where all Synced applications are on one cluster, its own line would say nothing new."""
    fleet = [sample.synced(f"app-{number}", 1) for number in range(30)]
    text = printed(sample.report_of(*fleet))
    assert "Synced     30 applications (--show all lists them)\n\nexit 0" in text


def test_a_whole_object_that_is_critical(printed, sample):
    """An Extra object says that it is critical and why, as its explanation does."""
    extra = sample.resource("ClusterRoleBinding", "root", status=ResourceStatus.EXTRA)
    extra = msgspec.structs.replace(extra, severity="critical", severity_reason="gives all power")
    app = msgspec.structs.replace(sample.production(), resources=(extra,))
    assert "critical: gives all power" in printed(sample.report_of(app))
    accepted = msgspec.structs.replace(extra, ignored_by="baseline a.yaml#1")
    app = msgspec.structs.replace(app, resources=(accepted,))
    assert "critical" not in printed(sample.report_of(app), View(names=True))
