"""What others would have found of a change: a dry run of server-side apply, and `kubectl diff`."""

from __future__ import annotations

import json
from typing import Any

from tests.property.histories import ARGO
from tests.property.lab import Lab
from tests.property.trial import Trial
from tests.property.truth import leaves, view

Json = Any
DRY_RUN, KUBECTL = "server-side apply, dry run", "kubectl diff --server-side"
PEERS = (DRY_RUN, KUBECTL)
SEEN, UNSEEN, REFUSED = "seen", "unseen", "refused"


def dry_run(lab: Lab, trial: Trial) -> str:
    """Whether applying Git's object again would change the live one, as Argo CD and Flux ask."""
    path = f"{lab.path(trial.desired)}/{trial.desired['metadata']['name']}"
    status, answer = lab.cluster.request(
        "PATCH",
        f"{path}?fieldManager={ARGO}&force=true&dryRun=All",
        trial.desired,
        content_type="application/apply-patch+yaml",
    )
    if status != 200:
        return REFUSED
    return SEEN if list(leaves(view(trial.after), view(answer))) else UNSEEN


def kubectl_diff(lab: Lab, trial: Trial) -> str:
    """What the exit code of the real kubectl says."""
    done = lab.cluster.kubectl(
        "diff", "--server-side", "--force-conflicts", f"--field-manager={ARGO}",
        "-n", lab.namespace, "-f", "-", input=json.dumps(trial.desired), check=False,
    )  # fmt: skip
    return {0: UNSEEN, 1: SEEN}.get(done.returncode, REFUSED)


def asked(lab: Lab, trial: Trial) -> dict[str, str]:
    """Every peer's answer on a changed object."""
    return {DRY_RUN: dry_run(lab, trial), KUBECTL: kubectl_diff(lab, trial)}
