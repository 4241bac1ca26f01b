"""Hostile repositories: read from `tests/cases/hostile`, and made into trees as Git gives them.

A case lists variants. Each is one application in the folder `app`: `files` and `links` of the
repository, the Argo CD `source`, and what must come of it: a condition that matches `says`, a
ConfigMap that `renders` these data. Files that are long are said by their parts:
`{before, each, times, middle, closing, after}`, with `{n}` counted up in `each`.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import socket
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import yaml

from driftd.model.tree import Tree

FOLDER = Path(__file__).resolve().parents[1] / "cases" / "hostile"
GOOD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: good}\n"


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One hostile application and what must come of it."""

    name: str
    files: dict[str, Any] = {}
    links: dict[str, str] = {}
    archives: dict[str, list[dict[str, Any]]] = {}
    chain: dict[str, Any] = {}
    chains: list[dict[str, Any]] = []
    source: dict[str, Any] = {}
    ref: str = ""
    """The name under which a second source lends the same tree."""
    says: str = ""
    """What a condition must say; without it there must be none that is an error."""
    renders: dict[str, str] | None = None
    """Data that the rendered ConfigMap `shop` must have."""
    contains: str = ""
    """Text that the rendered object must have."""
    repeated: int = 0
    seconds: float = 0
    """How long the rendering may take at most; 0 leaves it to the sandbox."""


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the table of threats."""

    case: str
    title: str
    variants: list[Variant]


def cases() -> Iterator[tuple[str, Variant]]:
    """Every variant with the number of its case."""
    for file in sorted(FOLDER.glob("*.yaml")):
        case = msgspec.convert(yaml.safe_load(file.read_text()), Case)
        for variant in case.variants:
            yield case.case, variant


class Host:
    """What a hostile repository is after: a secret file of the host and a server to call."""

    def __init__(self, folder: Path) -> None:
        self.secret = "canary-" + hashlib.sha256(str(folder).encode()).hexdigest()[:16]
        self.file = folder / "host-secret.yaml"
        self.file.write_text(f"secret: {self.secret}\n")
        self.hits = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._record, daemon=True).start()

    def _record(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.hits += 1
                connection.close()

    def close(self) -> None:
        """Stop listening."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def filled(self, value: Any) -> Any:
        """A value of a case with the host's file and server in their places."""
        if isinstance(value, str):
            return value.replace("${CANARY}", str(self.file)).replace("${SERVER}", self.address)
        if isinstance(value, dict):
            if "times" in value:
                return self.filled(_text(value))
            return {self.filled(key): self.filled(item) for key, item in value.items()}
        return [self.filled(item) for item in value] if isinstance(value, list) else value

    def files(self, variant: Variant) -> dict[str, bytes]:
        """The files of a variant's repository, with those of a harmless application beside."""
        found = {"good/config.yaml": GOOD.encode()}
        for path, content in variant.files.items():
            if isinstance(content, dict) and "base64" in content:
                found[path] = base64.b64decode(content["base64"])
            else:
                found[path] = self.filled(content).encode("utf-8", "surrogatepass")
        for chain in (variant.chain, *variant.chains):
            for n in range(1, chain.get("times", 0) + 1):
                text = chain["text"].replace("{n}", str(n)).replace("{next}", str(n + 1))
                found[chain["path"].replace("{n}", str(n))] = self.filled(text).encode()
        for path, members in variant.archives.items():
            found[path] = self._archive(members)
        return found

    def _archive(self, members: list[dict[str, Any]]) -> bytes:
        target = io.BytesIO()
        with (
            gzip.GzipFile(fileobj=target, mode="wb", compresslevel=1, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w|") as archive,
        ):
            for member in members:
                info = tarfile.TarInfo(member["name"])
                if "link" in member:
                    info.type, info.linkname = tarfile.SYMTYPE, self.filled(member["link"])
                    archive.addfile(info)
                    continue
                size = member.get("zeros", 0)
                body = member.get("text", "").encode()
                info.size = size or len(body)
                archive.addfile(info, _Zeros(size) if size else io.BytesIO(body))
        return target.getvalue()

    def tree(self, variant: Variant) -> Tree:
        """The repository of a variant as `source` would read it."""
        files = self.files(variant)
        links = {self.filled(path): self.filled(to) for path, to in variant.links.items()}
        digest = hashlib.sha256(repr(links).encode())
        for path, data in sorted(files.items()):
            digest.update(f"{path!r} {len(data)} ".encode())
            digest.update(data)
        return Tree(digest.hexdigest(), files, links)


class _Zeros(io.RawIOBase):
    """So many bytes of nothing, never all of them at once."""

    def __init__(self, size: int) -> None:
        self._left = size

    def read(self, size: int = -1) -> bytes:
        taken = self._left if size < 0 else min(size, self._left)
        self._left -= taken
        return bytes(taken)


def _text(parts: Mapping[str, Any]) -> str:
    """A long text from its parts."""
    times: int = parts["times"]
    if "indented" in parts:
        body = "".join(" " * n + parts["indented"] for n in range(1, times + 1))
        body += " " * times
    else:
        each: str = parts["each"]
        counted = "{n}" in each
        body = (
            "".join(each.replace("{n}", str(n)) for n in range(times)) if counted else each * times
        )
    middle = parts.get("middle", "") + parts.get("closing", "") * times
    text: str = parts.get("before", "") + body + middle + parts.get("after", "")
    return text
