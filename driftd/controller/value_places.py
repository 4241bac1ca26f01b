"""Where a value is to be changed that a template, a program or a generator has made.

The line of a shared template is no place for one application's value: what the template reads is.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import orjson
from msgspec import UNSET

from driftd.controller.check import Looked
from driftd.controller.declared import Declared
from driftd.controller.release_values import release_lines
from driftd.controller.workspace import Workspace
from driftd.errors import DriftdError
from driftd.model.application import Application, ApplicationSource, HelmSource
from driftd.model.report import Change, ReportOrigin, ResourceReport
from driftd.model.resource import Origin
from driftd.render.subcharts import Template, template_of
from driftd.source.url import public

_PROGRAMS: Final = (".jsonnet", ".libsonnet")
_VALUE: Final = re.compile(r"\.Values((?:\.[A-Za-z_][A-Za-z0-9_-]*)+)")
_TEMPLATE_BYTES: Final = 1 << 20
_NO_LINES: Final[Mapping[str, Sequence[int]]] = {}
_DEFAULTS: Final = " (the defaults"
_SHARED: Final = f"{_DEFAULTS}, shared by all that use the chart)"


async def value_place(
    workspace: Workspace, declared: Declared, looked: Looked, resource: ResourceReport
) -> str:
    """`place_of_value` for an object of a look; empty for one that has not drifted."""
    key = resource.key
    manifest = next((one for one in looked.desired.manifests if one.key == key), None)
    if manifest is None or not resource.is_drift:
        return ""
    application = looked.desired.entry.application
    try:
        resolution = await workspace.repositories.resolve(application, declared.urls)
        sources = {one.index: one for one in resolution.sources}
    except DriftdError:
        sources = {}
    source = sources.get(manifest.origin.source)
    drift = [change for change in resource.changes if change.is_drift]
    unknown = [change for change in drift if change.origin is UNSET]
    named = [change.path.rpartition("/")[2] for change in unknown]
    values = list(_deciding(drift))
    files = source.tree.files if source is not None else {}
    lines = await release_lines(workspace, declared, application)
    if values and (certain := lines_to_change(application, manifest.origin, values, files, lines)):
        return certain + _beside(unknown, manifest.origin)
    return place_of_value(
        application,
        manifest.origin,
        files,
        dict.fromkeys(named),
        values=() if named else tuple(dict.fromkeys(str(one.value) for one in values)),
        traced=bool(drift) and not named,
        lines=lines,
    )


def _beside(drift: Iterable[Change], origin: Origin) -> str:
    """Where to look for the fields that differ, too, and that no value is known to decide."""
    names = list(dict.fromkeys(map(field_name, drift)))
    if not names:
        return ""
    return f"; for {_listed(names)} look at {origin.file}, which is a template"


def field_name(change: Change) -> str:
    """The last field of a path, with the keys of the list's item that it leads to.

    `image`, `env[name=PORT]`. Values that an item is known by are left out, they may be secret.
    """
    if change.ssa_path is UNSET:
        tokens = [one for one in change.path.split("/") if not one.isdigit()]
        return _unescaped(tokens[-1]) or "the object"
    steps = [_unescaped(one) for one in str(change.ssa_path).split("/")]
    at = max((n for n, step in enumerate(steps) if step.startswith("f:")), default=-1)
    if at < 0:
        return "the object"
    keys = [orjson.loads(step[2:]) for step in steps[at + 1 :] if step.startswith("k:")]
    told = (",".join(f"{key}={one[key]}" for key in one) for one in keys)
    return steps[at][2:] + "".join(f"[{one}]" for one in told)


def _unescaped(token: str) -> str:
    return token.replace("~1", "/").replace("~0", "~")


def _deciding(drift: Iterable[Change]) -> Iterator[ReportOrigin]:
    """The values that decide what differs, where it is known."""
    for change in drift:
        if isinstance(change.origin, ReportOrigin) and change.origin.value is not UNSET:
            yield from (change.origin, *change.origin.others)


def lines_to_change(
    application: Application,
    origin: Origin,
    values: Sequence[ReportOrigin],
    files: Mapping[str, bytes],
    lines: Mapping[str, Sequence[int]] = _NO_LINES,
) -> str:
    """Which lines to change where the `values` decide all that differs; empty if one is unknown.

    Of a chart's defaults, which others use too, also where the application's own values are;
    `files` and `lines` are those of `place_of_value`.
    """
    told: dict[str, None] = {}
    shared: dict[str, None] = {}
    for one in values:
        if one.line is UNSET or not files:
            return ""
        where = "" if one.repo_url is UNSET else f" of {one.repo_url}"
        beside = posixpath.join(posixpath.dirname(one.file), "Chart.yaml")
        if beside in files and posixpath.basename(one.file) == "values.yaml":
            where += _SHARED
            shared[str(one.value)] = None
        told[f"{one.value} in {one.file}:{one.line}{where}"] = None
    text = f"change {_listed(list(told))}"
    if not shared:
        return text
    places = values_behind(application, origin, files, lines)
    own = next((one for one in places if _DEFAULTS not in one), "")
    return (
        f"{text}, or set {_listed(list(shared))} for this application alone in "
        f"{own or f'the values of {_home(application)}'}"
    )


def place_of_value(
    application: Application,
    origin: Origin,
    files: Mapping[str, bytes],
    fields: Iterable[str],
    *,
    values: Sequence[str] = (),
    traced: bool = False,
    lines: Mapping[str, Sequence[int]] = _NO_LINES,
) -> str:
    """What to change so that Git says another value; empty where the file itself says it.

    `files` are those of the source that rendered the object, as far as they are known, `fields`
    the names of the fields that differ, `values` those that decide all of them, if that is known;
    `traced` if the lines that set them are known; `lines` those of `release_lines`.
    """
    sources = application.spec.all_sources
    source = sources[origin.source] if origin.source < len(sources) else None
    if _is_template(origin, source, application, files):
        if traced and not values:  # by post renderers
            return ""
        return _of_template(application, origin, files, fields, values, lines)
    if origin.file.endswith(_PROGRAMS):
        return _program(application, source, origin.file)
    if source is None or traced:
        return ""
    options = _kustomize_options(source)
    if options:
        return (
            f"the value is in {origin.file} or is set by {_listed(options)} of {_home(application)}"
        )
    return ""


def _of_template(
    application: Application,
    origin: Origin,
    files: Mapping[str, bytes],
    fields: Iterable[str],
    values: Sequence[str],
    lines: Mapping[str, Sequence[int]],
) -> str:
    template = _template(application, origin, files)
    read = " and ".join(values) or _read_values(files.get(template.file, b""), fields, template)
    file = template.file or origin.file
    what = f"{read or 'the value'} behind {file}, which is a template"
    if template.names:
        below = "" if read else f", below {template.prefix} or global"
        what += f" of the subchart {template.names[-1]}{below}"
    places = values_behind(application, origin, files, lines)
    if not places:
        return f"change {what}, in the values of {_home(application)}"
    return f"change {what}: this application's values are in {_listed(places)}"


def _template(application: Application, origin: Origin, files: Mapping[str, bytes]) -> Template:
    sources = application.spec.all_sources
    source = sources[origin.source] if origin.source < len(sources) else None
    folder = posixpath.normpath(source.path) if source is not None and source.path else None
    folder = None if folder == "." else folder
    found = template_of(origin.template or origin.file, folder, files)
    return found or Template(folder or "", file=origin.file)


def _is_template(
    origin: Origin,
    source: ApplicationSource | None,
    application: Application,
    files: Mapping[str, bytes],
) -> bool:
    file = origin.template or origin.file
    of_chart = application.flux is not None and application.flux.kind == "HelmRelease"
    if of_chart or (source is not None and source.chart):
        return bool(file) and "crds" not in file.split("/")
    # Any folder may be called so; of a chart's one the description lies beside it.
    template = template_of(file, None, files)
    return template is not None and (
        not files or posixpath.join(template.folder, "Chart.yaml") in files
    )


def values_behind(
    application: Application,
    origin: Origin,
    files: Mapping[str, bytes],
    lines: Mapping[str, Sequence[int]] = _NO_LINES,
) -> list[str]:
    """Where the values of an object are that a chart's template makes, the strongest first.

    `lines` are those of `release_lines`. Empty for an object that no template makes.
    """
    sources = application.spec.all_sources
    source = sources[origin.source] if origin.source < len(sources) else None
    if not _is_template(origin, source, application, files):
        return []
    if application.flux is not None and application.flux.kind == "HelmRelease":
        places = list(_release_values(application, lines))
    else:
        places = list(_values(application, source, sources))
    defaults = dict(_chart_defaults(_template(application, origin, files), files))
    if release_files(application):
        defaults.pop(
            posixpath.join(_template(application, origin, files).folder, "values.yaml"), ""
        )
    told = [f"{one}{defaults.pop(one, '')}" for one in dict.fromkeys(places)]
    return [*told, *(f"{file}{what}" for file, what in defaults.items())]


def _read_values(data: bytes, fields: Iterable[str], template: Template) -> str:
    """The one value that a template reads where it sets the fields; empty if that is not clear."""
    if not data or len(data) > _TEMPLATE_BYTES:
        return ""
    text = data.decode("utf-8", "replace")
    found = set()
    for field in fields:
        for line in re.findall(rf"^[ \t-]*{re.escape(field)}:(.*)$", text, re.MULTILINE):
            found.add(tuple(_VALUE.findall(line)))
    values = {name for names in found for name in names}
    certain = len(found) == 1 and values
    return " and ".join(template.key(name) for name in sorted(values)) if certain else ""


def _values(
    application: Application,
    source: ApplicationSource | None,
    sources: Sequence[ApplicationSource],
) -> Iterator[str]:
    """Where an Application's values are, the strongest first."""
    helm = (source.helm if source is not None else None) or HelmSource()
    number = sources.index(source) if source is not None and len(sources) > 1 else None
    field = "spec.source.helm" if number is None else f"spec.sources[{number}].helm"
    inline = {
        "parameters": helm.parameters,
        "fileParameters": helm.file_parameters,
        "valuesObject": helm.values_object,
        "values": helm.values and not helm.values_object,
    }
    named = [f"{field}.{name}" for name, value in inline.items() if value]
    if named:
        yield f"{_home(application)} ({', '.join(named)})"
    for name in reversed(helm.value_files):
        yield _value_file(name, source, sources)


def _value_file(
    name: str, source: ApplicationSource | None, sources: Sequence[ApplicationSource]
) -> str:
    """A values file by its path in its repository."""
    if "://" in name:
        return public(name)
    if name.startswith("$"):
        ref, _, path = name[1:].partition("/")
        other = next((one for one in sources if one.ref == ref), None)
        if other is None or source is None or other.repo_url == source.repo_url:
            return path
        return f"{path} of {public(other.repo_url)}"
    folder = source.path if source is not None else ""
    if name.startswith("/") or not folder:
        return name.lstrip("/")
    return posixpath.normpath(posixpath.join(folder, name))


def _release_values(application: Application, lines: Mapping[str, Sequence[int]]) -> Iterator[str]:
    """Where a HelmRelease's values are, the strongest first: a patch changes what its file says."""
    flux = application.flux
    for place in flux.values if flux is not None else ():
        if place != "spec.values":
            yield place
            continue
        home = _home(application)
        for file in sorted(lines, key=lambda one: one == home):
            live = application.origin.startswith("hub ")  # what Git has stands in its file
            name = flux.object_name if flux is not None else application.name
            what = "" if file == home or live else f" of the patched HelmRelease {name}"
            yield f"{file}:{','.join(map(str, lines[file]))} (spec.values{what})"
        if home not in lines:
            yield f"{home} (spec.values)"
    for name in reversed(release_files(application)):
        yield posixpath.normpath(name.lstrip("/"))


def release_files(application: Application) -> Sequence[str]:
    """Files of the source that take the place of the chart's own values."""
    flux = application.flux
    release = flux.render.get("helmRelease") if flux is not None else None
    return (release or {}).get("valuesFiles") or ()


def _chart_defaults(template: Template, files: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """The files of values that all share who use the chart, and what they are; strongest first."""
    name = posixpath.normpath(posixpath.join(template.folder, "values.yaml"))
    if name in files:
        yield name, _SHARED
    for number, place in enumerate(template.charts, 1):
        inside = f"there without {'.'.join(template.names[:number])}."
        name = posixpath.join(place, "values.yaml")
        what = f"{_DEFAULTS} of the subchart {template.names[number - 1]}, {inside})"
        if name in files:
            yield name, what
        elif place in files:
            yield f"values.yaml in {place}", what


def _program(application: Application, source: ApplicationSource | None, file: str) -> str:
    text = f"change what {file} computes"
    jsonnet = source.directory.jsonnet if source is not None and source.directory else None
    if jsonnet is None or not (jsonnet.ext_vars or jsonnet.tlas):
        return text
    given = {"extVars": jsonnet.ext_vars, "tlas": jsonnet.tlas}
    names = [f"directory.jsonnet.{name}" for name, value in given.items() if value]
    return f"{text}: it reads {_listed(names)} of {_home(application)}"


def _kustomize_options(source: ApplicationSource) -> list[str]:
    options = source.kustomize
    if options is None:
        return []
    given = {
        "images": options.images,
        "replicas": options.replicas,
        "patches": options.patches,
        "components": options.components,
        "commonLabels": options.common_labels,
        "commonAnnotations": options.common_annotations,
    }
    return [f"kustomize.{name}" for name, value in given.items() if value]


def _home(application: Application) -> str:
    """Where the Application itself is: its file, or what has made it."""
    flux = application.flux
    kind, name = (
        ("Application", application.name) if flux is None else (flux.kind, flux.object_name)
    )
    if not application.origin:
        return f"the {kind} {name}"
    if application.origin.startswith("hub "):
        return f"the live {kind} {name}"
    return application.origin


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
