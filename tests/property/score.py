"""Run many trials and count: misses, false alarms, paths, managers, and what others saw.

    python -m tests.property.score [--trials 3000] [--seed 1] [--peers] [--covered] [--audit]

Prints two tables. Every complaint that no written limit covers is printed with its seed.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import click

from tests.property.lab import Lab
from tests.property.limits import known
from tests.property.peers import PEERS, SEEN, asked
from tests.property.trial import (
    CLEAN,
    FOUND,
    MANAGER,
    PATHS,
    Trial,
    examined,
    prepared,
)
from tests.testbed.client import ApiError
from tests.testbed.cluster import ControlPlane

ALONE = "driftd, one look"


@dataclass(slots=True)
class Score:
    """What the trials said."""

    counts: Counter[str] = field(default_factory=Counter)
    limits: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)
    covered: list[str] = field(default_factory=list)
    """The trials that a written limit covers, each with its name."""
    persons: list[str] = field(default_factory=list)
    """The trials of which the audit log does not name the person."""
    states: set[str] = field(default_factory=set)
    """The distinct clean states: kind, body and history."""
    kinds: set[str] = field(default_factory=set)
    by_sort: dict[str, Counter[str]] = field(default_factory=dict)
    """Changes by their sort: how many, and how many of them each tool saw."""

    def run(self, lab: Lab, seed: int, *, peers: bool = False) -> None:
        """One trial."""
        try:
            trial = prepared(seed, lab)
            complaints = examined(lab, trial, asked if peers else None)
        except ApiError:
            self.counts["not deployable"] += 1  # a former release that cannot be left again
            return
        self.counts["trials"] += 1
        self.kinds.add(trial.desired["kind"])
        self.states.add(_state(trial))
        if CLEAN in complaints:
            self._complain(CLEAN, trial)
            return
        self._count(trial, complaints)
        for what in complaints:
            self._complain(what, trial)

    def _complain(self, what: str, trial: Trial) -> None:
        name = known(trial, what)
        if name is None:
            self.complaints.append(f"{what}: {trial}")
        else:
            self.limits[name] += 1
            self.covered.append(f"{name}, {what}: {trial}")

    def _count(self, trial: Trial, complaints: list[str]) -> None:
        if not trial.truth:
            self.counts["no-op"] += 1
            self.counts["no-op, alarm"] += any(c.is_drift for c in trial.found)
            return
        self.counts["changes"] += 1
        found = FOUND not in complaints
        self.counts["found"] += found
        self.counts["found alone"] += bool(trial.alone)
        self.counts["exact path"] += found and PATHS not in complaints
        if found and trial.traced and trial.left_a_trace and trial.way != "forged":
            self.counts["traced"] += 1
            self.counts["right manager"] += MANAGER not in complaints
        if trial.told is not None:
            self.counts["persons"] += 1
            self.counts["right person"] += trial.told.right
            self.counts["wrong person"] += trial.told.wrong
            if not trial.told.right:
                self.persons.append(f"{trial}\n  told: {trial.told}")
        row = self.by_sort.setdefault(trial.sort, Counter())
        row["changes"] += 1
        row["driftd"] += found
        row[ALONE] += bool(trial.alone)
        for peer, answer in trial.peers.items():
            row[peer] += answer == SEEN

    def __str__(self) -> str:
        n = self.counts
        lines = [
            f"trials                {n['trials']:6}   ({n['not deployable']} not deployable)",
            f"kinds                 {len(self.kinds):6}",
            f"distinct clean states {len(self.states):6}",
            f"changes               {n['changes']:6}",
            f"  found               {_share(n['found'], n['changes'])}",
            f"    by one look alone   {_share(n['found alone'], n['changes'])}",
            f"  path exact          {_share(n['exact path'], n['found'])}",
            f"  manager right       {_share(n['right manager'], n['traced'])}",
            *(
                [
                    f"  person right        {_share(n['right person'], n['persons'])}",
                    f"    another one told  {n['wrong person']:6}",
                ]
                if n["persons"]
                else ()
            ),
            f"without effect        {n['no-op']:6}",
            f"  alarms              {n['no-op, alarm']:6}",
            f"outside known limits  {len(self.complaints):6}",
            *(f"  {count:4}  {name}" for name, count in self.limits.most_common()),
        ]
        return "\n".join(lines)

    def table(self) -> str:
        """What each tool saw, by the sort of change."""
        asked_peers = any(peer in row for row in self.by_sort.values() for peer in PEERS)
        tools = ("driftd", ALONE, *(PEERS if asked_peers else ()))
        lines = ["| Change | Made | " + " | ".join(tools) + " |", "|---" * (len(tools) + 2) + "|"]
        for sort, row in sorted(self.by_sort.items()):
            seen = " | ".join(str(row[tool]) for tool in tools)
            lines.append(f"| {sort} | {row['changes']} | {seen} |")
        return "\n".join(lines)


def _share(part: int, whole: int) -> str:
    return f"{part:6}   {100 * part / whole:.2f} % of {whole}" if whole else f"{part:6}"


def _state(trial: Trial) -> str:
    name = trial.desired["metadata"]["name"]
    body: Any = json.dumps(trial.desired, sort_keys=True).replace(name, "NAME")
    return f"{trial.history} {body}"


@click.command()
@click.option("--trials", default=3000, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--peers/--no-peers", default=False, help="Ask the other tools too.")
@click.option("--covered/--no-covered", default=False, help="Print what limits cover as well.")
@click.option("--audit/--no-audit", default=False, help="Ask an audit log for the people.")
def main(trials: int, seed: int, *, peers: bool, covered: bool, audit: bool) -> None:
    """Count what random changes show."""
    score = Score()
    with ControlPlane("score", audit="Request" if audit else None) as cluster:
        lab = Lab(cluster, cluster.create_namespace("score"))
        lab.install_widgets()
        for number in range(seed, seed + trials):
            score.run(lab, number, peers=peers)
    for complaint in [*score.complaints, *score.persons, *(score.covered if covered else ())]:
        click.echo(complaint + "\n")
    click.echo(score)
    click.echo("\n" + score.table())


if __name__ == "__main__":
    main()
