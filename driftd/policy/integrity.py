"""What an AppProject demands of the signatures of a repository's revisions. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from driftd.errors import PolicyError
from driftd.model.project import (
    AppProject,
    IntegrityGpg,
    IntegrityPolicy,
    SignatureDemand,
    SignatureMode,
)
from driftd.policy.project import glob_match

_USABLE = re.compile(r"[0-9A-Fa-f]{16}|[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64}|SHA256:[A-Za-z0-9+/]{43}")


def signature_demand(project: AppProject, repo_url: str) -> SignatureDemand | None:
    """What the project demands of a Git repository; None where it demands nothing.

    `sourceIntegrity` counts where it is set, else `signatureKeys` (as Argo CD reads them: the
    head of every repository). Raises `PolicyError` where the policies contradict each other or
    cannot be understood, since a slip must not switch the check off.
    """
    integrity = project.spec.source_integrity
    if integrity is None:
        legacy = tuple(one.key_id for one in project.spec.signature_keys)
        return _demand(project, SignatureMode.HEAD, legacy) if legacy else None
    policies = integrity.git.policies if integrity.git else ()
    found = [policy for policy in policies if _is_about(policy, repo_url)]
    if not found:
        return None
    if len(found) > 1:
        raise PolicyError(
            f"project {project.name} has {len(found)} policies of sourceIntegrity for one "
            "repository",
            hint="change spec.sourceIntegrity.git.policies so that one of them matches",
        )
    gpg = found[0].gpg
    if gpg is not None and gpg.mode == "none":
        return None
    return _demand(project, _mode(project, gpg), gpg.keys if gpg else ())


def demands_signatures(project: AppProject) -> bool:
    """Whether the project demands signatures of any repository at all."""
    integrity = project.spec.source_integrity
    if integrity is None:
        return bool(project.spec.signature_keys)
    policies = integrity.git.policies if integrity.git else ()
    return any(policy.gpg is None or policy.gpg.mode != "none" for policy in policies)


def unusable_keys(keys: Iterable[str]) -> tuple[str, ...]:
    """Keys of a policy that can match nothing, as short ids of 8 digits."""
    return tuple(key for key in keys if not _USABLE.fullmatch(key.strip()))


def _demand(project: AppProject, mode: SignatureMode, keys: Iterable[str]) -> SignatureDemand:
    usable = (key.strip() for key in keys if _USABLE.fullmatch(key.strip()))
    return SignatureDemand(project=project.name, mode=mode, keys=tuple(sorted(set(usable))))


def _mode(project: AppProject, gpg: IntegrityGpg | None) -> SignatureMode:
    try:
        return SignatureMode(gpg.mode if gpg else "")
    except ValueError:
        written = repr(gpg.mode[:40]) if gpg else "no gpg"
        raise PolicyError(
            f"project {project.name} has a policy of sourceIntegrity with "
            f"{'the mode ' if gpg else ''}{written}",
            hint="spec.sourceIntegrity.git.policies[].gpg.mode is none, head or strict",
        ) from None


def _is_about(policy: IntegrityPolicy, repo_url: str) -> bool:
    """Whether some pattern matches the URL as it is written, and none with `!` does."""
    patterns = [repo.url for repo in policy.repos]
    if any(one.startswith("!") and glob_match(one[1:], repo_url) for one in patterns):
        return False
    return any(not one.startswith("!") and glob_match(one, repo_url) for one in patterns)
