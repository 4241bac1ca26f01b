"""What generators read: texts in YAML, and the files of repositories."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import msgspec

from driftd.applicationset.documents import InvalidDocument
from driftd.errors import DriftdError
from driftd.model.resource import Json
from driftd.model.tree import Tree
from driftd.sandbox.pool import SandboxPool

ReadTree: TypeAlias = Callable[[str, str], Awaitable[Tree]]
"""repoURL and revision to the files; raises DriftdError."""
SANDBOX_PROJECT = "driftd-catalog"
"""The catalog shares no worker with any project's content."""


class Inputs:
    """Reads for generators: YAML in the sandbox, trees through `read_tree`."""

    def __init__(self, sandbox: SandboxPool, read_tree: ReadTree | None = None) -> None:
        self._sandbox = sandbox
        self._read_tree = read_tree

    async def tree(self, repo_url: str, revision: str) -> Tree:
        """The files of a repository. Raises `InvalidDocument` when it cannot be read."""
        if self._read_tree is None:
            raise InvalidDocument("no repository can be read here")
        try:
            return await self._read_tree(repo_url, revision)
        except DriftdError as error:
            raise InvalidDocument(error.message) from None

    async def values(self, texts: Sequence[bytes]) -> list[Json | InvalidDocument]:
        """The first document of each text, or why it cannot be read; an empty one is a map."""
        files: dict[str, bytes] = {}
        for index, text in enumerate(texts):
            files[f"{index}.yaml"] = _as_object(text)
        digest = hashlib.sha256(msgspec.json.encode(sorted(files.items()))).hexdigest()
        parsed = await self._sandbox.parse(
            Tree(f"values-{digest}", files), sorted(files), project=SANDBOX_PROJECT
        )
        found: dict[str, Json | InvalidDocument] = {}
        for document in parsed.documents:
            if document.index == 0:
                value = msgspec.json.decode(document.object)
                found[document.file] = value.get(_KEY, value)
        for problem in parsed.errors:
            found.setdefault(problem.file, InvalidDocument(problem.message))
        return [found.get(f"{index}.yaml", {}) for index in range(len(texts))]


_KEY = "driftd-elements"


def _as_object(text: bytes) -> bytes:
    """The text, and a list indented below a key: then any of them has an object at its top."""
    lines = text.splitlines()
    while lines and (not lines[0].strip() or lines[0].startswith((b"#", b"---"))):
        lines.pop(0)
    if not lines or not lines[0].lstrip().startswith((b"-", b"[")):
        return text
    return f"{_KEY}:\n".encode() + b"\n".join(b"  " + line for line in lines)
