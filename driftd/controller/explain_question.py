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
from driftd.diff.explain import Inspection, parse
from driftd.errors import ConfigError
from driftd.model.choices import listed
from driftd.model.counts import counted
from driftd.model.report import ResourceReport

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_POD_TEMPLATES = ("/spec/template/spec", "/spec/jobTemplate/spec/template/spec")
_POSITION = re.compile(r"/\d+(?=/|$)")
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


def nearest_paths(path: str, inspection: Inspection) -> list[str]:
    """The places that a path probably means, in its form: pointers, else as tables name them."""
    pointers = inspection.pointers()
    plain: dict[str, str] = {}
    for pointer in pointers:
        plain.setdefault(_plain(pointer), pointer)
        for prefix in _POD_TEMPLATES:  # as tables leave it out
            if pointer.startswith(prefix):
                plain.setdefault(_plain(pointer.removeprefix(prefix)), pointer)
    wanted = _plain(path if path.startswith("/") else _pointer(path))
    last = wanted.rpartition("/")[2]
    near = [pointer for pointer in pointers if pointer.rpartition("/")[2] == last]
    near += [plain[one] for one in get_close_matches(wanted, plain, n=SUGGESTIONS, cutoff=0.6)]
    near = list(dict.fromkeys(near))[:SUGGESTIONS]
    return near if path.startswith("/") else [_readable(one, inspection) for one in near]


def _pointer(path: str) -> str:
    """A path of tables as a pointer, items by their keys."""
    parts = (one if isinstance(one, str) else "0" for one in parse(path))
    return "/" + "/".join(parts)


def _plain(pointer: str) -> str:
    """A pointer without the positions of items, of which the question may know none."""
    return "/" + _POSITION.sub("", pointer).strip("/")


def _readable(pointer: str, inspection: Inspection) -> str:
    """A pointer in the form of tables: `spec.ports[port=80].name`, `data["a.b"]`."""
    names = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    place = next(iter(inspection.find(pointer)), None)
    steps = place.ssa_path.split("/") if place is not None else []
    if len(steps) != len(names):
        steps = [""] * len(names)
    return "".join(map(_step, names, steps)).removeprefix(".")


def _step(name: str, step: str) -> str:
    """A step of a path; an item by its keys, where they can be written so."""
    form, _, keys = step.replace("~1", "/").replace("~0", "~").partition(":")
    if form == "k":
        values = {key: str(value) for key, value in json.loads(keys).items()}
        if not any(mark in value for value in values.values() for mark in ',]="'):
            return "[" + ",".join(f"{key}={value}" for key, value in values.items()) + "]"
    if name.isdecimal() and form != "f":
        return f"[{name}]"
    return f".{name}" if _PLAIN.fullmatch(name) else f"[{json.dumps(name)}]"
