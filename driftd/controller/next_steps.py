"""What a person can do about an object: put it back, keep it, accept it, ignore it. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from msgspec import UNSET, UnsetType

from driftd.cluster.edited import EDITED as OVERRIDDEN
from driftd.controller.live_applications import EDITED
from driftd.controller.suspension import suspension
from driftd.controller.unsynced import hub_tells, perhaps_ahead, still_used
from driftd.diff.facts import Bounds
from driftd.model.application import Application
from driftd.model.counts import counted
from driftd.model.preview import Effect
from driftd.model.remedies import remedy_of
from driftd.model.report import (
    MISNAMED,
    ApplicationReport,
    Change,
    ChangeClass,
    Invalid,
    ReportOrigin,
    ResourceReport,
)
from driftd.policy.merging import effect_of
from driftd.sync.engine import (
    argo_name,
    asking_flux,
    before_asking_flux,
    engine_of,
    removes,
    resuming,
    who_leaves,
)

SELF_HEAL_SECONDS = 300.0
"""Seconds after which Argo CD's self-healing, were it to work, would have put a change back."""
_NO_FIELD = "UnknownField"
_REPLICAS = "/spec/replicas"
_PLACE = re.compile(r"^(\S+:\d+): ")
"""The place in Git that a reason begins with."""
_GENERATED = re.compile(r"^(?:ApplicationSet|Application) \S+")
"""The origin of an Application that another object brings into being."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How the present command was asked, so that the next one sees the same."""

    flags: Mapping[str, str] = field(default_factory=dict)
    """What each suggested command carries on of the flags of this one, by command."""
    unmerged: str = ""
    """What was looked at in place of what is followed: `the work tree`, a revision."""

    def command(self, name: str, rest: str) -> str:
        """A command with the flags that it has in common with the present one."""
        return " ".join(filter(None, (name, self.flags.get(name, ""), rest)))


def next_steps(
    application: Application,
    report: ApplicationReport,
    resource: ResourceReport,
    now: datetime,
    *,
    changing: str = "",
    keeping: str = "",
    fixed: bool = False,
    suspended: bool = False,
    scaler: Bounds | None = None,
    masked: bool = False,
    users: Collection[str] = (),
    commit: str = "",
    asked: Asked | None = None,
) -> tuple[str, ...]:
    """The steps for an object, first what is to be known of self-healing; none without drift.

    `changing` says how Git comes to another value, where the file that declares the object does
    not say it itself: a template, a program; `keeping` what to commit where it does. `fixed` if
    the live object says that it is immutable; `suspended` if the live Kustomization or HelmRelease
    says that Flux is to leave the application alone, whatever Git says; `scaler` what an
    autoscaler that targets the object allows; `masked` if Git's object holds values that no command
    of driftd prints; `users` the live objects that name the object, as `KIND NAME`;
    `commit` the one that brought a Missing object into Git, if it may wait for a sync.
    """
    asked = asked or Asked()
    if resource.status == "Unknown":
        return (_judgeable(resource, asked),)
    if not resource.is_drift:
        return ()
    every = [change for change in resource.changes if change.is_drift]
    wrong = [change for change in every if change.invalid]
    drift = [change for change in every if not change.invalid]
    if resource.invalid or wrong:  # what else differs, no sync puts back before
        return (*_correct(resource, wrong, changing), *_afterwards(drift))
    if resource.status == "Missing" and not _is_deployed(application, report):
        return (*_deploy(application, asked), *_keep(resource, changing, keeping))
    halted = suspension(application, suspended=suspended)
    scaled = scaled_change(resource, scaler)
    rest = [change for change in drift if change is not scaled]
    return (
        *_edited(application),
        *_unhealed(application, report, drift, now),
        *_autoscaled(scaler, resource),
        *filter(None, (halted,)),
        *_perhaps_ahead(application, report, resource, drift, commit, asked),
        *_put_back(
            application,
            report,
            resource,
            rest,
            fixed=fixed,
            suspended=bool(halted),
            masked=masked,
            users=users,
            asked=asked,
        ),
        *(_keep(resource, changing, keeping) if rest or scaled is None else ()),
        *_accept(application, resource, drift or every, asked),
    )


def _edited(application: Application) -> Iterator[str]:
    """That "Git" is here what the live Application makes of it, where somebody edited that."""
    # Of Flux, the step that puts things back says what comes first.
    brings = "" if application.flux is not None else ", for a sync brings it too"
    for condition in application.conditions:
        if condition.type in (EDITED, OVERRIDDEN):
            yield f"first settle what counts{brings}: {condition.message}"


def _perhaps_ahead(
    application: Application,
    report: ApplicationReport,
    resource: ResourceReport,
    drift: list[Change],
    commit: str,
    asked: Asked,
) -> Iterator[str]:
    if not (asked.unmerged and resource.status == "Missing"):  # is told to be merged
        yield from perhaps_ahead(application, report, resource, drift, commit=commit)


def _judgeable(resource: ResourceReport, asked: Asked) -> str:
    """What lets an object be judged that could not be."""
    reason = "" if resource.reason is UNSET else resource.reason
    remedy = remedy_of(reason)[1]
    if reason.startswith(MISNAMED):
        version = f"{resource.group}/{resource.version}".removeprefix("/")
        return f"correct Git{_where(resource.origin)}: declare it as {version} {resource.kind}"
    place = _PLACE.match(reason)
    if place is not None:
        return f"correct Git at {place[1]}: {remedy or _PLACE.sub('', reason)}"
    return remedy or f"{asked.command('driftd doctor', '')} says what is lacking"


def _is_deployed(application: Application, report: ApplicationReport) -> bool:
    """Whether there is a trace that the application was ever deployed."""
    if application.synced_revisions or report.deployers:
        return True
    return any(one.evidence.uid is not UNSET for one in report.resources)


def _deploy(application: Application, asked: Asked) -> Iterator[str]:
    """Who brings an application into being of which the cluster has nothing."""
    yield "not deployed yet, as it seems: the cluster has nothing of the application"
    flux, origin = application.flux, application.origin
    parent = _GENERATED.match(origin)
    lead = "merge it" if asked.unmerged else "merge it, unless it is"
    if flux is not None:
        above = f"Kustomization {flux.applied_by}" if flux.applied_by else "what applies its file"
        yield f"{lead}; {above} then creates the {flux.kind}, and Flux what it declares"
    elif origin.startswith("hub "):
        yield f"{lead}; then argocd app sync {argo_name(application)} creates what it declares"
    elif parent is not None and parent[0].startswith("ApplicationSet"):
        yield f"{lead}; {parent[0]} then creates the Application, and a sync what it declares"
    elif parent is not None:
        name = parent[0].partition(" ")[2]
        yield (
            f"{lead}; a sync of {parent[0]} then creates the Application (argocd app sync {name}), "
            "and its own sync what it declares"
        )
    else:
        yield f"{lead}; the Application in {origin} is then to be created where Argo CD runs"


def _correct(resource: ResourceReport, wrong: list[Change], changing: str) -> Iterator[str]:
    """What to write in Git, and where; no sync helps before."""
    mistakes = [(one.invalid, one.origin) for one in wrong if one.invalid]
    whole = resource.invalid
    if whole and all(one.path != whole.path for one, _ in mistakes):
        mistakes.append((whole, whole.origin))  # perhaps what the others have caused
    for mistake, origin in mistakes:
        where = _where(resource.origin if origin is UNSET else origin)
        yield f"correct Git{where}: {_correction(mistake)}"
    refused = any(mistake.cause != _NO_FIELD for mistake, _ in mistakes)
    # No value makes a field of a name that the kind does not have; a file alone can be corrected.
    if changing and refused:
        yield f"or {changing}"
    if resource.status == "Missing":
        return
    if refused:
        yield "until then each sync of the object fails"
    else:
        yield "until then a sync leaves that out, or fails for the whole object"


def _afterwards(drift: list[Change]) -> Iterator[str]:
    """What to do about differences beside a mistake."""
    if drift:
        others = counted(len(drift), "other difference")
        yield f"then explain it again, for its {others}: no sync ends one before Git is right"


def _where(place: ReportOrigin | UnsetType) -> str:
    if place is UNSET:
        return ""
    return f" at {place.file}" + ("" if place.line is UNSET else f":{place.line}")


def _correction(found: Invalid) -> str:
    if found.cause != _NO_FIELD:
        return found.message.partition(": ")[2]
    name, meant = _last(found.path), found.meant
    if meant is UNSET:
        return f"the kind has no field {name}: correct its name or remove it"
    if meant.rpartition("/")[0] == found.path.rpartition("/")[0]:
        return f"write {_last(meant)} for {name}"
    told = found.message.rpartition("; ")[2]
    return f"{name}{told.removeprefix('it')}" if told.startswith("it belongs ") else told


def _last(pointer: str) -> str:
    return pointer.rpartition("/")[2].replace("~1", "/").replace("~0", "~")


def _unhealed(
    application: Application, report: ApplicationReport, drift: list[Change], now: datetime
) -> Iterator[str]:
    automated = application.spec.sync_policy.automated if application.flux is None else None
    if automated is None or automated.enabled is False or not automated.self_heal:
        return
    ages = [
        (now - datetime.fromisoformat(str(change.time)).astimezone(UTC)).total_seconds()
        for change in drift
        if change.time is not UNSET
        and change.change_class is ChangeClass.DECLARED
        and change.manager not in report.deployers
    ]
    if ages and max(ages) >= SELF_HEAL_SECONDS:
        live = application.origin.startswith("hub ")
        where, off = ("", "") if live else (" in Git", " the live Application has it off, or")
        yield (
            f"selfHeal is on{where}, and the change is {max(ages) / 60:.0f} min old:{off} Argo CD "
            "does not run for it, does not see it, or fails to sync: "
            f"argocd app get {argo_name(application)}"
        )


def scaled_change(resource: ResourceReport, scaler: Bounds | None) -> Change | None:
    """The drift of replicas that Git declares although an autoscaler sets them, else None.

    Neither Git's count nor the live one is to be kept there. A live count of 0 that the autoscaler
    does not allow switches it off: that is for Git to put back.
    """
    for change in resource.changes if scaler is not None else ():
        if change.path == _REPLICAS and change.is_drift and change.desired is not UNSET:
            return None if _is_off(change, scaler) else change
    return None


def _is_off(change: Change, scaler: Bounds | None) -> bool:
    return scaler is not None and change.live == 0 and not scaler.allows(0)


def _autoscaled(scaler: Bounds | None, resource: ResourceReport) -> Iterator[str]:
    """That replicas are an autoscaler's, and do not belong in Git beside it."""
    scaled = scaled_change(resource, scaler)
    if scaler is None:
        return
    if scaled is None:
        if any(one.path == _REPLICAS and _is_off(one, scaler) for one in resource.changes):
            yield f"{scaler}; 0 replicas switch it off until another count is set"
        return
    where = _where(resource.origin if scaled.origin is UNSET else scaled.origin)
    yield f"{scaler}: it sets replicas, which therefore does not belong in Git{where}"
    if not scaler.allows(scaled.desired):
        yield f"Git's {scaled.desired} is outside these bounds: a sync to it would not last"
    if scaled.live is not UNSET and not scaler.allows(scaled.live):
        yield f"the live {scaled.live} is outside these bounds: it does not last"


def _put_back(
    application: Application,
    report: ApplicationReport,
    resource: ResourceReport,
    drift: list[Change],
    *,
    fixed: bool,
    suspended: bool,
    masked: bool,
    users: Collection[str],
    asked: Asked,
) -> Iterator[str]:
    engine = engine_of(application, report.deployers)
    flux, at = application.flux, _context(report)
    if resource.status == "Extra":
        once = ", once it is resumed" if suspended else ""
        used = still_used(users)
        yield used or f"remove it: {asked.command('kubectl', f'delete {_object(resource)}')}{at}"
        leave = (
            "leave it to prune, after a sync of what names it" if used else "or leave that to prune"
        )
        yield f"{leave}: {_pruning(application, hub=hub_tells(report.deployers))}{once}"
        return
    edited = before_asking_flux(application)
    if edited:
        yield f"{edited}; then explain it again"
        return
    if flux is not None:
        how = asking_flux(application, suspended=suspended)
    elif engine == "Argo CD":
        place = f"{resource.namespace}/" if resource.namespace else ""
        target = f"{resource.group}:{resource.kind}:{place}{resource.name}"
        how = f"argocd app sync {argo_name(application)} --resource {target}"
    elif masked:
        how = "apply it as it was deployed: it holds values that driftd does not print"
    else:
        how = _applying(application, resource, at, asked)
    resumed = [one for one in drift if resuming(resource.key, one)]
    drift = [one for one in drift if one not in resumed]
    yield from _resume(resource, resumed, f"{_flags(asked)}{at}", alone=not drift)
    added = [one for one in drift if one.change_class is ChangeClass.UNDECLARED]
    stay = [one for one in added if not removes(application, engine, one)]
    declared = any(one.change_class is ChangeClass.DECLARED for one in drift)
    refused = _refused(resource, drift, fixed=fixed)
    if refused:
        yield f"{refused}; a sync fails before that, unless it replaces the object by force"
        yield (
            f"put it back: {asked.command('kubectl', f'delete {_object(resource)}')}{at}"
            f"{'' if fixed else ', which ends what it runs or holds'}, then {how}"
        )
    elif resource.status == "Missing" or declared or len(stay) < len(added):
        first = ""
        if asked.unmerged and engine:
            first = f"if only {asked.unmerged} says it: merge it; "
        yield f"{first}put it back: {how}"
    if stay:
        yield (
            f"{who_leaves(engine)} leaves what Git is silent about: remove that by "
            f"{asked.command('kubectl', f'edit {_object(resource)}')}{at}"
        )


def _applying(application: Application, resource: ResourceReport, at: str, asked: Asked) -> str:
    # The object alone: whoever asks about one means to change no other.
    place = f"{resource.namespace}/" if resource.namespace else ""
    target = f"{resource.kind.lower()}/{place}{resource.name}"
    rendered = asked.command("driftd render", f"{application.name} {target}")
    return f"{rendered} | {asked.command('kubectl', f'apply{at} -f -')}"


def _resume(
    resource: ResourceReport, changes: list[Change], flags: str, *, alone: bool
) -> Iterator[str]:
    """How an object of Flux is no longer suspended beside Git, or is again."""
    for one in changes:
        what = "it" if alone else "spec.suspend"
        yield f"put {what} back: {resuming(resource.key, one)}{flags}"


def _flags(asked: Asked) -> str:
    flags = asked.flags.get("kubectl")  # which flux has too
    return f" {flags}" if flags else ""


def _refused(resource: ResourceReport, drift: list[Change], *, fixed: bool) -> str:
    """That the API server takes no change in place of a field that a sync would put back."""
    key = resource.key
    for change in drift:
        if change.change_class is not ChangeClass.DECLARED:
            continue
        effect = effect_of(key, change, {"immutable": fixed})
        if effect is not None and effect[0] is Effect.RECREATE:
            return f"{effect[1]} (the live one is immutable: true)" if fixed else effect[1]
    return ""


def _pruning(application: Application, *, hub: bool) -> str:
    """Who deletes what Git has no more, and when; `hub` where a look through one may tell."""
    if application.flux is not None:
        return "spec.prune is on, Flux deletes it when it reconciles"
    automated = application.spec.sync_policy.automated
    on = automated is not None and automated.enabled is not False and automated.prune
    setting, how = "syncPolicy.automated.prune", f"argocd app sync {argo_name(application)} --prune"
    by_itself = "Argo CD deletes it when it syncs by itself"
    by_hand = f"only {how} deletes it, and all else that is Extra"
    if application.origin.startswith("hub "):
        live = f"{setting} of the live Application is"
        return f"{live} on, {by_itself}" if on else f"{live} off, {by_hand}"
    # Argo CD goes by the live Application, which somebody may have edited.
    if on:
        lead, unless = (
            f"Git says {setting}: true, so {by_itself}",
            "if the live Application has it too",
        )
    else:
        lead, unless = (
            f"{setting} is off in Git, so {by_hand}",
            "unless the live Application has it on",
        )
    return f"{lead}, {unless}{' (--hub CONTEXT tells)' if hub else ''}"


def _keep(resource: ResourceReport, changing: str, keeping: str) -> Iterator[str]:
    if resource.status == "Extra":
        yield "or declare it again in Git, if it was dropped by mistake"
        return
    if resource.status == "Missing":
        # Of a chart or a program the file may make other objects too.
        where = "" if changing else _where(resource.origin)
        yield f"or remove it from Git{where}, if it is to stay away"
        return
    if changing or keeping:
        yield f"or keep it: {changing or keeping}"


def _accept(
    application: Application, resource: ResourceReport, drift: list[Change], asked: Asked
) -> Iterator[str]:
    critical = [one.severity == "critical" for one in drift] or [resource.severity == "critical"]
    command = asked.command("driftd baseline", f"{application.name} --file FILE")
    if all(critical):
        yield "no baseline can accept it: it is critical"
    elif any(critical):
        part = f"{critical.count(False)} of {counted(len(critical), 'finding')}"
        yield f"or accept for a while what is not critical ({part}): {command}"
    else:
        yield f"or accept it for a while: {command}"
    yield "or ignore the place: driftd help suppressions"


def _object(resource: ResourceReport) -> str:
    group = f".{resource.version}.{resource.group}" if resource.group else ""
    where = f" -n {resource.namespace}" if resource.namespace else ""
    return f"{resource.kind.lower()}{group}/{resource.name}{where}"


def _context(report: ApplicationReport) -> str:
    return f" --context {report.cluster}" if report.cluster else ""
