"""Which application and which object a question for an explanation means."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from driftd.controller.check import Looked
from driftd.controller.declared import Declared, Entry
from driftd.controller.kind_names import names_kind
from driftd.errors import ConfigError
from driftd.model.choices import listed
from driftd.model.counts import counted
from driftd.model.report import ResourceReport

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
SUGGESTIONS = 5
"""Names that an error suggests at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be explained."""

    application: str
    resource: str
    """`KIND[.GROUP]/[NAMESPACE/]NAME`; the kind in any case, also a plural or a short name.

    Without `application` it begins with `APPLICATION/`, as a line of `-o name` does.
    """
    path: str = ""
    """A JSON pointer or the readable form of tables; empty for the whole object."""
    flags: Mapping[str, str] = field(default_factory=dict)
    """What suggested commands carry on of the flags of the present one, by command."""


def refuse_several(declared: Declared, question: Question) -> None:
    """Raises ConfigError if the question's name is several applications'."""
    if len(declared.entries) > 1:
        names = ", ".join(entry.application.qualified_name for entry in declared.entries)
        raise ConfigError(
            f"{question.application} names {len(declared.entries)} applications",
            hint=f"choose one of: {names}",
        )


def split(declared: Declared, question: Question) -> tuple[Declared, Question]:
    """The application and the object of `APPLICATION/KIND[.GROUP]/[NAMESPACE/]NAME`.

    Names of applications may have slashes too: the longest one that there is counts.
    """
    found: dict[str, list[Entry]] = {}
    for entry in declared.entries:
        for name in {entry.application.name, entry.application.qualified_name}:
            rest = question.resource.removeprefix(f"{name}/")
            if rest != question.resource and rest.count("/") in (1, 2):
                found.setdefault(name, []).append(entry)
    if not found:
        names = listed(sorted(one.application.name for one in declared.entries), question.resource)
        raise ConfigError(
            f"{question.resource} begins with no application's name", hint=f"declared are: {names}"
        )
    name = max(found, key=len)
    resource = question.resource.removeprefix(f"{name}/")
    return (
        replace(declared, entries=tuple(found[name])),
        replace(question, application=name, resource=resource),
    )


def find_resource(text: str, looked: Looked) -> ResourceReport:
    """The object of an application's report that `KIND[.GROUP]/[NAMESPACE/]NAME` names."""
    resources = looked.report.resources
    kind, slash, place = text.partition("/")
    if not slash or not place:
        raise ConfigError(f"{text!r} is not KIND/NAME", hint="write for example deployment/web")
    namespace, _, name = place.rpartition("/")
    discovery = looked.view.discovery if looked.view else None
    found = [
        one
        for one in resources
        if one.name == name
        and (not namespace or one.namespace == namespace)
        and names_kind(kind, one.group, one.kind, discovery)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(
            f"{text} names {len(found)} objects of {looked.report.name}",
            hint="choose one of: " + ", ".join(_label(one, full=True) for one in found),
        )
    hook = next((m for m in looked.desired.not_compared if m.key.name == name), None)
    if hook is not None and names_kind(kind, hook.key.group, hook.key.kind, discovery):
        raise ConfigError(
            f"{hook.key} is a hook, or a Job that the cluster collects: rendered, never compared"
        )
    raise _unknown_resource(text, looked)


def _unknown_resource(text: str, looked: Looked) -> ConfigError:
    """Nothing of that name; the nearest ones, or what is wrong with the whole application."""
    names = {_label(one, full=False): one for one in looked.report.resources}
    if not names:
        told = "; ".join(condition.message for condition in looked.report.conditions)
        return ConfigError(
            f"{looked.report.name} has no objects that could be looked at", hint=told
        )
    near = get_close_matches(text.lower(), names, n=SUGGESTIONS, cutoff=0.5)
    name = text.rpartition("/")[2]
    near += [label for label, one in names.items() if one.name == name and label not in near]
    if near:
        hint = "nearest are: " + ", ".join(near[:SUGGESTIONS])
    else:
        objects = counted(len(names), "object")
        hint = f"driftd check {looked.report.name} --show all lists its {objects}"
    return ConfigError(f"{looked.report.name} has no object {text}", hint=hint)


def _label(resource: ResourceReport, *, full: bool) -> str:
    group = f".{resource.group}" if full and resource.group else ""
    place = f"{resource.namespace}/" if full and resource.namespace else ""
    return f"{resource.kind.lower()}{group}/{place}{resource.name}"


def readable_of(pointer: str) -> str:
    """A JSON pointer in the form of tables: `spec.ports[0].name`, `data["a.b"]`."""
    names = (part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])
    return "".join(map(_step, names)).removeprefix(".")


def _step(name: str) -> str:
    if name.isdecimal():
        return f"[{name}]"
    return f".{name}" if _PLAIN.fullmatch(name) else f"[{json.dumps(name)}]"
