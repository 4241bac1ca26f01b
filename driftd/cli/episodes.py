"""Episodes and history as a person reads them, and as documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import UNSET, to_builtins

from driftd.cli import values
from driftd.cli.field_path import readable
from driftd.cli.terminal import PIPE_WIDTH, columns, printable
from driftd.clock import rfc3339
from driftd.model.counts import counted
from driftd.model.report import API_VERSION
from driftd.store.durations import Percentiles, onset, time_to_detect, time_to_recover
from driftd.store.types import FIGHT_RATE, Drift, Episode, HistoryEntry, Recovery, Step, Transition

if TYPE_CHECKING:
    from driftd.sync.situation import Held

HeldBy: TypeAlias = "Mapping[str, Sequence[Held]]"
"""By application: what guards of healing hold back."""
_VALUE_WIDTH = 32
_LEAST_WIDTH = 16
_ENDINGS = {
    Recovery.HEALED: "healed",
    Recovery.SYNCED: "put back",
    Recovery.REVERTED: "put back",
    Recovery.GIT: "Git caught up",
    Recovery.ACCEPTED: "accepted",
    Recovery.RECLASSIFIED: "no longer drift",
    Recovery.GONE: "no longer declared",
    Recovery.FORGOTTEN: "application no longer declared",
}


def document(episodes: Sequence[Episode], held: HeldBy | None = None) -> dict[str, Any]:
    """Episodes and their durations as one document (`kind: EpisodeList`).

    `held` is what guards of healing hold back, by application.
    """
    return {
        "apiVersion": API_VERSION,
        "kind": "EpisodeList",
        "items": [_item(episode) | _holding(episode, held or {}) for episode in episodes],
        "timeToDetect": _seconds(time_to_detect(episodes)),
        "timeToRecover": _seconds(time_to_recover(episodes)),
    }


def lines(
    episodes: Sequence[Episode],
    now: datetime,
    *,
    wide: bool,
    held: HeldBy | None = None,
    width: int = PIPE_WIDTH,
) -> Iterator[str]:
    """A table of episodes, what healing makes of the open ones, and what they come to.

    With `wide` each stands on one line; else what drifted stands below, in `width` columns.
    """
    if not episodes:
        yield "no drift is remembered"
        return
    yield from _wide(episodes, now) if wide else _narrow(episodes, now, width)
    yield ""
    yield from _steps(episodes)
    yield from _not_healed(episodes, held or {})
    yield from _summary(episodes)


def _wide(episodes: Sequence[Episode], now: datetime) -> Iterator[str]:
    titles = ["first seen", "began", "for", "cluster", "application", "object", "field"]
    titles += ["git → live", "who", "severity", "ended"]
    rows = []
    for episode in episodes:
        drift = episode.drift
        rows.append(
            [
                *(_first_seen(drift), _began(drift), _lasted(episode, now)),
                *(episode.cluster or "-", episode.application, _object(drift), _field(drift)),
                *(_values(drift) or "-", drift.author or "-", drift.severity or "-"),
                f"{_ended(episode)}{_untold(drift, ', ') if episode.closed_at is None else ''}",
            ]
        )
    yield from columns(titles, rows)


def _narrow(episodes: Sequence[Episode], now: datetime, width: int) -> Iterator[str]:
    """A line of times and names for each episode, and below it what drifted."""
    titles = ("first seen", "for", "severity", "application", "ended")
    rows = [
        (
            *(_first_seen(one.drift), _lasted(one, now), one.drift.severity or "-"),
            *(one.application, _ended(one)),
        )
        for one in episodes
    ]
    table = iter(columns(titles, rows))
    yield next(table)
    for line, episode in zip(table, episodes, strict=True):
        yield line
        yield from _what(episode.drift, width)
        if episode.closed_at is None and (untold := _untold(episode.drift, "  ")):
            yield printable(untold)


def _what(drift: Drift, width: int) -> Iterator[str]:
    """The place, its values and who set them: on one line where that fits."""
    place = printable(f"  {_object(drift)}  {_field(drift)}")
    by = f"by {drift.author}" if drift.author else ""
    told = printable("  ".join(filter(None, (_values(drift), by))))
    if not told or len(place) + len(told) + 2 <= width:
        yield f"{place}  {told}".rstrip()
    else:
        yield place
        room = max(_LEAST_WIDTH, (width - len(by) - 9) // 2)
        yield printable(f"    {_values(drift, room)}  {by}".rstrip())


def _held_of(episode: Episode, held: HeldBy) -> Held | None:
    """What a guard says of the object of an open episode."""
    if episode.closed_at is not None:
        return None
    found = held.get(episode.application, ())
    return next((one for one in found if one.key == episode.drift.key.resource), None)


def _holding(episode: Episode, held: HeldBy) -> dict[str, Any]:
    one = _held_of(episode, held)
    if one is None:
        return {}
    until = {"until": rfc3339(one.until)} if one.until is not None else {}
    guard = {"guard": one.guard} if one.guard else {}
    return {"notHealed": {**guard, "reason": one.reason, **until}}


def _not_healed(episodes: Sequence[Episode], held: HeldBy) -> Iterator[str]:
    """Why what is open is not healed yet, and when it is; each object once."""
    told = {
        (episode.application, one.key): one
        for episode in episodes
        if (one := _held_of(episode, held)) is not None
    }
    if not told:
        return
    yield "not healed:"
    for (application, key), one in told.items():
        guard = f" ({one.guard})" if one.guard else ""
        until = f", until {rfc3339(one.until.replace(microsecond=0))}" if one.until else ""
        yield printable(f"  {application} {key}: {one.reason}{until}{guard}")
    yield ""


def happenings(entries: Sequence[HistoryEntry]) -> dict[str, Any]:
    """History as one document (`kind: HistoryList`)."""
    return {
        "apiVersion": API_VERSION,
        "kind": "HistoryList",
        "items": [
            {
                "application": entry.application,
                "at": rfc3339(entry.at),
                "kind": entry.kind,
                **entry.data,
            }
            for entry in entries
        ],
    }


def history_lines(entries: Sequence[HistoryEntry]) -> Iterator[str]:
    """A line per event, with a line below it for each drift that began or ended."""
    if not entries:
        yield "nothing has happened"
        return
    for entry in entries:
        yield f"{rfc3339(entry.at)}  {_headline(entry)}"
        yield from (f"    {text}" for text in _details(entry.data))


def _headline(entry: HistoryEntry) -> str:
    data = entry.data
    if entry.kind == "sync":
        said = f": {data['message']}" if data.get("message") else ""
        return printable(f"driftd {data['outcome']} {data['object']}{said}")
    if entry.kind == "guard":
        return printable(_held(data))
    if entry.kind == Transition.RECOVERED and not data.get("closed"):
        return "told as recovered: what came back again and again stays away"
    revisions = ", ".join(revision[:10] for revision in data.get("revisions", ()))
    at = f" at {revisions}" if revisions else ""
    return printable(f"{entry.kind}, {data.get('status', '')}{at}")


def _held(data: Mapping[str, Any]) -> str:
    """What a guard of healing began to hold back, or what it was told to let pass."""
    if data.get("overridden"):
        return f"healed although {data['guard']} would hold it: a person has overridden that"
    objects = [*data.get("objects", ())]
    more = f" and {data['more']} more" if data.get("more") else ""
    return f"not healed yet ({data['guard']}): {', '.join(objects)}{more}: {data['reason']}"


def _details(data: Mapping[str, Any]) -> Iterator[str]:
    for mark, name in (("+", "opened"), ("-", "closed")):
        for drift in data.get(name, ()):
            ended = _ENDINGS[Recovery(drift["ended"])] if drift.get("ended") else ""
            by = f" by {drift['by']}" if drift.get("by") else ""
            why = f" ({ended}{by})" if ended else ""
            why += f" (not told at once: {drift['held']})" if drift.get("held") else ""
            yield printable(f"{mark} {_place(drift)}{why}")
    for fight in data.get("fights", ()):
        yield printable(
            f"! {_place(fight)}: changed by {fight['changedBy'] or 'somebody'}, put back by "
            f"{fight['putBackBy'] or 'somebody'}, again and again; not told again until it ends"
        )
    for condition in data.get("conditions", ()):
        yield printable(f"{condition['type']}: {condition['message']}")


def _place(drift: Mapping[str, Any]) -> str:
    return f"{drift['resource']} {drift['path'] or ''} {drift['kind']}".replace("  ", " ")


def _steps(episodes: Sequence[Episode]) -> Iterator[str]:
    """The values that drifts had before the ones in the table."""
    stepped = [episode.drift for episode in episodes if episode.drift.steps]
    if not stepped:
        return
    yield "other values while it was open:"
    for drift in stepped:
        yield printable(f"  {_object(drift)} {_field(drift)}")
        for step in drift.steps:
            by = f" by {step.manager}" if step.manager else ""
            until = rfc3339(step.until.replace(microsecond=0))
            yield printable(f"    {_pair(*_stepped(drift, step))}{by} until {until}")
    yield ""


def _first_seen(drift: Drift) -> str:
    return rfc3339(drift.first_seen.replace(microsecond=0))


def _lasted(episode: Episode, now: datetime) -> str:
    return span((episode.closed_at or now) - episode.drift.first_seen)


def _object(drift: Drift) -> str:
    resource = drift.key.resource
    space = f"{resource.namespace}/" if resource.namespace else ""
    return f"{resource.kind} {space}{resource.name}"


def _field(drift: Drift) -> str:
    """The field as tables name it; of a whole object what it is."""
    if drift.change is None:
        return f"({drift.key.kind})"
    resource = drift.key.resource
    return readable(drift.change, group=resource.group, kind=resource.kind)


def is_at(drift: Drift, path: str) -> bool:
    """Whether a drift is at a field, as tables name it, or below."""
    field = _field(drift)
    return field == path or field.startswith((f"{path}.", f"{path}["))


def _values(drift: Drift, width: int = _VALUE_WIDTH) -> str:
    """Git's value and the live one, each in `width` characters; empty of a whole object."""
    change = drift.change
    if change is None:
        return ""
    return _pair(*values.sides_of(change), width)


def _stepped(drift: Drift, step: Step) -> tuple[Any, Any]:
    """Both values of an earlier step, read as those of the drift's change."""
    change = drift.change
    if change is None:
        return step.desired, step.live
    return values.of_change(change, step.desired), values.of_change(change, step.live)


def _pair(desired: Any, found: Any, width: int = _VALUE_WIDTH) -> str:
    git = values.NOT_IN_GIT if desired is UNSET else values.flow(desired)
    live = values.NOT_IN_CLUSTER if found is UNSET else values.flow(found)
    if values.is_masked(desired) and values.is_masked(found):
        return values.MASKED_DIFFER
    return " → ".join(values.shorten_pair(git, live, width))


def _ended(episode: Episode) -> str:
    fight = " (a fight)" if episode.drift.rate >= FIGHT_RATE else ""
    if episode.closed_at is None:
        return f"open{fight}"
    if episode.ending is None:
        return f"ended{fight}"
    by = f" by {episode.ending.by}" if episode.ending.by else ""
    return f"{_ENDINGS[episode.ending.how]}{by}{fight}"


def _untold(drift: Drift, lead: str) -> str:
    """Why nobody was told of it yet; empty if somebody was."""
    if drift.held is None:
        return ""
    until = rfc3339(drift.held.until.replace(microsecond=0))
    return f"{lead}held: {drift.held.why}; told at {until} at the latest"


def _began(drift: Drift) -> str:
    """When it began: exactly, or between two looks."""
    moment = onset(drift)
    if moment is not None:
        return rfc3339(moment.replace(microsecond=0))
    if drift.clean_at is None:
        return "before the first look"
    return f"after {rfc3339(drift.clean_at.replace(microsecond=0))}"


def _summary(episodes: Sequence[Episode]) -> Iterator[str]:
    still = sum(1 for episode in episodes if episode.closed_at is None)
    ended: Counter[str] = Counter(
        _ENDINGS[episode.ending.how]
        for episode in episodes
        if episode.closed_at is not None and episode.ending is not None
    )
    listed = ", ".join(f"{count} {how}" for how, count in ended.most_common())
    text = f"{counted(len(episodes), 'drift')}: {still} open, {len(episodes) - still} ended"
    yield text + (f" ({listed})" if listed else "")
    detect, recover = time_to_detect(episodes), time_to_recover(episodes)
    if detect.count:
        yield f"time to detect, of {detect.count} with a known onset: {_percentiles(detect)}"
    if recover.count:
        yield f"time to recover, of {recover.count}: {_percentiles(recover)}"


def _percentiles(found: Percentiles) -> str:
    named = {"p50": found.p50, "p90": found.p90, "p99": found.p99, "longest": found.longest}
    return ", ".join(f"{name} {seconds_text(value)}" for name, value in named.items())


def span(duration: Any) -> str:
    """A duration as a person says it: `12s`, `4m12s`, `3h05m`, `5d`."""
    return seconds_text(duration.total_seconds())


def seconds_text(seconds: float) -> str:
    """Seconds as `0.4s`, `12s`, `4m12s`, `3h05m` or `5d`."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f}s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 172_800:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d"


def _seconds(found: Percentiles) -> dict[str, float | int]:
    return {
        "count": found.count,
        "p50Seconds": round(found.p50, 3),
        "p90Seconds": round(found.p90, 3),
        "p99Seconds": round(found.p99, 3),
        "longestSeconds": round(found.longest, 3),
    }


def _item(episode: Episode) -> dict[str, Any]:
    drift = episode.drift
    resource = drift.key.resource
    began = onset(drift)
    item: dict[str, Any] = {
        "application": episode.application,
        "cluster": episode.cluster,
        "group": resource.group,
        "kind": resource.kind,
        "namespace": resource.namespace,
        "name": resource.name,
        "drift": drift.key.kind,
        "severity": drift.severity,
        "rate": round(drift.rate, 2),
        "fight": drift.rate >= FIGHT_RATE,
        "firstSeen": rfc3339(drift.first_seen),
        "lastSeen": rfc3339(drift.last_seen),
    }
    if drift.clean_at is not None:
        item["cleanAt"] = rfc3339(drift.clean_at)
    if began is not None:
        item["beganAt"] = rfc3339(began)
    if drift.held is not None:
        item["held"] = {"why": drift.held.why, "until": rfc3339(drift.held.until)}
    if drift.steps:
        item["steps"] = to_builtins(drift.steps)
    if drift.change is not None:
        item["change"] = to_builtins(drift.change)
    if drift.whole is not None:
        item["manager"] = drift.whole.manager
        if drift.whole.attribution:
            item["attribution"] = dict(drift.whole.attribution)
    if episode.closed_at is not None:
        item["closedAt"] = rfc3339(episode.closed_at)
    if episode.ending is not None:
        item["ended"] = episode.ending.how.value
        if episode.ending.by:
            item["endedBy"] = episode.ending.by
    return item
