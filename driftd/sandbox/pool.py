"""The pool of workers: few, warm, one project each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import msgspec

from driftd.errors import SandboxError
from driftd.model.application import Application, ApplicationSource
from driftd.model.tree import Tree
from driftd.sandbox.binary import find_worker
from driftd.sandbox.results import (
    FailingResult,
    Hello,
    JqResult,
    LocateResult,
    ParseResult,
    RenderResult,
    TemplateResult,
    TraceResult,
    UnreadResult,
)
from driftd.sandbox.turns import Turns
from driftd.sandbox.worker import Worker

DEFAULT_TIMEOUT = 30.0
"""Seconds that one request may take."""
MAX_RSS = 1 << 30
"""Bytes of resident memory at which a busy worker is killed."""
REST = 30.0
"""Seconds without a request after which one idle worker is kept, and no more."""
PARSE_BYTES = 8 << 20
"""Bytes of files that one parse request covers; more are asked for in several."""
TEMPLATE_TIMEOUT = 2.0
"""Seconds that a template of a message may take."""
TEMPLATES = "templates of messages"
"""What stands for the project of these, since they belong to none: no project is named so."""

_PARSED = msgspec.json.Decoder(ParseResult)
_RENDERED = msgspec.json.Decoder(RenderResult)
_LOCATED = msgspec.json.Decoder(LocateResult)
_TRACED = msgspec.json.Decoder(TraceResult)
_FAILING = msgspec.json.Decoder(FailingResult)
_UNREAD = msgspec.json.Decoder(UnreadResult)
_SELECTED = msgspec.json.Decoder(JqResult)
_WRITTEN = msgspec.json.Decoder(TemplateResult)


class RenderApplication(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What a rendering may depend on beside its source: Argo CD's build environment."""

    name: str
    instance_name: str = ""
    """Its name among all of Argo CD; empty for `name`."""
    project: str = "default"
    destination_namespace: str = ""

    @classmethod
    def of(cls, application: Application) -> RenderApplication:
        """That of a declared application."""
        return cls(
            name=application.name,
            instance_name=application.instance_name,
            project=application.spec.project,
            destination_namespace=application.spec.destination.namespace,
        )


class Wanted(msgspec.Struct, frozen=True):
    """One rendered object and the fields of it that are looked for in Git."""

    file: str
    """The file that declares it, as the rendering said."""
    index: int
    """Which document of the file, in plain manifests; -1 for the one of its kind and name."""
    object: msgspec.Raw
    paths: tuple[str, ...]
    """`managedFields` notation, segments joined by `/` and escaped as in RFC 6901.

    An empty one is the object itself.
    """


class Traced(msgspec.Struct, frozen=True):
    """One object that a chart renders, and the fields of it whose values are looked for."""

    object: msgspec.Raw
    paths: tuple[str, ...]
    """As those of `Wanted`."""
    live: tuple[Any, ...]
    """What the cluster has at each path; None where that is masked, or nothing."""


class Above(msgspec.Struct, frozen=True):
    """A source that renders documents of other applications: what `render` is told of it."""

    tree: str
    source: ApplicationSource | Mapping[str, Any]
    application: RenderApplication
    flux: Mapping[str, Any] | None = None


class Home(msgspec.Struct, frozen=True):
    """The document that declares an application, if `file` is known."""

    file: str = ""
    kind: str = ""
    name: str = ""
    source: tuple[str | int, ...] = ()
    """The steps in it to the source."""
    tree: str = ""
    """Id of the tree with the file, if that is known; else those of the question are searched."""
    above: Above | None = None
    """What renders the document, if something does: overlays may change what the file says."""
    object: Any = None
    """The document as `above` renders it; of a HelmRelease what names it, and its values."""


class ChartQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """A source whose values are asked for: what `render` is told of it, and who declares it."""

    tree: Tree
    source: ApplicationSource | Mapping[str, Any]
    home: Home
    application: RenderApplication
    revision: str
    repo_url: str = ""
    kube_version: str = ""
    api_versions: Sequence[str] = ()
    refs: Mapping[str, Tree] = {}
    flux: Mapping[str, Any] | None = None
    home_tree: Tree | None = None
    """The one that `home` names."""


class RenderQuestion(msgspec.Struct, frozen=True):
    """Everything that decides a rendering, the worker aside."""

    tree: Tree
    refs: Mapping[str, Tree]
    """The trees of sources with `ref`, by its name."""
    revision: str
    params: Mapping[str, Any]
    """The parameters of the worker's `render`."""

    def roles(self) -> list[tuple[str, Tree]]:
        """Each tree with the name of its reference, which is empty for the source's own."""
        return [("", self.tree), *sorted(self.refs.items(), key=lambda one: one[0])]


class Renderings(Protocol):
    """Keeps renderings."""

    async def render(
        self, question: RenderQuestion, make: Callable[[], Awaitable[msgspec.Raw]]
    ) -> RenderResult:
        """A rendering that is kept, else the one that `make` gives."""
        ...


class SandboxPool:
    """Answers requests with at most `size` worker processes; an async context manager.

    A worker sees the content of one project only: another project gets a fresh process. A
    worker that is killed fails its own request; the next request gets a new one. With
    `require_isolation` a worker that this kernel cannot shut in is refused.
    """

    def __init__(
        self,
        *,
        size: int = 2,
        binary: Path | None = None,
        max_rss: int = MAX_RSS,
        require_isolation: bool = False,
        timeout: float = DEFAULT_TIMEOUT,
        renderings: Renderings | None = None,
        rest: float = REST,
    ) -> None:
        """`timeout` is how many seconds a request may take that sets no limit of its own.

        `rest` is after how many seconds without a request one worker is enough.
        Without `renderings` everything is rendered anew.
        """
        self._renderings = renderings
        self._binary = binary
        self._timeout = timeout
        self._max_rss = max_rss
        self._require_isolation = require_isolation
        self._turns = Turns(size)
        self._size = size
        self._idle: list[Worker] = []
        self._running = 0
        self._closed = False
        self._rest = rest
        self._resting: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[None]] = set()
        """Stops of workers that were not needed any more."""
        self.unusable = ""
        """Why no worker could be started when one was wanted last; empty if one could."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all workers. Requests under way are waited for by their callers, not here."""
        self._closed = True
        if self._resting is not None:
            self._resting.cancel()
        idle, self._idle = self._idle, []
        await asyncio.gather(*(worker.stop() for worker in idle), *self._ending)

    async def hello(self) -> Hello:
        """What the workers are: engine versions and isolation. Starts one if none runs."""
        for worker in self._idle:
            return worker.hello
        async with self._turns.turn(None):
            worker = await self._take(None)
            await self._give_back(worker)
            return worker.hello

    async def call(
        self,
        op: str,
        params: Any,
        *,
        project: str,
        trees: Sequence[Tree] = (),
        timeout: float | None = None,  # noqa: ASYNC109 - the worker is killed at it
    ) -> msgspec.Raw:
        """The raw result of one operation on behalf of a project.

        `timeout` (seconds) is for each message to the worker. Raises `RenderError` with the
        worker's code as `reason`, or `SandboxError` if the worker was lost.
        """
        timeout = self._timeout if timeout is None else timeout
        async with self._turns.turn(project):
            worker = await self._take(project)
            try:
                await worker.put_trees(trees, timeout=timeout)
                return await worker.request(op, params, timeout=timeout)
            finally:
                await self._give_back(worker)

    async def _take(self, project: str | None) -> Worker:
        """A worker for a project: one it had, one that is fresh, or a new process."""
        if self._closed:
            raise SandboxError("the sandbox is closed")
        for wanted in (project, None):
            for worker in self._idle:
                if worker.project == wanted:
                    self._idle.remove(worker)
                    worker.project = project
                    return worker
        # The place of a retired worker stays taken until its successor runs, so that two
        # callers never make room for each other.
        retired = self._idle.pop(0) if self._running >= self._size else None
        if retired is None:
            self._running += 1
        try:
            if retired is not None:
                await retired.stop()
            worker = await Worker.start(self._binary or find_worker(), max_rss=self._max_rss)
            self.unusable = ""
            if self._require_isolation and not worker.hello.isolation.complete:
                await worker.kill()
                notes = "; ".join(worker.hello.isolation.notes)
                raise SandboxError(
                    f"the sandbox worker cannot be isolated on this machine: {notes}",
                    hint="run on a Linux kernel with seccomp, or allow it in the settings",
                )
        except BaseException as error:
            self._running -= 1
            if isinstance(error, SandboxError):
                self.unusable = str(error)
            raise
        worker.project = project
        return worker

    async def _give_back(self, worker: Worker) -> None:
        if not worker.alive:
            self._running -= 1
        elif self._closed:
            self._running -= 1
            await worker.stop()
        else:
            self._idle.append(worker)
            if self._resting is not None:
                self._resting.cancel()
            loop = asyncio.get_running_loop()
            self._resting = loop.call_later(self._rest, self._shrink)

    def _shrink(self) -> None:
        """End all idle workers but the one that worked last: each holds trees and engines."""
        while len(self._idle) > 1:
            worker = self._idle.pop(0)
            self._running -= 1
            task = asyncio.get_running_loop().create_task(worker.stop())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def parse(
        self,
        tree: Tree,
        paths: Sequence[str],
        *,
        project: str,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> ParseResult:
        """Every YAML and JSON document of these files of a tree.

        A file or document that cannot be read is an entry of `errors`, never an exception.
        """
        parts = [
            _PARSED.decode(
                await self.call(
                    "parse",
                    {"tree": tree.id, "paths": part},
                    project=project,
                    trees=(tree,),
                    timeout=timeout,
                )
            )
            for part in _by_size(tree, paths)
        ]
        return ParseResult(
            documents=tuple(document for part in parts for document in part.documents),
            errors=tuple(problem for part in parts for problem in part.errors),
            warnings=tuple(problem for part in parts for problem in part.warnings),
        )

    async def render(
        self,
        tree: Tree,
        source: ApplicationSource | Mapping[str, Any],
        *,
        application: RenderApplication,
        revision: str,
        repo_url: str = "",
        kube_version: str = "",
        api_versions: Sequence[str] = (),
        refs: Mapping[str, Tree] | None = None,
        build_options: Mapping[str, Any] | None = None,
        flux: Mapping[str, Any] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> RenderResult:
        """The manifests of one source at one revision, as Argo CD would generate them.

        With `flux`, as Flux would for the spec that it describes. `refs` are the trees of
        sources with `ref`, by its name (without `$`). Namespaces and tracking are not added.
        The application's project decides which worker is used.
        """
        refs = refs or {}
        target = (application, revision, repo_url, kube_version, api_versions)
        params = _params(tree, source, refs, flux, *target)
        params["buildOptions"] = build_options or {}

        async def make() -> msgspec.Raw:
            return await self.call(
                "render",
                params,
                project=application.project,
                trees=(tree, *refs.values()),
                timeout=timeout,
            )

        if self._renderings is None:
            return _RENDERED.decode(await make())
        return await self._renderings.render(RenderQuestion(tree, refs, revision, params), make)

    async def locate(
        self,
        tree: Tree,
        source: ApplicationSource | Mapping[str, Any],
        objects: Sequence[Wanted],
        *,
        application: RenderApplication,
        flux: Mapping[str, Any] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> LocateResult:
        """Which lines of Git set some fields of what `render` made of the same source.

        Of plain manifests the line of the field (or of its innermost written parent), through
        Kustomize the patch, entry or base that gave the value; None where that is not certain.
        """
        params = {
            "tree": tree.id,
            "source": source,
            "application": application,
            "flux": flux,
            "objects": list(objects),
        }
        raw = await self.call(
            "locate", params, project=application.project, trees=(tree,), timeout=timeout
        )
        return _LOCATED.decode(raw)

    async def trace_values(
        self,
        asked: ChartQuestion,
        objects: Sequence[Traced],
        *,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> TraceResult:
        """Which values of a chart decide some fields of what `render` made of the same source.

        The source is rendered once, and once more for each value that may decide a field, at most
        25 times. Nothing is rendered of a source that is no chart.
        """
        raw = await self._of_chart("trace-values", asked, {"objects": list(objects)}, timeout)
        return _TRACED.decode(raw)

    async def unread_values(
        self,
        asked: ChartQuestion,
        *,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> UnreadResult:
        """Which values are given to a chart that it does not know, and renders the same without.

        The source is rendered once, and where there are such values once or twice more, at most
        22 times. Nothing is rendered of a source that is no chart.
        """
        return _UNREAD.decode(await self._of_chart("unread-values", asked, {}, timeout))

    async def failing_values(
        self,
        asked: ChartQuestion,
        base: ChartQuestion,
        *,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> FailingResult:
        """Which values of a change make a chart fail that renders with those of the base.

        Each of them was left out, or was given the value of the base, and with all else of the
        change the chart rendered. At most 60 renderings.
        """
        params, trees = _of_question(base)
        raw = await self._of_chart("failing-values", asked, {"base": params}, timeout, trees)
        return _FAILING.decode(raw)

    async def _of_chart(
        self,
        operation: str,
        asked: ChartQuestion,
        more: dict[str, Any],
        timeout: float | None,  # noqa: ASYNC109
        beside: Sequence[Tree] = (),
    ) -> msgspec.Raw:
        params, trees = _of_question(asked)
        return await self.call(
            operation,
            params | more,
            project=asked.application.project,
            trees=(*trees, *beside),
            timeout=timeout,
        )

    async def jq(
        self,
        expressions: Sequence[str],
        objects: Sequence[Any],
        *,
        project: str,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> JqResult:
        """The paths that each jq expression selects in each object (JSON values or `Raw`)."""
        params = {"expressions": list(expressions), "objects": list(objects)}
        return _SELECTED.decode(await self.call("jq", params, project=project, timeout=timeout))

    async def template(self, template: str, context: Mapping[str, Any]) -> str:
        """The text that a Go template of a message makes of a context, which it may print.

        Raises `RenderError` for a template that is wrong or gives too much, `SandboxError` for
        one that does not end in `TEMPLATE_TIMEOUT`.
        """
        raw = await self.call(
            "template",
            {"template": template, "context": context},
            project=TEMPLATES,
            timeout=TEMPLATE_TIMEOUT,
        )
        return _WRITTEN.decode(raw).text


def _by_size(tree: Tree, paths: Sequence[str]) -> Iterator[list[str]]:
    """Cut a list of files into parts of about PARSE_BYTES."""
    part: list[str] = []
    size = 0
    for path in paths:
        part.append(path)
        size += len(tree.files.get(path, b""))
        if size >= PARSE_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _of_question(asked: ChartQuestion) -> tuple[dict[str, Any], tuple[Tree, ...]]:
    """The parameters of a question about values, and the trees that it names."""
    target = (asked.revision, asked.repo_url, asked.kube_version, asked.api_versions)
    params = _params(asked.tree, asked.source, asked.refs, asked.flux, asked.application, *target)
    trees = (asked.tree, *asked.refs.values())
    if asked.home_tree is not None:
        trees = (*trees, asked.home_tree)
    return {**params, "home": asked.home}, trees


def _params(
    tree: Tree,
    source: ApplicationSource | Mapping[str, Any],
    refs: Mapping[str, Tree],
    flux: Mapping[str, Any] | None,
    application: RenderApplication,
    revision: str,
    repo_url: str,
    kube_version: str,
    api_versions: Sequence[str],
) -> dict[str, Any]:
    """What the worker is told of a source that it renders."""
    return {
        "tree": tree.id,
        "source": source,
        "refs": {name: {"tree": other.id} for name, other in refs.items()},
        "application": application,
        "revision": revision,
        "repoURL": repo_url,
        "kubeVersion": kube_version,
        "apiVersions": list(api_versions),
        "flux": flux,
    }
