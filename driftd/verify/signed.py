"""The signed parts of commits and tags, as Git signs them. Pure.

What is signed is the object without its signature, so the bytes are taken apart here and nowhere
else: what a signature covers must be exactly what is read from the object.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

import msgspec

from driftd.errors import VerificationError
from driftd.model.gitobject import GitObject

LARGEST = 1 << 20
"""Bytes of the largest object that is looked at."""
SEAL = "argocd-gpg-seal"
"""The trailer (lower case) by which a signed commit vouches for everything before it."""

_ID = re.compile(rb"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
_ALGORITHMS = {40: "sha1", 64: "sha256"}
_HEADERS = {40: b"gpgsig", 64: b"gpgsig-sha256"}
_ARMOR = (
    b"-----BEGIN PGP SIGNATURE-----",
    b"-----BEGIN PGP MESSAGE-----",
    b"-----BEGIN SIGNED MESSAGE-----",
    b"-----BEGIN SSH SIGNATURE-----",
)
_PERSON = re.compile(rb"[^<>]*<[^<>]*>")


class SignedObject(msgspec.Struct, frozen=True):
    """A commit or tag taken apart."""

    id: str
    kind: str
    payload: bytes
    """What a signature covers."""
    signature: bytes
    """Armoured; empty where there is none."""
    who: str
    """Committer or tagger, as the object claims."""
    tree: str = ""
    """Of a commit."""
    parents: tuple[str, ...] = ()
    """Of a commit."""
    sealed: bool = False
    """Whether a commit has the trailer that vouches for everything before it."""
    target: str = ""
    """Of a tag: the id of the object that it names."""
    target_kind: str = ""
    name: str = ""
    """Of a tag."""


def read_object(found: GitObject) -> SignedObject:
    """A commit or tag. Raises `VerificationError` for bytes that are not the object of that id."""
    if len(found.data) > LARGEST:
        raise _broken(found, f"is larger than {LARGEST // 1024} KiB")
    header = f"{found.kind} {len(found.data)}\0".encode()
    digest = hashlib.new(_ALGORITHMS[len(found.id)], header + found.data, usedforsecurity=False)
    if digest.hexdigest() != found.id:
        raise _broken(found, "does not have the content that its id stands for")
    if found.kind == "commit":
        return _commit(found)
    if found.kind == "tag":
        return _tag(found)
    raise _broken(found, f"is a {found.kind}, neither commit nor tag")


def _commit(found: GitObject) -> SignedObject:
    head, message = _split(found)
    own = _HEADERS[len(found.id)]
    signatures: list[bytes] = []
    payload: list[bytes] = []
    values: dict[bytes, list[bytes]] = {}
    for name, lines in _fields(found, head):
        if name == own:
            signatures.append(b"\n".join([lines[0][len(name) + 1 :], *(x[1:] for x in lines[1:])]))
        elif not name.startswith(b"gpgsig"):
            payload += lines
            values.setdefault(name, []).append(lines[0][len(name) + 1 :])
    if len(signatures) > 1:
        raise _broken(found, "has more than one signature")
    tree, parents = values.get(b"tree", []), values.get(b"parent", [])
    if len(tree) != 1 or not all(_ID.match(one) for one in (*tree, *parents)):
        raise _broken(found, "is not a well-formed commit")
    return SignedObject(
        id=found.id,
        kind="commit",
        payload=b"\n".join([*payload, b""]) + b"\n" + message,
        signature=signatures[0] + b"\n" if signatures else b"",
        who=_person(values.get(b"committer", [b""])[0]),
        tree=tree[0].decode(),
        parents=tuple(one.decode() for one in parents),
        sealed=_sealed(message),
    )


def _tag(found: GitObject) -> SignedObject:
    head, message = _split(found)
    payload: list[bytes] = []
    values: dict[bytes, list[bytes]] = {}
    for name, lines in _fields(found, head):
        if not name.startswith(b"gpgsig"):
            payload += lines
            values.setdefault(name, []).append(lines[0][len(name) + 1 :])
    fields = [values.get(name, []) for name in (b"object", b"type", b"tag")]
    if any(len(one) != 1 for one in fields) or not _ID.match(fields[0][0]):
        raise _broken(found, "is not a well-formed tag")
    text, signature = _cut(message)
    return SignedObject(
        id=found.id,
        kind="tag",
        payload=b"\n".join([*payload, b""]) + b"\n" + text,
        signature=signature,
        who=_person(values.get(b"tagger", [b""])[0]),
        target=fields[0][0].decode(),
        target_kind=fields[1][0].decode("ascii", "replace"),
        name=fields[2][0].decode("utf-8", "replace"),
    )


def _split(found: GitObject) -> tuple[bytes, bytes]:
    head, blank, message = found.data.partition(b"\n\n")
    if not blank:
        raise _broken(found, "is cut off")
    return head, message


def _fields(found: GitObject, head: bytes) -> Iterator[tuple[bytes, list[bytes]]]:
    """The header's fields with their lines, continuation lines included."""
    lines: list[bytes] = []
    for line in head.split(b"\n"):
        if line.startswith(b" "):
            if not lines:
                raise _broken(found, "begins with a continuation line")
            lines.append(line)
            continue
        if lines:
            yield lines[0].partition(b" ")[0], lines
        lines = [line]
    yield lines[0].partition(b" ")[0], lines


def _cut(message: bytes) -> tuple[bytes, bytes]:
    """A tag's text and the signature behind it: that begins at the last line that can begin one."""
    position, begin = 0, -1
    while position < len(message):
        if message.startswith(_ARMOR, position):
            begin = position
        end = message.find(b"\n", position)
        position = len(message) if end < 0 else end + 1
    return (message, b"") if begin < 0 else (message[:begin], message[begin:])


def _sealed(message: bytes) -> bool:
    """Whether the message's last paragraph holds the trailer, with a justification."""
    paragraphs = message.decode("utf-8", "replace").strip().split("\n\n")
    lines = paragraphs[-1].splitlines() if len(paragraphs) > 1 else ()
    trailers = (line.partition(":") for line in lines)
    return any(name.strip().lower() == SEAL and value.strip() for name, _, value in trailers)


def _person(value: bytes) -> str:
    """`Name <email>` without what a terminal would obey."""
    match = _PERSON.match(value)
    text = match[0].decode("utf-8", "replace") if match else ""
    return "".join(char for char in text if char.isprintable()).strip()[:120]


def _broken(found: GitObject, what: str) -> VerificationError:
    kind = found.kind if found.kind in {"commit", "tag"} else "object"
    return VerificationError(
        f"{kind} {found.id[:12]} {what}",
        hint="fetch the repository anew, and find out who serves such objects",
    )
