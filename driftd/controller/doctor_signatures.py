"""Whether the signatures that projects demand can be checked here, for `driftd doctor`."""

from __future__ import annotations

from collections.abc import Iterable

from driftd.controller.declared import Entry
from driftd.controller.workspace import Workspace
from driftd.errors import DriftdError, VerificationError
from driftd.model.choices import listed
from driftd.policy.integrity import demands_signatures
from driftd.verify.keys import KeySet
from driftd.verify.tools import missing_tools

_NO_KEYS = VerificationError(
    "no public key is known here, so that no revision can be verified",
    hint="name a folder of them with --keyring, or read the hub's with --hub",
)


async def signing_problems(
    workspace: Workspace, entries: Iterable[Entry]
) -> tuple[str, list[VerificationError]]:
    """What is there to verify signatures with, and what is lacking.

    Empty where no project of the entries demands signatures.
    """
    projects = {entry.project.name for entry in entries if entry.project is not None
                and demands_signatures(entry.project)}  # fmt: skip
    if not projects:
        return "", []
    problems = missing_tools()
    keys = KeySet()
    try:
        keys = await workspace.integrity.keys(workspace.hub)
    except DriftdError as error:
        problems.append(VerificationError(str(error), hint=error.hint))
    else:
        if not (keys.openpgp or keys.allowed_signers):
            problems.append(_NO_KEYS)
        problems += [VerificationError(one) for one in keys.problems]
    whose = "project" if len(projects) == 1 else "projects"
    demand = "demands" if len(projects) == 1 else "demand"
    named = listed(sorted(projects))
    return f"{whose} {named} {demand} signed revisions; known are {keys.told}", problems
