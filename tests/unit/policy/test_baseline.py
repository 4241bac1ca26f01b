"""Accepted findings: exactly those, for a while, and never a critical one."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from driftd.model.report import (
    ApplicationReport,
    ApplicationStatus,
    Change,
    ChangeClass,
    ChangeKind,
    ReportDestination,
    ResourceReport,
    ResourceStatus,
)
from driftd.policy.baseline import (
    BASELINED,
    BaselineEntry,
    Hashes,
    NamedEntry,
    accepted,
    captured,
    conditions,
    digest,
    is_expired,
    mismatch,
    needs_key,
)

TODAY = date(2026, 3, 4)
KEY = b"0123456789abcdef"
LEVELS = ("critical", "high", "medium", "low", "info")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab/~", max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab"), inner, max_size=2),
    max_leaves=4,
)
CHANGES = st.builds(
    Change,
    kind=st.sampled_from(ChangeKind),
    change_class=st.sampled_from(ChangeClass),
    path=st.just("/spec/a"),
    ssa_path=st.sampled_from(["f:spec/f:a", "f:spec/f:b"]),
    desired=JSON,
    live=JSON,
    manager=st.sampled_from([UNSET, "alice", "bob"]),
    severity=st.sampled_from(LEVELS),
)


def change(**fields: Any) -> Change:
    """A replica count that somebody set."""
    given_fields: dict[str, Any] = {
        "kind": ChangeKind.MODIFIED,
        "change_class": ChangeClass.DECLARED,
        "path": "/spec/replicas",
        "ssa_path": "f:spec/f:replicas",
        "desired": 3,
        "live": 5,
        "manager": "alice",
        "severity": "high",
    }
    return Change(**(given_fields | fields))


def report(*changes: Change, name: str = "web", complete: bool = True) -> ApplicationReport:
    """An application with one object that has these changes."""
    resource = ResourceReport(
        group="apps",
        version="v1",
        kind="Deployment",
        namespace="shop",
        name="web",
        status=ResourceStatus.OUT_OF_SYNC,
        changes=changes,
    )
    return ApplicationReport(
        name=name,
        namespace="argocd",
        project="default",
        cluster="one",
        destination=ReportDestination(server="", namespace="shop"),
        revisions=(),
        deployers=(),
        status=ApplicationStatus.OUT_OF_SYNC,
        resources=(resource,),
        complete=complete,
    )


def entries_of(*changes: Change, key: bytes | None = None) -> list[NamedEntry]:
    """What a baseline of these changes holds."""
    hashes = {"argocd/web": Hashes(key)}
    baseline, _ = captured([report(*changes)], hashes=hashes, expires=TODAY)
    return [NamedEntry(f"baseline f#{n}", one) for n, one in enumerate(baseline.entries, 1)]


def marks(
    entries: list[NamedEntry], *changes: Change, key: bytes | None = None, name: str = "web"
) -> list[Any]:
    """By what each change is ignored."""
    app = report(*changes, name=name)
    found, _ = accepted(entries, app, app.resources[0], Hashes(key))
    return [one.ignored_by for one in found.changes]


def whole(status: ResourceStatus, **fields: Any) -> ApplicationReport:
    """An application whose one object, a ConfigMap, is Missing or Extra."""
    app = report()
    fields = {"group": "", "kind": "ConfigMap", "status": status, **fields}
    return msgspec.structs.replace(
        app, resources=(msgspec.structs.replace(app.resources[0], **fields),)
    )


def entry_of(app: ApplicationReport) -> BaselineEntry:
    """The one entry of a baseline of an application."""
    baseline, _ = captured([app], expires=TODAY)
    (entry,) = baseline.entries
    return entry


def why_not(entry: BaselineEntry, app: ApplicationReport) -> str | None:
    """Why an entry does not accept the application's object as a whole."""
    return mismatch(entry, app, app.resources[0], None, Hashes())


@pytest.mark.parametrize("key", [None, KEY])
def test_recorded_finding_is_accepted(key: bytes | None) -> None:
    """What was written is recognised, with and without a key, and keeps its class."""
    entries = entries_of(change(), key=key)
    assert marks(entries, change(), key=key) == ["baseline f#1"]
    assert needs_key(one.entry for one in entries) is (key is not None)


@pytest.mark.parametrize(
    "fields",
    [
        {"live": 6},
        {"live": "5"},
        {"live": True},
        {"live": UNSET},
        {"desired": 4},
        {"manager": "bob"},
        {"manager": UNSET},
        {"change_class": ChangeClass.UNDECLARED},
        {"ssa_path": "f:spec/f:paused"},
        {"kind": ChangeKind.ADDED},
        {"severity": "critical"},
    ],
)
def test_anything_else_resurfaces(fields: dict[str, Any]) -> None:
    """Another value, type, hand, class, place or severity is told again."""
    assert marks(entries_of(change()), change(**fields)) == [UNSET]


def test_other_applications() -> None:
    """An entry holds for the applications that its glob names, no others."""
    (one,) = entries_of(change())
    glob = msgspec.structs.replace(one.entry, application="web-*")
    assert marks([one], change(), name="api") == [UNSET]
    assert marks([NamedEntry("glob", glob)], change(), name="web-eu") == ["glob"]
    full = msgspec.structs.replace(one.entry, application="argocd/web")
    assert marks([NamedEntry("full", full)], change()) == ["full"]


def test_keyed_values_need_the_key() -> None:
    """With another key, or none, a keyed entry recognises nothing."""
    entries = entries_of(change(), key=KEY)
    assert marks(entries, change(), key=b"another key 1234") == [UNSET]
    assert digest(change(), KEY) != digest(change(), None)


def test_what_is_never_written() -> None:
    """Critical and masked findings and whole objects are left out, each with its reason; what is
    no drift is none.
    """
    masked = {"masked": True}
    app = report(
        change(severity="critical", severity_reason="host network"),
        change(live={"password": masked}),
        change(change_class=ChangeClass.REVIEW),
        change(change_class=ChangeClass.INJECTED),
        change(ignored_by="a rule"),
    )
    extra = whole(ResourceStatus.EXTRA, group="batch", kind="Job").resources
    app = msgspec.structs.replace(app, resources=(*app.resources, *extra))
    baseline, left_out = captured([app], hashes={"argocd/web": Hashes(KEY)}, expires=TODAY)
    assert baseline.entries == ()
    assert [one.reason for one in left_out] == [
        "critical: host network",
        "its value is masked; with --hash-key-file it can be accepted",
        "Extra objects of its kind are critical: runs what nobody declared",
    ]


@pytest.mark.parametrize("status", [ResourceStatus.MISSING, ResourceStatus.EXTRA])
def test_whole_objects(status: ResourceStatus) -> None:
    """An object that is Missing or Extra is accepted as that, keeps its status, is no drift."""
    app = whole(status, manager="alice" if status == "Extra" else UNSET)
    entry = entry_of(app)
    assert (entry.status, entry.path, entry.value) == (status, UNSET, UNSET)
    found, names = accepted([NamedEntry("b#1", entry)], app, app.resources[0], Hashes())
    assert (found.status, found.ignored_by, found.is_drift) == (status, "b#1", False)
    assert names == {"b#1"}


def test_whole_objects_resurface() -> None:
    """The other status, another creator and another object are told; a manager may be left out."""
    extra = whole(ResourceStatus.EXTRA, manager="alice")
    entry = entry_of(extra)
    assert why_not(entry, whole(ResourceStatus.EXTRA, manager="bob")) == (
        "it is by bob now, not by alice"
    )
    missing = whole(ResourceStatus.MISSING)
    assert why_not(entry, missing) == "the object is Missing now, not Extra"
    assert why_not(entry, whole(ResourceStatus.EXTRA, name="other")) is None
    open_entry = msgspec.structs.replace(entry, manager=UNSET)
    assert why_not(open_entry, whole(ResourceStatus.EXTRA, manager="bob")) == ""
    one = NamedEntry("b#1", entry)
    assert accepted([one], missing, missing.resources[0], Hashes())[0].is_drift


def test_forged_entry_hides_no_critical_object() -> None:
    """An entry written by hand does not accept an Extra workload."""
    pod = whole(ResourceStatus.EXTRA, kind="Pod")
    entry = msgspec.structs.replace(entry_of(whole(ResourceStatus.EXTRA)), kind="Pod")
    assert str(why_not(entry, pod)).startswith("Extra objects of its kind are critical")
    one = NamedEntry("b#1", entry)
    assert accepted([one], pod, pod.resources[0], Hashes())[0].is_drift


@pytest.mark.parametrize("fields", [{"path": "f:a"}, {"value": "sha256:0"}])
def test_entry_is_of_a_change_or_of_an_object(fields: dict[str, Any]) -> None:
    """An entry with a part of each is refused."""
    whole_entry = msgspec.to_builtins(entry_of(whole(ResourceStatus.MISSING)))
    with pytest.raises(msgspec.ValidationError, match="whole object"):
        msgspec.convert(whole_entry | fields, BaselineEntry)
    del whole_entry["status"]
    with pytest.raises(msgspec.ValidationError, match="missing field"):
        msgspec.convert(whole_entry | fields, BaselineEntry)


def test_masked_value_with_its_seal() -> None:
    """A masked change is accepted by the seal of its real values, and by no other."""
    masked = change(desired={"masked": True}, live={"masked": True})
    app = report(masked)
    place = (app.resources[0].key, "f:spec/f:replicas", "modified")
    hashes = Hashes(KEY, {place: "hmac-sha256:a"})
    baseline, left_out = captured([app], hashes={"argocd/web": hashes}, expires=TODAY)
    assert ([one.value for one in baseline.entries], left_out) == (["hmac-sha256:a"], ())
    (entry,) = baseline.entries

    def why(seals: dict[Any, str]) -> str | None:
        return mismatch(entry, app, app.resources[0], masked, Hashes(KEY, seals))

    assert why({place: "hmac-sha256:a"}) == ""
    assert why({place: "hmac-sha256:b"}) == "its value has changed"
    assert why({}) == "its value is masked, and the entry has no keyed hash of it"
    assert "0123456789" not in repr(hashes)


def test_ignore_rule_keeps_its_mark() -> None:
    """A change that a rule of the Application ignores already is not claimed by a baseline."""
    assert marks(entries_of(change()), change(ignored_by="rule")) == ["rule"]


def test_last_day() -> None:
    """An entry holds on its last day and not on the next."""
    (one,) = entries_of(change())
    assert not is_expired(one.entry, TODAY)
    assert is_expired(one.entry, TODAY + timedelta(days=1))


def test_unused_and_expired_are_told() -> None:
    """Expired entries warn; unused ones are told where everything was seen, else not."""
    entries = entries_of(change())
    tomorrow = TODAY + timedelta(days=1)

    def types(used: set[str], day: date, *reports: ApplicationReport) -> list[str]:
        return [one.type for one in conditions(entries, used, reports, day)]

    assert types({"baseline f#1"}, TODAY, report()) == []
    assert types(set(), TODAY, report()) == ["BaselineEntryUnused"]
    assert types(set(), TODAY, report(complete=False)) == []
    assert types(set(), TODAY, report(name="other")) == []
    assert types(set(), tomorrow, report()) == ["BaselineEntryExpired"]


def test_an_entry_of_no_application_is_told() -> None:
    """A name that nothing has is a warning with the nearest; one that was left out is not."""
    (one,) = entries_of(change())

    def told(application: str, *names: str) -> list[tuple[str, str]]:
        entry = msgspec.structs.replace(one.entry, application=application)
        named = [msgspec.structs.replace(one, entry=entry)]
        found = conditions(named, set(), [report()], TODAY, names=names)
        return [(c.type, c.message.partition(": ")[2]) for c in found]

    nowhere = "no application of that name is looked at here; "
    assert told("weeb", "argocd/web", "argocd/shop") == [
        ("BaselineApplicationUnknown", nowhere + "did you mean web?")
    ]
    assert told("x*", "argocd/web") == [
        ("BaselineApplicationUnknown", nowhere + "correct the name or remove the entry")
    ]
    assert told("shop", "argocd/web", "argocd/shop") == []
    # Not every application that the glob names was looked at.
    assert told("*", "argocd/web", "argocd/shop") == []
    assert [kind for kind, _ in told("*", "argocd/web")] == ["BaselineEntryUnused"]


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(recorded=CHANGES, seen=CHANGES)
def test_never_hides_a_critical_change(recorded: Change, seen: Change) -> None:
    """No entry, wherever it came from, marks a critical change or a class that is no finding."""
    forged = [
        NamedEntry("forged", msgspec.structs.replace(one.entry, value=digest(seen, None)))
        for one in entries_of(recorded)
    ]
    (mark,) = marks(forged, seen)
    if seen.severity == "critical" or seen.change_class not in BASELINED:
        assert mark is UNSET


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(recorded=CHANGES, live=JSON)
def test_changed_value_resurfaces(recorded: Change, live: Any) -> None:
    """An entry marks the value that was recorded and no other, `1` and `true` told apart."""
    assume(recorded.severity != "critical" and recorded.is_drift)
    entries = entries_of(recorded)
    assert marks(entries, recorded) == ["baseline f#1"]
    same = msgspec.json.encode(live, order="sorted") == msgspec.json.encode(
        recorded.live, order="sorted"
    )
    assert (marks(entries, msgspec.structs.replace(recorded, live=live)) != [UNSET]) is same


def test_an_operators_severity_decides_what_objects_may_be_accepted() -> None:
    """The severity that a look gave a Missing object counts, before the shipped rules."""
    for kind, severity, allowed in (
        ("ConfigMap", "critical", False),
        ("Secret", "medium", True),
        ("ConfigMap", UNSET, True),
        ("Secret", UNSET, False),
    ):
        app = report()
        made = msgspec.structs.replace(
            app.resources[0],
            group="",
            kind=kind,
            status=ResourceStatus.EXTRA,
            severity=severity,
            severity_reason="ours" if severity == "critical" else UNSET,
            changes=(),
        )
        app = msgspec.structs.replace(app, resources=(made,))
        found, left_out = captured([app], expires=TODAY)
        assert (len(found.entries), len(left_out)) == ((1, 0) if allowed else (0, 1))


def test_a_marked_object_keeps_its_mark() -> None:
    """What Argo CD's compare option marked is not marked anew, and not forgotten."""
    app = report()
    by = "argocd.argoproj.io/compare-options: IgnoreExtraneous"
    made = msgspec.structs.replace(
        app.resources[0], status=ResourceStatus.EXTRA, ignored_by=by, changes=()
    )
    assert accepted([], app, made, Hashes())[0].ignored_by == by
