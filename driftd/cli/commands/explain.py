"""`driftd explain`."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click
from msgspec import UNSET

from driftd.cli import calls, completing, options

if TYPE_CHECKING:
    from driftd.controller.explain import Explanation, PlaceExplanation
    from driftd.controller.explain_entries import EntryExplanation
    from driftd.controller.outlook import Outlook
    from driftd.model.report import Change, ResourceReport

_LONG = 300
"""Characters of a value that is printed in one line."""
_TITLE = re.compile(r" {2}\S[^:]*?\s{2,}")
"""What stands before the text of a line with a title, such as `  declared in  `."""
_GIT = "Git says otherwise"
"""The reason of a declared difference that needs no other."""
_EXCUSED = 40
"""Excused places that are listed."""
_STATUS = {
    "Synced": "It is what Git says.",
    "OutOfSync": "It is not what Git says.",
    "Missing": "Git declares it, and the cluster does not have it.",
    "Extra": "The cluster has it as this application's, and Git does not declare it.",
    "Pending": "Git is ahead of the cluster; that is no drift.",
    "NotChecked": "It was left out of the comparison.",
    "Unknown": "It could not be judged.",
}


@click.command("explain", short_help="Say why an object or a field is drift, or is not.")
@click.argument("application", metavar="APP", shell_complete=completing.application_names)
@click.argument(
    "resource",
    metavar="KIND[.GROUP]/[NAMESPACE/]NAME",
    default="",
    shell_complete=completing.resource_names,
)
@click.argument("path", metavar="[PATH]", default="")
@options.baseline_flags
@options.config_flag
@options.state_flag
@options.audit_flags
@options.repository_flags
@options.cluster_flags
@options.output_format("text", "json", "yaml")
@options.output_flags
def explain_command(application: str, resource: str, path: str, output: str, **flags: Any) -> int:
    """Say why an object of an application is drift or is not: what Git declares and where, what
    the cluster holds, who owns the place, what excuses it, its class and severity, the ignore
    rules, what entries of --baseline and --suppressions files accept or no longer accept, and what
    healing would do. Only reads.

    KIND is written as for kubectl: also a plural or a short name (deploy, svc), in any case. A line
    of driftd check -o name may stand in place of both arguments.

    PATH is a JSON pointer or the form that tables print, for example spec.replicas or
    containers[name=app].image; without it every difference of the object is explained.

    Exit codes: 0; 2 if there is no such object or path, or it could not be judged.
    """
    from driftd.cli import formats
    from driftd.cli.next_command import carried_on
    from driftd.cli.progress import Narrator
    from driftd.cli.terminal import printable, width_of
    from driftd.model.report import ResourceStatus

    application, resource, path = asked(application, resource, path)
    names = (application,) if application else ()
    chosen = options.look_options(flags, names=names) | options.baseline_options(flags)
    chosen |= options.audit_options(flags)
    narrator = Narrator(quiet=flags["quiet"], verbose=flags["verbose"])
    try:
        found = calls.explain(
            chosen,
            narrator,
            application=application,
            resource=resource,
            path=path,
            flags=carried_on(click.get_current_context()),
        )
    finally:
        narrator.close()
    if output == "json":
        formats.write_json(found)
    elif output == "yaml":
        formats.write_yaml(found)
    else:
        # What reads a pipe wants a line for each thing, whatever its length.
        wide = not (sys.stdout.isatty() or os.environ.get("COLUMNS"))
        width = 0 if wide else width_of(sys.stdout)
        for line in sentences(found, asked=bool(path)):
            sys.stdout.write(folded(printable(line), width) + "\n")
    return 2 if found.resource.status is ResourceStatus.UNKNOWN else 0


def asked(application: str, resource: str, path: str) -> tuple[str, str, str]:
    """The application, object and place that the arguments name.

    They may be a line of `-o name`, quoted or as words, with or without its status, and a place:
    then the application is empty, and the object begins with it.
    """
    from driftd.model.report import ResourceStatus

    words = resource.split()
    if len(words) > 2 and words[0] in set(ResourceStatus):
        resource = " ".join(words[1:3])  # a line of a table, whole
    if not resource:
        application, resource, path = _apart(application.split(), set(ResourceStatus))
    status, _, rest = application.strip().partition(" ")
    if rest and status in set(ResourceStatus):
        application = rest.strip()
    elif status in set(ResourceStatus):
        application, resource, path = resource, path, ""
    if application[:1].isupper() and resource:  # which no application's name is
        raise click.UsageError(
            f"{application} {resource} names no application: write driftd explain APP "
            f"{application.lower()}/{resource}, with the application above that line of the report."
        )
    if resource and "/" not in resource and resource[0].isalpha() and not _is_place(path or "-"):
        resource, path = f"{resource}/{path}", ""  # as tables have it: Service shop/web
    kind, _, name = resource.partition(" ")
    if name and "/" not in kind:
        resource = f"{kind}/{name.strip()}"
    if resource and not (application.count("/") > 1 and _is_place(resource)):
        return application, resource, path
    if application.count("/") < 2:
        raise click.UsageError(
            "Missing argument 'KIND/NAME': write driftd explain APP KIND/NAME, or a line of "
            "driftd check -o name."
        )
    return "", application, resource or path


def _apart(words: list[str], statuses: Collection[str]) -> tuple[str, str, str]:
    """The arguments that stand in one, with or without a status before them."""
    if len(words) > 1 and words[0] in statuses:
        words = words[1:]
    # What a report's line says behind an object is no place.
    kept = words[:2] if words and words[0][:1].isupper() else words[:3]
    application, resource, path, *_ = [*kept, "", "", ""]
    return application, resource, path


def _is_place(text: str) -> bool:
    """Whether an argument is a place rather than `KIND/NAME`."""
    return text.startswith("/") or "/" not in text.partition("[")[0]


def folded(line: str, width: int) -> str:
    """`line` over lines of at most `width` columns (0: unlimited); words are never broken.

    What follows a title stays below what stands beside it.
    """
    if not width or len(line) <= width:
        return line
    indent = _TITLE.match(line)
    return textwrap.fill(
        line,
        width,
        subsequent_indent=" " * len(indent[0]) if indent else "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def sentences(found: Explanation, *, asked: bool) -> Iterator[str]:
    """An explanation as lines of plain text; `asked` if one place was asked for."""
    from driftd.cli.edited import edited_kind, git_or_live
    from driftd.controller.unsynced import perhaps_persons

    resource, edited = found.resource, edited_kind(found.conditions)
    place = f"{resource.namespace}/" if resource.namespace else ""
    yield f"{resource.kind} {place}{resource.name}: {resource.status}"
    status = _STATUS[resource.status]
    if edited:
        status = status.replace("Git", git_or_live(edited))
    yield f"  {status}{_reason(resource)}"
    yield f"  application  {found.application}, on cluster {found.cluster or '(none)'}"
    yield f"  declared in  {_origin(resource)}"
    if resource.ignored_by is not UNSET:
        yield f"  no drift     {resource.ignored_by} accepts it"
    persons = perhaps_persons(found.deployers)
    if found.deployers:
        doubt = f"; {' and '.join(persons)} by name, and may be a person" if persons else ""
        named = ", ".join(found.deployers)
        yield f"  Git's hand   {named} (deployers of this application{doubt})"
    for one in found.places:
        yield ""
        yield from _place(one, resource, persons, edited)
    if not found.places:
        yield ""
        yield from _nothing(found)
    if found.excused and not asked:
        yield ""
        yield from _excused(found)
    yield ""
    yield from _rules(found)
    for entry in found.entries:
        yield from _entry(entry, found.resource)
    yield from _silences(found)
    yield from _healing(found)
    if found.next_steps:
        yield ""
        yield "What to do next:"
        yield from (f"  {step}" for step in found.next_steps)


def _silences(found: Explanation) -> Iterator[str]:
    """What is kept from being told, by whom and until when."""
    for silence in found.silences:
        yield f"{_sentence(silence.told)[:-1]}; not told before {silence.until}"
        yield from (f"  covers      {_readable(path, found.resource)}" for path in silence.paths)


def _healing(found: Explanation) -> Iterator[str]:
    """What healing does; of a daemon whose settings were given also when, or why not."""
    if found.outlook is UNSET:
        yield f"Healing, where a rule allows it, would do: {found.healing}"
        return
    outlook = found.outlook
    yield f"Healing by the daemon, rung {outlook.rung}: {_outlook(outlook)}"
    if not found.healing.startswith("nothing: "):
        does = "would do" if outlook.rung == "observe" else "does then"
        yield f"  {does:<11} {found.healing}"


def _outlook(outlook: Outlook) -> str:
    guard = f" ({outlook.guard})" if outlook.guard else ""
    if outlook.heals_at:
        return f"heals at {outlook.heals_at}, unless somebody snoozes it{guard}"
    if outlook.next_look:
        tries = outlook.rung == "dry-run"
        return "tried out by the next look, never written" if tries else "heals with the next look"
    until = f"; until {outlook.until}" if outlook.until else ""
    return f"not healed: {outlook.reason}{until}{guard}"


def _reason(resource: ResourceReport) -> str:
    return "" if resource.reason is UNSET else f" {_sentence(resource.reason)}"


def _sentence(text: str) -> str:
    word = text.partition(" ")[0]
    if not set(word) & set("./"):  # the name of a field or an annotation stays as it is
        text = text[:1].upper() + text[1:]
    return text + ("" if text.endswith((".", "?", "!")) else ".")


def _origin(resource: ResourceReport) -> str:
    revision = resource.evidence.revision
    at = f" at revision {revision[:8]}" if isinstance(revision, str) and revision else ""
    origin = resource.origin
    if origin is UNSET:
        return f"Git{at}" if resource.status != "Extra" else "nothing"
    line = "" if origin.line is UNSET else f":{origin.line}"
    line += "" if origin.template is UNSET else f" ({origin.template})"
    where = "" if origin.repo_url is UNSET else f" of {origin.repo_url}"
    return f"{origin.file}{line}{where}{at}"


def _nothing(found: Explanation) -> Iterator[str]:
    status = found.resource.status
    if status == "Synced":
        yield "Nothing differs that Git declares or that somebody has set."
    elif status in ("NotChecked", "Unknown"):
        yield "No field was compared."
    else:
        yield "There are no fields to compare."


def _place(
    place: PlaceExplanation, resource: ResourceReport, persons: Sequence[str], edited: str
) -> Iterator[str]:
    from driftd.cli.field_path import readable
    from driftd.cli.mistakes import lacks_field
    from driftd.cli.values import flow, of_change
    from driftd.model.report import Change, ChangeClass, ChangeKind

    stand_in = Change(
        kind=ChangeKind.MODIFIED,
        change_class=ChangeClass.DECLARED,
        path=place.path,
        ssa_path=place.ssa_path,
    )
    here = [one for one in place.changes if one.ssa_path == place.ssa_path]
    invalid = (one for one in here if one.invalid)
    # A place that holds the items' keys alone is one whose order differs.
    moved = (one for one in here if one.kind is ChangeKind.REORDERED and one.live == place.live)
    told = next(moved, stand_in)
    yield readable(next(invalid, stand_in), group=resource.group, kind=resource.kind)
    yield f"  pointer   {place.path}"
    yield f"  verdict   {_verdict(place)}"
    wrong = next((change for change in place.changes if change.invalid), None)
    nothing = "holds nothing here, or no value of its own"
    if wrong is not None and lacks_field(wrong):
        nothing = "can hold nothing here: the kind has no such field"
    for title, value, none in (
        ("rendered" if edited else "Git", place.desired, "declares nothing here"),
        ("live", place.live, nothing),
    ):
        text = none if value is UNSET else flow(of_change(told, value))
        yield f"  {title:<9} {text if len(text) <= _LONG else text[:_LONG] + '…'}"
    if wrong is None or place.owners:
        yield from _owners(place, persons)
    for reason in place.evidence:
        yield f"  because   {reason}"
    for change in place.changes:
        yield from _change(change, place, edited)


def _verdict(place: PlaceExplanation) -> str:
    if place.verdict == "drift":
        return "drift"
    if place.verdict == "ignored":
        by = next((c.ignored_by for c in place.changes if isinstance(c.ignored_by, str)), "")
        accepted = by.startswith(("baseline ", "suppression "))
        return f"no drift: {by} accepts it" if accepted else "no drift: an ignore rule covers it"
    return place.verdict


def _owners(place: PlaceExplanation, persons: Sequence[str]) -> Iterator[str]:
    """Who owns the place; `persons` are deployers by whose name a person may have written."""
    from driftd.model.report import ChangeClass

    overridden = any(
        change.is_drift and change.change_class is ChangeClass.DECLARED for change in place.changes
    )
    if not place.owners:
        yield "  owners    nobody owns the place in managedFields"
    for number, owner in enumerate(place.owners):
        through = f" through /{owner.subresource}" if owner.subresource else ""
        time = f", {owner.time}" if owner.time else ", at no recorded time"
        hand = "Git's hand" if owner.deployer else "not Git's hand"
        if owner.deployer and overridden and owner.manager in persons:
            hand = "a deployer by name, but what it wrote is not what Git says"
        title = "owners" if number == 0 else ""
        yield f"  {title:<9} {owner.manager} ({owner.operation}{through}{time}): {hand}"


def _change(change: Change, place: PlaceExplanation, edited: str) -> Iterator[str]:
    if change.path != place.path:
        yield f"  at        {change.path}"
    reason = "" if change.reason is UNSET else f": {change.reason}"
    if edited and change.reason == _GIT:
        from driftd.cli.edited import says_otherwise

        reason = f": {says_otherwise(edited)}"
    yield f"  kind      {change.kind}"
    yield f"  class     {change.change_class}{reason}"
    if change.severity is not UNSET:
        why = "" if change.severity_reason is UNSET else f": {change.severity_reason}"
        yield f"  severity  {change.severity}{why}"
    if change.attribution is not UNSET:
        from driftd.cli.authors import author_of, evidence

        event = evidence(change.attribution)
        yield f"  author    {author_of(change, '')}"
        if event:
            yield f"  audit log {event}"
    if change.origin is not UNSET:
        from driftd.cli.git_places import place_of_field

        word, _, at = place_of_field(change.origin).partition(" ")
        yield f"  set {word:<6}{at}"
    if change.ignored_by is not UNSET:
        yield f"  ignored   by {change.ignored_by}"


def _entry(entry: EntryExplanation, resource: ResourceReport) -> Iterator[str]:
    """What one entry of a baseline or suppression file does, and who answers for it."""
    about = {
        "owner": entry.owner,
        "reason": entry.reason,
        "ticket": entry.ticket,
        "last day" if not entry.expired else "expired on": entry.expires,
    }
    told = "; ".join(f"{title} {text}" for title, text in about.items() if text)
    yield f"{_sentence(entry.name)[:-1]}: {told}"
    yield f"  speaks of   {entry.selects}"
    for path in entry.accepts:
        verb = "no longer accepts (expired)" if entry.expired else "accepts"
        yield f"  {verb}  {_readable(path, resource)}"
    for path, why in entry.refuses.items():
        yield f"  does not accept  {_readable(path, resource)}: {why}"
    if not (entry.accepts or entry.refuses):
        yield "  accepts nothing now: no finding of the object is at its place"


def _readable(path: str, resource: ResourceReport) -> str:
    """The path of a change as tables print it; of a whole object its status."""
    from driftd.cli.field_path import readable

    change = next((one for one in resource.changes if one.path == path), None)
    if change is None:
        return f"that the object is {path}"
    return readable(change, group=resource.group, kind=resource.kind)


def _excused(found: Explanation) -> Iterator[str]:
    from driftd.cli.field_path import readable
    from driftd.model.report import Change, ChangeClass, ChangeKind

    changed = [change.ssa_path for change in found.resource.changes]
    every = (*found.excused, *(path for path in changed if isinstance(path, str)))
    # A struct whose fields are told one by one need not be told itself.
    excused = {
        path: reason
        for path, reason in found.excused.items()
        if not any(other.startswith(f"{path}/") for other in every)
    }
    yield "Beside Git, live holds these, and none of them is a difference:"
    by_reason: dict[str, list[str]] = {}
    for path, reason in list(excused.items())[:_EXCUSED]:
        stand_in = Change(
            kind=ChangeKind.ADDED, change_class=ChangeClass.REVIEW, path="", ssa_path=path
        )
        short = reason.partition(" (default table")[0]
        by_reason.setdefault(short, []).append(readable(stand_in, group="", kind=""))
    for reason, paths in by_reason.items():
        yield f"  {reason}:"
        yield from (f"    {path}" for path in paths)
    if len(excused) > _EXCUSED:
        yield f"  and {len(excused) - _EXCUSED} more (-o json has all)"


def _rules(found: Explanation) -> Iterator[str]:
    if not found.rules:
        yield "Ignore rules: none speaks of this object"
    for rule in found.rules:
        effect = f"ignores {', '.join(rule.ignores)}" if rule.ignores else "ignores nothing now"
        yield f"Ignore rule {rule.name} ({rule.selects}): {effect}"
