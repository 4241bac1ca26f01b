"""`driftd check` as a user runs it, and what its report says about changes that were made."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.changes import MISSING, REVIEW
from tests.e2e.mutations import Expected
from tests.testbed.program import driftd

ROOT = Path(__file__).parents[2]
SERVERS = {
    "https://kubernetes.default.svc": "production",
    "https://staging-cluster-api.example.com": "staging",
    "https://dev-cluster-api.example.com": "development",
}
"""The destinations of the example repository, and the context that stands for each."""
Key = tuple[str, str, str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One run of `driftd check -o json`."""

    exit_code: int
    report: Any
    seconds: float
    stderr: str

    def resources(self) -> Iterator[tuple[Key, Any]]:
        """Every object of the report under cluster, group, kind, namespace and name."""
        for application in self.report["applications"]:
            for one in application["resources"]:
                identity = (one["group"], one["kind"], one["namespace"], one["name"])
                yield (application["cluster"], *identity), one

    def drift(self) -> dict[Key, Any]:
        """The objects that are not as Git says."""
        return {
            key: one
            for key, one in self.resources()
            if one["status"] not in ("Synced", "NotChecked")
        }

    def findings(self) -> list[str]:
        """Everything that differs, of any class, in words."""
        return [
            f"{' '.join(key)} {one['status']} {change['class']} {change['path']}"
            for key, one in self.resources()
            for change in one["changes"]
        ] + [f"{' '.join(key)} {one['status']}" for key, one in self.drift().items()]

    def verdicts(self, *clusters: str) -> dict[str, Any]:
        """The verdicts on the applications of some clusters, without times and versions."""
        return {
            application["name"]: [
                application["status"],
                application["conditions"],
                [{**one, "evidence": None} for one in application["resources"]],
            ]
            for application in self.report["applications"]
            if application["cluster"] in clusters
        }


def look(repository: Path, kubeconfig: Path, home: Path, *flags: str) -> Look:
    """Run `driftd check` on the whole repository."""
    started = time.monotonic()
    done = driftd(
        *("check", "-o", "json", f"--repo={repository}", f"--kubeconfig={kubeconfig}"),
        *(f"--cluster={server}={context}" for server, context in SERVERS.items()),
        *flags,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1"},
        timeout=180,
    )
    seconds = time.monotonic() - started
    if not done.stdout:
        raise RuntimeError(f"driftd exited {done.returncode}: {done.stderr}")
    return Look(
        exit_code=done.returncode,
        report=json.loads(done.stdout),
        seconds=seconds,
        stderr=done.stderr,
    )


@dataclass(slots=True)
class Score:
    """How well a report tells the changes that were made."""

    problems: list[str]
    made: int = 0
    exact: int = 0
    """Changes of which every path is told exactly."""
    traced: int = 0
    """Changes that leave a trace of who made them."""
    named: int = 0
    """Those of them whose manager is told."""

    def __str__(self) -> str:
        return (
            f"{self.made} changes, path exact {self.exact}/{self.made}, "
            f"manager right {self.named}/{self.traced}"
        )


def score(expected: Sequence[Expected], seen: Look) -> Score:
    """Hold a report against the changes that were made: each found, nothing else."""
    result = Score([])
    wanted = {one.target.key: one for one in expected}
    for key, resource in seen.resources():
        one = wanted.pop(key, None)
        if one is None:
            result.problems += _surprises(key, resource)
            continue
        result.made += 1
        problems = _judge(one, resource, result)
        result.problems += [f"{one}: {problem}" for problem in problems]
    result.problems += [f"{one}: not in the report" for one in wanted.values()]
    return result


def _surprises(key: Key, resource: Any) -> Iterator[str]:
    if resource["status"] not in ("Synced", "NotChecked"):
        yield f"{' '.join(key)}: {resource['status']}, nobody changed it"
    for change in resource["changes"]:
        yield f"{' '.join(key)}: {change}, nobody changed it"


def _judge(one: Expected, resource: Any, result: Score) -> Iterator[str]:
    status = {MISSING: MISSING, REVIEW: "Synced"}.get(one.change_class, "OutOfSync")
    if resource["status"] != status:
        yield f"is {resource['status']}, not {status}: {resource['changes']}"
    if one.change_class == MISSING:
        result.exact += resource["status"] == MISSING
        return
    changes = resource["changes"]
    told = {change["path"] for change in changes}
    result.exact += told >= set(one.paths)
    for path in one.paths:
        found = [change for change in changes if related(change["path"], path)]
        if one.change_class not in {change["class"] for change in found}:
            yield f"no {one.change_class} change at {path}: {changes}"
    for change in changes:
        if not any(related(change["path"], path) for path in (*one.paths, *one.also)):
            yield f"unexpected {change}"
    managers = Counter(change.get("manager") for change in changes)
    if one.manager is None:
        if set(managers) - {None}:
            yield f"no trace can exist, yet {dict(managers)} is told"
        return
    result.traced += 1
    result.named += one.manager in managers
    if set(managers) - {None} != {one.manager}:
        yield f"made by {one.manager}, told {dict(managers)}"


def related(path: str, other: str) -> bool:
    """Whether two pointers are equal or one is above the other."""
    return f"{path}/".startswith(f"{other}/") or f"{other}/".startswith(f"{path}/")
