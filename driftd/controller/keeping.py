"""Which lines of Git are to be changed so that Git says what lives; who else uses these files."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import UNSET

from driftd.controller.check import Looked
from driftd.controller.declared import Declared
from driftd.controller.workspace import Workspace
from driftd.errors import DriftdError
from driftd.model.report import Change, ChangeKind, ReportOrigin, ResourceReport
from driftd.render.tree_yaml import mapping_in
from driftd.source.url import identity

_KUSTOMIZATIONS: Final = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_NAMED: Final = 2


async def keeping(
    workspace: Workspace, declared: Declared, looked: Looked, resource: ResourceReport
) -> str:
    """`how_to_keep` for an object of a look; empty for one that has not drifted."""
    key = resource.key
    manifest = next((one for one in looked.desired.manifests if one.key == key), None)
    drift = [one for one in resource.changes if one.is_drift and not one.invalid]
    if manifest is None or not drift:
        return ""
    application = looked.desired.entry.application
    files: Mapping[str, bytes] = {}
    try:
        resolution = await workspace.repositories.resolve(application, declared.urls)
    except DriftdError:
        return how_to_keep(drift, resource.origin, files, ())
    source = next((one for one in resolution.sources if one.index == manifest.origin.source), None)
    if source is None:
        return how_to_keep(drift, resource.origin, files, ())
    folders = [
        (one.name, posixpath.normpath(other.path or "."))
        for one in declared.applications
        for other in one.spec.all_sources
        if not other.chart and identity(other.repo_url) == identity(source.repo_url)
    ]
    return how_to_keep(drift, resource.origin, source.tree.files, folders)


def how_to_keep(
    drift: Sequence[Change],
    origin: ReportOrigin | Any,
    files: Mapping[str, bytes],
    folders: Iterable[tuple[str, str]],
) -> str:
    """What to commit so that Git says the live values of some fields; empty if no file is known.

    What live does not have at all is to be removed from Git. `origin` is the object's own place,
    which counts where no field's line is known. `folders` are the applications of the repository
    with the folder that each one reads.
    """
    lines: dict[str, dict[int, None]] = {}
    gone: dict[str, dict[int, None]] = {}
    images: list[str] = []
    for change in drift:
        if change.origin is UNSET:
            continue
        file, line = change.origin.file, change.origin.line
        image = _image(change, file, files)
        if image:
            images.append(f"write {image} at {file}:{line}" if line is not UNSET else "")
        else:
            found = gone if _is_gone(change) else lines
            found.setdefault(file, {}).update({line: None} if line is not UNSET else {})
    if not lines and not gone and not images and origin is not UNSET:
        found = gone if all(_is_gone(change) for change in drift) else lines
        found[origin.file] = {} if origin.line is UNSET else {origin.line: None}
    used = _Users(files, folders)
    several = "s" if sum(max(1, len(of)) for of in lines.values()) > 1 else ""
    steps = [f"commit the live value{several} to {_places(lines, used)}"] if lines else []
    if gone:
        steps.append(f"remove from Git what live does not have: {_places(gone, used)}")
    return ", and ".join([*steps, *dict.fromkeys(filter(None, images))])


def _is_gone(change: Change) -> bool:
    """Whether Git declares a field and live has nothing in its place."""
    return change.kind is ChangeKind.MISSING and change.live is UNSET


def _places(lines: Mapping[str, Mapping[int, None]], used: _Users) -> str:
    return " and ".join(
        f"{_place(file, sorted(of))}{used.told(file)}" for file, of in lines.items()
    )


def _place(file: str, lines: Sequence[int]) -> str:
    if len(lines) < 2:
        return file + "".join(f":{line}" for line in lines)
    return f"{file}, lines {', '.join(map(str, lines[:-1]))} and {lines[-1]}"


def _image(change: Change, file: str, files: Mapping[str, bytes]) -> str:
    """The fields of an entry of `images:` that make the live image; empty for any other field."""
    live, desired = change.live, change.desired
    if posixpath.basename(file) not in _KUSTOMIZATIONS:
        return ""
    if not isinstance(live, str) or not isinstance(desired, str) or not live:
        return ""
    name, tag, digest = _parts(live)
    entries = mapping_in(files, file).get("images")
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict):
            continue
        given = entry.get("newName") or entry.get("name")
        if given == _parts(desired)[0]:
            return " and ".join(_fields(entry, name, tag, digest))
    return ""


def _fields(entry: Mapping[str, Any], name: str, tag: str, digest: str) -> Iterator[str]:
    if name != (entry.get("newName") or entry.get("name")):
        yield f"newName: {name}"
    if digest and digest != entry.get("digest"):
        yield f"digest: {digest}"
    if not digest and not tag:
        tag = "latest"
    if tag and tag != str(entry.get("newTag") or ""):
        yield f'newTag: "{tag}"'
    if entry.get("digest") and not digest:
        yield "no digest"
    if entry.get("newTag") and not tag:
        yield "no newTag"


def _parts(image: str) -> tuple[str, str, str]:
    """Name, tag and digest of an image; the port of a registry is no tag."""
    rest, _, digest = image.partition("@")
    name, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        return rest, "", digest
    return name, tag, digest


class _Users:
    """Who uses the files of a repository, through kustomizations."""

    def __init__(self, files: Mapping[str, bytes], folders: Iterable[tuple[str, str]]) -> None:
        self._folders = tuple(folders)
        self._users: dict[str, set[str]] = {}
        for file in files:
            folder, _, name = file.rpartition("/")
            if name in _KUSTOMIZATIONS:
                document = mapping_in(files, file)
                self._users.setdefault(file, set()).add(folder or ".")
                for mention in _mentions(document):
                    target = posixpath.normpath(posixpath.join(folder, mention))
                    self._users.setdefault(target, set()).add(folder or ".")

    def told(self, file: str) -> str:
        """A remark on a file that several overlays or applications use; else empty."""
        reached: set[str] = set()
        open_ones = [file]
        while open_ones:
            fresh = self._users.get(open_ones.pop(), set()) - reached
            reached |= fresh
            open_ones += fresh
        reached = reached or {posixpath.dirname(file) or "."}
        overlays = sorted(one for one in reached if not self._users.get(one))
        applications = sorted({name for name, folder in self._folders if folder in reached})
        if len(applications) > 1:
            return f" (shared by {_listed('application', applications)})"
        if len(overlays) > 1:
            return f" (shared by {_listed('overlay', overlays)})"
        return ""


def _mentions(document: Mapping[str, Any]) -> Iterator[str]:
    for field in ("resources", "bases", "components"):
        listed = document.get(field)
        for one in listed if isinstance(listed, list) else ():
            if isinstance(one, str) and "://" not in one:
                yield one
    for field in ("patches", "patchesStrategicMerge"):
        listed = document.get(field)
        for one in listed if isinstance(listed, list) else ():
            path = one.get("path") if isinstance(one, dict) else one
            if isinstance(path, str) and "\n" not in path:
                yield path


def _listed(what: str, names: Sequence[str]) -> str:
    """Two are named, more are counted."""
    if len(names) > _NAMED:
        return f"{len(names)} {what}s"
    return f"the {what}s {' and '.join(names)}"
