"""Whether everything that a look needs is there, and what to do where it is not.

Every problem is a finding; nothing is written anywhere. Objects are looked for, never compared.
"""

from __future__ import annotations

import platform
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from importlib import metadata
from typing import Literal, Protocol, TypeVar

from driftd import __version__
from driftd.aio import gather_isolated
from driftd.clock import Clock
from driftd.cluster.destinations import ClusterTarget
from driftd.cluster.discovery import display_name
from driftd.cluster.hub import Hub
from driftd.cluster.kubeconfig import OTHER_FILE, Kubeconfig
from driftd.cluster.reader import ApiResource, Discovery
from driftd.controller.bearings import NEXT_STEPS, found_in, other_kubeconfig
from driftd.controller.declared import Declared, Entry, declare, looks_foreign, unfit_contexts
from driftd.controller.desired import Desired, desired_state
from driftd.controller.doctor_kinds import kind_problems
from driftd.controller.doctor_leftovers import causes, searched_kinds
from driftd.controller.doctor_signatures import signing_problems
from driftd.controller.doctor_store import store_findings
from driftd.controller.emptiness import LOOKS_EMPTY, place_of, presence_of, remedy
from driftd.controller.observed import ClusterView, view_cluster
from driftd.controller.options import CheckOptions
from driftd.controller.workspace import Progress, Workspace
from driftd.diff import tables
from driftd.errors import ClusterError, DriftdError, Forbidden
from driftd.model.condition import Condition, Severity
from driftd.model.counts import counted
from driftd.model.remedies import is_of_git, own_words, remedy_of
from driftd.model.report import API_VERSION, WireStruct
from driftd.sandbox.pool import SandboxPool
from driftd.source.process import MINIMUM_GIT, git_version

MINIMUM_PYTHON = (3, 11)
CLOCK_TOLERANCE = 5.0
"""Seconds between the own clock and a cluster's at which ages in reports mislead."""
LIBRARIES = ("aiohttp", "deepdiff", "kubernetes_asyncio", "msgspec", "orjson", "pyyaml")
_PROBES = 8
_NAMED = 5

Status = Literal["ok", "warn", "fail"]
Result = TypeVar("Result")


class DoctorCheck(WireStruct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    area: str
    """`git`, `sandbox`, `kubeconfig`, `repository`, `application NAME`, `cluster NAME` …"""
    status: Status
    message: str
    remedy: str = ""
    """What to do; empty where nothing needs to be done."""
    condition: str = ""
    """The type of the condition that a report would have of it, of `ClusterLooksEmpty` alone."""


class DoctorReport(WireStruct, frozen=True, kw_only=True):
    """What `driftd doctor -o json` prints."""

    api_version: str = API_VERSION
    kind: Literal["DoctorReport"] = "DoctorReport"
    ok: bool
    """Whether nothing failed; warnings are allowed."""
    checks: tuple[DoctorCheck, ...]


class Probe(Protocol):
    """What is asked of a cluster beside discovery."""

    async def may_list(self, resource: ApiResource, namespace: str = "") -> None:
        """Raises ClusterError if objects of the kind cannot be listed."""
        ...

    async def now(self) -> datetime | None:
        """The server's clock."""
        ...


class Doctor:
    """Collects the findings, area by area; the composition root calls it in order."""

    def __init__(self, options: CheckOptions, clock: Clock, progress: Progress) -> None:
        self._options = options
        self._clock = clock
        self._progress = progress
        self._checks: list[DoctorCheck] = []

    def report(self) -> DoctorReport:
        """Everything that was found."""
        checks = tuple(self._checks)
        return DoctorReport(ok=all(check.status != "fail" for check in checks), checks=checks)

    def attempt(self, area: str, call: Callable[[], Result]) -> Result | None:
        """The result of `call`; its DriftdError becomes a finding, and the result None."""
        try:
            return call()
        except DriftdError as error:
            self._problem(area, error)
            return None

    async def attempt_async(self, area: str, call: Awaitable[Result]) -> Result | None:
        """As `attempt`, for what must be waited for."""
        try:
            return await call
        except DriftdError as error:
            self._problem(area, error)
            return None

    async def machine(self, sandbox: SandboxPool) -> None:
        """Python, libraries, git, and the sandbox worker."""
        self._python()
        version = await self.attempt_async("git", git_version())
        if version is not None:
            minimum = ".".join(map(str, MINIMUM_GIT))
            if _numbers(version) < MINIMUM_GIT:
                self._say("git", "fail", f"git {version} is too old", f"install git {minimum}")
            else:
                self._say("git", "ok", f"git {version}")
        hello = await self.attempt_async("sandbox", sandbox.hello())
        if hello is None:
            return
        if hello.isolation.complete:
            self._say("sandbox", "ok", "the worker is current and isolated")
        else:
            notes = "; ".join(hello.isolation.notes) or "this system has no seccomp"
            self._say(
                "sandbox",
                "warn",
                f"the worker is current, but not fully isolated: {notes}",
                "render only repositories that you trust here, or use Linux with seccomp",
            )

    def _python(self) -> None:
        if sys.version_info < MINIMUM_PYTHON:
            wanted = ".".join(map(str, MINIMUM_PYTHON))
            self._say("python", "fail", platform.python_version(), f"use Python {wanted} or later")
            return
        found, missing = [], []
        for name in LIBRARIES:
            try:
                found.append(f"{name} {metadata.version(name)}")
            except metadata.PackageNotFoundError:
                missing.append(name)
        if missing:
            self._say("python", "fail", f"missing: {', '.join(missing)}", "reinstall driftd")
        text = f"driftd {__version__}, Python {platform.python_version()}, {', '.join(found)}"
        self._say("python", "ok", text)

    async def store(self) -> None:
        """The daemon's store, where its settings were named."""
        if self._options.config is None:
            return
        found = await self.attempt_async("store", store_findings(self._options.config))
        for one in found or ():
            self._say(one.area, one.status, one.message, one.remedy)

    def kubeconfig(self, found: Kubeconfig | None, problem: str, *, in_cluster: bool) -> None:
        """What the kubeconfig offers; `problem` says why there is none."""
        if in_cluster:
            self._say("kubeconfig", "ok", "running in a Pod: its service account is usable")
        if found is None:
            if problem and not in_cluster:
                text, _, remedy = problem.partition("; ")
                self._say("kubeconfig", "fail", text, remedy)
            return
        names = [context.name for context in found.contexts]
        if not names and not in_cluster:
            self._say("kubeconfig", "fail", found.problem, OTHER_FILE)
        elif names:
            self._say("kubeconfig", "ok", f"contexts: {_listing(names)}")

    def hub(self, hub: Hub | None) -> None:
        """What was read of the hub; nothing without one."""
        if hub is None:
            return
        text = (
            f"{hub.name}: {counted(len(hub.applications), 'Application')}, "
            f"{counted(len(hub.projects), 'project')}, "
            f"{counted(len(hub.clusters), 'cluster Secret')}"
        )
        self._say("hub", "ok", text)
        self._conditions("hub", hub.conditions)

    async def applications(
        self, workspace: Workspace, probe: Callable[[ClusterTarget], Probe]
    ) -> None:
        """The applications, whether they render, and what their clusters let driftd see."""
        declared = await self.attempt_async(
            "repository", declare(workspace, self._options, self._quiet)
        )
        if declared is None:
            return
        told = workspace.hub.conditions if workspace.hub is not None else ()
        self._conditions("repository", [one for one in declared.conditions if one not in told])
        by_target: dict[ClusterTarget, list[Entry]] = defaultdict(list)
        for entry in declared.entries:
            if entry.target is not None:
                by_target[entry.target].append(entry)
            self._conditions(f"application {entry.application.name}", entry.conditions)
        signing, lacking = await signing_problems(workspace, declared.entries)
        for problem in lacking:
            self._problem("signatures", problem)
        if signing and not lacking:
            self._say("signatures", "ok", signing)
        rendered = 0
        for target, entries in by_target.items():
            rendered += await self._cluster(workspace, declared, target, entries, probe)
        applications = [entry.application for entry in declared.entries]
        where = f" in {found_in(applications)}" if applications and workspace.hub is None else ""
        lost = not rendered and workspace.hub is None and looks_foreign(workspace, declared)
        unfit = unfit_contexts(workspace, declared) if applications else ()
        if unfit:
            message, _, step = other_kubeconfig(applications, unfit).partition("; ")
            self._say("kubeconfig", "fail", message, step)
        whose = "these are not yours" if applications else "this is the wrong folder"
        self._say(
            "repository",
            "warn" if lost else "ok",
            f"{counted(len(applications), 'application')}{where}, {rendered} rendered without "
            "errors",
            f"if {whose}, {NEXT_STEPS}" if lost else "",
        )
        for note in workspace.repositories.notes:
            self._say("repository", "warn", note)

    async def _cluster(
        self,
        workspace: Workspace,
        declared: Declared,
        target: ClusterTarget,
        entries: list[Entry],
        probe: Callable[[ClusterTarget], Probe],
    ) -> int:
        """One cluster and its applications; how many of them render without errors."""
        area = f"cluster {target.name}"
        self._progress(f"examining {target.name}")
        reader = self.attempt(area, lambda: workspace.clusters.open(target))
        view = await view_cluster(reader) if reader is not None else None
        if view is not None and view.problem is not None:
            self._problem(area, view.problem)
        desired = await self._rendered(workspace, declared, entries, view)
        if view is not None and view.discovery is not None:
            self._say(
                area,
                "ok",
                f"{view.version} answers{f' at {target.server}' if target.server else ''}",
            )
            if told := tables.note(view.version):
                self._say(area, "warn", told, "install a driftd that knows this release, if any")
            for version, why in view.discovery.failed_groups.items():
                remedy = f"kubectl get apiservice, and mend the server behind {version}"
                self._say(area, "warn", f"{version} does not answer: {why}", remedy)
            asked = probe(target)
            await self._clocks(area, asked)
            lacking = kind_problems(workspace, desired, view.discovery, urls=declared.urls)
            for problem, step in await lacking:
                self._say(area, "fail", problem, step)
            await self._permissions(area, asked, _needed(desired, view.discovery))
            excluded = declared.customizations.excludes
            self._say(
                area,
                "ok",
                await searched_kinds(
                    asked.may_list,
                    view.discovery,
                    lambda group, kind: excluded(group, kind, target.server),
                ),
            )
            await self._presence(area, workspace, target, entries, view, desired)
        return sum(one.complete for one in desired)

    async def _rendered(
        self,
        workspace: Workspace,
        declared: Declared,
        entries: Iterable[Entry],
        view: ClusterView | None,
    ) -> list[Desired]:
        found = []
        for entry in entries:
            area = f"application {entry.application.name}"
            desired = await self.attempt_async(
                area,
                desired_state(
                    workspace,
                    entry,
                    view.discovery if view else None,
                    urls=declared.urls,
                    kube_version=view.version if view else "",
                ),
            )
            if desired is not None:
                found.append(desired)
                known = set(entry.conditions)
                self._conditions(area, (c for c in desired.conditions if c not in known))
        return found

    async def _clocks(self, area: str, probe: Probe) -> None:
        before = self._clock.now()
        theirs = await self.attempt_async(area, probe.now())
        if theirs is None:
            return
        ours = before + (self._clock.now() - before) / 2
        # HTTP tells whole seconds, cut off.
        difference = (theirs - ours).total_seconds() + 0.5
        text = f"its clock is {abs(difference):.0f} s {'ahead' if difference > 0 else 'behind'}"
        if abs(difference) > CLOCK_TOLERANCE:
            self._say(area, "warn", text, "synchronise the clocks; ages in reports are off by it")
        else:
            self._say(area, "ok", "its clock agrees with this machine's")

    async def _permissions(
        self, area: str, probe: Probe, needed: Mapping[ApiResource, set[str]]
    ) -> None:
        """Try to list every kind that the applications need, one object at most."""
        places = [(kind, name) for kind, spaces in needed.items() for name in sorted(spaces)]

        async def ask(place: tuple[ApiResource, str]) -> None:
            await probe.may_list(*place)

        answers = await gather_isolated(ask, places, limit=_PROBES, isolate=ClusterError)
        refused: dict[ApiResource, list[str]] = defaultdict(list)
        failed: list[tuple[str, ClusterError]] = []
        allowed: set[ApiResource] = set()
        for (kind, name), answer in zip(places, answers, strict=True):
            if isinstance(answer, Forbidden):
                refused[kind].append(name)
            elif isinstance(answer, ClusterError):
                where = f" in namespace {name}" if name else ""
                failed.append((display_name(kind) + where, answer))
            else:
                allowed.add(kind)
        self._say(area, "ok", f"declared kinds that may be listed: {len(allowed)} of {len(needed)}")
        for why in causes(failed):
            self._say(area, "fail", why)
        for kind, names in refused.items():
            self._refused(area, kind, names)

    async def _presence(
        self,
        area: str,
        workspace: Workspace,
        target: ClusterTarget,
        entries: list[Entry],
        view: ClusterView,
        desired: Iterable[Desired],
    ) -> None:
        """Whether the declared objects are there at all; a wrong cluster has none of them."""
        if view.discovery is None:
            return
        manifests = [manifest for one in desired for manifest in one.manifests]
        limit = self._options.concurrency
        presence = await presence_of(view, view.discovery, manifests, limit=limit)
        if presence.looks_empty:
            place = place_of(target, workspace.contexts)
            hint = remedy(target, entries, workspace.contexts, self._options.cluster_map)
            self._say(area, "warn", f"{presence.words} from {place}", hint, LOOKS_EMPTY)
        elif presence.looked_for:
            there, unseen = presence.looked_for - presence.missing, presence.unseen
            text = f"declared objects that are there: {there} of {presence.looked_for}"
            rest = f"; {unseen} more could not be looked for" if unseen else ""
            self._say(area, "ok", text + rest)

    def _refused(self, area: str, kind: ApiResource, namespaces: list[str]) -> None:
        where = f" in {_listing(namespaces)}" if any(namespaces) else ""
        what = f"may not list {display_name(kind)}{where}"
        if (kind.group, kind.kind) == ("", "Secret"):
            remedy = "leave it so (they are NotChecked), or grant get and list on secrets"
            self._say(area, "warn", f"{what}: Secrets are not compared", remedy)
            return
        binding = "Role" if any(namespaces) else "ClusterRole"
        remedy = (
            f"give its user a {binding} with apiGroups [{kind.group!r}], "
            f"resources [{kind.plural}], verbs [get, list, watch]"
        )
        self._say(area, "fail", f"{what}: its objects would be Unknown", remedy)

    def _conditions(self, area: str, conditions: Iterable[Condition]) -> None:
        for condition in conditions:
            if condition.severity is Severity.INFO:
                continue
            status: Status = "fail" if condition.severity is Severity.ERROR else "warn"
            self._say(area, status, *_with_step(area, condition.message))

    def _problem(self, area: str, error: DriftdError) -> None:
        self._say(area, "fail", str(error), error.hint)

    def _say(
        self, area: str, status: Status, message: str, remedy: str = "", condition: str = ""
    ) -> None:
        self._checks.append(
            DoctorCheck(
                area=area, status=status, message=message, remedy=remedy, condition=condition
            )
        )

    def _quiet(self, text: str) -> None:
        """Notes of mappings are findings here."""
        note = text.removeprefix("note: ")
        if note == text:
            self._progress(text)
        elif not any(check.message == note for check in self._checks):
            self._say("destinations", "ok", note)


def _needed(desired: Iterable[Desired], discovery: Discovery) -> dict[ApiResource, set[str]]:
    """Every served kind that is declared, with the namespaces that a look would list."""
    needed: dict[ApiResource, set[str]] = defaultdict(set)
    for one in desired:
        for manifest in one.manifests:
            key = manifest.key
            kind = discovery.served(key.group, manifest.version, key.kind)
            if kind is not None and kind.listable:
                needed[kind].add(key.namespace if kind.namespaced else "")
    return needed


def _with_step(area: str, text: str) -> tuple[str, str]:
    """What a condition says, and what to do: where it does not say, of what a renderer says."""
    message, remedy = remedy_of(text)
    if remedy or not is_of_git(text):
        return own_words(message) if remedy else message, remedy
    name = area.removeprefix("application ")
    again = f"; driftd render {name} shows whether it renders" if name != area else ""
    return message, f"correct that in Git{again}"


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: `2.39.5 (Apple Git-154)` is (2, 39, 5)."""
    numbers = []
    for part in version.split()[0].split(".") if version else ():
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def _listing(names: list[str]) -> str:
    rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + rest
