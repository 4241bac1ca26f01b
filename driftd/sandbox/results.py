"""What the worker answers, typed as far as Python looks into it; objects stay raw JSON."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class SandboxResult(msgspec.Struct, frozen=True, rename="camel"):
    """Base of the results: camelCase on the wire."""


class Isolation(SandboxResult, frozen=True):
    """Which walls stand around a worker; `notes` say why one does not."""

    landlock: bool
    seccomp: bool
    no_new_privs: bool
    rlimits: bool
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the worker can open neither files nor sockets nor start processes."""
        return self.seccomp and self.no_new_privs and self.rlimits


class Hello(SandboxResult, frozen=True):
    """What a worker is: versions of its engines, hash of its sources, its isolation."""

    protocol: int
    source_hash: str
    go: str
    libraries: dict[str, str]
    isolation: Isolation


class HeldTrees(SandboxResult, frozen=True):
    """Ids of the trees that a worker holds."""

    trees: tuple[str, ...]


class Document(SandboxResult, frozen=True):
    """One object with where it came from.

    `object` is canonical JSON (sorted keys). `file` is the path in the repository, empty if
    the tool does not say; `index` counts the documents of the file, or of the rendering.
    """

    file: str
    index: int
    object: msgspec.Raw


class Problem(SandboxResult, frozen=True):
    """What is wrong with one document of a file; `index` counts from 0."""

    file: str
    index: int
    message: str


class ParseResult(SandboxResult, frozen=True):
    """Every readable document of the files asked for, and what could not be read."""

    documents: tuple[Document, ...]
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


class RenderResult(SandboxResult, frozen=True):
    """The manifests of one source, in the order of the tool, lists expanded."""

    type: Literal["Helm", "Kustomize", "Directory"]
    documents: tuple[Document, ...]
    warnings: tuple[str, ...]
    errors: tuple[str, ...] = ()
    """Files and documents that are wrong and left out; the others are there."""
    undecided: dict[int, str] = {}
    """By a document's index, why its content is not known in full (Flux's variables)."""
    undefined: dict[int, tuple[str, ...]] = {}
    """By a document's index, Flux's variables that it uses without a default and nothing sets."""
    unstable: dict[int, tuple[str, ...]] = {}
    """By a document's index, JSON pointers of what differs with each rendering; an empty one says
    that the object itself is another one each time."""
    reads: dict[str, tuple[str, ...]] = {}
    """By the name of a `ref` (empty: the source's own tree), every place that decided the
    rendering: `p:PATH` what is there, `l:PATH` a folder's names, `a:` the names of all files."""
    revision_read: bool = True
    """Whether the revision itself decided it too."""


class JqOutcome(SandboxResult, frozen=True):
    """What one expression says about one object: the paths it selects, or an error.

    A path is a sequence of keys and indexes (or `{"start", "end"}` for a slice).
    """

    paths: tuple[tuple[Any, ...], ...] = ()
    error: str = ""


class JqResult(SandboxResult, frozen=True):
    """For each object (outer) and expression (inner) the outcome, in the order asked."""

    results: tuple[tuple[JqOutcome, ...], ...]


class Place(SandboxResult, frozen=True):
    """A line (from 1) of a file in the repository."""

    file: str
    line: int
    own: str = ""
    """The field of the application's own document that it is instead; `line` then says how many
    lines below it in a text. As `ssaPath`, below the source of an Application or a spec of Flux.
    """
    repo_url: str = ""
    """The repository of the file, if that is another one than the object's."""


class LocateResult(SandboxResult, frozen=True):
    """For each object (outer) and path (inner) the line that sets it, None if that is unknown."""

    places: tuple[tuple[Place | None, ...], ...]


class ValuePlace(SandboxResult, frozen=True):
    """Where Git sets a value of a chart."""

    file: str
    key: str
    """How the values of the whole chart write it: `metrics.image.tag`, `hosts[0]`."""
    line: int = 0
    """From 1; 0 where it is the whole file, or a file of an archive."""
    ref: str = ""
    """The `ref` of the source that has the file; empty for the source that is rendered."""
    at_home: bool = False
    """Whether the file lies in the tree that the question's home names."""
    written: str = ""
    """How a number is written that YAML reads as `number`, another text: `3.20`."""
    number: str = ""
    """What it is read as: `3.2`."""


class TraceResult(SandboxResult, frozen=True):
    """For each object (outer) and path (inner) the values that decide it; none if not known."""

    values: tuple[tuple[tuple[ValuePlace, ...], ...], ...]
    renderings: int
    """How many times the source was rendered."""


class UnreadValue(SandboxResult, frozen=True):
    """A value that a chart is given in vain."""

    key: str
    """How the values of the whole chart write the outermost name that the chart does not know."""
    beside: tuple[str, ...]
    """The names that the chart's own values have in the same place."""
    elsewhere: str
    """Where the chart's own values have the name, if that is one place near by."""
    subcharts: tuple[str, ...]
    """The places below names of subcharts where it was probably meant."""
    own: bool
    """Whether the chart's own values have it, which all share that use the chart."""
    loose: bool
    """Whether a template may print it with all that stands beside it: `beside` are then names that
    this item of a list lacks and that are nearly its own, of other items and of templates."""
    digest: str
    """Tells two values apart, without giving them away."""
    proven: bool
    """Whether the same is rendered without it; where nothing can be rendered that is not known."""
    file: str = ""
    """Where Git gives it; empty where that is not known."""
    line: int = 0
    ref: str = ""
    """The `ref` of the source that has the file; empty for the source that is rendered."""
    at_home: bool = False
    """Whether the file lies in the tree that the question's home names."""


class UnreadResult(SandboxResult, frozen=True):
    """The values of one source that no template reads."""

    values: tuple[UnreadValue, ...]


class FailingValue(SandboxResult, frozen=True):
    """A value that a change gives to a chart, and without which the chart renders."""

    key: str
    """How the values of the whole chart write it."""
    added: bool
    """Whether the base does not have it; else it has another value there."""
    alone: bool
    """Whether the chart fails with it as the one change; else it renders with all others."""
    before: str
    """Where the base has what the change has indented otherwise; mostly empty."""
    file: str = ""
    """Where Git gives it; empty where that is not known."""
    line: int = 0
    ref: str = ""
    """The `ref` of the source that has the file; empty for the source that is rendered."""
    at_home: bool = False
    """Whether the file lies in the tree that the question's home names."""


class FailingResult(SandboxResult, frozen=True):
    """The values of a change that make a chart fail."""

    values: tuple[FailingValue, ...]


class TemplateResult(SandboxResult, frozen=True):
    """What a template of a message gives."""

    text: str
