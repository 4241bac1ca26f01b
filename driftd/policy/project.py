"""What an AppProject permits: sources, destinations and kinds, with Argo CD's patterns. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from functools import lru_cache

import msgspec

from driftd.model.application import Application, Destination
from driftd.model.choices import nearest
from driftd.model.condition import Condition
from driftd.model.project import AppProject, GroupKind
from driftd.model.resource import Manifest

_SHOWN = 3
"""Objects that are named where several are forbidden for one reason."""
_NO_OVERLAYS: Mapping[int, str] = {}
Scopes = Callable[[str, str], bool | None]
"""Group and kind to: namespaced, cluster-scoped (False), or not known (None)."""


def glob_match(pattern: str, value: str, separator: str = "") -> bool:
    r"""Argo CD's glob: `*`, `?`, `[a-z]`, `[!a]`, `{a,b}`, `\` as escape.

    With a `separator`, `*` and `?` stop at it and only `**` crosses it; a lone `*` matches
    everything all the same. An invalid pattern matches nothing.
    """
    if pattern == "*":
        return True
    compiled = _compiled(pattern, separator)
    return compiled is not None and compiled.match(value) is not None


def is_glob(pattern: str) -> bool:
    """Whether `glob_match` understands a pattern; one that it does not matches nothing."""
    return pattern == "*" or _compiled(pattern, "") is not None


@lru_cache(maxsize=4096)
def _compiled(pattern: str, separator: str) -> re.Pattern[str] | None:
    out: list[str] = []
    one = f"[^{re.escape(separator)}]" if separator else "."
    position = depth = 0
    while position < len(pattern):
        char = pattern[position]
        position += 1
        if char == "*":
            if pattern.startswith("*", position):
                position += 1
                out.append(".*")
            else:
                out.append(f"{one}*")
        elif char == "[":
            end = pattern.find("]", position + 1)
            if end < 0:
                return None
            out.append(_character_class(pattern[position:end]))
            position = end + 1
        elif char == "\\":
            if position == len(pattern):
                return None
            out.append(re.escape(pattern[position]))
            position += 1
        else:
            depth += (char == "{") - (char == "}" and depth > 0)
            out.append(_token(char, one, depth))
    try:
        return re.compile("".join(out) + r"\Z", re.DOTALL) if depth == 0 else None
    except re.error:
        return None


def _token(char: str, one: str, depth: int) -> str:
    match char:
        case "?":
            return one
        case "{":
            return "(?:"
        case "}":
            return ")"
        case "," if depth:
            return "|"
        case _:
            return re.escape(char)


def _character_class(body: str) -> str:
    negated = body[:1] in {"!", "^"}
    body = body[1:] if negated else body
    escaped = body.replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
    return f"[{'^' if negated else ''}{escaped}]"


def _matches(pattern: str, value: str, separator: str = "") -> bool:
    """A pattern of a project; a leading `!` turns it round."""
    if pattern.startswith("!"):
        return not glob_match(pattern[1:], value, separator)
    return glob_match(pattern, value, separator)


def _is_deny(pattern: str) -> bool:
    return pattern.startswith("!")


def permits_source(project: AppProject, repo_url: str) -> bool:
    """Whether `sourceRepos` permits a repository: some pattern matches and no `!` one forbids."""
    url = _normal_url(repo_url)
    permitted = False
    for pattern in project.spec.source_repos:
        deny = "!" if _is_deny(pattern) else ""
        normal = deny + _normal_url(pattern.removeprefix("!"))
        if _matches(normal, url, "/"):
            permitted = True
        elif deny:
            return False
    return permitted


def _normal_url(url: str) -> str:
    """A repository URL as Argo CD compares it: lower case, without `.git`, scp form as ssh."""
    url = url.strip().lower()
    if "://" not in url and re.match(r"[^/@:]+@[^/:]+:", url):
        host, _, path = url.partition(":")
        url = f"ssh://{host}/{path.lstrip('/')}"
    return url.removesuffix("/").removesuffix(".git")


def permits_destination(project: AppProject, destination: Destination) -> bool:
    """Whether `destinations` permits a cluster and namespace.

    `destination` may carry server and name when both are known; of the one that is not, only
    `*` matches. Some entry has to match and no entry with a `!` pattern may forbid it.
    """
    permitted = False
    for item in project.spec.destinations:
        name = _matches_known(item.name, destination.name)
        server = _matches_known(item.server, destination.server)
        namespace = _matches(item.namespace, destination.namespace)
        if (server or name) and namespace:
            permitted = True
        elif (
            (destination.name and not name and _is_deny(item.name))
            or (destination.server and not server and _is_deny(item.server))
            or (not namespace and _is_deny(item.namespace))
        ):
            return False
    return permitted


def _matches_known(pattern: str, value: str) -> bool:
    return _matches(pattern, value) if value else pattern == "*"


def permits_kind(
    project: AppProject, group: str, kind: str, *, namespaced: bool, name: str = ""
) -> bool:
    """Whether the allow and deny lists of the project permit a kind.

    Cluster-scoped kinds need an entry in `clusterResourceWhitelist`; namespaced ones are
    permitted unless `namespaceResourceWhitelist` is present and lacks them.
    """
    return not _kind_rule(project, group, kind, namespaced=namespaced, name=name)


def _kind_rule(project: AppProject, group: str, kind: str, *, namespaced: bool, name: str) -> str:
    """The rule of the project that forbids a kind; empty when it is permitted."""
    spec = project.spec
    if namespaced:
        allow, deny = spec.namespace_resource_whitelist, spec.namespace_resource_blacklist
        prefix, allowed = "namespaceResource", allow is None
    else:
        allow, deny = spec.cluster_resource_whitelist, spec.cluster_resource_blacklist
        prefix, allowed = "clusterResource", False
    if not allowed and not _listed(allow or (), group, kind, name):
        return f"{prefix}Whitelist"
    if _listed(deny, group, kind, name):
        return f"{prefix}Blacklist"
    return ""


def _listed(entries: Iterable[GroupKind], group: str, kind: str, name: str) -> bool:
    return any(
        glob_match(entry.group, group)
        and glob_match(entry.kind, kind)
        and (not entry.name or glob_match(entry.name, name))
        for entry in entries
    )


def check_application(
    project: AppProject | None,
    app: Application,
    destination: Destination | None = None,
    *,
    known: Iterable[str] = (),
    unseen: str = "",
) -> tuple[Condition, ...]:
    """What is wrong with an application's spec, and what its project forbids about it.

    `project` is None when it does not exist; `known` are those that do, and `unseen` says why
    others may exist that could not be read. `destination` is the
    resolved one (server and name both known); the application's own if not given.
    """
    problems = _spec_problems(app)
    if project is None and unseen:
        text = f"project {app.spec.project!r} is not known, so nothing is judged: {unseen}"
        found = tuple(Condition("InvalidSpecError", text) for text in problems)
        return (*found, Condition("ProjectUnknown", text))
    if project is None:
        problems.append(
            f"{app.lead('project')}there is no project {app.spec.project!r}; "
            f"{nearest(known, app.spec.project)}"
            "add the AppProject to the repository or correct spec.project"
        )
        return tuple(Condition("InvalidSpecError", text) for text in problems)
    declared = f" ({project.origin})" if project.origin else ""
    for source in app.spec.all_sources:
        if source.repo_url and not permits_source(project, source.repo_url):
            text = (
                f"{app.lead('sources' if app.spec.sources else 'source')}project {project.name} "
                f"does not permit the source repository {_shown(source.repo_url)}; correct "
                f"repoURL, or add it to spec.sourceRepos of the project{declared}"
            )
            if text not in problems:
                problems.append(text)
    target = destination or app.spec.destination
    if (target.server or target.name) and not permits_destination(project, target):
        problems.append(
            f"{app.lead('destination')}project {project.name} does not permit the destination "
            f"{target.server or target.name}, namespace {target.namespace or '(none)'!s}; "
            f"correct the destination, or add it to spec.destinations of the project{declared}"
        )
    return tuple(Condition("InvalidSpecError", text) for text in problems)


def _spec_problems(app: Application) -> list[str]:
    problems: list[str] = []
    destination = app.spec.destination
    # What a set's template lacks is the same at each Application, and told in the same words.
    name = "the generated Application" if app.file else f"application {app.name}"
    if destination.server and destination.name:
        problems.append(
            f"{app.lead('destination')}{name} "
            "has both spec.destination.server and .name; keep one of the two"
        )
    if not destination.server and not destination.name:
        problems.append(
            f"{app.lead('destination', 'spec')}{name} "
            "has neither spec.destination.server nor .name; "
            "set one of the two"
        )
    if not app.spec.all_sources:
        hint = "set spec.source or spec.sources"
        if "sourceHydrator" in (app.raw.get("spec") or {}):
            hint = "spec.sourceHydrator is not supported yet"
        problems.append(f"{app.lead('spec')}{name} has no source; {hint}")
    for number, source in enumerate(app.spec.all_sources):
        where = f"spec.sources[{number}]" if app.spec.sources else "spec.source"
        lead = f"{app.lead('sources' if app.spec.sources else 'source', 'spec')}{name}"
        if not source.repo_url:
            problems.append(f"{lead}: {where}.repoURL is missing")
        if not source.path and not source.chart and not source.ref:
            problems.append(
                f"{lead}: {where} has neither path nor chart; "
                f"set {where}.path to a folder, or {where}.chart"
            )
    return problems


def _shown(url: str) -> str:
    return re.sub(r"(://[^/@:\s]*):[^/@\s]*@", r"\1@", url)


def check_cluster_project(
    project: AppProject, destination: Destination, scoped: Container[str]
) -> tuple[Condition, ...]:
    """What is wrong with a cluster where a project permits none but its own.

    `scoped` are the names and servers of the clusters whose Secrets name the project.
    """
    own = destination.name in scoped or destination.server.rstrip("/") in scoped
    if own or not project.spec.permit_only_project_scoped_clusters:
        return ()
    place = destination.name or destination.server
    text = (
        f"project {project.name} permits clusters of its own alone "
        f"(permitOnlyProjectScopedClusters), and {place} is none; set project: {project.name} in "
        "its cluster Secret, or use another project"
    )
    return (Condition("InvalidSpecError", text),)


class Permitted(msgspec.Struct, frozen=True):
    """The objects that a project lets pass, and a condition for each that it does not."""

    manifests: tuple[Manifest, ...]
    conditions: tuple[Condition, ...]


def check_manifests(
    project: AppProject,
    manifests: Sequence[Manifest],
    destination: Destination,
    scopes: Scopes,
    overlays: Mapping[int, str] = _NO_OVERLAYS,
) -> Permitted:
    """Splits rendered objects into permitted and forbidden ones.

    A kind of unknown scope counts as namespaced if the object has a namespace. Forbidden
    objects are left out; each is a condition that names the rule and the remedy, and those of
    one forbidden namespace are one together. `overlays` are the folders of the sources, by
    index, that Kustomize renders: it may set the namespace.
    """
    permitted: list[Manifest] = []
    forbidden: dict[tuple[str, str], list[Manifest]] = {}
    destinations: dict[str, bool] = {}
    rules: dict[tuple[str, str, bool], str] = {}
    named = any(entry.name for entry in project.spec.cluster_resource_whitelist or ()) or any(
        entry.name for entry in project.spec.cluster_resource_blacklist
    )
    for manifest in manifests:
        key = manifest.key
        scope = scopes(key.group, key.kind)
        namespaced = bool(key.namespace) if scope is None else scope
        known = (key.group, key.kind, namespaced)
        if known not in rules or named:
            rules[known] = _kind_rule(
                project, key.group, key.kind, namespaced=namespaced, name=key.name
            )
        rule = rules[known]
        if not rule and namespaced:
            if key.namespace not in destinations:
                destinations[key.namespace] = permits_destination(
                    project,
                    Destination(
                        server=destination.server,
                        name=destination.name,
                        namespace=key.namespace,
                    ),
                )
            rule = "" if destinations[key.namespace] else "destinations"
        if not rule:
            permitted.append(manifest)
        elif rule == "destinations":
            forbidden.setdefault((rule, key.namespace), []).append(manifest)
        else:
            forbidden[rule, str(key)] = [manifest]
    texts = (
        _forbidden(project, rule, objects, overlays) for (rule, _), objects in forbidden.items()
    )
    return Permitted(tuple(permitted), tuple(Condition("InvalidSpecError", text) for text in texts))


def _forbidden(
    project: AppProject, rule: str, objects: Sequence[Manifest], overlays: Mapping[int, str]
) -> str:
    """What the project forbids of objects that have the reason in common, and what to do."""
    shown = ", ".join(map(_object_shown, objects[:_SHOWN]))
    rest = f" and {len(objects) - _SHOWN} more" if len(objects) > _SHOWN else ""
    are = "is" if len(objects) == 1 else "are"
    text = f"{shown}{rest} {are} not permitted in project {project.name} by spec.{rule}"
    if rule != "destinations":
        return f"{text}; change the project, or move the object to another application"
    folders = dict.fromkeys(overlays.get(one.origin.source, "") for one in objects)
    named = " or ".join(folder for folder in folders if folder)
    setter = f", or namespace: of the kustomization in {named}, whichever sets it" if named else ""
    namespace = objects[0].key.namespace
    return (
        f"{text}; permit the namespace {namespace} in the project, or correct it: "
        f"metadata.namespace of the object{'s' * (len(objects) > 1)}{setter}"
    )


def _object_shown(manifest: Manifest) -> str:
    file = manifest.origin.file
    return f"{manifest.key} ({file})" if file else str(manifest.key)
